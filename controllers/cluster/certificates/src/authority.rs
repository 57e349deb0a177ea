//! Certificates: what stands in them, and signing them (upstream: pkg/controller/certificates/authority).

use crate::request::Request;
use jiff::{SignedDuration, Timestamp};
use runtime::keys::{Algorithm, PrivateKey, certificate_pem};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use x509_cert::certificate::{Certificate, TbsCertificate, Version};
use x509_cert::der::asn1::{
    Any, BitString, GeneralizedTime, Null, ObjectIdentifier, OctetString, UtcTime,
};
use x509_cert::der::flagset::FlagSet;
use x509_cert::der::{self, DateTime, Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
    SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::{Time, Validity};

/// A certificate begins so long before it is made: clocks differ.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);
/// One that lasts less is not made shorter by that.
const SHORT: SignedDuration = SignedDuration::from_hours(8);
/// The shortest that one can ask for.
const SHORTEST: SignedDuration = SignedDuration::from_mins(10);

/// The usages that are bits, by the API's word.
const BITS: [(&str, KeyUsages); 10] = [
    ("signing", KeyUsages::DigitalSignature),
    ("digital signature", KeyUsages::DigitalSignature),
    ("content commitment", KeyUsages::NonRepudiation),
    ("key encipherment", KeyUsages::KeyEncipherment),
    ("key agreement", KeyUsages::KeyAgreement),
    ("data encipherment", KeyUsages::DataEncipherment),
    ("cert sign", KeyUsages::KeyCertSign),
    ("crl sign", KeyUsages::CRLSign),
    ("encipher only", KeyUsages::EncipherOnly),
    ("decipher only", KeyUsages::DecipherOnly),
];

/// The others, in the order in which they stand in a certificate.
const EXTENDED: [(&str, &str); 13] = [
    ("any", "2.5.29.37.0"),
    ("server auth", "1.3.6.1.5.5.7.3.1"),
    ("client auth", "1.3.6.1.5.5.7.3.2"),
    ("code signing", "1.3.6.1.5.5.7.3.3"),
    ("email protection", "1.3.6.1.5.5.7.3.4"),
    ("s/mime", "1.3.6.1.5.5.7.3.4"),
    ("ipsec end system", "1.3.6.1.5.5.7.3.5"),
    ("ipsec tunnel", "1.3.6.1.5.5.7.3.6"),
    ("ipsec user", "1.3.6.1.5.5.7.3.7"),
    ("timestamping", "1.3.6.1.5.5.7.3.8"),
    ("ocsp signing", "1.3.6.1.5.5.7.3.9"),
    ("microsoft sgc", "1.3.6.1.4.1.311.10.3.3"),
    ("netscape sgc", "2.16.840.1.113730.4.1"),
];

/// An authority whose certificate and key stand in two files. They are read again when they change.
#[derive(Debug)]
pub struct Authority {
    files: Option<(PathBuf, PathBuf)>,
    longest: SignedDuration,
    current: Mutex<Arc<Issuer>>,
}

/// A file as a digest would tell it: length and time of change.
type Stamp = Option<(u64, std::time::SystemTime)>;

/// What signs.
#[derive(Debug)]
struct Issuer {
    certificate: Certificate,
    key: PrivateKey,
    /// The files that it was read from.
    read: [Stamp; 2],
}

/// What is asked for besides what stands in the request itself.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The usages, in the API's words.
    pub usages: &'a [String],
    /// `spec.expirationSeconds`.
    pub seconds: Option<i32>,
    /// The time.
    pub now: Timestamp,
}

impl Authority {
    /// Reads the files. Certificates that it signs last for `longest` if nobody asks for less.
    ///
    /// # Errors
    /// One sentence that names the file.
    pub fn open(certificate: &Path, key: &Path, longest: SignedDuration) -> Result<Self, String> {
        let issuer = Issuer::read(certificate, key)?;
        Ok(Self {
            files: Some((certificate.to_owned(), key.to_owned())),
            longest,
            current: Mutex::new(Arc::new(issuer)),
        })
    }

