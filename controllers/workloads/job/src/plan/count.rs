//! What the pods of a Job amount to: those counted, those to be counted, those that run.

use super::end::End;
use super::finalizers::is_tracked;
use super::indexes::Indexes;
use super::policy::{Meaning, meaning};
use crate::{COMPLETION_INDEX, Spec, World, plan::backoff};
use k8s_openapi::api::batch::v1::JobStatus;
use k8s_openapi::api::core::v1::Pod;
use objects::{meta, pod};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many pods of an index have failed before this one.
pub(crate) const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
/// How many of them did not count.
pub(crate) const IGNORED: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// A pod of the Job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own<'a> {
    pub(crate) pod: &'a Arc<Pod>,
    /// It has the finalizer: it has not been counted, or its finalizer is about to go.
    pub(crate) tracked: bool,
    /// The completion that it says it is for, in range or not.
    pub(crate) index: Option<i32>,
}

/// What the pods of a Job amount to.
#[derive(Clone, Debug)]
pub(crate) struct Count<'a> {
    /// All pods of the Job, by index and name.
    pub(crate) own: Vec<Own<'a>>,
    /// The UIDs that are written down and not in the counters yet.
    pub(crate) written_succeeded: BTreeSet<String>,
    pub(crate) written_failed: BTreeSet<String>,
    /// Pods, or indexes of an Indexed Job, that have succeeded, counted or not.
    pub(crate) succeeded: i64,
    /// Pods that have failed, counted or not.
    pub(crate) failed: i64,
    /// The indexes that are written down as succeeded, and all that have.
    pub(crate) completed_before: Indexes,
    pub(crate) completed: Indexes,
    /// The indexes that have failed for good, if such are told apart.
    pub(crate) failed_before: Indexes,
    pub(crate) failed_indexes: Option<Indexes>,
    /// By index: the failed pod that stays until its replacement has taken over its count of failures.
    pub(crate) delayed: BTreeMap<i32, &'a Arc<Pod>>,
}

/// What becomes of a pod that has the finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// It keeps it.
    Keep,
    /// It loses it; nothing has to be written down.
    Free,
    /// It is one that succeeded; its UID is written down first.
    Succeeded,
    /// It is one that failed; its UID is written down first.
    Failed,
    /// It completed this index, which is written down first.
    Index(i32),
}

impl<'a> Count<'a> {
    /// Counts the pods that the Job controls.
    pub(crate) fn of(world: &'a World) -> Self {
        let status = world.status();
        let uid = meta::uid(&world.job.metadata);
        let own = world
            .pods
            .iter()
            .filter(|p| meta::is_controlled_by(&p.metadata, uid));
        let mut own: Vec<Own<'a>> = own
            .map(|pod| Own {
                pod,
                tracked: is_tracked(pod),
                index: index_of(pod),
            })
            .collect();
        own.sort_by_key(|own| own.index);
        let limit = world.spec.indexes();
        let indexes =
            |text: &Option<String>| Indexes::parse(text.as_deref().unwrap_or_default(), limit);
        let uncounted = status.uncounted_terminated_pods.clone().unwrap_or_default();
        let mut count = Self {
            own,
            written_succeeded: uncounted.succeeded.into_iter().flatten().collect(),
            written_failed: uncounted.failed.into_iter().flatten().collect(),
            succeeded: 0,
            failed: 0,
            completed_before: indexes(&status.completed_indexes),
            completed: Indexes::default(),
            failed_before: indexes(&status.failed_indexes),
            failed_indexes: None,
            delayed: BTreeMap::new(),
        };
        count.pods(world, &status);
        if world.spec.indexed {
            count.indexes(world);
        }
        count
    }

    /// (upstream: `getNewFinishedPods`, `nonIgnoredFailedPodsCount`)
    fn pods(&mut self, world: &World, status: &JobStatus) {
        let new = |own: &&Own<'_>| own.tracked && is_valid(world, own);
        let succeeded = self.own.iter().filter(new).filter(|own| {
            is_succeeded(own.pod)
                && !self
                    .written_succeeded
                    .contains(meta::uid(&own.pod.metadata))
        });
        let failed = self.own.iter().filter(new).filter(|own| {
            counts_as_failed(world, own.pod)
                && !self.written_failed.contains(meta::uid(&own.pod.metadata))
                && meaning(world, own.pod) != Meaning::Ignored
        });
        let (succeeded, failed) = (succeeded.count(), failed.count());
        let counted = |n: Option<i32>| i64::from(n.unwrap_or(0));
        self.succeeded =
            counted(status.succeeded) + succeeded as i64 + self.written_succeeded.len() as i64;
        self.failed = counted(status.failed) + failed as i64 + self.written_failed.len() as i64;
    }

