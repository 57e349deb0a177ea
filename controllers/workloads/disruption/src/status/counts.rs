//! The numbers of a budget. Pure.

use crate::World;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use objects::{int_or_percent, meta, pod};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A pod whose eviction was let through and that is not being deleted after this time will not be.
pub(crate) const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_mins(2);
/// What failed for want of the server is tried again after this time.
const SOON: Duration = Duration::from_secs(15);
/// What the server answered may change only if somebody changes a definition.
const LATER: Duration = Duration::from_mins(5);

/// What a budget comes to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// How many pods there should be.
    pub(crate) expected: i32,
    /// How many of them must be healthy.
    pub(crate) desired: i32,
    /// How many are.
    pub(crate) healthy: i32,
    /// How many may go now.
    pub(crate) allowed: i32,
    /// The pods that are about to go, and since when.
    pub(crate) disrupted: BTreeMap<String, Time>,
    /// When the first of these has had its time.
    pub(crate) due: Option<Timestamp>,
    /// Those that have had it.
    pub(crate) undeleted: Vec<Arc<Pod>>,
    /// There are pods without a controller: nobody says how many of them there should be.
    pub(crate) unmanaged: bool,
}

/// Why the numbers cannot be told.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    /// The reason of the event.
    pub(crate) reason: &'static str,
    /// What was tried, for the event.
    pub(crate) attempt: &'static str,
    /// What is wrong.
    pub(crate) message: String,
    /// When it may be otherwise although nothing that is watched has changed.
    pub(crate) again: Option<Duration>,
}

/// Counts.
pub(crate) fn count(world: &World) -> Result<Counts, Failed> {
    let pods = world.pods.as_ref().map_err(|error| Failed {
        reason: "NoPods",
        attempt: "Failed to get pods",
        message: format!("spec.selector.{error}"),
        again: None,
    })?;
    let mut counts = expectation(world, pods)?;
    disrupted(world, pods, &mut counts);
    let healthy = pods.iter().filter(|pod| {
        !meta::is_deleting(&pod.metadata)
            && !counts.disrupted.contains_key(meta::name(&pod.metadata))
            && pod::is_ready(pod)
    });
    counts.healthy = healthy.count() as i32;
    // A budget without pods allows nothing, so that its first pods are safe before they have been counted.
    if counts.expected > 0 {
        counts.allowed = counts.healthy.saturating_sub(counts.desired).max(0);
    }
    Ok(counts)
}

/// How many pods there should be, and how many of them healthy (upstream: `getExpectedPodCount`).
fn expectation(world: &World, pods: &[Arc<Pod>]) -> Result<Counts, Failed> {
    let mut counts = Counts::default();
    let spec = world.budget.spec.clone().unwrap_or_default();
    if let Some(most) = &spec.max_unavailable {
        (counts.expected, counts.unmanaged) = expected_scale(world, pods)?;
        let most = share(most, counts.expected, "spec.maxUnavailable")?;
        counts.desired = counts.expected.saturating_sub(most).max(0);
    } else if let Some(IntOrString::Int(least)) = spec.min_available {
        counts.expected = pods.len() as i32;
        counts.desired = least.max(0);
    } else if let Some(least) = &spec.min_available {
        (counts.expected, counts.unmanaged) = expected_scale(world, pods)?;
        counts.desired = share(least, counts.expected, "spec.minAvailable")?;
    }
    Ok(counts)
}

/// The number, or the percentage rounded up; never negative.
fn share(value: &IntOrString, total: i32, field: &str) -> Result<i32, Failed> {
    let share = int_or_percent::resolve(value, total, true);
    let share = share.map_err(|error| uncountable(format!("{field}: {error}"), None))?;
    Ok(share.max(0))
}

/// What all workloads together want that have one of the pods, and whether there are pods without one
/// (upstream: `getExpectedScale`).
fn expected_scale(world: &World, pods: &[Arc<Pod>]) -> Result<(i32, bool), Failed> {
    let mut workloads = BTreeMap::new();
    let mut unmanaged = false;
    for pod in pods {
        let Some(owner) = meta::controller_of(&pod.metadata) else {
            unmanaged = true;
            continue;
        };
        match world.sizes.get(&owner.uid) {
            Some(Ok(size)) => _ = workloads.insert(&size.uid, size.replicas.max(0)),
            Some(Err(error)) => {
                let again = if error.transient { SOON } else { LATER };
                return Err(uncountable(error.message.clone(), Some(again)));
            }
            None => {}
        }
    }
    let total = workloads
        .values()
        .fold(0_i32, |sum, size| sum.saturating_add(*size));
    Ok((total, unmanaged))
}

fn uncountable(message: String, again: Option<Duration>) -> Failed {
    Failed {
        reason: "CalculateExpectedPodCountFailed",
        attempt: "Failed to calculate the number of expected pods",
        message,
        again,
    }
}

/// What remains of `status.disruptedPods` (upstream: `buildDisruptedPodMap`).
fn disrupted(world: &World, pods: &[Arc<Pod>], counts: &mut Counts) {
    let old = world.budget.status.as_ref();
    let Some(old) = old.and_then(|status| status.disrupted_pods.as_ref()) else {
        return;
    };
    for pod in pods.iter().filter(|pod| !meta::is_deleting(&pod.metadata)) {
        let name = meta::name(&pod.metadata);
        let Some(since) = old.get(name) else {
            continue;
        };
        if meta::created(&pod.metadata).is_some_and(|created| created > since.0) {
            continue;
        }
        let end = since.0.saturating_add(DELETION_TIMEOUT);
        let end = end.unwrap_or(Timestamp::MAX);
        if end <= world.now {
            counts.undeleted.push(pod.clone());
        } else {
            counts.due = Some(counts.due.map_or(end, |due| due.min(end)));
            counts.disrupted.insert(name.to_owned(), since.clone());
        }
    }
}
