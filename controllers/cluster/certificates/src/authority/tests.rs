#![allow(clippy::unwrap_used)]

use super::*;
use crate::request::tests::pem as request;
use rcgen::{
    BasicConstraints as Constraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::crypto::ring::default_provider;

/// A folder of its own with an authority that lasts until 2030, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("corten-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let folder = Self(path);
        folder.authority("first", &rcgen::PKCS_ECDSA_P256_SHA256);
        folder
    }

    fn authority(&self, name: &str, algorithm: &'static rcgen::SignatureAlgorithm) {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(Constraints::Unconstrained);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2030, 1, 1);
        std::fs::write(self.key(), key.serialize_pem()).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        std::fs::write(self.certificate(), format!("for {name}\n{certificate}")).unwrap();
    }

    fn certificate(&self) -> PathBuf {
        self.0.join("ca.crt")
    }

    fn key(&self) -> PathBuf {
        self.0.join("ca.key")
    }

    fn open(&self) -> Result<Authority, String> {
        Authority::open(
            &self.certificate(),
            &self.key(),
            SignedDuration::from_hours(8760),
        )
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// What is signed at this time.
fn sign(
    authority: &Authority,
    request: &[u8],
    usages: &[&str],
    seconds: Option<i32>,
    now: &str,
) -> Result<Certificate, String> {
    let usages: Vec<String> = usages.iter().map(|usage| (*usage).to_owned()).collect();
    let request = Request::parse(request).unwrap();
    let pem = authority.sign(
        &request,
        Wanted {
            usages: &usages,
            seconds,
            now: at(now),
        },
    )?;
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    Ok(Certificate::from_der(&der).unwrap())
}

const NOW: &str = "2026-01-01T12:00:00Z";

#[test]
fn a_certificate_is_what_the_request_and_the_usages_say() {
    let folder = Folder::new("says");
    let authority = folder.open().unwrap();
    let names = [
        "uri:http://a/",
        "ip:10.0.0.1",
        "dns:a.example",
        "mail:a@b.c",
    ];
    let request = request(&["CN=ann", "O=two", "O=one"], &names);
    let usages = [
        "server auth",
        "key encipherment",
        "client auth",
        "digital signature",
    ];
    let certificate = sign(&authority, &request, &usages, None, NOW)
        .unwrap()
        .tbs_certificate;
    assert_eq!(certificate.subject.to_string(), "CN=ann,O=one+O=two");
    assert_eq!(certificate.issuer.to_string(), "CN=first");
    assert_eq!(certificate.version, Version::V3);
    let bits = certificate.get::<KeyUsage>().unwrap().unwrap();
    assert!(
        bits.0
            && bits.1.digital_signature()
            && bits.1.key_encipherment()
            && !bits.1.key_cert_sign()
    );
    let (_, extended) = certificate.get::<ExtendedKeyUsage>().unwrap().unwrap();
    let extended: Vec<_> = extended.0.iter().map(ToString::to_string).collect();
    assert_eq!(
        extended,
        ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"],
        "in Go's order"
    );
    let (critical, constraints) = certificate.get::<BasicConstraints>().unwrap().unwrap();
    assert!(critical && !constraints.ca);
    let (_, own) = certificate
        .get::<AuthorityKeyIdentifier>()
        .unwrap()
        .unwrap();
    assert!(own.key_identifier.is_some());
    let (critical, found) = certificate.get::<SubjectAltName>().unwrap().unwrap();
    assert!(!critical);
    assert_eq!(
        found.0,
        Request::parse(&request).unwrap().names(),
        "all of them, kind by kind"
    );
    assert_eq!(certificate.extensions.unwrap().len(), 5);
}

#[test]
fn a_certificate_is_signed_by_its_authority() {
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
    ] {
        let folder = Folder::new("signed");
        folder.authority("any", algorithm);
        let authority = folder.open().unwrap();
        let certificate = sign(&authority, &request(&["CN=a"], &[]), &["any"], None, NOW).unwrap();
        let message = certificate.tbs_certificate.to_der().unwrap();
        let issuer = authority.issuer();
        let key = &issuer.certificate.tbs_certificate.subject_public_key_info;
        let kind = certificate.signature_algorithm.to_der().unwrap();
        let ways = default_provider().signature_verification_algorithms.all;
        let good = ways.iter().any(|way| {
            kind.ends_with(way.signature_alg_id().as_ref())
                && way
                    .verify_signature(
                        key.subject_public_key.raw_bytes(),
                        &message,
                        certificate.signature.raw_bytes(),
                    )
                    .is_ok()
        });
        assert!(good, "{algorithm:?}");
    }
}

