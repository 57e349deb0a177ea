//! What the checks of a process have found, which upstream shows by itself at `/metrics/slis`
//! (`component-base/metrics/prometheus/slis`, KEP-3466), and which version it is.

use super::declared::Declared;
use super::process::StartTime;
use plan::Metric;
use plan::Stability::{Alpha, Stable};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use std::borrow::Cow;

static LAST: Metric = Metric::gauge(
    "kubernetes_healthcheck",
    Stable,
    &["name", "type"],
    "1 where the check went well when it was last asked for, 0 where it did not",
);
static TOTAL: Metric = Metric::counter(
    "kubernetes_healthchecks_total",
    Stable,
    &["name", "status", "type"],
    "Checks by how they went",
);

/// The API that a process of ours speaks. It works with no other version of the server than this (README).
const SERVES: &str = "1.36";

static VERSION: Metric = Metric::gauge(
    "version_info",
    Alpha,
    &["binary", "component", "emulation", "min_compat"],
    "Its own version, the version of Kubernetes that it does the work of, and the oldest that it works with",
);

/// Shows the version of the process.
pub(super) fn version(declared: &Declared) {
    let binary = env!("CARGO_PKG_VERSION");
    declared.declare(&[&VERSION]);
    declared.record(&[VERSION.at([binary, "kube", SERVES, SERVES], 1.0)]);
}

/// What the checks have found.
#[derive(Debug)]
pub(super) struct Health(Declared);

impl Health {
    pub(super) fn new() -> Self {
        let declared = Declared::default();
        declared.declare(&[&LAST, &TOTAL]);
        Self(declared)
    }

    /// The check of this name went well or not, when the page `kind` was asked for: `healthz`, `livez`, `readyz`.
    pub(super) fn record(&self, name: &str, kind: &'static str, is_well: bool) {
        let name = || Cow::Owned(name.to_owned());
        let (kind, status) = (
            Cow::Borrowed(kind),
            if is_well { "success" } else { "error" },
        );
        self.0.record(&[
            LAST.at([name(), kind.clone()], f64::from(u8::from(is_well))),
            TOTAL.at([name(), Cow::Borrowed(status), kind], 1.0),
        ]);
    }

    /// The page.
    pub(super) fn encode(&self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.0.clone()));
        registry.register_collector(Box::new(StartTime));
        let mut out = String::new();
        if text::encode(&mut out, &registry).is_err() {
            tracing::warn!("a metric could not be encoded");
        }
        out
    }

    /// What is counted here.
    pub(super) fn declared(&self) -> Vec<&'static Metric> {
        self.0.all()
    }
}
