//! Which pods will never become ready by themselves.
//!
//! Under `OrderedReady` upstream waits for each pod before it does anything else, so a template that cannot start has to
//! be mended twice: in the set, and by deleting the pod by hand (kubernetes#67250, open since 2018, and documented as
//! "forced rollback"). Here a pod is not waited for when
//!
//! 1. it would be made from another revision if it were made now,
//! 2. it was never ready, so nobody has relied on it, and
//! 3. it does not run, or has ended and started over, or has taken more than ten minutes.
//!
//! A pod that was ready once is waited for as upstream does, whatever has become of it: it may hold the last copy of
//! something. A pod of the wanted revision is never replaced, so nothing goes round in circles.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use objects::{meta, pod};

/// A pod that runs may take so long to become ready (as long as a Deployment's `progressDeadlineSeconds`).
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);
/// The kubelet sets `Ready` to `False` when it first sees a pod, and keeps whole seconds.
const AT_ONCE: SignedDuration = SignedDuration::from_secs(1);

/// Since when, or from when on, the pod is taken for broken. `None`: it was ready once.
pub(super) fn broken_at(pod: &Pod) -> Option<Timestamp> {
    if pod::is_ready(pod) || was_ready(pod) {
        return None;
    }
    let mut containers = containers(pod);
    let runs = |c: &ContainerStatus| {
        c.state
            .as_ref()
            .is_some_and(|state| state.running.is_some())
    };
    let starts_over = |c: &ContainerStatus| c.restart_count > 0;
    let is_starting = containers.clone().any(runs) && !containers.any(starts_over);
    let patience = if is_starting {
        PATIENCE
    } else {
        SignedDuration::ZERO
    };
    begun(pod)?.saturating_add(patience).ok()
}

/// A pod that has lost its readiness lost it after it was begun. While it is pending not all of it has ever run.
fn was_ready(pod: &Pod) -> bool {
    if pod::phase(pod) == "Pending" {
        return false;
    }
    let since = pod::condition(pod, "Ready").and_then(|ready| ready.last_transition_time.as_ref());
    let limit = begun(pod).and_then(|begun| begun.saturating_add(AT_ONCE).ok());
    match (since, limit) {
        (Some(since), Some(limit)) => since.0 > limit,
        _ => false,
    }
}

/// When the kubelet took it over; before that, when it was created.
fn begun(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref();
    let started = status.and_then(|status| status.start_time.as_ref());
    started
        .map(|time| time.0)
        .or_else(|| meta::created(&pod.metadata))
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> + Clone {
    let status = pod.status.as_ref();
    let init = status.and_then(|s| s.init_container_statuses.as_deref());
    let regular = status.and_then(|s| s.container_statuses.as_deref());
    init.unwrap_or_default()
        .iter()
        .chain(regular.unwrap_or_default())
}
