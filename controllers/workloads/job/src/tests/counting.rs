use super::{Case, done, failed, indexed, job, last_condition, short};
use crate::plan;
use ::plan::{Cause, Confirm, Outcome, Verb};
use serde_json::{Value, json};

fn uncounted(succeeded: &[&str], failed: &[&str]) -> Value {
    json!({ "uncountedTerminatedPods": { "succeeded": succeeded, "failed": failed } })
}

/// The counters, and the UIDs that are written down.
fn counters(status: &Value) -> (i64, i64, String) {
    let count = |field: &str| status[field].as_i64().unwrap_or(0);
    let list = |field: &str| {
        let uids = status["uncountedTerminatedPods"][field].as_array();
        let uids = uids.into_iter().flatten().filter_map(Value::as_str);
        uids.collect::<Vec<_>>().join(" ")
    };
    let written = format!("{}|{}", list("succeeded"), list("failed"));
    (count("succeeded"), count("failed"), written)
}

fn check(case: &Case, plan: &str, after: (i64, i64, &str)) {
    let next = case.next();
    assert_eq!(case.plan(), plan);
    assert_eq!(
        counters(&next),
        (after.0, after.1, after.2.to_owned()),
        "{next}"
    );
}

#[test]
fn a_pod_is_written_down_then_let_go_then_counted() {
    let case = job(json!({ "parallelism": 1 }));
    // 1. It has ended: its UID is written down, and it keeps its finalizer.
    let first = case.clone().pod("a", "Succeeded");
    check(&first, "create", (0, 0, "u-a|"));
    // 2. The UID is known to be written: the finalizer goes, and the counter rises as the UID goes.
    let second = case
        .clone()
        .status(uncounted(&["u-a"], &[]))
        .pod("a", "Succeeded")
        .pod("b", "Running");
    check(&second, "free a", (1, 0, "|"));
    // 3. It has no finalizer: whoever sees that counts it.
    let bare = json!({ "metadata": { "finalizers": [] } });
    let third = case
        .clone()
        .status(uncounted(&["u-a"], &[]))
        .pod("b", "Running");
    check(
        &third.clone().pod_with("a", "Succeeded", bare.clone()),
        "",
        (1, 0, "|"),
    );
    check(&third, "", (1, 0, "|"));
    // 4. Never again.
    let counted = case.status(json!({ "succeeded": 1 })).pod("b", "Running");
    let counted = counted.pod_with("a", "Succeeded", bare);
    check(&counted, "", (1, 0, "|"));
}

#[test]
fn what_is_not_known_to_be_free_is_not_counted() {
    let case = job(json!({ "parallelism": 1 }))
        .status(uncounted(&["u-a"], &["u-b"]))
        .pod("a", "Succeeded")
        .pod("b", "Failed");
    let actions = plan::plan(&case.world());
    let actions: Vec<_> = actions
        .actions()
        .filter(|a| matches!(a.verb, Verb::Patch(..)))
        .collect();
    for (cause, wanted) in [
        (Cause::Transient, (0, 1, "u-a|")),
        (Cause::Conflict, (0, 1, "u-a|")),
        (Cause::Invalid, (0, 1, "u-a|")),
        (Cause::NotFound, (1, 1, "|")),
    ] {
        let outcome = Outcome {
            failures: vec![failed(actions[0], cause)],
            done: vec![done(actions[1])],
            ..Outcome::default()
        };
        let next = case.next_after(&outcome);
        let wanted = (wanted.0, wanted.1, wanted.2.to_owned());
        assert_eq!(counters(&next), wanted, "{cause:?}");
    }
}

#[test]
fn pods_on_their_way_out_have_failed_unless_only_failed_ones_are_replaced() {
    let going = json!({ "metadata": { "deletionTimestamp": "1970-01-01T02:30:00Z" } });
    let case = job(json!({ "parallelism": 1 })).pod_with("a", "Running", going.clone());
    check(&case, "create", (0, 0, "|u-a"));
    assert_eq!(case.next()["terminating"], 1);
    let case = job(json!({ "parallelism": 1, "podReplacementPolicy": "Failed" }));
    let case = case.pod_with("a", "Running", going.clone());
    check(&case, "", (0, 0, "|"));
    // One that succeeds on its way out has succeeded.
    let case = job(json!({ "parallelism": 1 })).pod_with("a", "Succeeded", going);
    check(&case, "create", (0, 0, "u-a|"));
}

#[test]
fn an_index_is_enough_of_a_note() {
    let case = indexed(json!({ "parallelism": 1 })).index("a", "Succeeded", 1);
    assert_eq!(case.plan(), "create 0");
    let next = case.next();
    assert_eq!(
        (next["completedIndexes"].as_str(), counters(&next)),
        (Some("1"), (1, 0, "|".into()))
    );
    let written = case.status(json!({ "completedIndexes": "1", "succeeded": 1 }));
    check(&written, "free a, create 0", (1, 0, "|"));
    // Another pod of that index is not one more success; one of no index is nothing.
    let twice = written
        .index("b", "Succeeded", 1)
        .index("c", "Succeeded", 7)
        .pod("d", "Failed");
    check(
        &twice,
        "free d, free a, free b, free c, create 0",
        (1, 0, "|"),
    );
}

