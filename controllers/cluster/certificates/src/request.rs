//! What stands in a certificate request (PKCS #10). Pure.
//!
//! Read as Go's `crypto/x509` and `crypto/x509/pkix` do, for that is what upstream's rules are made of.

use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject;
use std::net::IpAddr;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::{Any, ObjectIdentifier, SetOfVec};
use x509_cert::der::{Decode, Encode, Tag, Tagged};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::request::{CertReq, ExtensionReq};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");

/// The parts of a name that a certificate keeps, in the order in which they stand there
/// (`pkix.Name.ToRDNSequence`). What else a request says of its subject is left out: a user's UID for instance.
const KEPT: [ObjectIdentifier; 9] = [
    ObjectIdentifier::new_unwrap("2.5.4.6"),
    ORGANIZATION,
    ObjectIdentifier::new_unwrap("2.5.4.11"),
    ObjectIdentifier::new_unwrap("2.5.4.7"),
    ObjectIdentifier::new_unwrap("2.5.4.8"),
    ObjectIdentifier::new_unwrap("2.5.4.9"),
    ObjectIdentifier::new_unwrap("2.5.4.17"),
    COMMON_NAME,
    SERIAL_NUMBER,
];

/// A request that could be read.
#[derive(Clone, Debug)]
pub struct Request {
    subject: Vec<(ObjectIdentifier, String)>,
    names: Vec<GeneralName>,
    key: SubjectPublicKeyInfoOwned,
    /// Whether its signature is that of its key; none where the algorithm is one that only the API server knows.
    signed: Option<bool>,
}

impl Request {
    /// Reads the request that stands in PEM text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(pem: &[u8]) -> Result<Self, String> {
        let der = CertificateSigningRequestDer::from_pem_slice(pem)
            .map_err(|_| "PEM block type must be CERTIFICATE REQUEST")?;
        let request = CertReq::from_der(&der).map_err(|error| format!("not PKCS #10: {error}"))?;
        let subject = request.info.subject.0.iter().flat_map(|rdn| rdn.0.iter());
        let subject = subject.filter_map(|part| Some((part.oid, text(&part.value)?)));
        Ok(Self {
            subject: subject.collect(),
            names: names(&request)?,
            signed: is_signed(&request)?,
            key: request.info.public_key,
        })
    }

    /// The subject's common name, the last if there are several; empty if there is none.
    pub fn common_name(&self) -> &str {
        let mut names = self.subject.iter().rev();
        let found = names.find(|(oid, _)| *oid == COMMON_NAME);
        found.map_or("", |(_, name)| name)
    }

    /// The subject's organisations: the groups of a user.
    pub fn organizations(&self) -> Vec<&str> {
        let parts = self.subject.iter().filter(|(oid, _)| *oid == ORGANIZATION);
        parts.map(|(_, name)| name.as_str()).collect()
    }

    /// Whether it is for a DNS name.
    pub fn has_dns_names(&self) -> bool {
        self.has(|name| matches!(name, GeneralName::DnsName(_)))
    }

    /// Whether it is for an address of mail.
    pub fn has_emails(&self) -> bool {
        self.has(|name| matches!(name, GeneralName::Rfc822Name(_)))
    }

    /// Whether it is for an IP address.
    pub fn has_addresses(&self) -> bool {
        self.has(|name| matches!(name, GeneralName::IpAddress(_)))
    }

    /// Whether it is for a URI.
    pub fn has_uris(&self) -> bool {
        self.has(|name| matches!(name, GeneralName::UniformResourceIdentifier(_)))
    }

    /// False if it was signed by another key than its own: whoever sent it may not have that one.
    pub fn is_signed(&self) -> bool {
        // The API server lets no request in that is not.
        self.signed != Some(false)
    }

    pub(crate) fn names(&self) -> &[GeneralName] {
        &self.names
    }

    pub(crate) fn key(&self) -> &SubjectPublicKeyInfoOwned {
        &self.key
    }

    /// The subject as the certificate has it: all values of one kind in one set.
    pub(crate) fn subject(&self) -> Result<Name, x509_cert::der::Error> {
        let mut sequence = RdnSequence::default();
        for oid in KEPT {
            let values = self.subject.iter().filter(|(kind, _)| *kind == oid);
            let mut values: Vec<&str> = values.map(|(_, value)| value.as_str()).collect();
            if [COMMON_NAME, SERIAL_NUMBER].contains(&oid) {
                // One of each: the last, and none that is empty.
                values = values.pop().into_iter().filter(|v| !v.is_empty()).collect();
            }
            let mut set = SetOfVec::new();
            for value in values {
                let tag = if is_printable(value) {
                    Tag::PrintableString
                } else {
                    Tag::Utf8String
                };
                let value = Any::new(tag, value.as_bytes())?;
                let part = AttributeTypeAndValue { oid, value };
                // The same twice is no set.
                if !set.iter().any(|has| *has == part) {
                    set.insert(part)?;
                }
            }
            if !set.is_empty() {
                sequence.0.push(RelativeDistinguishedName(set));
            }
        }
        Ok(sequence)
    }

    fn has(&self, is: impl Fn(&GeneralName) -> bool) -> bool {
        self.names.iter().any(is)
    }
}

