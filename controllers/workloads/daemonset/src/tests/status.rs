use super::kit::*;
use crate::{World, status};
use ::plan::Outcome;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use serde_json::{Value, json};
use std::sync::Arc;

fn reported(world: &World) -> Option<DaemonSetStatus> {
    status(world, &Outcome::default()).and_then(|set| set.status)
}

fn counts(world: &World) -> Value {
    serde_json::to_value(reported(world).unwrap()).unwrap()
}

#[test]
fn each_counter_counts_its_own() {
    let mut all = nodes(5);
    all.push(node(
        "n6",
        json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}}),
    ));
    let just = json!({"status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": ago(3)}]}});
    let old = pod("d", "n4", "h0", json!({}));
    let pods = vec![
        fresh("a", "n1"),
        pod("b", "n2", "h1", just),
        pod("c", "n3", "h1", unready()),
        old,
        // Younger than the first of its node, so it does not count.
        pod(
            "a2",
            "n1",
            "h1",
            json!({"metadata": {"creationTimestamp": ago(5)}, "status": {"conditions": []}}),
        ),
        fresh("f", "n6"),
    ];
    let world = world(set(json!({"minReadySeconds": 10})), &all, pods, recorded());
    assert_eq!(
        counts(&world),
        json!({
            "desiredNumberScheduled": 5, "currentNumberScheduled": 4, "numberMisscheduled": 1,
            "numberReady": 3, "numberAvailable": 2, "numberUnavailable": 3,
            "updatedNumberScheduled": 3, "observedGeneration": 2,
        })
    );
}

#[test]
fn a_status_that_is_right_is_not_written() {
    let world_of = |set: Arc<DaemonSet>| world(set, &nodes(1), vec![fresh("a", "n1")], recorded());
    let mut right = (*set(json!({}))).clone();
    right.status = reported(&world_of(set(json!({}))));
    // As the API server gives it back: without zeros.
    let status = right.status.as_mut().unwrap();
    status.number_unavailable = None;
    status.collision_count = Some(3);
    assert!(reported(&world_of(Arc::new(right.clone()))).is_none());
    right.metadata.generation = Some(3);
    let next = reported(&world_of(Arc::new(right))).unwrap();
    assert_eq!(
        (next.observed_generation, next.collision_count),
        (Some(3), Some(3))
    );
}

#[test]
fn failures_do_not_keep_the_status_from_being_told() {
    let world = world(set(json!({})), &nodes(2), vec![], recorded());
    let told = status(
        &world,
        &Outcome {
            skipped: 2,
            ..Outcome::default()
        },
    )
    .unwrap();
    assert_eq!(told.status.unwrap().desired_number_scheduled, 2);
}
