//! Rolling updates.

use super::kit::{Case, ago, going, set, unready};
use serde_json::{Value, json};

/// Five pods of `v1` are there and `v2` is wanted.
fn rollout(strategy: Value) -> Case {
    let case = set(5, json!({})).revision("v2", 2, json!({}));
    case.wants("v2", "v1")
        .spec(json!({ "updateStrategy": strategy }))
}

fn partition(partition: i64) -> Value {
    json!({ "rollingUpdate": { "partition": partition } })
}

const OLD: &str = "(of an old revision)";

fn deletes(ordinals: &[i64]) -> Vec<String> {
    let lines = ordinals.iter();
    lines.map(|n| format!("delete pod/web-{n} {OLD}")).collect()
}

#[test]
fn pods_are_updated_from_the_highest_down() {
    let plain = || rollout(json!({}));
    for (name, case, expected) in [
        ("the highest", plain().ready(0..5, "v1"), deletes(&[4])),
        (
            "the next",
            plain().ready(0..3, "v1").ready(3..5, "v2"),
            deletes(&[2]),
        ),
        (
            "not before the one above is ready",
            plain().ready(0..4, "v1").with(4, "v2", unready()),
            vec![],
        ),
        (
            "nor while one is on its way out",
            plain().ready(0..4, "v1").with(4, "v1", going()),
            vec![],
        ),
        (
            "nor while one below is not well",
            plain().with(0, "v1", unready()).ready(1..5, "v1"),
            vec![],
        ),
        ("all are", plain().ready(0..5, "v2"), vec![]),
        (
            "down to the partition",
            rollout(partition(3)).ready(0..3, "v1").ready(3..5, "v2"),
            vec![],
        ),
        (
            "no partition can be too high",
            rollout(partition(2_147_483_647)).ready(0..5, "v1"),
            vec![],
        ),
        (
            "nobody but the user updates",
            rollout(json!({ "type": "OnDelete", "rollingUpdate": null })).ready(0..5, "v1"),
            vec![],
        ),
    ] {
        assert_eq!(case.planned(), expected, "{name}");
    }
}

#[test]
fn a_partition_counts_from_the_first_ordinal() {
    let case = rollout(partition(3)).spec(json!({ "ordinals": { "start": 10 } }));
    let case = case.ready(10..15, "v1");
    assert_eq!(case.planned(), deletes(&[14]));
    let case = rollout(partition(5)).spec(json!({ "ordinals": { "start": 10 } }));
    assert!(case.ready(10..15, "v1").planned().is_empty());
}

#[test]
fn too_many_go_before_the_others_are_updated() {
    let case = rollout(json!({})).ready(0..6, "v1");
    assert_eq!(case.planned(), ["delete pod/web-5 (one too many)"]);
}

#[test]
fn so_many_at_a_time_as_may_be_unavailable() {
    let most = |most: Value| json!({ "rollingUpdate": { "partition": 1, "maxUnavailable": most } });
    let parallel = json!({ "podManagementPolicy": "Parallel" });
    for (name, max, down, expected) in [
        ("two", json!(2), 0, vec![4, 3]),
        ("a share, rounded down", json!("59%"), 0, vec![4, 3]),
        ("at least one", json!("1%"), 0, vec![4]),
        (
            "all down to the partition",
            json!("100%"),
            0,
            vec![4, 3, 2, 1],
        ),
        ("one is unavailable already", json!(2), 1, vec![4]),
        ("two are", json!(2), 2, vec![]),
    ] {
        let mut case = rollout(most(max)).spec(parallel.clone());
        for ordinal in 0..5 {
            let more = if ordinal < down { unready() } else { json!({}) };
            case = case.with(ordinal, "v1", more);
        }
        assert_eq!(case.planned(), deletes(&expected), "{name}");
    }
}

#[test]
fn a_new_pod_is_of_the_revision_that_its_place_has() {
    let none = json!({ "rollingUpdate": null });
    let on_delete = json!({ "type": "OnDelete", "rollingUpdate": null });
    // (strategy, images of the pods that are there, the image of the missing one)
    for (strategy, pods, expected) in [
        (partition(0), "1-111", "v2"),
        (partition(2), "1-122", "v1"),
        (partition(2), "11-22", "v2"),
        (none.clone(), "1-111", "v1"),
        (none.clone(), "1-112", "v1"),
        (none.clone(), "11-22", "v2"),
        (none.clone(), "1111-", "v2"),
        (none, "-2222", "v2"),
        (on_delete, "1-111", "v2"),
    ] {
        let mut case = rollout(strategy.clone()).spec(json!({ "podManagementPolicy": "Parallel" }));
        for (ordinal, image) in pods.chars().enumerate() {
            if image != '-' {
                case = case.with(ordinal as i64, &format!("v{image}"), json!({}));
            }
        }
        let images: Vec<_> = case.created().into_iter().map(|(_, image)| image).collect();
        assert_eq!(images, [expected], "{strategy} {pods}");
    }
}

#[test]
fn an_update_waits_for_availability_and_looks_again_in_time() {
    let young = json!({ "status": { "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": ago(4) }] } });
    let case = rollout(json!({})).spec(json!({ "minReadySeconds": 10 }));
    let case = case.ready(0..4, "v1").with(4, "v2", young);
    assert_eq!(case.planned(), ["again in 6.000s"]);
}
