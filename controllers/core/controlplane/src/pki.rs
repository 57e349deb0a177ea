//! Keys and certificates of one cluster, made anew for each data folder.
//!
//! Two authorities: the cluster's (servers and clients) and the front proxy's, which vouches for
//! the API server towards aggregated ones. Each certificate file begins with a line that says for
//! whom and until when it is; when that line is no longer what is wanted, the file is made again.
//!
//! What each is for: Kubernetes' "PKI certificates and requirements".

use std::fs::OpenOptions;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::{Span, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

use crate::error::Error;

const LEAF_DAYS: i64 = 365;
const CA_DAYS: i64 = 3650;
/// With fewer days left a certificate is made again at the next start.
const RENEW_DAYS: i64 = 30;

/// The authorities and files of one cluster.
pub struct Pki {
    dir: PathBuf,
    ca: Authority,
    front_proxy: Authority,
    today: Date,
}

/// A certificate with its key, as PEM text.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its private key, PKCS #8.
    pub key: String,
}

// Keys stay out of logs.
impl std::fmt::Debug for Pki {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pki({})", self.dir.display())
    }
}

struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    /// Opens the folder `dir`, making what is absent or expires soon; `address` is where the API
    /// server listens, besides the names and addresses that it always has.
    pub fn open(dir: &Path, address: IpAddr) -> Result<Self, Error> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
            .create(dir)
            .map_err(Error::file("cannot create", dir))?;
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        let pki = Self {
            ca: authority(dir, "ca", "corten-ca", today)?,
            front_proxy: authority(dir, "front-proxy-ca", "corten-front-proxy-ca", today)?,
            dir: dir.to_owned(),
            today,
        };
        pki.serving(address)?;
        let proxy = subject("front-proxy-client", None);
        pki.leaf("front-proxy-client", proxy, &pki.front_proxy)?;
        pki.service_account_keys()?;
        Ok(pki)
    }

    /// A certificate for a client that RBAC knows as the user `common_name` (in upstream's words:
    /// `system:node:a`) and, if given, a member of `group` (`system:nodes`); made once and kept
    /// under its name.
    pub fn client_cert(&self, common_name: &str, group: Option<&str>) -> Result<Identity, Error> {
        let file: String = common_name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        let params = subject(common_name, group);
        self.leaf(&format!("client-{file}"), params, &self.ca)
    }

    /// A certificate for a server of the cluster, such as a node's HTTPS port; valid for `names`
    /// (DNS names or addresses).
    pub fn server_cert(&self, common_name: &str, names: &[String]) -> Result<Identity, Error> {
        let params = server(common_name, names)?;
        self.leaf(&format!("server-{common_name}"), params, &self.ca)
    }

    /// The cluster's authority, PEM.
    pub fn ca_certificate(&self) -> &str {
        &self.ca.certificate
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file of the folder: `ca.crt`, `ca.key`, `apiserver.crt`, `sa.key`…
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn serving(&self, address: IpAddr) -> Result<Identity, Error> {
        let mut names: Vec<String> = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "127.0.0.1",
            "::1",
            crate::apiserver::SERVICE_IP,
        ]
        .map(String::from)
        .to_vec();
        let extra = address.to_string();
        if !address.is_unspecified() && !names.contains(&extra) {
            names.push(extra);
        }
        let params = server("kube-apiserver", &names)?;
        self.leaf("apiserver", params, &self.ca)
    }

    /// The pair that signs and checks service account tokens: ECDSA P-256, so tokens are ES256.
    fn service_account_keys(&self) -> Result<(), Error> {
        let (private, public) = (self.file("sa.key"), self.file("sa.pub"));
        if private.exists() && public.exists() {
            return Ok(());
        }
        let key = KeyPair::generate().map_err(failed("service accounts"))?;
        write(&public, &key.public_key_pem())?;
        write(&private, &key.serialize_pem())
    }

    fn leaf(
        &self,
        file: &str,
        mut params: CertificateParams,
        authority: &Authority,
    ) -> Result<Identity, Error> {
        let (cert_file, key_file) = paths(&self.dir, file);
        let label = label(&params);
        if let Some(identity) = kept(&cert_file, &key_file, &label, self.today) {
            return Ok(identity);
        }
        let until = valid(&mut params, self.today, LEAF_DAYS);
        let key = KeyPair::generate().map_err(failed(&label))?;
        let certificate = params
            .signed_by(&key, &authority.issuer)
            .map_err(failed(&label))?;
        let identity = Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        };
        store(&cert_file, &key_file, &label, until, &identity)?;
        Ok(identity)
    }
}

