//! From flags to a client.
//!
//! kube's own builder is not used, for two reasons: it sends writes again after 429, 503 and 504, which
//! may have been committed, and it sets no TCP keep-alive, so that a dead peer goes unseen for minutes.
//! What is built here never repeats a request, asks for no compressed answers (on a loopback address they
//! cost more than they save), and gives a dead connection up within a minute.

use super::ClientArgs;
use crate::keys::certificate_pem;
use crate::metrics::{Metrics, Resolver};
use http::header::{HeaderValue, USER_AGENT};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::env;
use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tower::{Layer, ServiceBuilder};

/// How long [`check_server`] waits.
const PATIENCE: Duration = Duration::from_secs(5);
/// A connection on which nothing has moved for so long is asked whether it is alive, …
const KEEPALIVE_AFTER: Duration = Duration::from_secs(20);
/// … again after so long, this often.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_TIMES: u32 = 4;
/// How much of an answer a connection reads before it is wanted: there are dozens, and hyper would take 400 KiB.
const READ_AHEAD: usize = 64 << 10;
/// What was sent must be acknowledged within.
#[cfg(target_os = "linux")]
const SENT_WITHIN: Duration = Duration::from_secs(30);

/// Why there is no client. Each prints as one sentence for the user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file that was asked for is not there.
    #[error("the kubeconfig {path} ({origin}) does not exist", path = .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Who asked for it: `--kubeconfig`, `$KUBECONFIG`.
        origin: &'static str,
    },
    /// The file cannot be read, parsed or used.
    #[error("the kubeconfig {path} ({origin}) cannot be used: {problem}", path = .path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// Who asked for it.
        origin: &'static str,
        /// What is wrong with it, on one line.
        problem: String,
    },
    /// No file, and this is not a pod.
    #[error(
        "no cluster is configured: give --kubeconfig or --master, set KUBECONFIG, have ~/.kube/config, or run in a pod with a service account"
    )]
    Nothing,
    /// This is a pod, but its service account cannot be used.
    #[error("the service account of this pod cannot be used: {0}")]
    InCluster(String),
    /// `--master` is no URL.
    #[error("--master {0} is not a URL like https://10.0.0.1:6443")]
    Master(String),
    /// TLS or credentials.
    #[error("the credentials for the API server cannot be used: {0}")]
    Client(String),
    /// Nobody answers.
    #[error(
        "the API server cannot be reached: {0}; is it running, and is the server of the kubeconfig (or --master) right?"
    )]
    Unreachable(String),
    /// Somebody answers who does not let us in.
    #[error("the API server refuses us: {0}")]
    Refused(String),
}

/// A client for the API server that the flags and the environment name: `--kubeconfig`, `$KUBECONFIG`,
/// `~/.kube/config`, the service account of the pod; the first that is there counts. No request is sent.
/// Belongs to the tokio runtime that it is made in.
pub async fn client(args: &ClientArgs, user_agent: &str) -> Result<Client, Error> {
    build(&config(args, user_agent).await?, None)
}

/// A client made from what [`config`] found, whose requests are counted in `metrics`.
pub fn connect(config: &Config, metrics: &Metrics) -> Result<Client, Error> {
    build(config, Some(metrics))
}

/// A client for a server that is not the API server, whose requests are not counted.
pub(crate) fn plain(config: &Config) -> Result<Client, Error> {
    build(config, None)
}

/// What [`client`] and [`connect`] build from.
pub async fn config(args: &ClientArgs, user_agent: &str) -> Result<Config, Error> {
    if args.kube_api_qps.is_some() || args.kube_api_burst.is_some() {
        tracing::warn!(
            "--kube-api-qps and --kube-api-burst are ignored: requests are limited by what the server can take"
        );
    }
    let mut config = discover(args, |name| env::var_os(name).map(PathBuf::from)).await?;
    if let Some(master) = &args.master {
        config.cluster_url = url(master)?;
    }
    config.default_retry = false;
    let agent = HeaderValue::from_str(user_agent).unwrap_or(HeaderValue::from_static("corten"));
    config.headers.push((USER_AGENT, agent));
    Ok(config)
}

pub(super) async fn discover(
    args: &ClientArgs,
    env: impl Fn(&str) -> Option<PathBuf>,
) -> Result<Config, Error> {
    if let Some(path) = &args.kubeconfig {
        return load(std::slice::from_ref(path), "--kubeconfig").await;
    }
    if let Some(paths) = env("KUBECONFIG").filter(|value| !value.as_os_str().is_empty()) {
        let paths: Vec<_> = env::split_paths(&paths)
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
        // As client-go does, files of the list that are not there are passed over; but one has to be.
        let there: Vec<_> = paths.iter().filter(|path| path.exists()).cloned().collect();
        return load(
            if there.is_empty() { &paths } else { &there },
            "$KUBECONFIG",
        )
        .await;
    }
    if let Some(path) = env("HOME")
        .map(|home| home.join(".kube/config"))
        .filter(|path| path.exists())
    {
        return load(&[path], "~/.kube/config").await;
    }
    if env("KUBERNETES_SERVICE_HOST").is_some() {
        return Config::incluster().map_err(|error| Error::InCluster(one_line(&error)));
    }
    match &args.master {
        Some(master) => Ok(Config::new(url(master)?)),
        None => Err(Error::Nothing),
    }
}

