//! The status that a Job should have. Pure.
//! (upstream: `trackJobStatusAndRemoveFinalizers`, `enactJobFinished`)

use crate::plan::count::{Count, Due};
use crate::plan::end::{self, End};
use crate::plan::finalizers::is_tracked;
use crate::plan::{claim, indexes::Indexes};
use crate::{Case, World};
use k8s_openapi::api::batch::v1::{
    Job, JobCondition, JobStatus, UncountedTerminatedPods as Uncounted,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use objects::{meta, pod};
use plan::{Cause, Note, Outcome};
use std::collections::BTreeSet;

/// As many UIDs at most stand in a status (upstream: `MaxUncountedPods`).
const MOST: usize = 500;
const SUSPENDED: &str = "Suspended";

/// The Job with the status it should have, or `None` if it has it.
pub(crate) fn status(world: &World, outcome: &Outcome) -> Option<Job> {
    let Case::Live(selector) = &world.case else {
        return None;
    };
    if !claim(world, selector).is_empty() {
        return None;
    }
    let count = Count::of(world);
    let end = end::end(world, &count);
    let did = Did::new(outcome);
    let old = world.status();
    let mut new = old.clone();

    let (succeeded, failed) = settle(world, &did, &mut new);
    let full = write_down(
        world,
        &count,
        end.as_ref(),
        &did,
        &mut new,
        succeeded,
        failed,
    );
    running(&count, &did, &mut new);
    start(world, &mut new);
    match &end {
        Some(end) => finish(world, &count, end, &did, full, &mut new),
        None if !world.is_going() => suspension(world, &mut new),
        None => {}
    }
    if same(&old, &new) {
        return None;
    }
    Some(Job {
        status: Some(new),
        ..Job::clone(&world.job)
    })
}

/// What the plan has done to pods, by UID or name.
struct Did<'a> {
    /// Their finalizer is off, or they are gone.
    freed: BTreeSet<&'a str>,
    /// They are being deleted, or are gone.
    deleted: BTreeSet<&'a str>,
    gone: BTreeSet<&'a str>,
    created: i32,
}

impl<'a> Did<'a> {
    fn new(outcome: &'a Outcome) -> Self {
        let done = |verb: &'static str| {
            let pods = outcome.done.iter().filter(|d| d.on.kind.kind == "Pod");
            pods.filter(move |d| d.verb == verb)
                .map(|d| d.on.uid.as_str())
        };
        let gone = |verb: &'static str| {
            let failures = outcome.failures.iter().filter(|f| f.on.kind.kind == "Pod");
            let gone = failures.filter(move |f| f.verb == verb && f.cause == Cause::NotFound);
            gone.map(|f| f.on.uid.as_str())
        };
        Self {
            freed: done("patch").chain(gone("patch")).collect(),
            deleted: done("delete").chain(gone("delete")).collect(),
            gone: gone("delete").chain(gone("patch")).collect(),
            created: done("create").count() as i32,
        }
    }
}

/// Counts the pods that were written down and have lost their finalizers; gives the UIDs of those that have not
/// (upstream: `cleanUncountedPodsWithoutFinalizers`).
fn settle(world: &World, did: &Did<'_>, status: &mut JobStatus) -> (Vec<String>, Vec<String>) {
    let tracked: BTreeSet<&str> = world
        .pods
        .iter()
        .filter(|pod| is_tracked(pod))
        .map(|pod| meta::uid(&pod.metadata))
        .filter(|uid| !did.freed.contains(uid))
        .collect();
    let uncounted = status.uncounted_terminated_pods.take().unwrap_or_default();
    let split = |list: Option<Vec<String>>, counter: &mut Option<i32>| {
        let mut list = list.unwrap_or_default();
        let before = list.len();
        list.retain(|uid| tracked.contains(uid.as_str()));
        let counted = (before - list.len()) as i32;
        *counter = Some(counter.unwrap_or(0).saturating_add(counted));
        list
    };
    (
        split(uncounted.succeeded, &mut status.succeeded),
        split(uncounted.failed, &mut status.failed),
    )
}

