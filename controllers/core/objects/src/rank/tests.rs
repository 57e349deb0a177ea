#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use json_patch::merge;
use k8s_openapi::api::core::v1::Pod;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Ranked, deletion_order};

const NOW: i64 = 1_000_000;

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A pod named by its UID, running and ready on a node, with what is given put over it.
fn pod(uid: &str, over: Value) -> Pod {
    let mut pod = json!({
        "metadata": {"uid": uid, "creationTimestamp": second(NOW - 1000).to_string()},
        "spec": {"containers": [], "nodeName": "n"},
        "status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": second(NOW - 1000).to_string()},
        ]},
    });
    merge(&mut pod, &over);
    serde_json::from_value(pod).unwrap()
}

fn order(pods: &[(Pod, usize)]) -> Vec<&str> {
    let mut ranked: Vec<_> = pods
        .iter()
        .map(|(pod, rank)| Ranked { pod, rank: *rank })
        .collect();
    deletion_order(&mut ranked, second(NOW));
    ranked
        .iter()
        .map(|ranked| ranked.pod.metadata.uid.as_deref().unwrap())
        .collect()
}

fn ready_for(seconds: i64) -> Value {
    let since = second(NOW - seconds).to_string();
    json!({"status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since}]}})
}

fn not_ready() -> Value {
    json!({"status": {"conditions": []}})
}

fn cost(cost: &str) -> Value {
    json!({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": cost}}})
}

fn restarted(times: i32) -> Value {
    let status =
        json!({"name": "c", "restartCount": times, "ready": true, "image": "", "imageID": ""});
    json!({"status": {"containerStatuses": [status]}})
}

fn sidecar_restarted(times: i32) -> Value {
    let status =
        json!({"name": "s", "restartCount": times, "ready": true, "image": "", "imageID": ""});
    json!({
        "spec": {"initContainers": [{"name": "s", "restartPolicy": "Always"}]},
        "status": {"initContainerStatuses": [status]},
    })
}

fn created(seconds_ago: i64) -> Value {
    json!({"metadata": {"creationTimestamp": second(NOW - seconds_ago).to_string()}})
}

/// Each rule decides against all rules after it. The pod to go first has the greater UID, so that the UID never helps.
#[test]
fn each_rule_tells_two_pods_apart() {
    let phase = |phase: &str| json!({"status": {"phase": phase}});
    let unassigned = json!({"spec": {"nodeName": null}});
    for (rule, first, second) in [
        ("1", (unassigned, 0), (not_ready(), 9)),
        ("2 pending", (phase("Pending"), 0), (phase("Unknown"), 9)),
        ("2 unknown", (phase("Unknown"), 0), (phase("Running"), 9)),
        ("3", (not_ready(), 0), (cost("-5"), 9)),
        ("4", (cost("-5"), 0), (cost("5"), 9)),
        ("4 absent is zero", (json!({}), 0), (cost("5"), 9)),
        ("5", (ready_for(9000), 2), (ready_for(10), 1)),
        ("6", (ready_for(10), 1), (ready_for(9000), 1)),
        ("7", (restarted(3), 1), (restarted(2), 1)),
        (
            "7 sidecars after containers",
            (restarted(1), 1),
            (sidecar_restarted(9), 1),
        ),
        (
            "7 sidecars",
            (sidecar_restarted(2), 1),
            (sidecar_restarted(1), 1),
        ),
        ("8", (created(10), 1), (created(9000), 1)),
        (
            "8 without time",
            (json!({"metadata": {"creationTimestamp": null}}), 1),
            (created(1), 1),
        ),
    ] {
        let pods = [(pod("a", second.0), second.1), (pod("z", first.0), first.1)];
        assert_eq!(order(&pods), ["z", "a"], "rule {rule}");
    }
}

#[test]
fn ages_of_one_magnitude_are_told_apart_by_uid() {
    // 2^40 ns is about 1100 s, 2^41 ns about 2199 s.
    let ready = |younger, older| {
        order(&[
            (pod("z", ready_for(younger)), 1),
            (pod("a", ready_for(older)), 1),
        ])
        .concat()
    };
    assert_eq!(ready(1200, 2100), "az");
    assert_eq!(ready(1200, 2300), "za");
    // The UID ends it: restarts do not count any more.
    let mut restarted_one = ready_for(1200);
    merge(&mut restarted_one, &restarted(9));
    assert_eq!(
        order(&[(pod("z", restarted_one), 1), (pod("a", ready_for(2100)), 1)]),
        ["a", "z"]
    );
    let created_order =
        order(&[(pod("z", created(1200)), 1), (pod("a", created(2100)), 1)]).concat();
    assert_eq!(created_order, "az");
}

#[test]
fn a_clock_that_lags_is_no_harm() {
    let pods = [(pod("a", ready_for(5)), 1), (pod("z", ready_for(-60)), 1)];
    assert_eq!(order(&pods), ["z", "a"]);
}

#[test]
fn where_upstream_contradicts_itself_one_order_holds() {
    // By upstream z < b (restarts), b < c and c < z (UID, other ready time).
    let mut z = ready_for(1200);
    merge(&mut z, &restarted(5));
    let pods = [
        (pod("z", z), 1),
        (pod("b", ready_for(1200)), 1),
        (pod("c", ready_for(1300)), 1),
    ];
    assert_eq!(order(&pods), ["z", "b", "c"]);
}

fn any_pod() -> impl Strategy<Value = (Pod, usize)> {
    let time = prop::sample::select(vec![10_i64, 1200, 1300, 2300, -1]);
    (
        "[a-f]{3}",
        any::<bool>(),
        time.clone(),
        0..3_i32,
        time,
        0..2_usize,
    )
        .prop_map(|(uid, is_ready, ready, restarts, age, rank)| {
            let mut over = if is_ready {
                ready_for(ready)
            } else {
                not_ready()
            };
            merge(&mut over, &restarted(restarts));
            merge(&mut over, &created(age));
            (pod(&uid, over), rank)
        })
}

proptest! {
    #[test]
    fn the_order_does_not_depend_on_the_list(pods in prop::collection::vec(any_pod(), 0..12)) {
        let mut pods = pods;
        pods.sort_by(|(a, _), (b, _)| a.metadata.uid.cmp(&b.metadata.uid));
        pods.dedup_by(|(a, _), (b, _)| a.metadata.uid == b.metadata.uid);
        let forward: Vec<_> = order(&pods).into_iter().map(str::to_owned).collect();
        pods.reverse();
        prop_assert_eq!(forward, order(&pods));
    }
}
