//! What is counted, by upstream's names (`pkg/controller/statefulset/metrics/metrics.go`). Pure.
//!
//! Upstream counts unavailable pods only where a rolling update got as far as its last step, shows both gauges of sets
//! that are long gone, and never shows the turns that it has put off: it forgets to register them.

use crate::world::{Settings, Strategy, World};
use objects::{meta, pod};
use plan::Stability::Alpha;
use plan::{Kind, Metric, Sample};

static MAX_UNAVAILABLE: Metric = Metric::gauge(
    "statefulset_controller_statefulset_max_unavailable",
    Alpha,
    &[
        "statefulset_namespace",
        "statefulset_name",
        "pod_management_policy",
    ],
    "So many pods may be unavailable during a rolling update",
);
static UNAVAILABLE: Metric = Metric::gauge(
    "statefulset_controller_statefulset_unavailable_replicas",
    Alpha,
    &[
        "statefulset_namespace",
        "statefulset_name",
        "pod_management_policy",
    ],
    "Pods that are missing or not available",
);
static STALE: Metric = Metric::counter(
    "statefulset_controller_stale_sync_skips_total",
    Alpha,
    &["group", "resource"],
    "Turns about StatefulSets put off because a cache was stale",
);

pub(crate) const METRICS: &[&Metric] = &[&MAX_UNAVAILABLE, &UNAVAILABLE, &STALE];

/// What a set has a share in.
pub(crate) fn measure(world: &World) -> Vec<Sample> {
    let Ok(settings) = &world.spec else {
        return Vec::new();
    };
    let policy = match settings.parallel {
        true => "Parallel",
        false => "OrderedReady",
    };
    let labels = || {
        let owner = &world.owner;
        [
            owner.namespace.clone(),
            owner.name.clone(),
            policy.to_owned(),
        ]
    };
    let most = match settings.strategy {
        Strategy::RollingUpdate {
            max_unavailable, ..
        } => max_unavailable.unwrap_or(1),
        Strategy::OnDelete => 1,
    };
    let missing = settings.replicas() - available(world, settings);
    vec![
        MAX_UNAVAILABLE.at(labels(), most as f64),
        UNAVAILABLE.at(labels(), missing as f64),
    ]
}

/// How many of the pods that are wanted are available (upstream: `isUnavailable`).
fn available(world: &World, settings: &Settings) -> i64 {
    let wanted = world.pods.range(settings.ordinals.clone());
    let available = wanted.filter(|(_, pod)| {
        !meta::is_deleting(&pod.metadata)
            && pod::is_available(pod, settings.min_ready_seconds, world.now)
    });
    available.count() as i64
}

/// What a turn adds that is put off.
pub(crate) fn held(behind: Kind) -> Sample {
    STALE.at([behind.group, behind.plural], 1.0)
}
