//! What is counted, by upstream's names (`pkg/controller/podgc/metrics/metrics.go`). Pure.

use crate::plan::Reason;
use plan::Stability::Alpha;
use plan::{Metric, Outcome, Sample};

static REMOVALS: Metric = Metric::counter(
    "pod_gc_collector_force_delete_pods_total",
    Alpha,
    &["namespace", "reason"],
    "Pods that were to be deleted without a grace period",
);
static ERRORS: Metric = Metric::counter(
    "pod_gc_collector_force_delete_pod_errors_total",
    Alpha,
    &["namespace", "reason"],
    "Pods that could not be deleted without a grace period",
);

pub(crate) const METRICS: &[&Metric] = &[&REMOVALS, &ERRORS];

/// What the removal of a pod adds.
pub(crate) fn measure(namespace: &str, reason: Reason, outcome: &Outcome) -> Vec<Sample> {
    let labels = || [namespace.to_owned(), reason.name().to_owned()];
    let mut samples = vec![REMOVALS.at(labels(), 1.0)];
    if outcome.failure().is_some() {
        samples.push(ERRORS.at(labels(), 1.0));
    }
    samples
}
