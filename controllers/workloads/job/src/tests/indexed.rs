use super::{at, indexed, last_condition};
use serde_json::{Value, json};

#[test]
fn each_index_has_one_pod() {
    for (what, case, wanted) in [
        ("the lowest first", indexed(json!({})), "create 0, create 1"),
        (
            "what is free",
            indexed(json!({})).index("a", "Running", 0),
            "create 1",
        ),
        (
            "what is not done",
            indexed(json!({})).status(json!({ "completedIndexes": "0" })),
            "create 1, create 2",
        ),
        (
            "the second of an index goes, though fewer than allowed run",
            indexed(json!({ "parallelism": 3 }))
                .index("a", "Running", 1)
                .index("b", "Pending", 1),
            "free b, delete b",
        ),
        (
            "what has no index goes, and what is out of range",
            indexed(json!({}))
                .pod("a", "Running")
                .index("b", "Running", 3)
                .index("c", "Running", 0),
            "free a, free b, delete a, delete b",
        ),
        (
            "fewer completions",
            indexed(json!({ "completions": 1, "parallelism": 1 }))
                .index("a", "Running", 0)
                .index("b", "Running", 1),
            "free b, delete b",
        ),
    ] {
        assert_eq!(case.plan(), wanted, "{what}");
    }
}

#[test]
fn completions_that_go_down_and_up_take_their_indexes_with_them() {
    let down = indexed(json!({ "completions": 3, "parallelism": 3 }))
        .status(json!({ "completedIndexes": "0,2,4-6", "succeeded": 5 }));
    let next = down.next();
    assert_eq!(
        (&next["completedIndexes"], &next["succeeded"]),
        (&json!("0,2"), &json!(2))
    );
    let up = indexed(json!({ "completions": 5, "parallelism": 5 }))
        .status(json!({ "completedIndexes": "0,2", "succeeded": 2 }));
    assert_eq!(up.plan(), "create 1, create 3, create 4");
}

fn failures(index: i32, count: i32, ended: i64) -> Value {
    json!({
        "metadata": { "annotations": {
            "batch.kubernetes.io/job-completion-index": index.to_string(),
            "batch.kubernetes.io/job-index-failure-count": count.to_string(),
        } },
        "status": { "containerStatuses": [{
            "name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "terminated": { "exitCode": 1, "finishedAt": at(ended) } },
        }] },
    })
}

#[test]
fn an_index_waits_for_itself_alone() {
    let case = indexed(json!({ "backoffLimitPerIndex": 3, "parallelism": 3 }))
        .pod_with("a", "Failed", failures(0, 1, 9990))
        .pod_with("b", "Failed", failures(1, 0, 9000));
    assert_eq!(case.plan(), "create 1, create 2, again 10");
}

#[test]
fn a_failed_pod_stays_until_another_has_its_count() {
    let case = indexed(json!({ "backoffLimitPerIndex": 3, "parallelism": 1 }));
    let alone = case.clone().pod_with("a", "Failed", failures(0, 1, 9000));
    assert_eq!(alone.plan(), "create 0");
    assert_eq!(alone.next()["uncountedTerminatedPods"], json!({}));
    let replaced = alone.pod_with("b", "Running", failures(0, 2, 0));
    assert_eq!(replaced.plan(), "");
    assert_eq!(
        replaced.next()["uncountedTerminatedPods"],
        json!({ "failed": ["u-a"] })
    );
    // Of two that failed, the last one stays.
    let two = case.pod_with("a", "Failed", failures(0, 1, 9000)).pod_with(
        "b",
        "Failed",
        failures(0, 2, 9001),
    );
    assert_eq!(
        two.next()["uncountedTerminatedPods"],
        json!({ "failed": ["u-a"] })
    );
}

#[test]
fn an_index_that_has_failed_too_often_is_given_up_and_the_others_go_on() {
    let case = indexed(json!({ "backoffLimitPerIndex": 1, "parallelism": 3 })).pod_with(
        "a",
        "Failed",
        failures(0, 1, 9000),
    );
    assert_eq!(case.plan(), "create 1, create 2");
    let next = case.next();
    assert_eq!(
        (&next["failedIndexes"], &next["active"]),
        (&json!("0"), &json!(2))
    );
    assert_eq!(last_condition(&next), "");
}

#[test]
fn a_policy_can_give_an_index_up_at_once() {
    let policy = json!({ "backoffLimitPerIndex": 5, "podFailurePolicy": { "rules": [
        { "action": "FailIndex", "onExitCodes": { "operator": "In", "values": [1] } },
    ] } });
    let case = indexed(policy).pod_with("a", "Failed", failures(0, 0, 9000));
    assert_eq!(case.next()["failedIndexes"], "0");
    assert_eq!(case.plan(), "create 1, create 2");
}

/// The API server refuses a status in which an index has both failed and succeeded; upstream sends it for ever.
#[test]
fn an_index_has_failed_or_succeeded_and_not_both() {
    let case = indexed(json!({ "backoffLimitPerIndex": 0, "completions": 4 }));
    let both =
        case.clone()
            .index("a", "Succeeded", 1)
            .pod_with("b", "Failed", failures(1, 0, 9000));
    let next = both.next();
    assert_eq!(
        (&next["completedIndexes"], &next["failedIndexes"]),
        (&json!("1"), &json!(""))
    );
    let before = case
        .status(json!({ "failedIndexes": "1" }))
        .index("a", "Succeeded", 1);
    let next = before.next();
    assert!(next["completedIndexes"].is_null(), "{next}");
    assert_eq!(next["failedIndexes"], "1");
}