#[test]
fn no_more_than_500_are_written_down_at_once() {
    let mut case = job(json!({ "parallelism": 600, "completions": 600 }));
    for n in 0..600 {
        case = case.pod(&format!("p{n:03}"), "Succeeded");
    }
    let next = case.next();
    let written = next["uncountedTerminatedPods"]["succeeded"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(
        (written, last_condition(&next)),
        (500, "SuccessCriteriaMet True CompletionsReached".into())
    );
    // And it is not complete before the rest is.
    let mut case = case.condition("SuccessCriteriaMet", "True", "CompletionsReached");
    case.job["status"]["uncountedTerminatedPods"] = next["uncountedTerminatedPods"].clone();
    let next = case.next();
    assert_eq!(counters(&next).0, 500);
    assert_eq!(
        next["uncountedTerminatedPods"]["succeeded"]
            .as_array()
            .unwrap()
            .len(),
        100
    );
    assert!(last_condition(&next).starts_with("SuccessCriteriaMet"));
}

#[test]
fn an_ignored_failure_is_only_replaced() {
    let policy = |action: &str| {
        json!({ "parallelism": 1, "backoffLimit": 0, "podFailurePolicy": { "rules": [
            { "action": action, "onExitCodes": { "operator": "In", "values": [1] } },
        ] } })
    };
    let case = job(policy("Ignore")).pod("a", "Failed");
    check(&case, "free a, create", (0, 0, "|"));
    let case = job(policy("Count")).pod("a", "Failed");
    assert_eq!(
        last_condition(&case.next()),
        "FailureTarget True BackoffLimitExceeded"
    );
}

#[test]
fn a_job_that_is_being_deleted_lets_its_pods_go() {
    let going = json!({ "deletionTimestamp": "1970-01-01T02:30:00Z" });
    let case = job(json!({}))
        .meta(going)
        .pod("a", "Running")
        .pod("b", "Failed");
    check(&case, "free a", (0, 0, "|u-b"));
    let case = case.status(uncounted(&[], &["u-b"]));
    check(&case, "free a, free b", (0, 1, "|"));
}

#[test]
fn an_orphan_is_adopted_with_the_finalizer_and_a_stranger_released_without() {
    let orphan = json!({ "metadata": { "ownerReferences": [], "finalizers": [] } });
    let stranger = json!({ "metadata": { "labels": { "job": "e" } } });
    let case = job(json!({}))
        .pod_with("a", "Running", orphan)
        .pod_with("b", "Running", stranger);
    assert_eq!(case.plan(), "adopt a, release b");
    assert_eq!(case.next(), Value::Null);
    let plan = plan::plan(&case.world());
    let bodies: Vec<&Value> = plan
        .actions()
        .filter_map(|action| match &action.verb {
            Verb::Patch(_, body) => Some(&body["metadata"]),
            _ => None,
        })
        .collect();
    assert_eq!(
        bodies[0]["finalizers"],
        json!(["batch.kubernetes.io/job-tracking"])
    );
    let gone = &bodies[1]["$deleteFromPrimitiveList/finalizers"];
    assert_eq!(*gone, json!(["batch.kubernetes.io/job-tracking"]));
}

/// Upstream takes the finalizer when its cache does not hold the Job, which may be newer than the cache.
#[test]
fn a_pod_of_an_earlier_job_of_this_name_is_let_go_once_that_is_known_to_be_gone() {
    let old = json!({ "metadata": { "ownerReferences": [{
        "apiVersion": "batch/v1", "kind": "Job", "name": "pi", "uid": "u-old", "controller": true,
    }] } });
    let case = job(json!({ "parallelism": 0 })).pod_with("a", "Running", old);
    let mut world = case.world();
    world.stale = std::mem::take(&mut world.pods);
    let plan = plan::plan(&world);
    assert_eq!(short(&plan), "free a");
    let action = plan.actions().next().unwrap();
    let Some(Confirm::Gone(job)) = &action.confirm else {
        unreachable!("{action}");
    };
    assert_eq!((&*job.name, &*job.uid), ("pi", "u-old"));
}

#[test]
fn failures_are_forgotten_after_a_success_and_remembered_when_pods_are_gone() {
    let later = json!({ "status": { "containerStatuses": [{
        "name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "terminated": { "exitCode": 0, "finishedAt": "1970-01-01T02:46:35Z" } },
    }] } });
    let case = job(json!({})).pod("a", "Failed").pod("b", "Failed");
    let before = case.world().memory;
    let after = case.pod_with("c", "Succeeded", later).world().memory;
    assert_ne!(before, after);
    let mut gone = job(json!({})).world().memory;
    gone.merge(&before);
    assert_eq!(gone, before);
    gone.merge(&after);
    assert_eq!(gone, after);
}
