//! Pods that fail at once are not replaced at once.
//!
//! Upstream creates a new pod the moment one is refused by its node (a forbidden sysctl, no room, a taint),
//! without end: 1,800 a minute were seen (kubernetes#72593, open). Here each further generation of pods
//! that failed within seconds waits twice as long as the one before. Pods that failed after they had
//! worked (an eviction, a dead node) are replaced at once, as ever.

use crate::{PodSet, World};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use objects::{meta, pod};
use std::time::Duration;

/// A pod that lived shorter than this failed at once.
const AT_ONCE: SignedDuration = SignedDuration::from_secs(10);
/// Failures longer ago than this do not count.
const MEMORY: SignedDuration = SignedDuration::from_mins(10);
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);

/// How long to wait before more pods are created, or `None` if they may be created now.
pub(super) fn wait<K: PodSet>(world: &World<K>) -> Option<Duration> {
    let now = world.now();
    let uid = meta::uid(world.set.metadata());
    let failed: Vec<Timestamp> = world
        .pods
        .iter()
        .filter(|pod| meta::is_controlled_by(&pod.metadata, uid))
        .filter_map(|pod| failed_at_once(pod))
        .filter(|at| now.duration_since(*at) < MEMORY)
        .collect();
    let last = *failed.iter().max()?;
    let generations = failed.len() / (world.replicas.max(1) as usize);
    let doublings = u32::try_from(generations.checked_sub(1)?).unwrap_or(u32::MAX);
    let delay = FIRST
        .saturating_mul(2_u32.saturating_pow(doublings))
        .min(LONGEST);
    let passed = Duration::try_from(now.duration_since(last)).unwrap_or_default();
    delay.checked_sub(passed).filter(|left| !left.is_zero())
}

/// When a pod that failed right after its creation did so.
fn failed_at_once(pod: &Pod) -> Option<Timestamp> {
    if pod::phase(pod) != "Failed" {
        return None;
    }
    let created = meta::created(&pod.metadata)?;
    let status = pod.status.as_ref()?;
    let containers = status.container_statuses.iter().flatten();
    let ended = containers
        .filter_map(|c| c.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref())
        .map(|time| time.0)
        .max();
    // A pod that its node refused has no containers at all.
    let ended = ended
        .or(status.start_time.as_ref().map(|time| time.0))
        .unwrap_or(created);
    (ended.duration_since(created) < AT_ONCE).then_some(ended)
}
