//! What is counted, by upstream's names (`pkg/controller/tainteviction/metrics/metrics.go`). Pure.
//!
//! Upstream multiplies its durations by a thousand million nanoseconds too many, so that none of them fits into an
//! integer or a bucket.

use crate::World;
use crate::plan::due;
use k8s_openapi::api::core::v1::Pod;
use objects::meta;
use plan::Stability::Alpha;
use plan::{Buckets, Kind, Metric, Sample, Turn};

static DELETIONS: Metric = Metric::counter(
    "taint_eviction_controller_pod_deletions_total",
    Alpha,
    &[],
    "Pods that were deleted",
);
static DELETION_SECONDS: Metric = Metric::histogram(
    "taint_eviction_controller_pod_deletion_duration_seconds",
    Alpha,
    &[],
    Buckets::These(&[
        0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0, 120.0, 180.0, 240.0,
    ]),
    "Seconds from the time at which a pod had to go to its deletion",
);

pub(crate) const METRICS: &[&Metric] = &[&DELETIONS, &DELETION_SECONDS];

/// What a turn adds.
pub(crate) fn measure(world: &World, turn: &Turn<'_>) -> Vec<Sample> {
    let deleted = turn.outcome.done.iter();
    let deleted = deleted.filter(|done| done.verb == "delete" && done.on.kind == Kind::of::<Pod>());
    let mut samples = Vec::new();
    for done in deleted {
        let pod = world
            .pods
            .iter()
            .find(|pod| meta::uid(&pod.metadata) == done.on.uid);
        samples.push(DELETIONS.of(1.0));
        if let Some(due) = pod.and_then(|pod| due(world, pod)) {
            let late = turn.ended.duration_since(due).as_secs_f64();
            samples.push(DELETION_SECONDS.of(late.max(0.0)));
        }
    }
    samples
}
