#![allow(clippy::unwrap_used)]

use super::*;
use rcgen::KeyPair;
use rustls::crypto::ring::default_provider;

/// Nobody's key, made for these tests: what `openssl genrsa -traditional` writes.
const RSA: &str = include_str!("tests/rsa.pem");

fn pem(algorithm: &'static rcgen::SignatureAlgorithm) -> String {
    KeyPair::generate_for(algorithm).unwrap().serialize_pem()
}

#[test]
fn what_is_signed_is_verified_by_the_public_key() {
    for (pem, algorithm) in [
        (RSA.to_owned(), Algorithm::Rsa),
        (pem(&rcgen::PKCS_ECDSA_P256_SHA256), Algorithm::EcdsaP256),
        (pem(&rcgen::PKCS_ECDSA_P384_SHA384), Algorithm::EcdsaP384),
        (pem(&rcgen::PKCS_ED25519), Algorithm::Ed25519),
    ] {
        let key = PrivateKey::from_pem(pem.as_bytes()).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        let signature = key.sign(b"message").unwrap();
        assert!(verifies(&key, b"message", &signature), "{algorithm:?}");
        assert!(!verifies(&key, b"another", &signature), "{algorithm:?}");
    }
}

/// Whether one of the ways in which rustls verifies finds the signature good. The bits of the key are the end of what
/// stands around them.
fn verifies(key: &PrivateKey, message: &[u8], signature: &[u8]) -> bool {
    let public = key.public_key();
    let ways = default_provider().signature_verification_algorithms.all;
    ways.iter().any(|way| {
        (0..public.len()).any(|at| {
            way.verify_signature(&public[at..], message, signature)
                .is_ok()
        })
    })
}

#[test]
fn a_key_is_not_shown() {
    let text = pem(&rcgen::PKCS_ECDSA_P256_SHA256);
    let key = PrivateKey::from_pem(text.as_bytes()).unwrap();
    assert_eq!(format!("{key:?}"), "PrivateKey(EcdsaP256)");
    for wrong in [
        "",
        "no key",
        "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
    ] {
        let error = PrivateKey::from_pem(wrong.as_bytes()).unwrap_err();
        assert!(
            !error.contains("c2VjcmV0") && !error.contains("secret"),
            "{error}"
        );
    }
    let error = PrivateKey::read(Path::new("/nowhere/ca.key")).unwrap_err();
    assert!(error.starts_with("/nowhere/ca.key: "), "{error}");
}
