//! What is counted, by upstream's names (`pkg/controller/cronjob/metrics/metrics.go`). Pure.

use crate::World;
use k8s_openapi::api::batch::v1::Job;
use plan::Stability::Stable;
use plan::{Kind, Metric, Sample, Turn, exponential};

static SKEW_SECONDS: Metric = Metric::histogram(
    "cronjob_controller_job_creation_skew_duration_seconds",
    Stable,
    &[],
    exponential(1.0, 2.0, 10),
    "Seconds from a time of a schedule to the creation of its Job",
);

pub(crate) const METRICS: &[&Metric] = &[&SKEW_SECONDS];

/// What a turn adds.
pub(crate) fn measure(world: &World, turn: &Turn<'_>) -> Vec<Sample> {
    let created = turn.done("create", Kind::of::<Job>()) > 0;
    let due = world.timing.due().filter(|_| created);
    let skew = due.map(|due| turn.ended.duration_since(due.at).as_secs_f64().max(0.0));
    skew.map(|skew| SKEW_SECONDS.of(skew)).into_iter().collect()
}
