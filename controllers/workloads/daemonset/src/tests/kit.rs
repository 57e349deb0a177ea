//! What the tests are made of.

use crate::{Current, World, plan};
use ::plan::Verb;
use jiff::{SignedDuration, Timestamp};
use json_patch::merge;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

pub(super) fn ago(seconds: i64) -> String {
    (now() - SignedDuration::from_secs(seconds)).to_string()
}

pub(super) fn typed<K: DeserializeOwned>(value: Value, more: Value) -> Arc<K> {
    let mut value = value;
    merge(&mut value, &more);
    Arc::new(serde_json::from_value(value).unwrap())
}

/// A DaemonSet `logs` with image `v1`, changed by `spec`.
pub(super) fn set(spec: Value) -> Arc<DaemonSet> {
    typed(
        json!({
            "metadata": {
                "name": "logs", "namespace": "shop", "uid": "ds-1", "generation": 2,
                "annotations": {"deprecated.daemonset.template.generation": "1", "team": "blue"},
            },
            "spec": {
                "selector": {"matchLabels": {"app": "logs"}},
                "template": template("v1"),
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
                "revisionHistoryLimit": 10,
            },
        }),
        json!({ "spec": spec }),
    )
}

pub(super) fn surging(surge: Value) -> Value {
    json!({"updateStrategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": surge}}})
}

pub(super) fn template(image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "logs"}},
        "spec": {"containers": [{"name": "c", "image": image}]},
    })
}

pub(super) fn node(name: &str, more: Value) -> Arc<Node> {
    typed(json!({"metadata": {"name": name}}), more)
}

pub(super) fn nodes(count: usize) -> Vec<Arc<Node>> {
    let names = (1..=count).map(|n| format!("n{n}"));
    names.map(|name| node(&name, json!({}))).collect()
}

/// A ready pod of the revision with this hash, made for and bound to a node.
pub(super) fn pod(name: &str, on: &str, hash: &str, more: Value) -> Arc<Pod> {
    typed(
        json!({
            "metadata": {
                "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "creationTimestamp": ago(600), "resourceVersion": "7",
                "labels": {"app": "logs", "controller-revision-hash": hash},
                "ownerReferences": [owner()],
            },
            "spec": {"containers": [], "nodeName": on},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": ago(300)}]},
        }),
        more,
    )
}

/// Of the current revision of the DaemonSet `logs`.
pub(super) fn fresh(name: &str, on: &str) -> Arc<Pod> {
    pod(name, on, "h1", json!({}))
}

pub(super) fn owner() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "logs", "uid": "ds-1", "controller": true, "blockOwnerDeletion": true})
}

pub(super) fn unready() -> Value {
    json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}})
}

pub(super) fn phase(phase: &str) -> Value {
    json!({"status": {"phase": phase, "conditions": []}})
}

pub(super) fn deleting() -> Value {
    json!({"metadata": {"deletionTimestamp": ago(1), "finalizers": ["x"]}})
}

/// The revision of an image: `logs-<hash>`.
pub(super) fn revision(
    number: i64,
    hash: &str,
    image: &str,
    more: Value,
) -> Arc<ControllerRevision> {
    let template = serde_json::from_value(template(image)).unwrap();
    typed(
        json!({
            "metadata": {
                "name": format!("logs-{hash}"), "namespace": "shop", "uid": format!("uid-{hash}"),
                "creationTimestamp": ago(1000 - number),
                "labels": {"app": "logs", "controller-revision-hash": hash},
                "ownerReferences": [owner()],
            },
            "revision": number,
            "data": objects::history::data(&template),
        }),
        more,
    )
}

/// The current template of `logs`, on record as `h1`.
pub(super) fn recorded() -> Vec<Arc<ControllerRevision>> {
    vec![revision(1, "h1", "v1", json!({}))]
}

pub(super) fn world(
    set: Arc<DaemonSet>,
    nodes: &[Arc<Node>],
    pods: Vec<Arc<Pod>>,
    revisions: Vec<Arc<ControllerRevision>>,
) -> World {
    World::new(set, nodes, pods, revisions, now())
}

/// The plan as text; pods that are created are named by their node, revisions by nothing.
pub(super) fn planned(world: &World) -> Vec<String> {
    let plan = plan(world);
    let mut lines: Vec<String> = plan
        .actions()
        .map(|action| {
            let Verb::Create(object) = &action.verb else {
                // What a patch says is tested where it matters.
                return match (&action.verb, action.why) {
                    (Verb::Patch(..), "") => format!("patch {}", action.on),
                    (Verb::Patch(..), why) => format!("patch {} ({why})", action.on),
                    _ => action.to_string(),
                };
            };
            match object.read::<Pod>() {
                Some(pod) => format!("create pod on {}", crate::place::target(&pod).unwrap()),
                None => "create revision".to_owned(),
            }
        })
        .collect();
    lines.extend(
        plan.notes
            .iter()
            .map(|note| format!("{}: {}", note.reason, note.message)),
    );
    lines.extend(
        plan.again_after
            .map(|after| format!("again in {}", after.as_secs_f64())),
    );
    lines
}

pub(super) fn current(world: &World) -> &ControllerRevision {
    match &world.revisions.current {
        Current::There(revision) => revision,
        Current::Missing(revision) => revision,
    }
}
