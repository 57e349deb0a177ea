//! What is written: bindings, the condition `PodScheduled`, events. And how a binding ended.
//!
//! Upstream: `framework/plugins/defaultbinder/default_binder.go`, `pkg/scheduler/schedule_one.go`
//! (`handleSchedulingFailure`).

use crate::pods::PodInfo;
use crate::preempt::{self, Room};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Binding, ObjectReference, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use objects::{meta, pod};
use plan::{Action, Cause, Note, PatchType, Plan};
use runtime::{Executor, Runtime};
use serde_json::json;
use std::time::Duration;

/// The longest message of an event, in bytes; the API server refuses longer ones.
const NOTE_LIMIT: usize = 1024;
const SCHEDULED: &str = "PodScheduled";
const UNSCHEDULABLE: &str = "Unschedulable";
const FAILED: &str = "FailedScheduling";

/// How a binding ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The pod is on the node that it was given.
    Bound,
    /// The pod is on another node, which somebody else gave it.
    Elsewhere,
    /// The pod is on no node, or is gone.
    Unbound,
}

/// The binding of this incarnation of the pod to the node, with its event.
pub fn binding(info: &PodInfo, node: &str) -> Action {
    let body = Binding {
        // The API server binds no other incarnation than this.
        metadata: info.meta(),
        target: ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(node.to_owned()),
            ..ObjectReference::default()
        },
    };
    let on = info.reference();
    let scheduled = scheduled(info, node);
    Action::create_sub(on.clone(), "binding", body)
        .noting(&on, scheduled.reason, scheduled.message)
        .because("the best node for it")
}

/// The event of a pod that was given a node.
fn scheduled(info: &PodInfo, node: &str) -> Note {
    let (namespace, name) = (info.namespace(), &info.name);
    let message = format!("Successfully assigned {namespace}/{name} to {node}");
    Note::normal(&info.reference(), "Scheduled", message)
}

/// The event of a pod that was not given a node.
pub fn failed_scheduling(info: &PodInfo, message: &str) -> Note {
    Note::warning(&info.reference(), FAILED, truncate(message))
}

fn truncate(message: &str) -> String {
    const SUFFIX: &str = " ...";
    if message.len() <= NOTE_LIMIT {
        return message.to_owned();
    }
    let end = (0..=NOTE_LIMIT - SUFFIX.len())
        .rev()
        .find(|end| message.is_char_boundary(*end));
    format!("{}{SUFFIX}", &message[..end.unwrap_or(0)])
}

/// Whether the pod's condition says already that there is no node for it, for this reason.
pub fn says(info: &PodInfo, message: &str) -> bool {
    info.condition(SCHEDULED).is_some_and(|condition| {
        condition.status == "False"
            && condition.reason.as_deref() == Some(UNSCHEDULABLE)
            && condition.message.as_deref() == Some(message)
    })
}

/// Writes into the pod's condition that there is no node for it, and into its status on which node room is made.
pub fn unschedulable(
    info: &PodInfo,
    message: &str,
    nominated: Option<&str>,
    now: Timestamp,
) -> Action {
    not_scheduled(info, UNSCHEDULABLE, message, nominated, now).because("no node will do")
}

/// Writes into the pod's condition what went wrong about it, and that no room is made for it.
pub fn failed(info: &PodInfo, message: &str, now: Timestamp) -> Action {
    not_scheduled(info, "SchedulerError", message, None, now).because("an extender failed")
}

fn not_scheduled(
    info: &PodInfo,
    reason: &str,
    message: &str,
    nominated: Option<&str>,
    now: Timestamp,
) -> Action {
    let old = info
        .condition(SCHEDULED)
        .filter(|old| old.status == "False");
    let since = old.and_then(|old| old.last_transition_time.clone());
    let condition = PodCondition {
        type_: SCHEDULED.to_owned(),
        status: "False".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        observed_generation: info.generation(),
        last_transition_time: since.or(Some(Time(now))),
        last_probe_time: None,
    };
    let body = json!({
        "metadata": { "uid": &*info.uid },
        "status": { "conditions": [condition], "nominatedNodeName": nominated },
    });
    Action::patch_status(info.reference(), PatchType::Strategic, body)
}

