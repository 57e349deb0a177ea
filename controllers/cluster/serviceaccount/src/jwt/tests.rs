#![allow(clippy::unwrap_used)]

use super::*;
use rcgen::KeyPair;

fn issuer(algorithm: &'static rcgen::SignatureAlgorithm) -> Result<Issuer, String> {
    let pem = KeyPair::generate_for(algorithm).unwrap().serialize_pem();
    Issuer::new(PrivateKey::from_pem(pem.as_bytes()).unwrap())
}

const CLAIMS: Claims<'static> = Claims {
    namespace: "shop",
    account: "till",
    uid: "u1",
    secret: "till-token",
};

#[test]
fn a_token_says_whose_it_is_and_who_signed_it() {
    for (algorithm, name, length) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, "ES256", 64),
        (&rcgen::PKCS_ECDSA_P384_SHA384, "ES384", 96),
    ] {
        let issuer = issuer(algorithm).unwrap();
        let token = issuer.token(CLAIMS).unwrap();
        let parts: Vec<Vec<u8>> = token
            .0
            .split('.')
            .map(|part| URL_SAFE_NO_PAD.decode(part).unwrap())
            .collect();
        let [header, payload, signature] = parts.as_slice() else {
            unreachable!("three parts");
        };
        let header: Value = serde_json::from_slice(header).unwrap();
        assert_eq!(header["alg"], name);
        assert_eq!(header["kid"].as_str().unwrap().len(), 43);
        let payload: Value = serde_json::from_slice(payload).unwrap();
        assert_eq!(payload["iss"], "kubernetes/serviceaccount");
        assert_eq!(payload["sub"], "system:serviceaccount:shop:till");
        assert_eq!(
            payload["kubernetes.io/serviceaccount/secret.name"],
            "till-token"
        );
        assert_eq!(
            payload["kubernetes.io/serviceaccount/service-account.uid"],
            "u1"
        );
        assert!(payload.get("exp").is_none());
        assert_eq!(signature.len(), length);
    }
    assert!(
        issuer(&rcgen::PKCS_ED25519)
            .unwrap_err()
            .contains("neither RSA nor ECDSA")
    );
}

#[test]
fn a_token_is_not_shown() {
    let token = issuer(&rcgen::PKCS_ECDSA_P256_SHA256)
        .unwrap()
        .token(CLAIMS)
        .unwrap();
    assert_eq!(format!("{token:?}"), "Token");
}

#[test]
fn both_numbers_of_a_signature_have_the_same_length() {
    for (asn1, half, expected) in [
        (&[0x30, 6, 2, 1, 1, 2, 1, 2][..], 2, Some(&[0, 1, 0, 2][..])),
        (
            &[0x30, 8, 2, 2, 0, 0x80, 2, 2, 1, 2],
            2,
            Some(&[0, 0x80, 1, 2]),
        ),
        (
            &[0x30, 8, 2, 3, 0, 0x80, 1, 2, 1, 2],
            2,
            Some(&[0x80, 1, 0, 2]),
        ),
        (&[0x30, 8, 2, 3, 1, 0x80, 1, 2, 1, 2], 2, None),
        (&[0x30, 7, 2, 1, 1, 2, 1, 2], 2, None),
        (&[0x30, 6, 2, 9, 1, 2, 1, 2], 2, None),
        (&[], 2, None),
    ] {
        assert_eq!(halves(asn1, half).as_deref(), expected, "{asn1:?}");
    }
}
