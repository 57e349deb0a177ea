//! ReplicationControllers: what is as with ReplicaSets, and what is not.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::{ReplicationManager, World};
use ::plan::{Cause, Failure, Outcome, Reference};
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use runtime::{Controller, Moment};
use serde_json::{Value, json};
use std::sync::Arc;

fn controller(spec: Value, status: Value) -> Arc<ReplicationController> {
    let controller = json!({
        "metadata": {"name": "hearth", "namespace": "shop", "uid": "rc-1", "generation": 3},
        "spec": spec,
        "status": status,
    });
    Arc::new(serde_json::from_value(controller).unwrap())
}

fn spec(replicas: i32) -> Value {
    json!({
        "replicas": replicas,
        "selector": {"app": "fire"},
        "template": {
            "metadata": {"labels": {"app": "fire"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        },
    })
}

fn pod(name: &str, labels: Value, owner: Option<&str>) -> Arc<Pod> {
    let owners: Vec<Value> = owner
        .map(|uid| json!({"apiVersion": "v1", "kind": "ReplicationController", "name": "hearth", "uid": uid, "controller": true}))
        .into_iter()
        .collect();
    let pod = json!({
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "labels": labels, "ownerReferences": owners},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn world(set: Arc<ReplicationController>, pods: Vec<Arc<Pod>>) -> World<ReplicationController> {
    let now = "2026-01-01T12:00:00Z".parse().unwrap();
    World::new(set, pods, Moment { now, seed: 7 })
}

fn status_of(world: &World<ReplicationController>, outcome: &Outcome) -> Option<Value> {
    let object = ReplicationManager::status(world, outcome)?;
    let set = object.read::<ReplicationController>()?;
    Some(serde_json::to_value(&set.status).unwrap())
}

#[test]
fn pods_say_that_a_replication_controller_made_them() {
    let plan = ReplicationManager::plan(&world(controller(spec(1), json!({})), vec![]));
    let create = plan.actions().next().unwrap();
    let ::plan::Verb::Create(pod) = &create.verb else {
        panic!("{plan}");
    };
    let pod = pod.read::<Pod>().unwrap();
    let owner = &pod.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!(
        (owner.api_version.as_str(), owner.kind.as_str()),
        ("v1", "ReplicationController")
    );
    assert_eq!(pod.metadata.generate_name.as_deref(), Some("hearth-"));
    assert_eq!(create.note.as_ref().unwrap().about.kind.kind, owner.kind);
}

#[test]
fn orphans_that_match_the_map_are_adopted_and_others_released() {
    let fire = || json!({"app": "fire", "tier": "web"});
    let pods = vec![
        pod("a", fire(), None),
        pod("b", json!({"app": "water"}), Some("rc-1")),
        pod("c", fire(), Some("other")),
        pod("d", json!({"app": "water"}), None),
    ];
    let plan = ReplicationManager::plan(&world(controller(spec(1), json!({})), pods));
    let on: Vec<_> = plan.actions().map(|a| a.on.name.as_str()).collect();
    assert_eq!(on, ["a", "b"], "{plan}");
}

#[test]
fn without_a_selector_it_takes_no_pods() {
    let mut spec = spec(3);
    spec["selector"] = json!({});
    let world = world(
        controller(spec, json!({})),
        vec![pod("a", json!({"app": "fire"}), None)],
    );
    let plan = ReplicationManager::plan(&world);
    assert_eq!(
        plan.to_string(),
        "note Warning InvalidSelector: spec.selector: matchLabels: no label is asked for"
    );
    assert_eq!(status_of(&world, &Outcome::default()), None);
}

#[test]
fn its_status_says_nothing_of_pods_on_their_way_out() {
    let own = || Some("rc-1");
    let mut leaving = Pod::clone(&pod("b", json!({"app": "fire"}), own()));
    leaving.metadata.deletion_timestamp =
        serde_json::from_value(json!("2026-01-01T11:59:59Z")).unwrap();
    let pods = vec![pod("a", json!({"app": "fire"}), own()), Arc::new(leaving)];
    let counted = world(controller(spec(1), json!({})), pods.clone());
    let status = json!({
        "replicas": 1, "fullyLabeledReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
        "observedGeneration": 3,
    });
    assert_eq!(
        status_of(&counted, &Outcome::default()),
        Some(status.clone())
    );
    let right = world(controller(spec(1), status), pods);
    assert_eq!(status_of(&right, &Outcome::default()), None);
}

#[test]
fn a_refused_creation_is_a_condition_until_one_succeeds() {
    let refused = Outcome {
        failures: vec![Failure {
            on: Reference::to(&*pod("new", json!({}), None)),
            verb: "create",
            cause: Cause::Forbidden,
            message: "exceeded quota".into(),
        }],
        ..Outcome::default()
    };
    let status = status_of(&world(controller(spec(1), json!({})), vec![]), &refused).unwrap();
    let condition = &status["conditions"][0];
    assert_eq!(
        (
            &condition["type"],
            &condition["reason"],
            &condition["message"]
        ),
        (
            &json!("ReplicaFailure"),
            &json!("FailedCreate"),
            &json!("exceeded quota")
        )
    );
    let failing = world(controller(spec(1), status), vec![]);
    assert_eq!(
        status_of(&failing, &refused),
        None,
        "it is said once, not at each try"
    );
    let healed = status_of(&failing, &Outcome::default()).unwrap();
    assert_eq!(healed["conditions"], Value::Null);
}
