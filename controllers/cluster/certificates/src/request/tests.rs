#![allow(clippy::unwrap_used)]

use super::*;
use rcgen::KeyPair;
use runtime::keys::PrivateKey;
use x509_cert::der::asn1::{BitString, Ia5String, OctetString};
use x509_cert::request::{CertReqInfo, Version};
use x509_cert::spki::AlgorithmIdentifierOwned;

/// A request in PEM of a fresh key: for a subject (`CN=a`, `O=b`, or an OID) and names (`dns:a`, `ip:1.2.3.4`, …).
pub(crate) fn pem(subject: &[&str], names: &[&str]) -> Vec<u8> {
    signed(subject, names, |_| ())
}

/// The same, changed after it was signed.
fn signed(subject: &[&str], names: &[&str], edit: impl FnOnce(&mut CertReq)) -> Vec<u8> {
    let key = KeyPair::generate().unwrap().serialize_pem();
    let key = PrivateKey::from_pem(key.as_bytes()).unwrap();
    let parts = subject.iter().map(|part| {
        let (kind, value) = part.split_once('=').unwrap();
        let oid = match kind {
            "CN" => COMMON_NAME,
            "O" => ORGANIZATION,
            oid => oid.parse().unwrap(),
        };
        let value = Any::new(Tag::Utf8String, value.as_bytes()).unwrap();
        let mut set = SetOfVec::new();
        set.insert(AttributeTypeAndValue { oid, value }).unwrap();
        RelativeDistinguishedName(set)
    });
    let names: Vec<_> = names
        .iter()
        .map(|name| {
            let (kind, value) = name.split_once(':').unwrap();
            let text = || Ia5String::new(value).unwrap();
            match kind {
                "dns" => GeneralName::DnsName(text()),
                "mail" => GeneralName::Rfc822Name(text()),
                "uri" => GeneralName::UniformResourceIdentifier(text()),
                _ => {
                    let bytes = match value.parse() {
                        Ok(IpAddr::V4(ip)) => ip.octets().to_vec(),
                        Ok(IpAddr::V6(ip)) => ip.octets().to_vec(),
                        Err(_) => value.as_bytes().to_vec(),
                    };
                    GeneralName::IpAddress(OctetString::new(bytes).unwrap())
                }
            }
        })
        .collect();
    let mut attributes = SetOfVec::new();
    if !names.is_empty() {
        let value = OctetString::new(SubjectAltName(names).to_der().unwrap()).unwrap();
        let extension = Extension {
            extn_id: SUBJECT_ALT_NAME,
            critical: false,
            extn_value: value,
        };
        attributes
            .insert(ExtensionReq(vec![extension]).try_into().unwrap())
            .unwrap();
    }
    let info = CertReqInfo {
        version: Version::V1,
        subject: RdnSequence(parts.collect()),
        public_key: SubjectPublicKeyInfoOwned::from_der(key.public_key()).unwrap(),
        attributes,
    };
    let signature = key.sign(&info.to_der().unwrap()).unwrap();
    let mut request = CertReq {
        info,
        algorithm: AlgorithmIdentifierOwned {
            oid: ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
            parameters: None,
        },
        signature: BitString::from_bytes(&signature).unwrap(),
    };
    edit(&mut request);
    let text = runtime::keys::certificate_pem(&request.to_der().unwrap());
    text.replace("CERTIFICATE", "CERTIFICATE REQUEST")
        .into_bytes()
}

#[test]
fn who_and_what_a_request_is_for_is_read() {
    let names = ["dns:a.example", "ip:10.0.0.1", "ip:fd00::1"];
    let request = Request::parse(&pem(&["O=one", "CN=first", "O=two", "CN=ann"], &names)).unwrap();
    assert_eq!(request.common_name(), "ann", "the last one");
    assert_eq!(request.organizations(), ["one", "two"]);
    assert!(request.is_signed() && request.has_dns_names() && request.has_addresses());
    assert!(!request.has_emails() && !request.has_uris());
    let other = Request::parse(&pem(&[], &["mail:a@example.com", "uri:spiffe://a/b"])).unwrap();
    assert!(other.has_emails() && other.has_uris());
    assert_eq!((other.common_name(), other.organizations()), ("", vec![]));
}

#[test]
fn a_subject_is_written_as_go_writes_it() {
    // What Kubernetes takes for the UID of a user, and what OpenSSL writes as emailAddress, are left out.
    let subject = [
        "CN=ann",
        "1.3.6.1.4.1.57683.2=uid",
        "O=two",
        "O=one",
        "1.2.840.113549.1.9.1=a@example.com",
        "2.5.4.6=CH",
    ];
    let request = Request::parse(&pem(&subject, &[])).unwrap();
    let subject = request.subject().unwrap();
    assert_eq!(subject.to_string(), "CN=ann,O=one+O=two,C=CH");
    let tags: Vec<_> = subject
        .0
        .iter()
        .map(|rdn| rdn.0.get(0).unwrap().value.tag())
        .collect();
    assert_eq!(tags, [Tag::PrintableString; 3]);
    let umlaut = Request::parse(&pem(&["CN=ä"], &[]))
        .unwrap()
        .subject()
        .unwrap();
    assert_eq!(umlaut.0[0].0.get(0).unwrap().value.tag(), Tag::Utf8String);
}

#[test]
fn a_signature_of_another_key_is_found_out() {
    let forged = signed(&["CN=ann"], &[], |request| {
        let other = pem(&["CN=ann"], &[]);
        request.signature =
            CertReq::from_der(&CertificateSigningRequestDer::from_pem_slice(&other).unwrap())
                .unwrap()
                .signature;
    });
    assert!(!Request::parse(&forged).unwrap().is_signed());
    let strange = signed(&["CN=ann"], &[], |request| {
        request.algorithm.oid = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
    });
    assert!(
        Request::parse(&strange).unwrap().is_signed(),
        "the API server has looked"
    );
}

#[test]
fn what_is_no_request_is_told_so() {
    for (pem, part) in [
        (b"".to_vec(), "PEM block type must be CERTIFICATE REQUEST"),
        (
            b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"
                .to_vec(),
            "not PKCS #10",
        ),
        (pem(&["CN=a"], &["ip:odd"]), "neither 4 nor 16 bytes"),
    ] {
        let error = Request::parse(&pem).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}
