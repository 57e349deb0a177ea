//! Which pods go from a tainted node, and when. Pure.

use crate::World;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use objects::{meta, pod as pods, taints};
use plan::{Action, Note, PatchType, Plan, Reference};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

/// The effect that ends pods.
pub(crate) const NO_EXECUTE: &str = "NoExecute";
/// What the node lifecycle controller says of nodes that may come back.
const MAY_COME_BACK: [&str; 2] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
];
/// How long a node may take to say that it is back, once somebody listens.
const BACK: SignedDuration = SignedDuration::from_secs(15);
/// How soon to ask again who did not answer.
const SOON: Duration = Duration::from_secs(1);

/// The condition that says why a pod ends.
const CONDITION: &str = "DisruptionTarget";
const REASON: &str = "DeletionByTaintManager";
/// The reason of all its events.
const EVENT: &str = "TaintManagerEviction";

/// Until when a pod may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stay {
    /// Until this time.
    Until(Timestamp),
    /// For all that is known.
    Forever,
}

/// Marks the pods whose time is over, and deletes those that are marked.
pub(crate) fn plan(world: &World) -> Plan {
    let mut plan = Plan::none();
    let mut actions = Vec::new();
    for pod in &world.pods {
        let stay = stay(world, pod);
        match stay {
            Stay::Until(at) if at <= world.now && world.is_certain => actions.push(end(world, pod)),
            Stay::Until(at) if at <= world.now => {
                plan.again(SOON);
            }
            Stay::Until(at) => {
                plan.again(Duration::try_from(at.duration_since(world.now)).unwrap_or(SOON));
            }
            Stay::Forever if world.waiting.contains(meta::uid(&pod.metadata)) => {
                let message = format!("Cancelling deletion of Pod {}", name(pod));
                plan.note(Note::normal(&Reference::to(&**pod), EVENT, message));
            }
            Stay::Forever => {}
        }
    }
    plan.then(actions);
    plan
}

impl World {
    /// Whether the time of a pod is over.
    pub(crate) fn is_due(&self) -> bool {
        let is_over = |pod| stay(self, pod) <= Stay::Until(self.now);
        self.pods.iter().any(|pod| is_over(pod))
    }

    /// UIDs of the pods whose time is not over yet.
    pub(crate) fn keeps_waiting(&self) -> BTreeSet<String> {
        let waits = |pod: &Pod| matches!(stay(self, pod), Stay::Until(at) if at > self.now);
        let waiting = self.pods.iter().filter(|pod| waits(pod));
        waiting
            .map(|pod| meta::uid(&pod.metadata).to_owned())
            .collect()
    }
}

/// Upstream: taint_eviction.go, `processPodOnNode`, `getMinTolerationTime`.
fn stay(world: &World, pod: &Pod) -> Stay {
    let spec = pod.spec.as_ref();
    let tolerations = spec.and_then(|spec| spec.tolerations.as_deref());
    let came = came(pod).min(world.now);
    let stays = world.taints.iter().map(|taint| {
        let mut tolerations = tolerations.unwrap_or_default().iter();
        // The first that fits counts.
        let fits = |toleration: &&Toleration| taints::tolerates_one(toleration, &taint.taint);
        let seconds = match tolerations.find(fits).map(|t| t.toleration_seconds) {
            Some(None) => return Stay::Forever,
            Some(Some(seconds)) => seconds.max(0),
            None => 0,
        };
        let since = taint.since.max(came);
        let over = since.checked_add(SignedDuration::from_secs(seconds));
        let over = over.unwrap_or(Timestamp::MAX);
        match MAY_COME_BACK.contains(&taint.taint.key.as_str()) {
            true => Stay::Until(chance(world, over)),
            false => Stay::Until(over),
        }
    });
    stays.min().unwrap_or(Stay::Forever)
}

/// When a pod has to go, if it has to.
pub(crate) fn due(world: &World, pod: &Pod) -> Option<Timestamp> {
    match stay(world, pod) {
        Stay::Until(at) => Some(at),
        Stay::Forever => None,
    }
}

/// A time that was over before anybody was there is put off until the node could have said that it is back.
fn chance(world: &World, over: Timestamp) -> Timestamp {
    match world.contact {
        Some(contact) if over >= contact => over,
        contact => {
            let from = contact.unwrap_or(world.now);
            over.max(from.checked_add(BACK).unwrap_or(Timestamp::MAX))
        }
    }
}

/// When a pod came to its node, as far as it says.
fn came(pod: &Pod) -> Timestamp {
    let scheduled = pods::condition(pod, "PodScheduled").filter(|c| c.status == "True");
    let scheduled = scheduled.and_then(|c| c.last_transition_time.as_ref());
    let created = meta::created(&pod.metadata);
    scheduled
        .map(|at| at.0)
        .or(created)
        .unwrap_or(Timestamp::MIN)
}

/// Upstream: `addConditionAndDeletePod`. A pod is deleted when the cache shows its condition.
fn end(world: &World, pod: &Pod) -> Action {
    let on = Reference::to(pod);
    let found = pods::condition(pod, CONDITION);
    let is_marked = |c: &&k8s_openapi::api::core::v1::PodCondition| {
        c.status == "True" && c.reason.as_deref() == Some(REASON)
    };
    if found.as_ref().is_some_and(is_marked) {
        let message = format!("Marking for deletion Pod {}", name(pod));
        return Action::delete(pod).noting(&on, EVENT, message);
    }
    let since = found.filter(|c| c.status == "True");
    let since = since.and_then(|c| c.last_transition_time.clone());
    let condition = json!({
        "type": CONDITION,
        "status": "True",
        "reason": REASON,
        "message": "Taint manager: deleting due to NoExecute taint",
        "lastTransitionTime": since.unwrap_or(Time(world.now)),
        "observedGeneration": pod.metadata.generation,
    });
    let body = json!({
        "metadata": { "uid": on.uid, "resourceVersion": pod.metadata.resource_version },
        "status": { "conditions": [condition] },
    });
    Action::patch_status(on, PatchType::Strategic, body).because("it does not tolerate its node")
}

fn name(pod: &Pod) -> String {
    format!(
        "{}/{}",
        meta::namespace(&pod.metadata),
        meta::name(&pod.metadata)
    )
}