/// Writes down what has ended since. True when not all of it found room.
fn write_down(
    world: &World,
    count: &Count<'_>,
    end: Option<&End>,
    did: &Did<'_>,
    status: &mut JobStatus,
    mut succeeded: Vec<String>,
    mut failed: Vec<String>,
) -> bool {
    let mut completed = Vec::new();
    let mut full = false;
    let mut room = MOST.saturating_sub(succeeded.len() + failed.len());
    for own in &count.own {
        let uid = meta::uid(&own.pod.metadata);
        let due = count.due(world, end, own);
        if did.freed.contains(uid) || count.is_written(own, due) || due == Due::Keep {
            continue;
        }
        if room == 0 {
            full = true;
            break;
        }
        match due {
            Due::Succeeded => succeeded.push(uid.to_owned()),
            Due::Failed => failed.push(uid.to_owned()),
            Due::Index(index) => completed.push(index),
            Due::Keep | Due::Free => continue,
        }
        room -= 1;
    }
    let some = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
    status.uncounted_terminated_pods = Some(Uncounted {
        succeeded: some(succeeded),
        failed: some(failed),
    });
    if world.spec.indexed {
        let completed = count.completed_before.union(&Indexes::of(completed));
        status.succeeded = Some(i32::try_from(completed.total()).unwrap_or(i32::MAX));
        status.completed_indexes = Some(completed.to_string()).filter(|text| !text.is_empty());
        status.failed_indexes = count.failed_indexes.as_ref().map(ToString::to_string);
    }
    full
}

/// What runs, with what the plan has just done.
fn running(count: &Count<'_>, did: &Did<'_>, status: &mut JobStatus) {
    let uid = |own: &&crate::plan::count::Own<'_>| meta::uid(&own.pod.metadata).to_owned();
    let stays = |own: &&crate::plan::count::Own<'_>| {
        let uid = uid(own);
        !did.deleted.contains(uid.as_str()) && !did.gone.contains(uid.as_str())
    };
    let (active, ready) = count
        .active()
        .filter(stays)
        .fold((0, 0), |(active, ready), own| {
            (active + 1, ready + i32::from(pod::is_ready(own.pod)))
        });
    let going = count.active().filter(|own| {
        let uid = uid(own);
        did.deleted.contains(uid.as_str()) && !did.gone.contains(uid.as_str())
    });
    let was_going = count
        .terminating()
        .filter(|own| !did.gone.contains(uid(own).as_str()));
    status.active = Some(active + did.created);
    status.ready = Some(ready);
    status.terminating = Some((going.count() + was_going.count()) as i32);
}

/// The first time that it may run.
fn start(world: &World, status: &mut JobStatus) {
    if status.start_time.is_none() && !world.spec.suspend {
        status.start_time = Some(Time(world.now()));
    }
}

/// Says how it ends, and that it has once nothing of it is left.
fn finish(
    world: &World,
    count: &Count<'_>,
    end: &End,
    did: &Did<'_>,
    full: bool,
    status: &mut JobStatus,
) {
    if !end.written {
        set(
            world,
            status,
            end.interim(),
            "True",
            &end.reason,
            &end.message,
        );
        return;
    }
    let uncounted = status.uncounted_terminated_pods.clone().unwrap_or_default();
    let waits = uncounted.succeeded.is_some() || uncounted.failed.is_some() || full;
    let holds = count
        .own
        .iter()
        .any(|own| own.tracked && !did.freed.contains(meta::uid(&own.pod.metadata)));
    let runs = status.active.unwrap_or(0) + status.terminating.unwrap_or(0) > 0;
    if waits || holds || runs {
        return;
    }
    set(
        world,
        status,
        end.terminal(),
        "True",
        &end.reason,
        &end.message,
    );
    // Nothing can finish that has not begun, says the API server; a Job that was suspended has lost its start.
    let never_began = world.spec.suspend && world.spec.completions == Some(0);
    if status.start_time.is_none() && !never_began {
        status.start_time = Some(Time(world.now()));
    }
    if end.success {
        let start = status.start_time.as_ref().map(|time| time.0);
        status.completion_time = Some(Time(start.map_or(world.now(), |s| s.max(world.now()))));
    }
}

