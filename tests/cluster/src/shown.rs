//! What the loops show of themselves: their metrics, as somebody who scrapes them sees them.

use crate::{Cluster, Namespace};
use anyhow::{Context, Result};
use kube::{Client, Config};
use plan::Metric;
use rand::random_range;
use runtime::metrics::Metrics;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Where the metrics of whoever acts now are to be had; nowhere if nobody does.
pub(crate) type Shown = Arc<Mutex<Option<Source>>>;

/// Who shows them.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Our loops, in this process.
    Ours(Metrics),
    /// kube-controller-manager, on this port.
    Theirs(u16),
}

/// Ports that systems give to nobody who does not ask for them: others are taken by connections before they are used.
const ASKED_FOR: Range<u16> = 20_000..32_000;

/// A port of this machine that nobody listens on now.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    let mut some = (0..100).map(|_| random_range(ASKED_FOR));
    let free = some.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    free.context("no port is free")
}

/// The metrics of a program at this address, as text.
///
/// # Errors
/// It does not answer.
pub async fn scrape(address: &str) -> Result<String> {
    page(address, "/metrics").await
}

/// What the checks of a program at this address have found, as text, after it was asked how it is.
///
/// # Errors
/// It does not answer.
pub(crate) async fn checked(address: &str) -> Result<String> {
    page(address, "/healthz").await?;
    page(address, "/metrics/slis").await
}

/// What a program at this address shows there, as text.
///
/// # Errors
/// It does not answer, or not with 200.
pub async fn page(address: &str, path: &str) -> Result<String> {
    let mut config = Config::new(address.parse()?);
    // Its certificate is one that it made for itself.
    config.accept_invalid_certs = true;
    let request = http::Request::get(path).body(Vec::new())?;
    let text = Client::try_from(config)?.request_text(request).await;
    text.with_context(|| format!("{address}{path}"))
}

impl Cluster {
    fn source(&self) -> Result<Source> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.clone().context("nobody acts here")
    }

    /// The metrics of the controllers that act, as text.
    ///
    /// # Errors
    /// Nobody acts, or they do not answer.
    pub async fn metrics(&self) -> Result<String> {
        match self.source()? {
            Source::Ours(metrics) => Ok(metrics.encode()),
            Source::Theirs(port) => scrape(&format!("https://127.0.0.1:{port}")).await,
        }
    }

    /// The metrics that our controllers describe, shown already or not; none if upstream's act.
    ///
    /// # Errors
    /// Nobody acts.
    pub fn declared(&self) -> Result<Option<Vec<&'static Metric>>> {
        Ok(match self.source()? {
            Source::Ours(metrics) => Some(metrics.declared()),
            Source::Theirs(_) => None,
        })
    }
}

impl Namespace {
    /// See [`Cluster::metrics`]; of the shared cluster.
    ///
    /// # Errors
    /// Nobody acts, or they do not answer.
    pub async fn metrics(&self) -> Result<String> {
        Cluster::shared()?.metrics().await
    }
}
