//! Over HTTPS, with a real server, certificates and all.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::{Outside, Pem, Tls};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate of this authority for this name, and its key.
fn certificate(of: &Authority, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    (params.signed_by(&key, of).unwrap(), key)
}

/// A server that is `extender.example`, answers those who show a certificate of the same authority, and tells back what it
/// was asked. Gives its port.
async fn server(authority: &Authority) -> u16 {
    let (own, key) = certificate(authority, "extender.example");
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let asked = WebPkiClientVerifier::builder(Arc::new(roots)).build();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_client_cert_verifier(asked.unwrap())
        .with_single_cert(vec![own.der().clone()], key);
    let tls = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = tls.accept(stream).await else {
                continue;
            };
            let mut asked = Vec::new();
            while !asked.ends_with(b"}") {
                if stream.read_buf(&mut asked).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let asked = String::from_utf8_lossy(&asked).into_owned();
            let line = asked.lines().next().unwrap_or_default();
            let head = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}",
                line.len()
            );
            let _ = stream
                .write_all(format!("{head}\r\n\r\n{line}").as_bytes())
                .await;
            let _ = stream.shutdown().await;
        }
    });
    port
}

#[tokio::test]
async fn over_https_both_sides_are_who_they_say() {
    let (ours, other) = (authority(), authority());
    let port = server(&ours).await;
    let (shown, key) = certificate(&ours, "scheduler.example");
    let pem = |text: String| Some(Pem::Data(STANDARD.encode(text)));
    let right = Tls {
        insecure: false,
        server_name: Some("extender.example".to_owned()),
        authority: pem(ours.pem()),
        certificate: pem(shown.pem()),
        key: pem(key.serialize_pem()),
    };
    let (stranger, strange_key) = certificate(&other, "scheduler.example");
    for (why, tls, answered) in [
        ("all is right", right.clone(), true),
        (
            "whatever it shows is believed",
            Tls {
                insecure: true,
                server_name: None,
                authority: None,
                ..right.clone()
            },
            true,
        ),
        (
            "its certificate is for another name",
            Tls {
                server_name: None,
                ..right.clone()
            },
            false,
        ),
        (
            "somebody else signed its certificate",
            Tls {
                authority: pem(other.pem()),
                ..right.clone()
            },
            false,
        ),
        (
            "it is shown nothing",
            Tls {
                certificate: None,
                key: None,
                ..right.clone()
            },
            false,
        ),
        (
            "it is shown a stranger's certificate",
            Tls {
                certificate: pem(stranger.pem()),
                key: pem(strange_key.serialize_pem()),
                ..right.clone()
            },
            false,
        ),
    ] {
        let url = format!("https://127.0.0.1:{port}/x");
        let outside = Outside::new(&url, &tls, Duration::from_secs(5)).unwrap();
        let answer = outside.post("filter", b"{}".to_vec()).await;
        match answer {
            Ok(answer) => {
                assert!(answered, "{why}");
                assert_eq!(
                    (answer.code, &*answer.body),
                    (200, &b"POST /x/filter HTTP/1.1"[..]),
                    "{why}"
                );
            }
            Err(error) => {
                assert!(!answered, "{why}: {error}");
                assert!(
                    error.starts_with(&format!("Post \"{url}/filter\": ")),
                    "{why}: {error}"
                );
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_told_at_once() {
    let file = Some(Pem::File("/nowhere/ca.crt".to_owned()));
    for (url, tls, wanted) in [
        ("extender:80", Tls::default(), "is not a URL like"),
        (
            "https://e:1",
            Tls {
                authority: file.clone(),
                ..Tls::default()
            },
            "/nowhere/ca.crt",
        ),
    ] {
        let error = Outside::new(url, &tls, Duration::from_secs(1))
            .err()
            .unwrap();
        assert!(error.contains(wanted), "{error}");
    }
}
