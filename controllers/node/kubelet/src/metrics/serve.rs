//! The HTTPS server. It listens on loopback and answers to nobody but the API server, which it knows by the
//! certificate that is signed by the authority in the ConfigMap `extension-apiserver-authentication`
//! (upstream: k8s.io/apiserver/pkg/authentication/request/headerrequest).

use super::register::{self, Place};
use super::{Question, World};
use crate::Profiles;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use runtime::{Cache, Runtime};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

const AUTHENTICATION: &str =
    "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
/// How long to wait before trying again what did not succeed.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What it stands on.
#[derive(Clone)]
pub struct Server {
    runtime: Runtime,
    profiles: Arc<Profiles>,
    nodes: Arc<Cache<Node>>,
    pods: Arc<Cache<Pod>>,
}

impl Server {
    /// A server of what hollow pods of these profiles use. Nothing is served before [`Server::run`].
    pub fn new(runtime: &Runtime, profiles: Profiles) -> Self {
        Self {
            runtime: runtime.clone(),
            profiles: Arc::new(profiles),
            nodes: runtime.caches().of::<Node>(),
            pods: runtime.caches().whole::<Pod>(),
        }
    }

    /// Serves, and registers itself with the API server, until the process shuts down. An API of this name
    /// that somebody else registered is left alone.
    pub async fn run(self) {
        let (listener, acceptor, place) = loop {
            match self.prepare().await {
                Ok(prepared) => break prepared,
                Err(error) => tracing::warn!(error, "metrics are not served yet"),
            }
            tokio::time::sleep(AGAIN).await;
        };
        let serving = self.clone().accept(listener, acceptor);
        let registering = async {
            while let Err(error) = register::register(&self.runtime, &place).await {
                tracing::warn!(error, "metrics are not registered yet");
                tokio::time::sleep(AGAIN).await;
            }
        };
        tokio::join!(serving, registering);
    }

    async fn prepare(&self) -> Result<(TcpListener, TlsAcceptor, Place), String> {
        let map: ConfigMap = self
            .runtime
            .reads()
            .get(AUTHENTICATION)
            .await
            .map_err(|error| error.message)?;
        let authority = map.data.unwrap_or_default();
        let authority = authority
            .get("requestheader-client-ca-file")
            .ok_or("the API server does not aggregate: it has no --requestheader-client-ca-file")?;
        let (acceptor, certificate) = acceptor(authority).map_err(|error| error.to_string())?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(|error| error.to_string())?;
        let port = listener
            .local_addr()
            .map_err(|error| error.to_string())?
            .port();
        Ok((listener, acceptor, Place { port, certificate }))
    }

    async fn accept(self, listener: TcpListener, acceptor: TlsAcceptor) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = self.clone().connection(stream, acceptor.clone());
                    self.runtime.spawn("metrics", connection);
                }
                // Out of file descriptors, for instance.
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    async fn connection(self, stream: TcpStream, acceptor: TlsAcceptor) {
        let handshake = tokio::time::timeout(PATIENCE, acceptor.accept(stream));
        let Ok(Ok(stream)) = handshake.await else {
            return;
        };
        let service = service_fn(move |request: Request<Incoming>| {
            let response = self.respond(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        let http = hyper::server::conn::http1::Builder::new();
        // A client that goes away is no error.
        let _ = http.serve_connection(TokioIo::new(stream), service).await;
    }

    fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let uri = request.uri();
        let answer = if request.method() == Method::GET {
            let question = Question::parse(uri.path(), uri.query().unwrap_or_default());
            question.and_then(|question| self.world().answer(&question))
        } else {
            Err((405, "metrics can only be read".to_owned()))
        };
        match answer {
            Ok(value) => reply(200, &value),
            Err((code, message)) => reply(code, &status(code, &message)),
        }
    }

    fn world(&self) -> World<'_> {
        World {
            profiles: &self.profiles,
            nodes: self.nodes.all(),
            pods: self.pods.all(),
            now: self.runtime.now(),
        }
    }
}

fn reply(code: u16, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(value.to_string().into()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST);
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn status(code: u16, message: &str) -> Value {
    let reason = match code {
        404 => "NotFound",
        405 => "MethodNotAllowed",
        _ => "BadRequest",
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

/// What takes connections of those whose certificate `authority` (PEM) signed, and the certificate (PEM) that
/// it shows them: made anew, for the name of the Service.
fn acceptor(authority: &str) -> Result<(TlsAcceptor, String), Box<dyn std::error::Error>> {
    let own = rcgen::generate_simple_self_signed(vec![register::host()])?;
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let provider = Arc::new(crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        roots.add(certificate?)?;
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![own.cert.der().clone()], PrivateKeyDer::Pkcs8(key))?;
    Ok((TlsAcceptor::from(Arc::new(config)), own.cert.pem()))
}
