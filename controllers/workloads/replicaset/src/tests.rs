#![allow(clippy::unwrap_used, clippy::panic)]

use crate::{ReplicaSetController, World};
use ::plan::{Cause, Failure, Kind, Outcome, Reference, Turn};
use jiff::{SignedDuration, Timestamp};
use json_patch::merge;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use runtime::{Controller, Moment};
use serde_json::{Value, json};
use std::sync::Arc;

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> String {
    (now() - SignedDuration::from_secs(seconds)).to_string()
}

fn set(replicas: i32, more: Value) -> Arc<ReplicaSet> {
    let mut set = json!({
        "metadata": {"name": "hearth", "namespace": "shop", "uid": "rs-1", "generation": 3},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "fire"}},
            "template": {
                "metadata": {"labels": {"app": "fire"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
    });
    merge(&mut set, &more);
    Arc::new(serde_json::from_value(set).unwrap())
}

fn pod(name: &str, more: Value) -> Arc<Pod> {
    let mut pod = json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-{name}"),
            "labels": {"app": "fire"}, "creationTimestamp": ago(600),
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "hearth", "uid": "rs-1", "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {"containers": [], "nodeName": "n1"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": ago(300)}]},
    });
    merge(&mut pod, &more);
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn world(set: Arc<ReplicaSet>, pods: Vec<Arc<Pod>>) -> World<ReplicaSet> {
    World::new(
        set,
        pods,
        Moment {
            now: now(),
            seed: 7,
        },
    )
}

/// The plan as text, with the chosen suffixes of names left out.
fn planned(world: &World<ReplicaSet>) -> Vec<String> {
    let text = ReplicaSetController::plan(world).to_string();
    text.lines()
        .map(|line| match line.split_once("create pod/hearth-") {
            Some(("", _)) => "create pod/hearth-*".to_owned(),
            _ => line.to_owned(),
        })
        .collect()
}

const READY_FALSE: &str = r#"{"status":{"conditions":[{"type":"Ready","status":"False"}]}}"#;

fn unready() -> Value {
    serde_json::from_str(READY_FALSE).unwrap()
}

#[test]
fn missing_pods_are_created_with_names_of_their_own() {
    let world = world(set(3, json!({})), vec![pod("a", json!({}))]);
    assert_eq!(
        planned(&world),
        ["create pod/hearth-*", "create pod/hearth-*"]
    );
    let plan = ReplicaSetController::plan(&world);
    let names: Vec<_> = plan.actions().map(|a| a.on.name.clone()).collect();
    assert_ne!(names[0], names[1]);
    assert!(names.iter().all(|name| name.len() == "hearth-".len() + 5));
}

#[test]
fn a_converged_set_has_an_empty_plan() {
    let world = world(
        set(2, json!({})),
        vec![pod("a", json!({})), pod("b", json!({}))],
    );
    assert!(ReplicaSetController::plan(&world).is_empty());
}

#[test]
fn a_plan_has_at_most_500_creations() {
    assert_eq!(
        ReplicaSetController::plan(&world(set(1200, json!({})), vec![])).len(),
        500
    );
}

#[test]
fn too_many_pods_are_deleted_the_unready_first() {
    let world = world(
        set(1, json!({})),
        vec![
            pod("a", json!({})),
            pod("b", unready()),
            pod("c", json!({})),
        ],
    );
    let lines = planned(&world);
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], "delete pod/b");
}

#[test]
fn pods_go_first_from_the_node_with_most_neighbours() {
    let mut world = world(
        set(1, json!({})),
        vec![
            pod("a", json!({})),
            pod("b", json!({"spec": {"nodeName": "crowded"}})),
        ],
    );
    world.neighbours = [("n1".to_owned(), 1), ("crowded".to_owned(), 5)].into();
    assert_eq!(planned(&world), ["delete pod/b"]);
}

