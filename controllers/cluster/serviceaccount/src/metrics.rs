//! What is counted, by upstream's names (`pkg/controller/certificates/rootcacertpublisher/metrics.go`). Pure.

use plan::Stability::Alpha;
use plan::{Metric, Sample, Turn, exponential};

static SYNCS: Metric = Metric::counter(
    "root_ca_cert_publisher_sync_total",
    Alpha,
    &["code"],
    "Turns about namespaces by the HTTP status of what was done",
);
static SYNC_SECONDS: Metric = Metric::histogram(
    "root_ca_cert_publisher_sync_duration_seconds",
    Alpha,
    &["code"],
    exponential(0.001, 2.0, 15),
    "Seconds that a turn about a namespace took",
);

pub(crate) const METRICS: &[&Metric] = &[&SYNCS, &SYNC_SECONDS];

/// What a turn adds (upstream: `recordMetrics`).
pub(crate) fn measure(turn: &Turn<'_>) -> Vec<Sample> {
    let code = turn
        .outcome
        .failure()
        .map_or(200, |failure| failure.cause.code());
    let labels = || [code.to_string()];
    vec![
        SYNCS.at(labels(), 1.0),
        SYNC_SECONDS.at(labels(), turn.took.as_secs_f64()),
    ]
}