    /// An authority that stands in no file: a certificate and its key as PEM text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(certificate: &[u8], key: &[u8], longest: SignedDuration) -> Result<Self, String> {
        let issuer = Issuer::new(certificate, PrivateKey::from_pem(key)?, [None; 2])?;
        Ok(Self {
            files: None,
            longest,
            current: Mutex::new(Arc::new(issuer)),
        })
    }

    /// Signs a certificate for a request: PEM text.
    ///
    /// # Errors
    /// The authority has expired, or what is asked for cannot be.
    pub fn sign(&self, request: &Request, wanted: Wanted<'_>) -> Result<String, String> {
        let issuer = self.issuer();
        let validity = self.validity(wanted, issuer.not_after()?)?;
        let wrong = |error: der::Error| error.to_string();
        let extensions = issuer.extensions(request, wanted.usages)?;
        let certificate = TbsCertificate {
            version: Version::V3,
            serial_number: serial().map_err(wrong)?,
            signature: algorithm(issuer.key.algorithm()),
            issuer: issuer.certificate.tbs_certificate.subject.clone(),
            validity,
            subject: request.subject().map_err(wrong)?,
            subject_public_key_info: request.key().clone(),
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: Some(extensions),
        };
        let message = certificate.to_der().map_err(wrong)?;
        let certificate = Certificate {
            tbs_certificate: certificate,
            signature_algorithm: algorithm(issuer.key.algorithm()),
            signature: BitString::from_bytes(&issuer.key.sign(&message)?).map_err(wrong)?,
        };
        Ok(certificate_pem(&certificate.to_der().map_err(wrong)?))
    }

    /// `policies.go apply`, `signer.go duration`
    fn validity(&self, wanted: Wanted<'_>, end: Timestamp) -> Result<Validity, String> {
        let asked = wanted.seconds.map(|s| SignedDuration::from_secs(s.into()));
        let lasts = asked.map_or(self.longest, |asked| asked.max(SHORTEST).min(self.longest));
        let lasts = if lasts < SHORT {
            lasts
        } else {
            lasts - BACKDATE
        };
        if wanted.now >= end {
            return Err(format!("the signer has expired: NotAfter={end}"));
        }
        let add = |by: SignedDuration| wanted.now.checked_add(by).unwrap_or(Timestamp::MAX);
        Ok(Validity {
            not_before: time(add(-BACKDATE))?,
            not_after: time(add(lasts).min(end))?,
        })
    }

    /// What is in the files now. What cannot be read is told, and what was there before holds.
    fn issuer(&self) -> Arc<Issuer> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((certificate, key)) = &self.files
            && stamps(certificate, key) != current.read
        {
            match Issuer::read(certificate, key) {
                Ok(issuer) => *current = Arc::new(issuer),
                Err(error) => tracing::warn!(error, "the changed authority cannot be used"),
            }
        }
        current.clone()
    }
}

impl Issuer {
    fn read(certificate: &Path, key: &Path) -> Result<Self, String> {
        let read = stamps(certificate, key);
        let at = |error: String| format!("{}: {error}", certificate.display());
        let pem = std::fs::read(certificate).map_err(|error| at(error.to_string()))?;
        Self::new(&pem, PrivateKey::read(key)?, read).map_err(at)
    }

    fn new(pem: &[u8], key: PrivateKey, read: [Stamp; 2]) -> Result<Self, String> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let found = found.map_err(|error| format!("it is no PEM: {error}"))?;
        let [der] = found.as_slice() else {
            return Err(format!("expected 1 certificate, found {}", found.len()));
        };
        let certificate = Certificate::from_der(der).map_err(|error| error.to_string())?;
        let public = certificate.tbs_certificate.subject_public_key_info.to_der();
        if public.map_err(|error| error.to_string())? != key.public_key() {
            return Err("it is not for the key".to_owned());
        }
        Ok(Self {
            certificate,
            key,
            read,
        })
    }

    fn not_after(&self) -> Result<Timestamp, String> {
        moment(self.certificate.tbs_certificate.validity.not_after)
    }

    /// In Go's order.
    fn extensions(&self, request: &Request, usages: &[String]) -> Result<Vec<Extension>, String> {
        let (bits, extended) = sort(usages)?;
        let mut extensions = Vec::new();
        let mut add = |critical: bool, id: &str, value: der::Result<Vec<u8>>| {
            let value = value
                .and_then(OctetString::new)
                .map_err(|error| error.to_string())?;
            extensions.push(Extension {
                extn_id: ObjectIdentifier::new(id).map_err(|error| error.to_string())?,
                critical,
                extn_value: value,
            });
            Ok::<_, String>(())
        };
        if !bits.is_empty() {
            add(true, "2.5.29.15", KeyUsage(bits).to_der())?;
        }
        if !extended.is_empty() {
            add(false, "2.5.29.37", ExtendedKeyUsage(extended).to_der())?;
        }
        let no_authority = BasicConstraints {
            ca: false,
            path_len_constraint: None,
        };
        add(true, "2.5.29.19", no_authority.to_der())?;
        let own = self
            .certificate
            .tbs_certificate
            .get::<SubjectKeyIdentifier>();
        if let Ok(Some((_, id))) = own {
            let id = AuthorityKeyIdentifier {
                key_identifier: Some(id.0),
                ..AuthorityKeyIdentifier::default()
            };
            add(false, "2.5.29.35", id.to_der())?;
        }
        if !request.names().is_empty() {
            let nameless = request.subject().is_ok_and(|subject| subject.is_empty());
            let names = SubjectAltName(request.names().to_vec());
            add(nameless, "2.5.29.17", names.to_der())?;
        }
        Ok(extensions)
    }
}

