//! What is counted, by upstream's names (`pkg/controller/volume/ephemeral/metrics/metrics.go`). Pure.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use plan::Stability::Alpha;
use plan::{Kind, Metric, Sample, Turn};

static CREATIONS: Metric = Metric::counter(
    "ephemeral_volume_controller_create_total",
    Alpha,
    &[],
    "Claims that were to be created",
);
static FAILURES: Metric = Metric::counter(
    "ephemeral_volume_controller_create_failures_total",
    Alpha,
    &[],
    "Claims that could not be created",
);

pub(crate) const METRICS: &[&Metric] = &[&CREATIONS, &FAILURES];

/// What a turn adds.
pub(crate) fn measure(turn: &Turn<'_>) -> Vec<Sample> {
    let claims = Kind::of::<PersistentVolumeClaim>();
    let (done, failed) = (turn.done("create", claims), turn.failed("create", claims));
    if done + failed == 0 {
        return Vec::new();
    }
    vec![
        CREATIONS.of((done + failed) as f64),
        FAILURES.of(failed as f64),
    ]
}
