//! The Job controller: runs pods until enough of them have succeeded.
//!
//! **Promises.** As many pods at once as `spec.parallelism` says, until `spec.completions` have succeeded; of an
//! Indexed Job one for each index. Failed pods are replaced with growing delays, until one of the limits is
//! reached. Each pod that ends is counted exactly once, whenever this process dies: its UID stands in
//! `status.uncountedTerminatedPods` before its finalizer `batch.kubernetes.io/job-tracking` goes, and the counter
//! rises in the very write that takes the UID out again. A Job says how it ends (`SuccessCriteriaMet`,
//! `FailureTarget`) before any pod of it is deleted for that, and `Complete` or `Failed` once nothing of it runs.
//!
//! **Never.** It never takes a finalizer from a pod that has to be counted and is not written down, never deletes
//! an incarnation that it has not seen, never touches a Job of another `spec.managedBy`.
//!
//! **Better than upstream**, where
//! - the back-off of failing pods lives in memory alone and starts anew with the process: here it is read from
//!   the pods that are there;
//! - active pods are deleted before it is written why: a write that is lost in between lets the pods that were
//!   deleted for a success policy count as failures (and fail the Job by its back-off limit);
//! - a Job that ends while suspended can never be finished, because the API server wants a start time of it;
//! - a deadline of more than 292 years (`activeDeadlineSeconds` may be any number) is over at once;
//! - an index that has both a failed and a succeeded pod is put into both lists, which the API server refuses for
//!   ever;
//! - a finalizer is taken from a pod whose Job is not in the cache yet: here the API server is asked first;
//! - a pod that ends while it is about to be deleted as too many is not counted.
//!
//! Left out: Workload and PodGroup of `WorkloadWithJob` (alpha).
//!
//! Semantics: upstream `pkg/controller/job/job_controller.go`. Start reading at [`plan`].
#![forbid(unsafe_code)]

mod metrics;
mod plan;
mod status;
#[cfg(test)]
mod tests;
mod world;

pub use plan::backoff::Memory;
pub use world::{Case, Spec, World};

use ::plan::{Kind, Metric, Note, Object, Outcome, Plan, Reference, Sample, Turn};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use objects::meta;
use plan::finalizers;
use runtime::{Caches, Controller, Key, Moment, Watches};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// On pods until they have been counted.
pub const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// Which completion a pod of an Indexed Job is for: annotation and label.
pub const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// The index of pods with the finalizer by the name of their Job.
const TRACKED: &str = "job-tracking";

/// The control loop for Jobs.
///
/// What it remembers of failed pods that are gone makes back-off longer and is not needed otherwise.
#[derive(Debug, Default)]
pub struct JobController {
    memory: Mutex<HashMap<Key, (String, Memory)>>,
}

