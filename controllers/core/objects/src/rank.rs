//! Which pods go first when a set shrinks.
//!
//! Upstream: `pkg/controller/controller_utils.go` `ActivePodsWithRanks.Less`, with the feature gates PodDeletionCost
//! and LogarithmicScaleDown on (their default).

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::{meta, pod};

/// A pod and how many active pods of related sets share its node.
#[derive(Clone, Copy, Debug)]
pub struct Ranked<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The number of active pods of related sets on its node; the more, the sooner it goes.
    pub rank: usize,
}

/// Sorts pods so that those to delete first come first.
///
/// In one point this is not upstream's comparison, which contradicts itself (it can hold a < b < c < a): of pods that
/// became ready at different times in one age bucket the smaller UID goes first, but pods that became ready at the
/// very same time are compared by restarts and age. Here pods with the same ready time stay together, in the place
/// of the smallest UID among them.
pub fn deletion_order(pods: &mut [Ranked<'_>], now: Timestamp) {
    let mut keyed: Vec<_> = pods
        .iter()
        .map(|ranked| (Key::of(ranked, now), *ranked))
        .collect();
    let mut smallest: HashMap<Start, &str> = HashMap::new();
    for (key, _) in &keyed {
        let uid = smallest.entry(key.start).or_insert(key.uid);
        *uid = key.uid.min(uid);
    }
    for (key, _) in &mut keyed {
        key.same_ready_time = smallest[&key.start];
    }
    keyed.sort_by(|(a, _), (b, _)| compare(a, b));
    for (place, (_, ranked)) in pods.iter_mut().zip(keyed) {
        *place = ranked;
    }
}

/// What the first five rules and the ready time look at.
type Start = (bool, u8, bool, i32, Reverse<usize>, Option<Timestamp>);

/// What is compared of a pod, computed once.
struct Key<'a> {
    start: Start,
    ready_bucket: Option<i32>,
    same_ready_time: &'a str,
    restarts: (i32, i32),
    created_bucket: Option<i32>,
    uid: &'a str,
}

impl<'a> Key<'a> {
    fn of(ranked: &Ranked<'a>, now: Timestamp) -> Self {
        let pod = ranked.pod;
        let phase = match pod::phase(pod) {
            "Running" => 2,
            "Unknown" => 1,
            _ => 0,
        };
        let ready_since = pod::ready_since(pod);
        Self {
            start: (
                pod::node_name(pod).is_some(),
                phase,
                pod::is_ready(pod),
                pod::deletion_cost(pod),
                Reverse(ranked.rank),
                ready_since,
            ),
            ready_bucket: ready_since.map(|time| bucket(time, now)),
            same_ready_time: "",
            restarts: (pod::restarts(pod), pod::sidecar_restarts(pod)),
            created_bucket: meta::created(&pod.metadata).map(|time| bucket(time, now)),
            uid: meta::uid(&pod.metadata),
        }
    }
}

/// The eight rules; the first one that tells two pods apart decides. `Less` is deleted first.
fn compare(a: &Key<'_>, b: &Key<'_>) -> Ordering {
    let (a_assigned, a_phase, a_ready, a_cost, a_rank, a_ready_since) = a.start;
    let (b_assigned, b_phase, b_ready, b_cost, b_rank, b_ready_since) = b.start;
    // 1. Without a node before those with one.
    a_assigned
        .cmp(&b_assigned)
        // 2. Pending, then Unknown, then Running.
        .then(a_phase.cmp(&b_phase))
        // 3. Not ready before ready.
        .then(a_ready.cmp(&b_ready))
        // 4. Lower deletion cost first.
        .then(a_cost.cmp(&b_cost))
        // 5. More related pods on the node first.
        .then(a_rank.cmp(&b_rank))
        // 6. Ready for a shorter time first, in powers of two (an unknown time is the shortest); in one such bucket
        //    the UID decides, so that no age is preferred beyond its magnitude (KEP-2185).
        .then(a.ready_bucket.cmp(&b.ready_bucket))
        .then_with(|| {
            if a_ready_since == b_ready_since {
                Ordering::Equal
            } else {
                a.same_ready_time.cmp(b.same_ready_time)
            }
        })
        // 7. More restarts first: of regular containers, then of sidecars.
        .then(b.restarts.cmp(&a.restarts))
        // 8. Younger first, likewise in powers of two.
        .then(a.created_bucket.cmp(&b.created_bucket))
        .then(a.uid.cmp(b.uid))
}

/// The magnitude of an age: the whole part of log2 of its nanoseconds; −1 for what is not past.
fn bucket(time: Timestamp, now: Timestamp) -> i32 {
    let age = now.as_nanosecond() - time.as_nanosecond();
    if age > 0 { age.ilog2() as i32 } else { -1 }
}

#[cfg(test)]
mod tests;
