//! Tokens that say which service account somebody is, without an end (upstream: pkg/serviceaccount/{jwt,legacy}.go).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use runtime::keys::{Algorithm, PrivateKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::Path;

/// The issuer of tokens that stand in Secrets.
const ISSUER: &str = "kubernetes/serviceaccount";

/// Makes tokens. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Issuer {
    key: PrivateKey,
    algorithm: &'static str,
    /// The length of each half of an ECDSA signature.
    half: Option<usize>,
}

/// A token. It is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub(crate) String);

// Whoever has it is the service account.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Whose a token is, and in which Secret it stands.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'a> {
    /// The namespace of both.
    pub namespace: &'a str,
    /// The name of the service account.
    pub account: &'a str,
    /// Its UID.
    pub uid: &'a str,
    /// The name of the Secret: the token is worth nothing without it.
    pub secret: &'a str,
}

impl Issuer {
    /// Reads the private key of a PEM file.
    ///
    /// # Errors
    /// One sentence that names the file.
    pub fn open(file: &Path) -> Result<Self, String> {
        let key = PrivateKey::read(file)?;
        Self::new(key).map_err(|error| format!("{}: {error}", file.display()))
    }

    /// An issuer with this key.
    ///
    /// # Errors
    /// It is of a kind that the API server does not take.
    pub fn new(key: PrivateKey) -> Result<Self, String> {
        let (algorithm, half) = match key.algorithm() {
            Algorithm::Rsa => ("RS256", None),
            Algorithm::EcdsaP256 => ("ES256", Some(32)),
            Algorithm::EcdsaP384 => ("ES384", Some(48)),
            Algorithm::Ed25519 => return Err("its key is neither RSA nor ECDSA".to_owned()),
        };
        Ok(Self {
            key,
            algorithm,
            half,
        })
    }

    /// A token that says these things.
    ///
    /// # Errors
    /// It could not be signed.
    pub fn token(&self, claims: Claims<'_>) -> Result<Token, String> {
        let name = format!(
            "system:serviceaccount:{}:{}",
            claims.namespace, claims.account
        );
        let payload = json!({
            "iss": ISSUER,
            "sub": name,
            "kubernetes.io/serviceaccount/namespace": claims.namespace,
            "kubernetes.io/serviceaccount/secret.name": claims.secret,
            "kubernetes.io/serviceaccount/service-account.name": claims.account,
            "kubernetes.io/serviceaccount/service-account.uid": claims.uid,
        });
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(self.key.public_key()));
        let header = json!({ "alg": self.algorithm, "kid": id });
        let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(header), encode(payload));
        let signature = self.key.sign(message.as_bytes())?;
        let signature = match self.half {
            None => signature,
            Some(half) => halves(&signature, half).ok_or("an ECDSA signature of another form")?,
        };
        Ok(Token(format!(
            "{message}.{}",
            URL_SAFE_NO_PAD.encode(signature)
        )))
    }
}

/// The two numbers of an ECDSA signature in ASN.1, one after the other, each of `half` bytes (RFC 7518 3.4).
fn halves(asn1: &[u8], half: usize) -> Option<Vec<u8>> {
    // SEQUENCE { INTEGER, INTEGER }, all of them shorter than 128 bytes.
    let (&[0x30, length], mut rest) = asn1.split_first_chunk()? else {
        return None;
    };
    if usize::from(length) != rest.len() {
        return None;
    }
    let mut both = Vec::with_capacity(2 * half);
    for _ in 0..2 {
        let (&[0x02, length], after) = rest.split_first_chunk()? else {
            return None;
        };
        let (number, after) = after.split_at_checked(length.into())?;
        rest = after;
        let digits = number.iter().position(|byte| *byte != 0);
        let digits = &number[digits.unwrap_or(number.len())..];
        both.resize(both.len() + half.checked_sub(digits.len())?, 0);
        both.extend_from_slice(digits);
    }
    rest.is_empty().then_some(both)
}

#[cfg(test)]
mod tests;
