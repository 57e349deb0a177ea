//! A small HTTPS client over what kube already brings: the system's trust store for downloads, the
//! cluster's own authority for health checks.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::ConfigExt;

/// The client; cheap to clone.
pub(crate) type Client = Hyper<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// A client with the trust and identity of `config`; its errors are sentences.
pub(crate) fn client(config: &kube::Config, connect: Duration) -> Result<Client, String> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(connect));
    let https = config
        .rustls_https_connector_with_connector(http)
        .map_err(|error| error.to_string())?;
    Ok(Hyper::builder(TokioExecutor::new()).build(https))
}

/// GETs `uri`; `within` bounds the time until the answer's head is here.
pub(crate) async fn get(
    client: &Client,
    uri: &Uri,
    within: Duration,
) -> Result<Response<Incoming>, String> {
    let request = Request::get(uri.clone())
        .header(http::header::USER_AGENT, "corten")
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    match tokio::time::timeout(within, client.request(request)).await {
        Err(_) => Err(format!("no answer within {} s", within.as_secs())),
        Ok(Err(error)) => Err(innermost(&error)),
        Ok(Ok(response)) => Ok(response),
    }
}

/// The innermost cause: "client error (Connect)" alone tells nobody anything.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
