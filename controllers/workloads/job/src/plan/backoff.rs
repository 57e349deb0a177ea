//! How long to wait before failed pods are replaced (upstream: backoff_utils.go).
//!
//! Upstream counts failures in memory and forgets them with the process. Here they are read from the pods that
//! are there, and memory only adds those that are gone.

use super::count::failures_of;
use super::finalizers::is_tracked;
use crate::World;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use objects::{meta, pod};
use std::collections::BTreeMap;
use std::time::Duration;

/// After the first failure (upstream: `DefaultJobPodFailureBackOff`).
const FIRST: Duration = Duration::from_secs(10);
/// After many (upstream: `MaxJobPodFailureBackOff`).
const LONGEST: Duration = Duration::from_mins(10);
/// More failures than this make no difference to the delay.
const ENOUGH: usize = 16;

/// When the pods of a Job have ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    success: Option<Timestamp>,
    /// The failures after it, by UID.
    failures: BTreeMap<String, Timestamp>,
}

impl Memory {
    /// What the pods that are there say.
    pub(crate) fn of(world: &World) -> Self {
        let uid = meta::uid(&world.job.metadata);
        let uncounted = world.status().uncounted_terminated_pods.unwrap_or_default();
        let mut memory = Self::default();
        for pod in world
            .pods
            .iter()
            .filter(|p| meta::is_controlled_by(&p.metadata, uid))
        {
            let is = meta::uid(&pod.metadata);
            let written = uncounted.failed.iter().flatten().any(|uid| uid == is);
            if pod::phase(pod) == "Succeeded" {
                memory.success = memory.success.max(Some(finished(pod)));
            } else if has_failed(world, pod, written) {
                memory.failures.insert(is.to_owned(), finished(pod));
            }
        }
        memory.forget();
        memory
    }

    /// Adds what was known before.
    pub(crate) fn merge(&mut self, before: &Self) {
        self.success = self.success.max(before.success);
        for (uid, at) in &before.failures {
            self.failures.entry(uid.clone()).or_insert(*at);
        }
        self.forget();
    }

    /// A success makes up for all failures before it.
    fn forget(&mut self) {
        if let Some(success) = self.success {
            self.failures.retain(|_, at| *at > success);
        }
        while self.failures.len() > ENOUGH {
            let oldest = self.failures.iter().min_by_key(|(_, at)| **at);
            let Some(uid) = oldest.map(|(uid, _)| uid.clone()) else {
                break;
            };
            self.failures.remove(&uid);
        }
    }
}

/// Whether a pod has failed. One that is being deleted without the finalizer was deleted by us, as too many.
fn has_failed(world: &World, pod: &Pod, written: bool) -> bool {
    if is_tracked(pod) || written {
        return super::count::is_failed(&world.spec, pod);
    }
    pod::phase(pod) == "Failed" && !meta::is_deleting(&pod.metadata)
}

/// How long to wait before pods are created; zero if they may be now.
pub(crate) fn wait(world: &World) -> Duration {
    let memory = &world.memory;
    let Some(last) = memory.failures.values().max() else {
        return Duration::ZERO;
    };
    let mut failures = memory.failures.len();
    let status = world.job.status.as_ref();
    let never_succeeded =
        memory.success.is_none() && status.is_none_or(|s| s.succeeded.unwrap_or(0) == 0);
    if never_succeeded {
        // Pods that are gone since before this process began.
        let counted = status.and_then(|s| s.failed).unwrap_or(0);
        failures = failures.max(counted.max(0) as usize);
    }
    left(world, failures, *last)
}

/// How long the index of this failed pod has to wait.
pub(crate) fn wait_for(world: &World, failed: &Pod) -> Duration {
    let failures = failures_of(failed).saturating_add(1);
    left(world, failures as usize, finished(failed))
}

fn left(world: &World, failures: usize, last: Timestamp) -> Duration {
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    let delay = FIRST
        .saturating_mul(2_u32.saturating_pow(doublings))
        .min(LONGEST);
    let passed = Duration::try_from(world.now().duration_since(last)).unwrap_or_default();
    delay.saturating_sub(passed)
}

/// When a pod ended: as its containers say, as its condition Ready says, when its deletion was asked for, or when it
/// was made (upstream: `getFinishedTime`).
pub(crate) fn finished(pod: &Pod) -> Timestamp {
    let meta = &pod.metadata;
    let unready = || {
        let ready = pod::condition(pod, "Ready").filter(|c| c.status == "False")?;
        ready.last_transition_time.as_ref().map(|at| at.0)
    };
    let deleted = || {
        let grace = SignedDuration::from_secs(meta.deletion_grace_period_seconds.unwrap_or(0));
        let at = meta.deletion_timestamp.as_ref()?.0;
        at.checked_sub(grace).ok()
    };
    containers_finished(pod)
        .or_else(unready)
        .or_else(deleted)
        .or(meta::created(meta))
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// When the last container and sidecar ended; nothing while one has not.
fn containers_finished(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let is_sidecar = |c: &&ContainerStatus| {
        let spec = pod.spec.as_ref();
        spec.is_some_and(|spec| pod::sidecars(spec).any(|sidecar| sidecar.name == c.name))
    };
    let sidecars = status
        .init_container_statuses
        .iter()
        .flatten()
        .filter(is_sidecar);
    let mut last = None;
    for container in status.container_statuses.iter().flatten().chain(sidecars) {
        let ended = container.state.as_ref()?.terminated.as_ref()?;
        last = last.max(Some(ended.finished_at.as_ref()?.0));
    }
    last
}