#[test]
fn who_is_whose() {
    let orphan = json!({"metadata": {"ownerReferences": []}});
    let stranger = json!({"metadata": {"labels": {"app": "water"}}});
    for (name, more, replicas, expected) in [
        (
            "an orphan that matches is adopted and counts",
            orphan.clone(),
            1,
            vec![
                r#"patch pod/x {"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","blockOwnerDeletion":true,"controller":true,"kind":"ReplicaSet","name":"hearth","uid":"rs-1"}],"uid":"uid-x"}} if replicaset/hearth is alive (it matches and is nobody's)"#,
            ],
        ),
        (
            "a pod that does not match any more is released and replaced",
            stranger,
            1,
            vec![
                r#"patch pod/x {"metadata":{"ownerReferences":[{"$patch":"delete","uid":"rs-1"}],"uid":"uid-x"}} (it does not match any more)"#,
                "create pod/hearth-*",
            ],
        ),
        (
            "a pod of somebody else is left alone",
            json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "other", "controller": true}]}}),
            0,
            vec![],
        ),
        (
            "a pod that is being deleted does not count",
            json!({"metadata": {"deletionTimestamp": ago(1)}}),
            1,
            vec!["create pod/hearth-*"],
        ),
        (
            "an orphan that is being deleted is not adopted",
            json!({"metadata": {"ownerReferences": [], "deletionTimestamp": ago(1)}}),
            0,
            vec![],
        ),
    ] {
        let world = world(set(replicas, json!({})), vec![pod("x", more)]);
        assert_eq!(planned(&world), expected, "{name}");
    }
}

#[test]
fn a_set_that_is_being_deleted_makes_and_deletes_nothing() {
    let going = json!({"metadata": {"deletionTimestamp": ago(1)}});
    assert!(
        ReplicaSetController::plan(&world(set(3, going), vec![pod("a", json!({}))])).is_empty()
    );
}

#[test]
fn a_selector_that_cannot_be_read_is_told_and_nothing_else_happens() {
    let broken =
        json!({"spec": {"selector": {"matchExpressions": [{"key": "app", "operator": "Near"}]}}});
    let world = world(set(3, broken), vec![]);
    let lines = planned(&world);
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("note Warning InvalidSelector: spec.selector: "),
        "{lines:?}"
    );
}

#[test]
fn pods_that_fail_at_once_are_replaced_more_and_more_slowly() {
    let failed = |age: i64| json!({"metadata": {"creationTimestamp": ago(age)}, "status": {"phase": "Failed", "startTime": ago(age)}});
    // (failed pods, seconds since the last failed, wait in seconds)
    for (failures, age, wait) in [
        (0, 0, 0),
        (1, 0, 1),
        (2, 0, 2),
        (3, 1, 3),
        (5, 0, 16),
        (30, 0, 300),
        (3, 5, 0),
    ] {
        let pods = (0..failures)
            .map(|n| pod(&format!("f{n}"), failed(age)))
            .collect();
        let plan = ReplicaSetController::plan(&world(set(1, json!({})), pods));
        let waited = plan.again_after.map_or(0, |d| d.as_secs());
        assert_eq!(
            (waited, plan.len()),
            (wait, usize::from(wait == 0)),
            "{failures} failed {age} s ago"
        );
    }
}