impl Controller for JobController {
    const NAME: &'static str = "job-controller";
    const QUEUE: &'static str = "job";
    /// What is counted goes by way of the status: to look more often than that is written finds nothing to do
    /// (upstream: `syncJobBatchPeriod`, a second).
    const PAUSE: Duration = Self::STATUS_WINDOW;
    const METRICS: &'static [&'static Metric] = metrics::METRICS;
    type Object = Job;
    type World = World;

    fn watch(watches: &Watches<'_>) {
        watches.reads::<Pod>().index(TRACKED, tracked_by);
        watches.owned::<Pod>("Job");
        count_changes(watches);
        watches.on::<Pod>(|change, queue, caches| {
            for orphan in change.new.iter().filter(|pod| is_orphan(pod)) {
                let namespace = meta::namespace(&orphan.metadata);
                if finalizers::is_tracked(orphan) {
                    queue.add(Key::new(namespace, NOBODY));
                }
                for job in caches.of::<Job>().in_namespace(namespace) {
                    let selector = world::selector(&job);
                    if selector.is_ok_and(|s| s.matches(orphan.metadata.labels.as_ref())) {
                        queue.add(Key::of(&job.metadata));
                    }
                }
            }
        });
    }

    async fn observe(&self, caches: &Caches, job: Arc<Job>, moment: Moment) -> World {
        let cache = caches.of::<Pod>();
        let (key, uid) = (Key::of(&job.metadata), meta::uid(&job.metadata).to_owned());
        let mut pods = cache.owned_by(&uid);
        pods.extend(cache.orphans(meta::namespace(&job.metadata)));
        let mut stale = cache.indexed(TRACKED, &tracked_key(&key));
        stale.retain(|pod| !meta::is_controlled_by(&pod.metadata, &uid));
        let mut world = World::new(job, pods, moment);
        world.stale = stale;

        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(world.case, Case::Live(_)) {
            let (of, held) = memory.entry(key).or_default();
            if *of != uid {
                *of = uid;
                *held = Memory::default();
            }
            world.memory.merge(held);
            held.clone_from(&world.memory);
        } else {
            memory.remove(&key);
        }
        world
    }

    fn plan(world: &World) -> Plan {
        plan::plan(world)
    }

    fn status(world: &World, outcome: &Outcome) -> Option<Object> {
        status::status(world, outcome).map(Object::new)
    }

    fn status_notes(world: &World, status: &Object) -> Vec<Note> {
        let job = status.read::<Job>();
        job.map(|job| status::notes(world, &job))
            .unwrap_or_default()
    }

    fn measure(world: &World, turn: &Turn<'_>) -> Vec<Sample> {
        metrics::measure(world, turn)
    }

    fn held(behind: Kind) -> Option<Sample> {
        Some(metrics::held(behind))
    }

    /// Pods outlive their Job until its controller has let them go
    /// (upstream: `syncOrphanPod`).
    fn gone(&self, caches: &Caches, key: &Key) -> Plan {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.remove(key);
        drop(memory);
        let pods = caches.of::<Pod>().indexed(TRACKED, &tracked_key(key));
        let mut plan = Plan::none();
        plan.then(pods.iter().map(|pod| finalizers::orphan(pod)).collect());
        plan
    }
}

/// Counts what is counted at each change.
fn count_changes(watches: &Watches<'_>) {
    let metrics = watches.metrics();
    watches.on::<Pod>(move |change, _, _| {
        let sample = metrics::of_pod(change.old.as_deref(), change.new.as_deref());
        metrics.record(sample.as_slice());
    });
    let metrics = watches.metrics();
    watches.on::<Job>(move |change, _, _| {
        if let (None, Some(job)) = (&change.old, &change.new) {
            metrics.record(metrics::of_job(job).as_slice());
        }
    });
}

/// The name of the Job of pods that have none: no object has it.
const NOBODY: &str = "";

fn tracked_key(key: &Key) -> String {
    format!("{}/{}", key.namespace, key.name)
}

/// Under which Job a pod with the finalizer is found; pods of other kinds of owners are theirs to release.
fn tracked_by(pod: &Pod) -> Vec<String> {
    if !finalizers::is_tracked(pod) {
        return Vec::new();
    }
    let namespace = meta::namespace(&pod.metadata);
    match meta::controller_of(&pod.metadata) {
        None => vec![format!("{namespace}/{NOBODY}")],
        Some(job) if job.kind == "Job" && job.api_version == "batch/v1" => {
            vec![format!("{namespace}/{}", job.name)]
        }
        Some(_) => Vec::new(),
    }
}

fn is_orphan(pod: &Pod) -> bool {
    meta::controller_of(&pod.metadata).is_none()
}

/// The reference of the Job that controls a pod.
fn job_of(pod: &Pod) -> Option<Reference> {
    let owner = meta::controller_of(&pod.metadata)?;
    Some(Reference {
        kind: Kind::of::<Job>(),
        namespace: meta::namespace(&pod.metadata).to_owned(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
    })
}