/// Makes room for a pod: those that have to leave are marked and then deleted, those for which room was made there before
/// are told (upstream: `framework/preemption/executor.go`).
pub fn make_room(info: &PodInfo, room: &Room, now: Timestamp) -> Plan {
    let staying = room.victims.iter().filter(|victim| !victim.leaving);
    let mut plan = Plan::none();
    let displaced = room.displaced.iter().map(|other| {
        let body = json!({
            "metadata": { "uid": &*other.uid }, "status": { "nominatedNodeName": null },
        });
        Action::patch_status(other.reference(), PatchType::Strategic, body)
            .because("a more important pod gets its place")
    });
    let marked = staying.clone().map(|victim| mark(info, victim, now));
    plan.then(displaced.chain(marked).collect());
    let deleted = staying.map(|victim| {
        let message = format!("Preempted by pod {} on node {}", info.uid, room.node);
        Action::delete_ref(victim.reference())
            .noting(&victim.reference(), "Preempted", message)
            .because("a more important pod needs its place")
    });
    plan.then(deleted.collect());
    plan
}

fn mark(info: &PodInfo, victim: &PodInfo, now: Timestamp) -> Action {
    let by = info.spec().scheduler_name.as_deref();
    let by = by
        .filter(|name| !name.is_empty())
        .unwrap_or(crate::DEFAULT_SCHEDULER);
    let old = victim.condition(preempt::CONDITION);
    let since = old
        .filter(|old| old.status == "True")
        .and_then(|old| old.last_transition_time.clone());
    let condition = PodCondition {
        type_: preempt::CONDITION.to_owned(),
        status: "True".to_owned(),
        reason: Some(preempt::REASON.to_owned()),
        message: Some(format!(
            "{by}: preempting to accommodate a higher priority pod"
        )),
        observed_generation: victim.generation(),
        last_transition_time: since.or(Some(Time(now))),
        last_probe_time: None,
    };
    let body = json!({
        "metadata": { "uid": &*victim.uid },
        "status": { "conditions": [condition] },
    });
    Action::patch_status(victim.reference(), PatchType::Strategic, body)
        .because("a more important pod needs its place")
}

/// Binds the pod and finds out how that ended. Whatever the answer was, or if there was none, the pod's place must
/// neither be given away while it may be there, nor be held while it is not.
pub(crate) async fn bind(
    runtime: &Runtime,
    executor: &Executor,
    info: &PodInfo,
    node: &str,
) -> Fate {
    let Err(failure) = executor.run(&binding(info, node)).await else {
        return Fate::Bound;
    };
    tracing::debug!(pod = %failure.on, node, cause = ?failure.cause, error = failure.message, "not bound");
    let fate = match failure.cause {
        Cause::Conflict | Cause::AlreadyExists | Cause::Transient => {
            whereabouts(runtime, info, node).await
        }
        _ => Fate::Unbound,
    };
    let is_news = !failure.is_benign() && failure.cause != Cause::NotFound;
    let why = format!("binding rejected: {}", failure.message);
    note(executor, info, node, fate, is_news.then_some(&*why));
    fate
}

/// How a binding ended that an extender was asked for. An answer that says that it failed, or was lost, may come from one
/// that has bound the pod.
pub(crate) async fn bound(
    runtime: &Runtime,
    executor: &Executor,
    info: &PodInfo,
    node: &str,
    outcome: Result<(), String>,
) -> Fate {
    let (fate, why) = match outcome {
        Ok(()) => (Fate::Bound, None),
        Err(error) => (whereabouts(runtime, info, node).await, Some(error)),
    };
    note(executor, info, node, fate, why.as_deref());
    fate
}

/// Tells in an event where the pod is, or why it is nowhere.
fn note(executor: &Executor, info: &PodInfo, node: &str, fate: Fate, why: Option<&str>) {
    match (fate, why) {
        (Fate::Bound, _) => executor.note(&scheduled(info, node)),
        (Fate::Unbound, Some(why)) => executor.note(&failed_scheduling(info, why)),
        _ => {}
    }
}

/// Asks the API server itself where the pod is, until it answers.
async fn whereabouts(runtime: &Runtime, info: &PodInfo, node: &str) -> Fate {
    const LONGEST: Duration = Duration::from_secs(5);
    let pods: Api<Pod> = Api::namespaced(runtime.client().clone(), info.namespace());
    let mut wait = Duration::from_millis(100);
    loop {
        match pods.get_opt(&info.name).await {
            Ok(live) => return fate(live.as_ref(), &info.uid, node),
            Err(error) => {
                tracing::debug!(pod = &*info.name, %error, "where it is cannot be found out yet");
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST);
    }
}

/// How the binding of the pod with this UID to this node ended, by what the API server holds.
fn fate(live: Option<&Pod>, uid: &str, node: &str) -> Fate {
    let live = live.filter(|live| meta::uid(&live.metadata) == uid);
    match live.and_then(pod::node_name) {
        Some(name) if name == node => Fate::Bound,
        Some(_) => Fate::Elsewhere,
        None => Fate::Unbound,
    }
}

#[cfg(test)]
mod tests;