async fn load(paths: &[PathBuf], origin: &'static str) -> Result<Config, Error> {
    let mut merged = Kubeconfig::default();
    for path in paths {
        if !path.exists() {
            return Err(Error::Missing {
                path: path.clone(),
                origin,
            });
        }
        let read = Kubeconfig::read_from(path).map_err(|error| bad(path, origin, &error))?;
        merged = merged
            .merge(read)
            .map_err(|error| bad(path, origin, &error))?;
    }
    let path = paths.first().map_or(Path::new(""), PathBuf::as_path);
    let config = Config::from_custom_kubeconfig(merged, &KubeConfigOptions::default()).await;
    let config = config.map_err(|error| bad(path, origin, &error))?;
    if config.cluster_url.host().is_none() {
        return Err(bad(
            path,
            origin,
            &format!("the server {} has no host", config.cluster_url),
        ));
    }
    Ok(config)
}

fn bad(path: &Path, origin: &'static str, problem: &dyn ToString) -> Error {
    Error::Bad {
        path: path.to_owned(),
        origin,
        problem: first_line(&problem.to_string()),
    }
}

fn url(master: &str) -> Result<http::Uri, Error> {
    let full = if master.contains("://") {
        master.to_owned()
    } else {
        format!("http://{master}")
    };
    let wrong = || Error::Master(master.to_owned());
    let url: http::Uri = full.parse().map_err(|_| wrong())?;
    let known = matches!(url.scheme_str(), Some("http" | "https"));
    if known && url.host().is_some() {
        Ok(url)
    } else {
        Err(wrong())
    }
}

fn build(config: &Config, metrics: Option<&Metrics>) -> Result<Client, Error> {
    let wrong = |error: kube::Error| Error::Client(one_line(&error));
    if let Some(proxy) = &config.proxy_url {
        return Err(Error::Client(format!("the proxy {proxy} is not supported")));
    }
    if let (Some(metrics), Some(authority)) = (metrics, config.cluster_url.authority()) {
        metrics.host(authority.as_str());
    }
    let mut tcp = HttpConnector::new_with_resolver(Resolver::new(metrics));
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(config.connect_timeout);
    tcp.set_keepalive(Some(KEEPALIVE_AFTER));
    tcp.set_keepalive_interval(Some(KEEPALIVE_EVERY));
    tcp.set_keepalive_retries(Some(KEEPALIVE_TIMES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(SENT_WITHIN));
    let tls = config
        .rustls_https_connector_with_connector(tcp)
        .map_err(wrong)?;
    let http: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new())
        .http1_max_buf_size(READ_AHEAD)
        .build(tls);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(wrong)?)
        .layer(config.extra_headers_layer().map_err(wrong)?)
        .map_err(tower::BoxError::from)
        .service(http);
    let namespace = config.default_namespace.clone();
    Ok(match metrics {
        Some(metrics) => Client::new(metrics.requests().layer(service), namespace),
        None => Client::new(service, namespace),
    })
}

/// The CA certificates of a kubeconfig as PEM: what pods are to trust.
pub fn root_ca(config: &Config) -> Option<String> {
    let certificates = config.root_cert.as_ref()?;
    let pem = certificates.iter().map(|der| certificate_pem(der));
    Some(pem.collect())
}

/// Asks the server for its version, for five seconds at most: a start with a server that is not there ends
/// in one sentence and not in a stream of warnings.
pub async fn check_server(client: &Client) -> Result<(), Error> {
    match tokio::time::timeout(PATIENCE, client.apiserver_version()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 401 | 403) => {
            Err(Error::Refused(first_line(&status.message)))
        }
        Ok(Err(kube::Error::Api(status))) => Err(Error::Unreachable(format!(
            "it answers {} {}",
            status.code,
            first_line(&status.message)
        ))),
        Ok(Err(error)) => Err(Error::Unreachable(root(&error))),
        Err(_) => Err(Error::Unreachable(format!(
            "no answer within {} s",
            PATIENCE.as_secs()
        ))),
    }
}

fn one_line(error: &dyn std::error::Error) -> String {
    first_line(&error.to_string())
}

fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or("unknown error")
        .trim_end_matches('.')
        .to_owned()
}

/// The cause behind the layers: `Connection refused (os error 111)`.
pub(crate) fn root(error: &kube::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    let mut depth = error.source();
    while let Some(next) = depth {
        cause = next;
        depth = next.source();
    }
    one_line(cause)
}
