//! What is counted, by upstream's names (`pkg/controller/replicaset/metrics/metrics.go`). Pure.
//!
//! Upstream divides whole milliseconds, so that its ratios are whole numbers, and ends when the youngest pod was made
//! in this very millisecond.

use crate::{PodSet, World};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use objects::{meta, pod};
use plan::Stability::Alpha;
use plan::{Kind, Metric, Sample, Turn, exponential};
use std::collections::BTreeSet;
use std::sync::Arc;

static AGE_RATIO: Metric = Metric::histogram(
    "replicaset_controller_sorting_deletion_age_ratio",
    Alpha,
    &[],
    exponential(0.25, 2.0, 6),
    "Ages of ready pods that were chosen to be deleted, in ages of the youngest ready one",
);
static STALE: Metric = Metric::counter(
    "replicaset_controller_stale_sync_skips_total",
    Alpha,
    &["group", "resource"],
    "Turns about ReplicaSets put off because a cache was stale",
);

pub(crate) const METRICS: &[&Metric] = &[&AGE_RATIO, &STALE];

/// What a turn adds: how old the pods were that had to go, where there was a choice
/// (upstream: `reportSortingDeletionAgeRatioMetric`).
pub(crate) fn measure<K: PodSet>(world: &World<K>, turn: &Turn<'_>) -> Vec<Sample> {
    let deleted = turn
        .plan
        .actions()
        .filter(|action| action.verb.name() == "delete");
    let deleted: BTreeSet<&str> = deleted.map(|action| action.on.uid.as_str()).collect();
    if deleted.is_empty() {
        return Vec::new();
    }
    let is_gone = |pod: &Arc<Pod>| deleted.contains(meta::uid(&pod.metadata));
    let set = meta::uid(world.set.metadata());
    let own = world.pods.iter().filter(|pod| {
        pod::is_active(pod) && (meta::is_controlled_by(&pod.metadata, set) || is_gone(pod))
    });
    let own: Vec<_> = own.collect();
    if own.iter().all(|pod| is_gone(pod)) {
        return Vec::new();
    }
    let ready: Vec<_> = own.into_iter().filter(|pod| pod::is_ready(pod)).collect();
    let age = |pod: &Pod| {
        let made = meta::created(&pod.metadata).unwrap_or(Timestamp::UNIX_EPOCH);
        world.now().duration_since(made).as_secs_f64().max(0.001)
    };
    let youngest = ready
        .iter()
        .map(|pod| age(pod))
        .fold(f64::INFINITY, f64::min);
    let gone = ready.iter().filter(|pod| is_gone(pod));
    gone.map(|pod| AGE_RATIO.of(age(pod) / youngest)).collect()
}

/// What a turn adds that is put off.
pub(crate) fn held(behind: Kind) -> Sample {
    STALE.at([behind.group, behind.plural], 1.0)
}
