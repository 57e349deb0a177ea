//! What to do about one node. Pure.

mod taints;

pub(crate) use taints::{NOT_READY, UNREACHABLE};

use crate::{World, status};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use objects::{meta, node as nodes};
use plan::{Action, Note, PatchType, Plan, Reference};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A node that is not ready is looked at again after this time (upstream: `--node-monitor-period`).
const PERIOD: Duration = Duration::from_secs(5);
/// The labels that are kept in step: what holds, and what follows it.
const LABELS: [(&str, &str); 2] = [
    ("kubernetes.io/os", "beta.kubernetes.io/os"),
    ("kubernetes.io/arch", "beta.kubernetes.io/arch"),
];

/// Taints, labels, and the pods of a node that has gone. Nothing while the node does not say yet that it is silent.
pub(crate) fn plan(world: &World) -> Plan {
    let mut plan = Plan::none();
    let node = Reference::to(&*world.node);
    if world.health.is_new {
        let message = format!(
            "Node {0} event: Registered Node {0} in Controller",
            node.name
        );
        plan.note(Note::normal(&node, "RegisteredNode", message));
    }
    plan.again(look_again(world));
    if status::status(world).is_some() {
        return plan;
    }
    let mut actions: Vec<_> = patch(world, node).into_iter().collect();
    actions.extend(world.pods.iter().map(|pod| mark(pod, world.now)));
    plan.then(actions);
    plan
}

/// Taints and labels in one write: of the version that was looked at, for taints are a list that is replaced whole.
fn patch(world: &World, on: Reference) -> Option<Action> {
    let mut body = json!({ "metadata": {
        "uid": on.uid, "resourceVersion": world.node.metadata.resource_version,
    } });
    let (taints, labels) = (taints::wanted(world), labels(world));
    if taints.is_none() && labels.is_empty() {
        return None;
    }
    let why = match taints {
        Some(_) => "taints say what conditions say",
        None => "old labels follow the new ones",
    };
    if let Some(taints) = taints {
        let list = match taints.is_empty() {
            true => Value::Null,
            false => json!(taints),
        };
        body["spec"] = json!({ "taints": list });
    }
    if !labels.is_empty() {
        body["metadata"]["labels"] = Value::Object(labels);
    }
    Some(Action::patch(on, PatchType::Merge, body).because(why))
}

fn labels(world: &World) -> Map<String, Value> {
    let label = |key| meta::label(&world.node.metadata, key);
    let mut changes = Map::new();
    for (holds, follows) in LABELS {
        if let Some(value) = label(holds)
            && label(follows) != Some(value)
        {
            changes.insert(follows.to_owned(), value.into());
        }
    }
    changes
}

/// Upstream: controller_utils.go, `MarkPodsNotReady`.
fn mark(pod: &Pod, now: Timestamp) -> Action {
    let on = Reference::to(pod);
    let ready = json!({ "type": "Ready", "status": "False", "lastTransitionTime": Time(now) });
    let body = json!({
        "metadata": { "uid": on.uid, "resourceVersion": pod.metadata.resource_version },
        "status": { "conditions": [ready] },
    });
    let note = Note::warning(&on, "NodeNotReady", "Node is not ready");
    let mut action = Action::patch_status(on, PatchType::Strategic, body);
    action.note = Some(note);
    action.because("its node is silent")
}

/// When something changes by itself.
fn look_again(world: &World) -> Duration {
    let until =
        |at: Timestamp| Duration::try_from(at.duration_since(world.now)).unwrap_or_default();
    let overdue = world.health.overdue_at.map_or(PERIOD, until);
    let is_settled =
        nodes::is_ready(&world.node) || nodes::condition(&world.node, "Ready").is_none();
    if is_settled && !overdue.is_zero() {
        return overdue;
    }
    let opens = world.health.opens.filter(|_| world.wants_taint());
    match opens.map_or(PERIOD, until) {
        Duration::ZERO => PERIOD,
        opens => opens.min(PERIOD),
    }
}