#[test]
fn pods_that_worked_before_they_failed_are_replaced_at_once() {
    let evicted = json!({"status": {"phase": "Failed", "reason": "Evicted", "startTime": ago(600), "containerStatuses": [
        {"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 137, "finishedAt": ago(1)}}}]}});
    let pods = (0..20)
        .map(|n| pod(&format!("e{n}"), evicted.clone()))
        .collect();
    assert_eq!(
        ReplicaSetController::plan(&world(set(1, json!({})), pods)).len(),
        1
    );
}

#[test]
fn it_looks_again_when_the_next_pod_becomes_available() {
    let min_ready = json!({"spec": {"minReadySeconds": 310}});
    let world = world(set(1, min_ready), vec![pod("a", json!({}))]);
    let plan = ReplicaSetController::plan(&world);
    assert_eq!(plan.again_after.map(|d| d.as_secs()), Some(10));
}

fn status_of(world: &World<ReplicaSet>, outcome: &Outcome) -> Option<Value> {
    let object = ReplicaSetController::status(world, outcome)?;
    let set = object.read::<ReplicaSet>()?;
    Some(serde_json::to_value(&set.status).unwrap())
}

#[test]
fn the_status_counts() {
    let world = world(
        set(
            3,
            json!({"spec": {"minReadySeconds": 200, "template": {"metadata": {"labels": {"tier": "web"}}}}}),
        ),
        vec![
            pod(
                "available",
                json!({"metadata": {"labels": {"tier": "web"}}}),
            ),
            pod(
                "fresh",
                json!({"status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": ago(5)}]}}),
            ),
            pod("unready", unready()),
            pod(
                "leaving",
                json!({"metadata": {"deletionTimestamp": ago(1)}}),
            ),
            pod("failed", json!({"status": {"phase": "Failed"}})),
        ],
    );
    assert_eq!(
        status_of(&world, &Outcome::default()),
        Some(json!({
            "replicas": 3, "fullyLabeledReplicas": 1, "readyReplicas": 2, "availableReplicas": 1,
            "terminatingReplicas": 1, "observedGeneration": 3,
        }))
    );
}

#[test]
fn a_status_that_is_right_is_not_written() {
    let right =
        json!({"status": {"replicas": 0, "terminatingReplicas": 0, "observedGeneration": 3}});
    assert_eq!(
        status_of(&world(set(0, right), vec![]), &Outcome::default()),
        None
    );
}

#[test]
fn a_refused_creation_is_a_condition_until_one_succeeds() {
    let refused = |cause| Outcome {
        failures: vec![Failure {
            on: Reference::to(&*pod("new", json!({}))),
            verb: "create",
            cause,
            message: "exceeded quota".into(),
        }],
        ..Outcome::default()
    };
    let status = status_of(
        &world(set(1, json!({})), vec![]),
        &refused(Cause::Forbidden),
    )
    .unwrap();
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

    let ending = status_of(
        &world(set(1, json!({})), vec![]),
        &refused(Cause::NamespaceTerminating),
    )
    .unwrap();
    assert_eq!(
        ending["conditions"],
        Value::Null,
        "a namespace that ends is no failure"
    );

    let failing = set(1, json!({"status": status}));
    let held = status_of(&world(failing.clone(), vec![]), &Outcome::held());
    assert_eq!(held, None, "nothing was tried, so nothing is known");
    let healed = status_of(
        &world(failing, vec![pod("a", json!({}))]),
        &Outcome::default(),
    )
    .unwrap();
    assert_eq!(healed["conditions"], Value::Null);
}

#[test]
fn the_order_of_the_pods_does_not_matter() {
    let pods: Vec<_> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| pod(name, json!({})))
        .collect();
    let mut reversed = pods.clone();
    reversed.reverse();
    assert_eq!(
        planned(&world(set(2, json!({})), pods)),
        planned(&world(set(2, json!({})), reversed))
    );
}

#[test]
fn how_old_the_pods_are_that_go_is_measured_where_there_is_a_choice() {
    let aged = |name: &str, seconds: i64| {
        pod(
            name,
            json!({"metadata": {"creationTimestamp": ago(seconds)}}),
        )
    };
    let measured = |replicas: i32, pods: Vec<Arc<Pod>>| -> Vec<String> {
        let world = world(set(replicas, json!({})), pods);
        let plan = ReplicaSetController::plan(&world);
        let outcome = Outcome::of(&plan);
        let samples = ReplicaSetController::measure(&world, &Turn::new(&plan, &outcome, now()));
        samples.iter().map(ToString::to_string).collect()
    };
    let pods = || vec![aged("a", 600), aged("b", 900), aged("c", 2400)];
    let ratio = "replicaset_controller_sorting_deletion_age_ratio";
    assert_eq!(measured(2, pods()), [format!("{ratio} 1")]);
    assert_eq!(
        measured(1, pods()),
        [format!("{ratio} 1"), format!("{ratio} 1.5")]
    );
    // All go, or none does, or nobody is ready: there is nothing to compare.
    assert!(measured(0, pods()).is_empty());
    assert!(measured(3, pods()).is_empty());
    assert!(measured(1, vec![pod("a", unready()), pod("b", unready())]).is_empty());
    // It was made in this very moment.
    assert_eq!(
        measured(1, vec![aged("a", 0), aged("b", 0)]),
        [format!("{ratio} 1")]
    );
    assert_eq!(
        ReplicaSetController::held(Kind::of::<ReplicaSet>())
            .unwrap()
            .to_string(),
        r#"replicaset_controller_stale_sync_skips_total{group="apps",resource="replicasets"} 1"#
    );
}
