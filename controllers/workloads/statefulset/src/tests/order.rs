//! Which pod comes and goes when.

use super::kit::{Case, ago, going, owner, pod, set, unready};
use serde_json::{Value, json};

fn parallel() -> Value {
    json!({ "spec": { "podManagementPolicy": "Parallel" } })
}

fn check(name: &str, case: Case, expected: &[&str]) {
    assert_eq!(case.planned(), expected, "{name}");
}

#[test]
fn pods_come_one_after_the_other() {
    let min_ready = json!({ "spec": { "minReadySeconds": 310 } });
    let start = json!({ "spec": { "ordinals": { "start": 5 } } });
    let ordered = || set(3, json!({}));
    for (name, case, expected) in [
        ("the first", ordered(), &["create pod/web-0"][..]),
        (
            "the next",
            ordered().ready(0..1, "v1"),
            &["create pod/web-1"],
        ),
        ("all are there", ordered().ready(0..3, "v1"), &[]),
        (
            "not before the one before is ready",
            ordered().with(0, "v1", unready()),
            &[],
        ),
        (
            "nor before it is available",
            set(3, min_ready).ready(0..1, "v1"),
            &["again in 10.000s"],
        ),
        (
            "nor while one before is on its way out",
            ordered().with(0, "v1", going()),
            &[],
        ),
        (
            "a gap is filled before anything else",
            ordered().ready(0..1, "v1").with(2, "v1", unready()),
            &["create pod/web-1"],
        ),
        (
            "ordinals may begin elsewhere",
            set(2, start),
            &["create pod/web-5"],
        ),
        ("none are wanted", set(0, json!({})), &[]),
        ("fewer than none are none", set(-3, json!({})), &[]),
    ] {
        check(name, case, expected);
    }
}

#[test]
fn pods_go_one_after_the_other_the_last_first() {
    let down = || set(1, json!({})).ready(0..1, "v1");
    for (name, case, expected) in [
        (
            "the last",
            down().ready(1..3, "v1"),
            &["delete pod/web-2 (one too many)"][..],
        ),
        (
            "not while one is on its way",
            down().ready(1..2, "v1").with(2, "v1", going()),
            &[],
        ),
        (
            "not while one that stays is not well",
            set(1, json!({})).with(0, "v1", unready()).ready(1..2, "v1"),
            &[],
        ),
        (
            "one that is not well itself may go",
            down().ready(1..2, "v1").with(2, "v1", unready()),
            &["delete pod/web-2 (one too many)"],
        ),
        (
            "but not if one before it is not well either",
            down().with(1, "v1", unready()).with(2, "v1", unready()),
            &[],
        ),
        (
            "one below the first ordinal",
            set(1, json!({ "spec": { "ordinals": { "start": 1 } } })).ready(0..2, "v1"),
            &["delete pod/web-0 (one too many)"],
        ),
    ] {
        check(name, case, expected);
    }
}

#[test]
fn in_parallel_nobody_waits() {
    check(
        "all come at once",
        set(3, parallel()),
        &["create pod/web-0", "create pod/web-1", "create pod/web-2"],
    );
    check(
        "all go at once, whatever the others do",
        set(1, parallel())
            .with(0, "v1", unready())
            .with(1, "v1", going())
            .ready(2..4, "v1"),
        &[
            "delete pod/web-3 (one too many)",
            "delete pod/web-2 (one too many)",
        ],
    );
    check(
        "coming and going",
        set(2, parallel()).ready(1..3, "v1"),
        &["create pod/web-0", "delete pod/web-2 (one too many)"],
    );
}

#[test]
fn a_plan_has_at_most_500_creations_whatever_is_asked_for() {
    let huge = json!({ "spec": {
        "podManagementPolicy": "Parallel", "ordinals": { "start": 2_147_483_647 },
    }});
    assert_eq!(set(2_147_483_647, huge).plan().len(), 500);
}

#[test]
fn a_pod_that_has_ended_is_deleted_and_comes_again_when_it_is_gone() {
    let ended = |phase: &str| json!({ "status": { "phase": phase } });
    for phase in ["Failed", "Succeeded"] {
        let case = set(2, json!({})).with(0, "v1", ended(phase));
        check(phase, case, &["delete pod/web-0 (it has ended)"]);
    }
    let mut young = ended("Failed");
    young["metadata"]["creationTimestamp"] = json!(ago(1));
    check(
        "but not at once, over and over",
        set(1, json!({})).with(0, "v1", young),
        &["again in 1.000s"],
    );
    let mut gone = ended("Failed");
    gone["metadata"]["deletionTimestamp"] = json!(ago(1));
    check(
        "it is on its way",
        set(1, json!({})).with(0, "v1", gone),
        &[],
    );
    check(
        "in parallel the others do not wait",
        set(2, parallel()).with(0, "v1", ended("Failed")),
        &["create pod/web-1", "delete pod/web-0 (it has ended)"],
    );
}