/// The names for which it is, kind by kind, of the kinds that Go knows.
fn names(request: &CertReq) -> Result<Vec<GeneralName>, String> {
    let wrong = |error| format!("its extensions cannot be read: {error}");
    let mut extensions: Vec<Extension> = Vec::new();
    for attribute in request
        .info
        .attributes
        .iter()
        .filter(|a| a.oid == EXTENSION_REQUEST)
    {
        for value in attribute.values.iter() {
            let der = value.to_der().map_err(wrong)?;
            extensions.extend(ExtensionReq::from_der(&der).map_err(wrong)?.0);
        }
    }
    let mut names = Vec::new();
    for extension in extensions.iter().filter(|e| e.extn_id == SUBJECT_ALT_NAME) {
        let listed = SubjectAltName::from_der(extension.extn_value.as_bytes()).map_err(wrong)?;
        names.extend(listed.0.into_iter().filter(|name| rank(name).is_some()));
    }
    for name in &names {
        if let GeneralName::IpAddress(bytes) = name
            && address(bytes.as_bytes()).is_none()
        {
            return Err("an IP address in it has neither 4 nor 16 bytes".to_owned());
        }
    }
    names.sort_by_key(rank);
    Ok(names)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

fn rank(name: &GeneralName) -> Option<u8> {
    match name {
        GeneralName::DnsName(_) => Some(0),
        GeneralName::Rfc822Name(_) => Some(1),
        GeneralName::IpAddress(_) => Some(2),
        GeneralName::UniformResourceIdentifier(_) => Some(3),
        _ => None,
    }
}

fn is_signed(request: &CertReq) -> Result<Option<bool>, String> {
    let wrong = |error| format!("its signature cannot be read: {error}");
    let message = request.info.to_der().map_err(wrong)?;
    let inner = |der: Vec<u8>| Any::from_der(&der).map(|any| any.value().to_vec());
    let key = inner(request.info.public_key.algorithm.to_der().map_err(wrong)?).map_err(wrong)?;
    let kind = inner(request.algorithm.to_der().map_err(wrong)?).map_err(wrong)?;
    let provider = rustls::crypto::ring::default_provider();
    let ways = provider.signature_verification_algorithms.all;
    let mut fitting = ways.iter().filter(|way| {
        way.public_key_alg_id().as_ref() == key && way.signature_alg_id().as_ref() == kind
    });
    let public = request.info.public_key.subject_public_key.raw_bytes();
    let signature = request.signature.raw_bytes();
    let good = fitting
        .next()
        .map(|way| way.verify_signature(public, &message, signature).is_ok());
    Ok(good)
}

/// The text of a value, if it is one.
fn text(value: &Any) -> Option<String> {
    match value.tag() {
        Tag::PrintableString | Tag::Utf8String | Tag::Ia5String | Tag::NumericString => {
            String::from_utf8(value.value().to_vec()).ok()
        }
        Tag::TeletexString => Some(value.value().iter().map(|byte| char::from(*byte)).collect()),
        _ => None,
    }
}

/// Whether a PrintableString may hold it (X.680).
fn is_printable(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " '()+,-./:=?".contains(c);
    text.chars().all(allowed)
}

#[cfg(test)]
pub(crate) mod tests;
