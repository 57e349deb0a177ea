//! Rollouts that went wrong and are mended by another template (kubernetes#67250).

use super::kit::{Case, ago, broken, going, merge, set, unready};
use serde_json::{Value, json};

/// Three pods; the update to `bad` is given up for `v3`.
fn mended() -> Case {
    let case = set(3, json!({}))
        .revision("bad", 2, json!({}))
        .revision("v3", 3, json!({}));
    case.wants("v3", "v1")
}

fn running(restarts: i32, started: i64, unready_since: i64) -> Value {
    json!({ "status": {
        "phase": "Running", "startTime": ago(started),
        "conditions": [{ "type": "Ready", "status": "False", "lastTransitionTime": ago(unready_since) }],
        "containerStatuses": [{ "name": "c", "image": "x", "imageID": "", "ready": false, "restartCount": restarts,
            "state": { "running": { "startedAt": ago(5) } } }],
    }})
}

const REPLACED: &str = "delete pod/web-2 (broken, and of a revision that is not wanted)";

#[test]
fn a_pod_that_never_worked_is_replaced_when_its_revision_is_not_wanted_any_more() {
    for (name, more, expected) in [
        ("its image cannot be pulled", broken(), &[REPLACED][..]),
        (
            "no node takes it",
            json!({ "status": { "phase": "Pending", "startTime": null, "conditions": [] } }),
            &[REPLACED],
        ),
        (
            "it ends and is started again",
            running(2, 60, 60),
            &[REPLACED],
        ),
        (
            "it runs, and may become ready yet",
            running(0, 60, 60),
            &["again in 540.000s"],
        ),
        ("it has had its time", running(0, 600, 600), &[REPLACED]),
        (
            "it was ready once: it may hold the last copy of something",
            running(2, 60, 30),
            &[],
        ),
        ("it was ready for long", unready(), &[]),
    ] {
        let case = mended().ready(0..2, "v1").with(2, "bad", more);
        assert_eq!(case.planned(), expected, "{name}");
    }
}

#[test]
fn it_is_deleted_only_as_it_was_seen() {
    let plan = mended().ready(0..2, "v1").with(2, "bad", broken()).plan();
    let action = plan.actions().next().unwrap();
    let ::plan::Verb::Delete {
        resource_version, ..
    } = &action.verb
    else {
        panic!("{action}");
    };
    assert_eq!(resource_version.as_deref(), Some("7"));
    assert_eq!(action.on.uid, "uid-web-2");
}

#[test]
fn it_comes_again_from_the_template_that_is_wanted() {
    let case = mended().ready(0..2, "v1");
    assert_eq!(case.created(), [("web-2".to_owned(), "v3".to_owned())]);
}

#[test]
fn a_set_that_never_worked_is_mended_from_its_first_pod() {
    let case = set(3, json!({})).revision("bad", 1, json!({}));
    let case = case.wants("v3", "bad").revision("v3", 3, json!({}));
    let case = case.with(0, "bad", broken());
    assert_eq!(
        case.planned(),
        ["delete pod/web-0 (broken, and of a revision that is not wanted)"]
    );
}

#[test]
fn what_is_wanted_or_decided_by_the_user_stays() {
    let mut on_its_way = broken();
    merge(&mut on_its_way, &going());
    let on_delete = json!({ "updateStrategy": { "type": "OnDelete", "rollingUpdate": null } });
    let partition = json!({ "updateStrategy": { "rollingUpdate": { "partition": 3 } } });
    let mut kept = mended().spec(partition);
    kept.set["status"]["currentRevision"] = json!(super::kit::revision("bad"));
    for (name, case) in [
        ("of the wanted revision", mended().with(2, "v3", broken())),
        (
            "of the revision that its place keeps",
            kept.with(2, "bad", broken()),
        ),
        ("on its way", mended().with(2, "bad", on_its_way)),
        (
            "OnDelete",
            mended().spec(on_delete).with(2, "bad", broken()),
        ),
    ] {
        let planned = case.ready(0..2, "v1").planned();
        let deletes = planned.iter().any(|line| line.contains("delete"));
        assert!(!deletes, "{name}: {planned:?}");
    }
}

#[test]
fn a_pod_that_waits_for_one_before_it_is_not_looked_at() {
    let case = mended().with(0, "v1", unready()).ready(1..2, "v1");
    assert!(case.with(2, "bad", broken()).planned().is_empty());
}

#[test]
fn broken_pods_do_not_use_up_what_may_be_unavailable() {
    let most = json!({ "podManagementPolicy": "Parallel", "updateStrategy": { "rollingUpdate": { "maxUnavailable": 1 } } });
    let case = mended().spec(most).ready(0..1, "v1");
    let case = case.with(1, "bad", broken()).with(2, "bad", broken());
    let why = "(broken, and of a revision that is not wanted)";
    assert_eq!(
        case.planned(),
        [
            format!("delete pod/web-1 {why}"),
            format!("delete pod/web-2 {why}"),
        ]
    );
}

#[test]
fn without_parameters_a_pod_below_the_update_is_not_replaced_over_and_over() {
    let none = json!({ "updateStrategy": { "rollingUpdate": null } });
    let case = mended().spec(none).with(0, "v1", broken());
    // The pods above are still of the current revision, so it would be made from that again.
    assert!(case.ready(1..3, "v1").planned().is_empty());
}