#[test]
fn a_certificate_lasts_as_long_as_it_may() {
    let folder = Folder::new("lasts");
    let authority = folder.open().unwrap();
    let request = request(&["CN=a"], &[]);
    for (now, seconds, begins, ends) in [
        (NOW, None, "2026-01-01T11:55:00Z", "2027-01-01T11:55:00Z"),
        (
            NOW,
            Some(3600),
            "2026-01-01T11:55:00Z",
            "2026-01-01T13:00:00Z",
        ),
        (NOW, Some(1), "2026-01-01T11:55:00Z", "2026-01-01T12:10:00Z"),
        (
            NOW,
            Some(-7),
            "2026-01-01T11:55:00Z",
            "2026-01-01T12:10:00Z",
        ),
        (
            NOW,
            Some(86400),
            "2026-01-01T11:55:00Z",
            "2026-01-02T11:55:00Z",
        ),
        (
            NOW,
            Some(i32::MAX),
            "2026-01-01T11:55:00Z",
            "2027-01-01T11:55:00Z",
        ),
        (
            "2029-12-31T00:00:00Z",
            None,
            "2029-12-30T23:55:00Z",
            "2030-01-01T00:00:00Z",
        ),
    ] {
        let validity = sign(&authority, &request, &["any"], seconds, now)
            .unwrap()
            .tbs_certificate
            .validity;
        assert_eq!(
            moment(validity.not_before),
            Ok(at(begins)),
            "{now} {seconds:?}"
        );
        assert_eq!(
            moment(validity.not_after),
            Ok(at(ends)),
            "{now} {seconds:?}"
        );
    }
    let late = sign(&authority, &request, &["any"], None, "2030-01-01T00:00:00Z").unwrap_err();
    assert_eq!(
        late,
        "the signer has expired: NotAfter=2030-01-01T00:00:00Z"
    );
    let strange = sign(
        &authority,
        &request,
        &["any", "world domination"],
        None,
        NOW,
    )
    .unwrap_err();
    assert_eq!(strange, "unrecognized usage values: [\"world domination\"]");
}

#[test]
fn times_from_2050_on_have_four_digits_for_the_year() {
    assert!(matches!(
        time(at("2049-12-31T23:59:59Z")),
        Ok(Time::UtcTime(_))
    ));
    assert!(matches!(
        time(at("2050-01-01T00:00:00Z")),
        Ok(Time::GeneralTime(_))
    ));
}

#[test]
fn a_changed_authority_is_taken_and_a_broken_one_is_not() {
    let folder = Folder::new("changed");
    let authority = folder.open().unwrap();
    let issuer = || {
        let signed = sign(&authority, &request(&["CN=a"], &[]), &["any"], None, NOW);
        signed.unwrap().tbs_certificate.issuer.to_string()
    };
    assert_eq!(issuer(), "CN=first");
    std::fs::write(folder.key(), "").unwrap();
    assert_eq!(issuer(), "CN=first");
    folder.authority("second", &rcgen::PKCS_ECDSA_P384_SHA384);
    assert_eq!(issuer(), "CN=second");
}

#[test]
fn a_certificate_must_be_for_the_key() {
    let folder = Folder::new("pair");
    let other = KeyPair::generate().unwrap();
    std::fs::write(folder.key(), other.serialize_pem()).unwrap();
    let error = folder.open().unwrap_err();
    assert!(error.contains("it is not for the key"), "{error}");
    std::fs::write(folder.certificate(), "").unwrap();
    let error = folder.open().unwrap_err();
    assert!(
        error.ends_with("expected 1 certificate, found 0"),
        "{error}"
    );
}
