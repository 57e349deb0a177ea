//! What is reported.

use super::kit::{Case, ago, going, revision, set, unready};
use ::plan::{Cause, Failure, Kind, Outcome, Reference};
use k8s_openapi::api::apps::v1::ControllerRevision;
use serde_json::{Value, json};

fn reported(case: &Case) -> Option<Value> {
    let status = case.status(&Outcome::default())?;
    Some(serde_json::to_value(status).unwrap())
}

#[test]
fn the_status_counts() {
    let young = json!({ "status": { "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": ago(4) }] } });
    let case = set(4, json!({ "spec": { "minReadySeconds": 10 } }));
    let case = case.revision("v2", 2, json!({})).wants("v2", "v1");
    let case = case.ready(0..1, "v1").with(1, "v1", going());
    let case = case.with(2, "v2", young).with(3, "v2", unready());
    assert_eq!(
        reported(&case),
        Some(json!({
            "replicas": 4, "readyReplicas": 3, "availableReplicas": 2,
            "currentReplicas": 1, "updatedReplicas": 2, "collisionCount": 0, "observedGeneration": 3,
            "currentRevision": revision("v1"), "updateRevision": revision("v2"),
        }))
    );
}

#[test]
fn a_rollout_that_is_complete_makes_its_revision_the_current_one() {
    let case = |strategy: Value| {
        let case = set(2, json!({ "spec": { "updateStrategy": strategy } }));
        let case = case.revision("v2", 2, json!({})).wants("v2", "v1");
        reported(&case.ready(0..2, "v2")).unwrap()
    };
    // Upstream leaves the last one behind (kubernetes#73492).
    for strategy in [
        json!({}),
        json!({ "type": "OnDelete", "rollingUpdate": null }),
    ] {
        let status = case(strategy);
        assert_eq!(status["currentRevision"], revision("v2"));
        assert_eq!(status["currentReplicas"], 2);
    }
}

#[test]
fn a_rollout_that_is_not_complete_does_not() {
    let case = set(2, json!({}))
        .revision("v2", 2, json!({}))
        .wants("v2", "v1");
    let status = reported(&case.ready(0..1, "v1").ready(1..2, "v2")).unwrap();
    assert_eq!(status["currentRevision"], revision("v1"));
    assert_eq!(
        (&status["currentReplicas"], &status["updatedReplicas"]),
        (&json!(1), &json!(1))
    );
}

#[test]
fn a_status_that_is_right_is_not_written() {
    let mut case = set(1, json!({})).ready(0..1, "v1");
    let status = reported(&case).unwrap();
    case.set["status"] = status;
    // The API server leaves zeros out.
    case.set["status"]
        .as_object_mut()
        .unwrap()
        .remove("collisionCount");
    case.set["status"]["conditions"] = json!([{ "type": "Foreign", "status": "True" }]);
    assert_eq!(reported(&case), None);
    case.set["metadata"]["generation"] = json!(4);
    let status = reported(&case).unwrap();
    assert_eq!(status["conditions"][0]["type"], "Foreign");
}

#[test]
fn a_revision_whose_name_is_taken_counts_as_a_collision_and_names_nothing() {
    let mut case = set(1, json!({}));
    case.revisions.clear();
    let refused = |cause| Outcome {
        failures: vec![Failure {
            on: Reference {
                kind: Kind::of::<ControllerRevision>(),
                namespace: "shop".to_owned(),
                name: revision("v1"),
                uid: String::new(),
            },
            verb: "create",
            cause,
            message: String::new(),
        }],
        ..Outcome::default()
    };
    let taken = case.status(&refused(Cause::AlreadyExists)).unwrap();
    assert_eq!(
        (taken.collision_count, taken.update_revision),
        (Some(1), None)
    );
    assert!(case.status(&refused(Cause::Forbidden)).is_none());
}

#[test]
fn a_set_that_is_being_deleted_names_no_revision_that_is_not_there() {
    let mut case = set(1, going()).wants("v2", "v1").ready(0..1, "v1");
    let status = reported(&case).unwrap();
    assert_eq!(status["updateRevision"], revision("v1"));
    case.set["metadata"] = set(1, json!({})).set["metadata"].clone();
    assert_eq!(reported(&case).unwrap()["updateRevision"], revision("v2"));
}

#[test]
fn what_is_allowed_and_what_is_missing_is_measured() {
    let measured = |case: &Case| -> Vec<String> {
        let samples = crate::metrics::measure(&case.world());
        samples.iter().map(ToString::to_string).collect()
    };
    let gauges = |policy: &str, most: u32, missing: u32| {
        let labels = format!(
            r#"{{statefulset_namespace="shop",statefulset_name="web",pod_management_policy="{policy}"}}"#
        );
        let name = "statefulset_controller_statefulset";
        [
            format!("{name}_max_unavailable{labels} {most}"),
            format!("{name}_unavailable_replicas{labels} {missing}"),
        ]
    };
    // One is ready, one goes, one is unready, one is missing; one too many does not count.
    let case = set(4, json!({}))
        .ready(0..1, "v1")
        .with(1, "v1", going())
        .with(2, "v1", unready())
        .ready(7..8, "v1");
    assert_eq!(measured(&case), gauges("OrderedReady", 1, 3));
    let half = json!({ "rollingUpdate": { "maxUnavailable": "50%" } });
    let case = case.spec(json!({ "podManagementPolicy": "Parallel", "updateStrategy": half }));
    assert_eq!(measured(&case), gauges("Parallel", 2, 3));
    let case = set(1, json!({})).spec(json!({ "updateStrategy": { "type": "OnDelete" } }));
    assert_eq!(
        measured(&case.ready(0..1, "v1")),
        gauges("OrderedReady", 1, 0)
    );
    let bad = set(1, json!({})).spec(json!({ "selector": { "matchLabels": null } }));
    assert!(measured(&bad).is_empty());
    let held = crate::metrics::held(Kind::of::<ControllerRevision>()).to_string();
    assert_eq!(
        held,
        r#"statefulset_controller_stale_sync_skips_total{group="apps",resource="controllerrevisions"} 1"#
    );
}