fn authority(dir: &Path, file: &str, name: &str, today: Date) -> Result<Authority, Error> {
    let (cert_file, key_file) = paths(dir, file);
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let label = label(&params);
    if let Some(identity) = kept(&cert_file, &key_file, &label, today) {
        let key = KeyPair::from_pem(&identity.key).map_err(failed(name))?;
        return Ok(Authority {
            certificate: identity.certificate,
            issuer: Issuer::new(params, key),
        });
    }
    // What the old authority signed is worthless with the new one.
    for entry in dir.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".crt") && !name.ends_with("ca.crt") {
            std::fs::remove_file(&path).map_err(Error::file("cannot delete", &path))?;
        }
    }
    let until = valid(&mut params, today, CA_DAYS);
    let key = KeyPair::generate().map_err(failed(name))?;
    let identity = Identity {
        certificate: params.self_signed(&key).map_err(failed(name))?.pem(),
        key: key.serialize_pem(),
    };
    store(&cert_file, &key_file, &label, until, &identity)?;
    Ok(Authority {
        certificate: identity.certificate,
        issuer: Issuer::new(params, key),
    })
}

fn subject(common_name: &str, group: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    if let Some(group) = group {
        params
            .distinguished_name
            .push(DnType::OrganizationName, group);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

fn server(common_name: &str, names: &[String]) -> Result<CertificateParams, Error> {
    let mut params = subject(common_name, None);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into().map_err(failed(name))?),
        });
    }
    Ok(params)
}

/// For whom a certificate is, on one line; a change of it means another certificate.
fn label(params: &CertificateParams) -> String {
    let names = &params.distinguished_name;
    let part = |kind| match names.get(&kind) {
        Some(rcgen::DnValue::Utf8String(value)) => value.clone(),
        _ => String::new(),
    };
    let (name, group) = (part(DnType::CommonName), part(DnType::OrganizationName));
    let also: Vec<String> = params
        .subject_alt_names
        .iter()
        .map(|name| match name {
            SanType::IpAddress(address) => address.to_string(),
            SanType::DnsName(name) => name.to_string(),
            other => format!("{other:?}"),
        })
        .collect();
    format!("for {name} of [{group}] at [{}]", also.join(" "))
}

/// Sets the dates: from yesterday (clocks differ) for `days`; gives the last day.
fn valid(params: &mut CertificateParams, today: Date, days: i64) -> Date {
    let at = |date: Date| date_time_ymd(date.year().into(), date.month() as u8, date.day() as u8);
    let from = today.saturating_sub(Span::new().days(1));
    let until = today.saturating_add(Span::new().days(days));
    params.not_before = at(from);
    params.not_after = at(until);
    until
}

/// The pair in the two files, if it is what `label` wants and lasts.
fn kept(cert_file: &Path, key_file: &Path, label: &str, today: Date) -> Option<Identity> {
    let text = std::fs::read_to_string(cert_file).ok()?;
    let (head, certificate) = text.split_once('\n')?;
    let until: Date = head
        .strip_prefix(label)?
        .strip_prefix(", until ")?
        .parse()
        .ok()?;
    if until < today.saturating_add(Span::new().days(RENEW_DAYS)) {
        return None;
    }
    Some(Identity {
        certificate: certificate.to_owned(),
        key: std::fs::read_to_string(key_file).ok()?,
    })
}

/// The key first: a certificate without its key would look complete.
fn store(
    cert_file: &Path,
    key_file: &Path,
    label: &str,
    until: Date,
    identity: &Identity,
) -> Result<(), Error> {
    write(key_file, &identity.key)?;
    let text = format!("{label}, until {until}\n{}", identity.certificate);
    write(cert_file, &text)
}

fn paths(dir: &Path, file: &str) -> (PathBuf, PathBuf) {
    (
        dir.join(format!("{file}.crt")),
        dir.join(format!("{file}.key")),
    )
}

/// Writes a file that only its owner may read, in one step.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Error> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".new");
    let partial = PathBuf::from(partial);
    // A left-over of a killed process may have another mode.
    drop(std::fs::remove_file(&partial));
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(&partial, path))
        .map_err(Error::file("cannot write", path))
}

fn failed(what: &str) -> impl FnOnce(rcgen::Error) -> Error + '_ {
    move |error| Error::Certificate {
        what: what.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