    /// (upstream: `calculateSucceededIndexes`, `calculateFailedIndexes`, `getPodsWithDelayedDeletionPerIndex`)
    fn indexes(&mut self, world: &World) {
        let valid = |own: &&Own<'_>| own.tracked && is_valid(world, own);
        let done = self
            .own
            .iter()
            .filter(valid)
            .filter(|own| is_succeeded(own.pod));
        // What is in both lists the API server refuses: the first word about an index counts.
        let done = done
            .filter_map(|own| own.index)
            .filter(|i| !self.failed_before.has(*i));
        self.completed = self.completed_before.union(&Indexes::of(done));
        self.succeeded = self.completed.total();
        if !world.spec.per_index() {
            return;
        }
        let failed = self
            .own
            .iter()
            .filter(valid)
            .filter(|own| has_failed_index(world, own.pod));
        let failed = failed
            .filter_map(|own| own.index)
            .filter(|i| !self.completed.has(*i));
        let failed = self.failed_before.union(&Indexes::of(failed));
        let active: BTreeSet<i32> = self.active().filter_map(|own| own.index).collect();
        for own in self.own.iter().filter(valid) {
            let Some(index) = own.index.filter(|_| is_failed(&world.spec, own.pod)) else {
                continue;
            };
            if self.completed.has(index) || failed.has(index) || active.contains(&index) {
                continue;
            }
            let rank = |pod: &Pod| (failures_of(pod), backoff::finished(pod));
            let last = self.delayed.entry(index).or_insert(own.pod);
            if rank(last) <= rank(own.pod) {
                *last = own.pod;
            }
        }
        self.failed_indexes = Some(failed);
    }

    /// The pods that run or will, in order of their indexes.
    pub(crate) fn active(&self) -> impl Iterator<Item = &Own<'a>> {
        self.own.iter().filter(|own| pod::is_active(own.pod))
    }

    /// The pods that are being deleted and have not ended.
    pub(crate) fn terminating(&self) -> impl Iterator<Item = &Own<'a>> {
        self.own.iter().filter(|own| pod::is_terminating(own.pod))
    }

    /// What becomes of a pod, given how the Job ends
    /// (upstream: `canRemoveFinalizer`, `trackJobStatusAndRemoveFinalizers`).
    pub(crate) fn due(&self, world: &World, end: Option<&End>, own: &Own<'_>) -> Due {
        let uid = meta::uid(&own.pod.metadata);
        let failed = counts_as_failed(world, own.pod);
        let waits = own
            .index
            .and_then(|index| self.delayed.get(&index))
            .is_some_and(|last| meta::uid(&last.metadata) == uid);
        let ends = end.is_some() || world.is_going();
        if !own.tracked || !(ends || is_succeeded(own.pod) || (failed && !waits)) {
            return Due::Keep;
        }
        let written = self.written_failed.contains(uid);
        if is_succeeded(own.pod) && !written {
            return match own.index {
                _ if !world.spec.indexed => Due::Succeeded,
                Some(index) if self.is_new(world, own, index) => Due::Index(index),
                _ => Due::Free,
            };
        }
        // When a Job fails, whatever has not ended has failed.
        let failed = failed || end.is_some_and(|end| !end.success);
        let counts = written || meaning(world, own.pod) != Meaning::Ignored;
        match failed && is_valid(world, own) && counts {
            true => Due::Failed,
            false => Due::Free,
        }
    }

    fn is_new(&self, world: &World, own: &Own<'_>, index: i32) -> bool {
        is_valid(world, own) && !self.completed_before.has(index) && !self.failed_before.has(index)
    }

    /// Whether what has to be written down about a pod before its finalizer goes, is.
    pub(crate) fn is_written(&self, own: &Own<'_>, due: Due) -> bool {
        let uid = meta::uid(&own.pod.metadata);
        match due {
            Due::Free => true,
            Due::Keep | Due::Index(_) => false,
            Due::Succeeded => self.written_succeeded.contains(uid),
            Due::Failed => self.written_failed.contains(uid),
        }
    }
}

/// Whether a pod has failed. Until it is known that only ended pods are replaced, one that is being deleted has
/// too (upstream: `isPodFailed`).
pub(crate) fn is_failed(spec: &Spec, pod: &Pod) -> bool {
    pod::phase(pod) == "Failed" || (!spec.only_failed && pod::is_terminating(pod))
}

/// As [`is_failed`]; but what was deleted because enough has succeeded is no failure.
fn counts_as_failed(world: &World, pod: &Pod) -> bool {
    let spared = meta::is_deleting(&pod.metadata) && world.has("SuccessCriteriaMet");
    !spared && is_failed(&world.spec, pod)
}

fn is_succeeded(pod: &Pod) -> bool {
    pod::phase(pod) == "Succeeded"
}

fn is_valid(world: &World, own: &Own<'_>) -> bool {
    !world.spec.indexed || own.index.is_some_and(|index| index < world.spec.indexes())
}

/// (upstream: `isIndexFailed`)
fn has_failed_index(world: &World, pod: &Pod) -> bool {
    if !counts_as_failed(world, pod) {
        return false;
    }
    let limit = world.spec.backoff_limit_per_index.unwrap_or(i32::MAX);
    match meaning(world, pod) {
        Meaning::FailsIndex => true,
        Meaning::Ignored => false,
        Meaning::Counts | Meaning::FailsJob(_) => number(pod, FAILURES) >= limit,
    }
}

/// How many pods of its index have failed before this one.
pub(crate) fn failures_of(pod: &Pod) -> i32 {
    number(pod, FAILURES).saturating_add(number(pod, IGNORED))
}

/// The number in an annotation; zero for what is none.
pub(crate) fn number(pod: &Pod, annotation: &str) -> i32 {
    let text = meta::annotation(&pod.metadata, annotation);
    text.and_then(|text| text.parse().ok())
        .filter(|n| *n >= 0)
        .unwrap_or(0)
}

fn index_of(pod: &Pod) -> Option<i32> {
    let text = meta::annotation(&pod.metadata, COMPLETION_INDEX)?;
    text.parse().ok().filter(|index| *index >= 0)
}