#[test]
fn who_is_whose() {
    let orphan = json!({ "metadata": { "ownerReferences": [] } });
    let adopt = r#"patch pod/web-0 {"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","blockOwnerDeletion":true,"controller":true,"kind":"StatefulSet","name":"web","uid":"set-1"}],"uid":"uid-web-0"}} if statefulset/web is alive (it matches and is nobody's)"#;
    let release = |name: &str| {
        format!(
            r#"patch pod/{name} {{"metadata":{{"ownerReferences":[{{"$patch":"delete","uid":"set-1"}}],"uid":"uid-web-0"}}}} (it does not match any more)"#
        )
    };
    let named = |name: &str| json!({ "metadata": { "name": name } });
    let other = json!({ "metadata": { "ownerReferences": [owner("v1", "X", "x", "other")] } });
    for (name, more, expected) in [
        (
            "an orphan of the right name is adopted and counts",
            orphan.clone(),
            vec![adopt.to_owned(), "create pod/web-1".to_owned()],
        ),
        (
            "an orphan of another name is nobody's business",
            json!({ "metadata": { "name": "stray-0", "ownerReferences": [] } }),
            vec!["create pod/web-0".to_owned()],
        ),
        (
            "labels that do not match any more",
            json!({ "metadata": { "labels": { "app": "water" } } }),
            vec![release("web-0"), "create pod/web-0".to_owned()],
        ),
        (
            "a name that no set gives",
            named("web-00"),
            vec![release("web-00"), "create pod/web-0".to_owned()],
        ),
        (
            "a pod of somebody else",
            other,
            vec!["create pod/web-0".to_owned()],
        ),
    ] {
        let mut case = set(2, json!({}));
        case.pods.push(pod(0, "v1", more));
        assert_eq!(case.planned(), expected, "{name}");
    }
}

#[test]
fn labels_that_say_who_it_is_are_put_back() {
    let mut case = set(1, json!({}));
    let mut nameless = pod(0, "v1", json!({}));
    nameless["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] = Value::Null;
    nameless["metadata"]["labels"]
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    case.pods.push(nameless);
    check(
        "patched",
        case,
        &[
            r#"patch pod/web-0 {"metadata":{"labels":{"apps.kubernetes.io/pod-index":"0","statefulset.kubernetes.io/pod-name":"web-0"},"uid":"uid-web-0"}} (it says who it is)"#,
        ],
    );
}

#[test]
fn a_new_pod_says_who_it_is() {
    let plan = set(4, json!({})).ready(0..3, "v1").plan();
    let action = plan.actions().next().unwrap();
    let ::plan::Verb::Create(object) = &action.verb else {
        panic!("{action}");
    };
    let made: Value = serde_json::from_str(object.json()).unwrap();
    let mut wanted = pod(3, "v1", json!({}));
    assert_eq!(made["metadata"]["labels"], wanted["metadata"]["labels"]);
    assert_eq!(
        made["metadata"]["ownerReferences"],
        wanted["metadata"]["ownerReferences"]
    );
    wanted["spec"]["hostname"] = json!("web-3");
    wanted["spec"]["subdomain"] = json!("hearth");
    assert_eq!(made["spec"], wanted["spec"]);
    let note = action.note.as_ref().unwrap();
    assert_eq!(
        (note.reason, note.message.as_str()),
        (
            "SuccessfulCreate",
            "Create Pod web-3 in StatefulSet web successful"
        )
    );
    let failure = action.on_failure.as_ref().unwrap();
    assert_eq!(
        (failure.reason, failure.message.as_str()),
        (
            "FailedCreate",
            "Create Pod web-3 in StatefulSet web failed error"
        )
    );
}

#[test]
fn a_set_that_is_being_deleted_makes_and_deletes_nothing() {
    let case = set(3, going()).ready(0..1, "v1").with(7, "v1", json!({}));
    assert!(case.plan().is_empty());
}

#[test]
fn what_cannot_be_worked_with_is_named() {
    let near = json!({ "spec": { "selector": { "matchExpressions": [{ "key": "app", "operator": "Near" }] } } });
    let most =
        json!({ "spec": { "updateStrategy": { "rollingUpdate": { "maxUnavailable": "many" } } } });
    let mut all = set(3, json!({}));
    all.set["spec"]["selector"] = json!({});
    for (case, expected) in [
        (
            set(3, near),
            "note Warning InvalidSelector: spec.selector: ",
        ),
        (all, "note Warning InvalidSelector: spec.selector: an empty"),
        (
            set(3, most),
            "note Warning InvalidSpec: spec.updateStrategy.rollingUpdate.maxUnavailable: \"many\"",
        ),
    ] {
        let lines = case.planned();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(expected), "{lines:?}");
        assert!(case.status(&::plan::Outcome::default()).is_none());
    }
}