/// When a certificate in PEM text ends, if it is one.
pub fn expires(pem: &[u8]) -> Option<Timestamp> {
    let der = CertificateDer::from_pem_slice(pem).ok()?;
    let certificate = Certificate::from_der(&der).ok()?;
    moment(certificate.tbs_certificate.validity.not_after).ok()
}

/// The usages as a certificate has them.
fn sort(usages: &[String]) -> Result<(FlagSet<KeyUsages>, Vec<ObjectIdentifier>), String> {
    let unknown: Vec<&String> = usages
        .iter()
        .filter(|usage| {
            let known = BITS.iter().map(|(name, _)| name);
            let mut known = known.chain(EXTENDED.iter().map(|(name, _)| name));
            !known.any(|name| name == usage)
        })
        .collect();
    if !unknown.is_empty() {
        return Err(format!("unrecognized usage values: {unknown:?}"));
    }
    let has = |name: &str| usages.iter().any(|usage| usage == name);
    let mut bits = FlagSet::default();
    for (_, bit) in BITS.iter().filter(|(name, _)| has(name)) {
        bits |= *bit;
    }
    let extended = EXTENDED.iter().filter(|(name, _)| has(name));
    let mut extended: Vec<_> = extended
        .map(|(_, id)| ObjectIdentifier::new_unwrap(id))
        .collect();
    extended.dedup();
    Ok((bits, extended))
}

fn algorithm(algorithm: Algorithm) -> AlgorithmIdentifierOwned {
    let (id, parameters) = match algorithm {
        Algorithm::Rsa => ("1.2.840.113549.1.1.11", Some(Any::from(Null))),
        Algorithm::EcdsaP256 => ("1.2.840.10045.4.3.2", None),
        Algorithm::EcdsaP384 => ("1.2.840.10045.4.3.3", None),
        Algorithm::Ed25519 => ("1.3.101.112", None),
    };
    AlgorithmIdentifierOwned {
        oid: ObjectIdentifier::new_unwrap(id),
        parameters,
    }
}

/// 127 bits that nobody can guess.
fn serial() -> der::Result<SerialNumber> {
    let mut bytes: [u8; 16] = rand::random();
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::new(&bytes)
}

/// Two digits for the year until 2049, four from then on (RFC 5280 4.1.2.5).
fn time(at: Timestamp) -> Result<Time, String> {
    let seconds = u64::try_from(at.as_second()).map_err(|_| "a time before 1970")?;
    let at = DateTime::from_unix_duration(Duration::from_secs(seconds));
    let at = at.map_err(|error| error.to_string())?;
    if at.year() < 2050 {
        let at = UtcTime::from_date_time(at).map_err(|error| error.to_string())?;
        return Ok(Time::UtcTime(at));
    }
    Ok(Time::GeneralTime(GeneralizedTime::from_date_time(at)))
}

fn moment(time: Time) -> Result<Timestamp, String> {
    let since = time.to_unix_duration().as_secs() as i64;
    Timestamp::from_second(since).map_err(|error| error.to_string())
}

fn stamps(one: &Path, other: &Path) -> [Stamp; 2] {
    [one, other].map(|path| {
        let of = std::fs::metadata(path).ok()?;
        Some((of.len(), of.modified().ok()?))
    })
}

#[cfg(test)]
mod tests;
