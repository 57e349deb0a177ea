//! A door between loops and the API server, which can be shut for what the watches of a kind bring: a loop behind it
//! reads and writes as ever, and its cache of that kind grows old.

use anyhow::Result;
use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use kube::config::AuthInfo;
use kube::{Client, Config};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use tokio::net::TcpListener;
use tokio::sync::watch::{Receiver, Sender};

/// The kind (`leases`) that the door is shut for; none at first.
pub(crate) type Shut = Sender<Option<&'static str>>;

/// How a client reaches the API server.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// For our programs.
    pub(crate) config: Config,
    /// For upstream's.
    pub(crate) kubeconfig: PathBuf,
}

impl Way {
    /// The way through a door: plain HTTP on loopback, as whoever asks, and as whoever `config` says if he does not say.
    /// It is open as long as this process runs; a kubeconfig that names it is written to `folder`.
    pub(crate) async fn through(config: Config, folder: &Path, shut: &Shut) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let kubeconfig = folder.join("door.kubeconfig");
        let text = format!(
            "\
apiVersion: v1
kind: Config
clusters: [{{ name: door, cluster: {{ server: '{url}' }} }}]
contexts: [{{ name: door, context: {{ cluster: door, user: '' }} }}]
current-context: door
"
        );
        std::fs::write(&kubeconfig, text)?;
        let mut plain = config;
        // Who is told to wait is told so through the door.
        plain.default_retry = false;
        let admin = Client::try_from(plain.clone())?;
        plain.auth_info = AuthInfo::default();
        let either = Either {
            asker: Client::try_from(plain)?,
            admin,
        };
        tokio::spawn(serve(listener, either, shut.subscribe()));
        let config = Config::new(url.parse::<Uri>()?);
        Ok(Self { config, kubeconfig })
    }
}

/// Who passes what comes in.
#[derive(Clone)]
struct Either {
    /// Whoever the request says.
    asker: Client,
    /// The administrator.
    admin: Client,
}

async fn serve(listener: TcpListener, either: Either, shut: Receiver<Option<&'static str>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (either, shut) = (either.clone(), shut.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let client = match request.headers().contains_key(header::AUTHORIZATION) {
                true => either.asker.clone(),
                false => either.admin.clone(),
            };
            pass(client, shut.clone(), request)
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // A connection that breaks is its client's affair.
        tokio::spawn(async move { drop(connection.await) });
    }
}

type Answer = Response<UnsyncBoxBody<Bytes, kube::Error>>;

async fn pass(
    client: Client,
    shut: Receiver<Option<&'static str>>,
    request: Request<Incoming>,
) -> Result<Answer> {
    let (mut parts, body) = request.into_parts();
    for name in [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    let kind = parts.uri.path().rsplit('/').next().unwrap_or_default();
    let watched = is_watch(&parts.uri).then(|| kind.to_owned());
    let body = Body::from(body.collect().await?.to_bytes());
    let answer = client.send(Request::from_parts(parts, body)).await?;
    Ok(answer.map(|body| match watched {
        None => body.boxed_unsync(),
        Some(kind) => {
            let held = BodyStream::new(body).then(move |frame| {
                let (mut shut, kind) = (shut.clone(), kind.clone());
                async move {
                    let opens = shut.wait_for(|shut| shut.is_none_or(|shut| shut != kind));
                    // Nobody is left who could open it.
                    drop(opens.await);
                    frame
                }
            });
            BodyExt::boxed_unsync(StreamBody::new(held))
        }
    }))
}

fn is_watch(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    query
        .split('&')
        .any(|part| matches!(part, "watch=true" | "watch=1"))
}
