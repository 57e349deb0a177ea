//! What a ReplicaSet is told to have and what it says that it has.

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use objects::meta;

/// `spec.replicas`.
pub(crate) fn wanted(rs: &ReplicaSet) -> i32 {
    rs.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// `spec.minReadySeconds`.
pub(crate) fn min_ready_seconds(rs: &ReplicaSet) -> i32 {
    rs.spec
        .as_ref()
        .and_then(|spec| spec.min_ready_seconds)
        .unwrap_or(0)
}

/// Active pods.
pub(crate) fn active(rs: &ReplicaSet) -> i32 {
    rs.status.as_ref().map_or(0, |status| status.replicas)
}

/// Ready pods.
pub(crate) fn ready(rs: &ReplicaSet) -> i32 {
    rs.status
        .as_ref()
        .and_then(|status| status.ready_replicas)
        .unwrap_or(0)
}

/// Available pods.
pub(crate) fn available(rs: &ReplicaSet) -> i32 {
    rs.status
        .as_ref()
        .and_then(|status| status.available_replicas)
        .unwrap_or(0)
}

/// Pods that are asked to end and have not; nothing if its controller does not count them.
pub(crate) fn terminating(rs: &ReplicaSet) -> Option<i32> {
    rs.status
        .as_ref()
        .and_then(|status| status.terminating_replicas)
}

/// Whether the status was made from the spec as it is.
pub(crate) fn is_current(rs: &ReplicaSet) -> bool {
    observed_generation(rs) >= rs.metadata.generation.unwrap_or(0)
}

/// Whether the ReplicaSet is going away.
pub(crate) fn is_deleting(rs: &ReplicaSet) -> bool {
    meta::is_deleting(&rs.metadata)
}

/// The sums over several ReplicaSets, as they stand in the status of a Deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) wanted: i32,
    pub(crate) active: i32,
    pub(crate) ready: i32,
    pub(crate) available: i32,
    /// Nothing if one of them does not tell.
    pub(crate) terminating: Option<i32>,
}

impl Totals {
    pub(crate) fn of<'a>(replica_sets: impl IntoIterator<Item = &'a ReplicaSet>) -> Self {
        let mut sum = Self {
            terminating: Some(0),
            ..Self::default()
        };
        for rs in replica_sets {
            sum.wanted = sum.wanted.saturating_add(wanted(rs));
            sum.active = sum.active.saturating_add(active(rs));
            sum.ready = sum.ready.saturating_add(ready(rs));
            sum.available = sum.available.saturating_add(available(rs));
            // One that no controller has looked at yet has no pods.
            let terminating = match terminating(rs) {
                None if observed_generation(rs) == 0 => Some(0),
                told => told,
            };
            sum.terminating = sum
                .terminating
                .zip(terminating)
                .map(|(a, b)| a.saturating_add(b));
        }
        sum
    }
}

fn observed_generation(rs: &ReplicaSet) -> i64 {
    let of = |status: &ReplicaSetStatus| status.observed_generation;
    rs.status.as_ref().and_then(of).unwrap_or(0)
}