/// Suspending takes the start time away, resuming gives a new one.
fn suspension(world: &World, status: &mut JobStatus) {
    let suspended = world.has(SUSPENDED);
    if world.spec.suspend && !suspended {
        set(
            world,
            status,
            SUSPENDED,
            "True",
            "JobSuspended",
            "Job suspended",
        );
        status.start_time = None;
    } else if !world.spec.suspend && suspended {
        set(
            world,
            status,
            SUSPENDED,
            "False",
            "JobResumed",
            "Job resumed",
        );
        status.start_time = Some(Time(world.now()));
    }
}

fn set(
    world: &World,
    status: &mut JobStatus,
    kind: &str,
    value: &str,
    reason: &str,
    message: &str,
) {
    let now = Some(Time(world.now()));
    let new = JobCondition {
        type_: kind.to_owned(),
        status: value.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: now.clone(),
        last_transition_time: now,
    };
    let list = status.conditions.get_or_insert_default();
    match list.iter_mut().find(|condition| condition.type_ == kind) {
        Some(old) => *old = new,
        None => list.push(new),
    }
}

/// Zero and absent are the same count, empty and absent the same text: the API server leaves both out.
fn same(old: &JobStatus, new: &JobStatus) -> bool {
    let plain = |status: &JobStatus| {
        let mut status = status.clone();
        for counter in [
            &mut status.active,
            &mut status.succeeded,
            &mut status.failed,
        ] {
            *counter = counter.filter(|n| *n != 0);
        }
        status.completed_indexes = status.completed_indexes.filter(|text| !text.is_empty());
        if let Some(uncounted) = &mut status.uncounted_terminated_pods {
            for list in [&mut uncounted.succeeded, &mut uncounted.failed] {
                *list = list.take().filter(|list| !list.is_empty());
            }
        }
        status.conditions = status.conditions.filter(|list| !list.is_empty());
        status
    };
    plain(old) == plain(new)
}

/// The events that tell of a status (upstream: `recordJobFinished`).
pub(crate) fn notes(world: &World, job: &Job) -> Vec<Note> {
    let old = world.status().conditions.unwrap_or_default();
    let status = job.status.clone().unwrap_or_default();
    let is_new = |new: &&JobCondition| {
        let is_same = |old: &JobCondition| old.type_ == new.type_ && old.status == new.status;
        !old.iter().any(is_same)
    };
    let mut notes = Vec::new();
    let (mut normal, mut warnings) = (Vec::new(), Vec::new());
    for new in status.conditions.iter().flatten().filter(is_new) {
        match (&*new.type_, &*new.status) {
            (SUSPENDED, "True") => normal.push(("Suspended", "Job suspended")),
            (SUSPENDED, _) => normal.push(("Resumed", "Job resumed")),
            ("Complete", "True") => {
                let most = world.spec.completions.unwrap_or(i32::MAX);
                if status.succeeded.unwrap_or(0) > most {
                    let message = "Too many succeeded pods running after completion count reached";
                    warnings.push(("TooManySucceededPods", message.to_owned()));
                }
                normal.push(("Completed", "Job completed"));
            }
            ("Failed", "True") => {
                let message = new.message.clone().unwrap_or_default();
                warnings.push((reason(new.reason.as_deref()), message));
            }
            _ => {}
        }
    }
    for (reason, message) in warnings {
        notes.push(Note::warning(&world.owner, reason, message));
    }
    for (reason, message) in normal {
        notes.push(Note::normal(&world.owner, reason, message));
    }
    notes
}

/// The reasons of failed Jobs.
fn reason(of: Option<&str>) -> &'static str {
    let known = [
        "BackoffLimitExceeded",
        "DeadlineExceeded",
        "MaxFailedIndexesExceeded",
        "FailedIndexes",
        "PodFailurePolicy",
    ];
    let found = known.into_iter().find(|known| of == Some(known));
    found.unwrap_or("Failed")
}
