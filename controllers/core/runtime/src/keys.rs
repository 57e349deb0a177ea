//! Private keys that sign: certificates, tokens. They are read from files and never shown.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SigningKey;
use rustls::{SignatureAlgorithm, SignatureScheme};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A private key. Cheap to clone.
#[derive(Clone)]
pub struct PrivateKey {
    key: Arc<dyn SigningKey>,
    algorithm: Algorithm,
    public: Vec<u8>,
}

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA, PKCS #1 v1.5 with SHA-256.
    Rsa,
    /// ECDSA on P-256 with SHA-256, in ASN.1.
    EcdsaP256,
    /// ECDSA on P-384 with SHA-384, in ASN.1.
    EcdsaP384,
    /// Ed25519.
    Ed25519,
}

// What is inside stays there.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:?})", self.algorithm)
    }
}

impl PrivateKey {
    /// Reads the first private key of a PEM file: PKCS #8, PKCS #1 or SEC 1.
    ///
    /// # Errors
    /// One sentence that names the file, and nothing of what is in it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::from_pem(&pem).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Reads the first private key of PEM text.
    ///
    /// # Errors
    /// What is wrong, and nothing of the text.
    pub fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| "it has no private key in PEM")?;
        let key = any_supported_type(&der)
            .map_err(|_| "its key is neither RSA of at least 2048 bits, nor ECDSA on P-256 or P-384, nor Ed25519")?;
        let public = key.public_key().ok_or("its key has no public part")?;
        let algorithm = match key.algorithm() {
            SignatureAlgorithm::RSA => Algorithm::Rsa,
            SignatureAlgorithm::ED25519 => Algorithm::Ed25519,
            _ if offers(&*key, SignatureScheme::ECDSA_NISTP256_SHA256) => Algorithm::EcdsaP256,
            _ => Algorithm::EcdsaP384,
        };
        Ok(Self {
            public: public.as_ref().to_vec(),
            key: key.clone(),
            algorithm,
        })
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key: a SubjectPublicKeyInfo in DER.
    pub fn public_key(&self) -> &[u8] {
        &self.public
    }

    /// The signature of a message, in the form that X.509 has for the algorithm.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let scheme = match self.algorithm {
            Algorithm::Rsa => SignatureScheme::RSA_PKCS1_SHA256,
            Algorithm::EcdsaP256 => SignatureScheme::ECDSA_NISTP256_SHA256,
            Algorithm::EcdsaP384 => SignatureScheme::ECDSA_NISTP384_SHA384,
            Algorithm::Ed25519 => SignatureScheme::ED25519,
        };
        let signer = self.key.choose_scheme(&[scheme]);
        let signer = signer.ok_or("the key does not sign in its own way")?;
        signer.sign(message).map_err(|error| error.to_string())
    }
}

/// A certificate as PEM text.
pub fn certificate_pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len())
        .step_by(64)
        .map(|at| &text[at..text.len().min(at + 64)])
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}

fn offers(key: &dyn SigningKey, scheme: SignatureScheme) -> bool {
    key.choose_scheme(&[scheme]).is_some()
}

#[cfg(test)]
mod tests;
