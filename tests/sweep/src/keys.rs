//! Keys and ranges that are the same in all runs of a process.

use certificates::Authorities;
use certificates::authority::Authority;
use certificates::verdict::SIGNERS;
use jiff::SignedDuration;
use k8s_openapi::ByteString;
use nodeipam::{Flags, Options};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair};
use runtime::keys::PrivateKey;
use serde_json::{Value, json};
use serviceaccount::Issuer;
use std::sync::{Arc, LazyLock};

static ISSUER: LazyLock<Issuer> = LazyLock::new(|| {
    let key = PrivateKey::from_pem(pem(&pair()).as_bytes());
    Issuer::new(key.expect("a fresh key")).expect("of a kind that signs tokens")
});

static AUTHORITIES: LazyLock<Authorities> = LazyLock::new(|| {
    let key = pair();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("a fresh key").pem();
    let day = SignedDuration::from_hours(24);
    let authority = Authority::new(certificate.as_bytes(), pem(&key).as_bytes(), day);
    let authority = Arc::new(authority.expect("both are of one key"));
    SIGNERS
        .map(|signer| (signer.to_owned(), authority.clone()))
        .into()
});

static REQUEST: LazyLock<Value> = LazyLock::new(|| {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let names = &mut params.distinguished_name;
    names.push(DnType::CommonName, "system:node:a");
    names.push(DnType::OrganizationName, "system:nodes");
    let request = params.serialize_request(&pair()).expect("a fresh key");
    let pem = request.pem().expect("DER is always PEM");
    json!(ByteString(pem.into_bytes()))
});

/// Signs tokens.
pub fn issuer() -> Issuer {
    ISSUER.clone()
}

/// Sign certificates for all signers.
pub fn authorities() -> Authorities {
    AUTHORITIES.clone()
}

/// A kubelet's request as it stands in an object.
pub fn request() -> Value {
    REQUEST.clone()
}

/// Room for four nodes.
pub fn ranges() -> Options {
    let flags = Flags {
        cluster_cidr: Some("10.128.0.0/22".to_owned()),
        ..Flags::default()
    };
    flags.options().expect("the flags are right")
}

fn pair() -> KeyPair {
    KeyPair::generate().expect("the system has random numbers")
}

fn pem(key: &KeyPair) -> String {
    key.serialize_pem()
}
