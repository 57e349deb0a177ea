//! What is counted, by upstream's names (`pkg/controller/ttlafterfinished/metrics/metrics.go`). Pure.

use crate::World;
use crate::plan::expires;
use k8s_openapi::api::batch::v1::Job;
use plan::Stability::Alpha;
use plan::{Kind, Metric, Sample, Turn, exponential};

static DELETION_SECONDS: Metric = Metric::histogram(
    "ttl_after_finished_controller_job_deletion_duration_seconds",
    Alpha,
    &[],
    exponential(0.1, 2.0, 14),
    "Seconds from the end of the time of a Job to its deletion",
);

pub(crate) const METRICS: &[&Metric] = &[&DELETION_SECONDS];

/// What a turn adds.
pub(crate) fn measure(world: &World, turn: &Turn<'_>) -> Vec<Sample> {
    let deleted = turn.done("delete", Kind::of::<Job>()) > 0;
    let since = expires(&world.job).filter(|_| deleted);
    let late = since.map(|at| turn.ended.duration_since(at).as_secs_f64().max(0.0));
    late.map(|late| DELETION_SECONDS.of(late))
        .into_iter()
        .collect()
}
