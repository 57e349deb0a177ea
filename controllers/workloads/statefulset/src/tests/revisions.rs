//! Revisions: made, used again, forgotten.

use super::kit::{Case, revision, set};
use k8s_openapi::api::apps::v1::ControllerRevision;
use serde_json::{Value, json};

fn created(case: &Case) -> Option<ControllerRevision> {
    let plan = case.plan();
    plan.actions().find_map(|action| match &action.verb {
        ::plan::Verb::Create(object) => object.read::<ControllerRevision>(),
        _ => None,
    })
}

#[test]
fn a_new_template_is_a_new_revision_and_comes_before_the_pods() {
    let mut case = set(
        1,
        json!({ "metadata": { "annotations": { "why": "because" } } }),
    );
    case.revisions.clear();
    assert_eq!(
        case.planned(),
        [
            "create controllerrevision/<v1> if statefulset/web is alive (new template)",
            "create pod/web-0"
        ]
    );
    let made = created(&case).unwrap();
    assert_eq!(made.revision, 1);
    let meta = serde_json::to_value(&made.metadata).unwrap();
    assert_eq!(meta["annotations"], json!({ "why": "because" }));
    assert_eq!(meta["labels"]["app"], "fire");
    let hash = meta["labels"]["controller.kubernetes.io/hash"].as_str();
    assert_eq!(format!("web-{}", hash.unwrap()), revision("v1"));
    let stored = made.data.unwrap().0;
    assert_eq!(stored["spec"]["template"]["$patch"], "replace");
}

#[test]
fn an_old_template_is_its_old_revision_with_a_new_number() {
    let case = set(0, json!({}))
        .revision("v2", 2, json!({}))
        .wants("v1", "v2");
    assert_eq!(
        case.planned(),
        [
            r#"patch controllerrevision/<v1> {"metadata":{"resourceVersion":"5","uid":"uid-v1"},"revision":3} (it is wanted again)"#
        ]
    );
}

#[test]
fn a_name_that_is_taken_is_not_tried_twice() {
    let mut case = set(1, json!({}));
    case.revisions.clear();
    let first = created(&case).unwrap().metadata.name;
    case.set["status"] = json!({ "replicas": 0, "collisionCount": 1 });
    let second = created(&case).unwrap().metadata.name;
    assert_ne!(first, second);
}

#[test]
fn a_long_name_leaves_room_for_the_hash_in_a_label() {
    let name = format!("{}.{}", "x".repeat(51), "y".repeat(9));
    let mut case = set(1, json!({ "metadata": { "name": name } }));
    case.revisions.clear();
    let made = created(&case).unwrap().metadata.name.unwrap();
    assert!(made.len() <= 63, "{made}");
    assert!(made.starts_with(&format!("{}-", "x".repeat(51))), "{made}");
}

#[test]
fn revisions_that_nobody_uses_are_forgotten_the_oldest_first() {
    let limited = |limit: i64| {
        let case = set(1, json!({ "spec": { "revisionHistoryLimit": limit } }));
        let case = case
            .revision("v2", 2, json!({}))
            .revision("v3", 3, json!({}));
        // v1 is the pod's, bad is wanted, v2 and v3 are nobody's.
        let case = case.revision("bad", 4, json!({})).wants("bad", "bad");
        let lines = case.with(0, "v1", super::kit::unready()).planned();
        let dead = lines
            .into_iter()
            .filter(|line| line.contains("history limit"));
        dead.collect::<Vec<_>>()
    };
    let v2 = "delete controllerrevision/<v2> (history limit)";
    let v3 = "delete controllerrevision/<v3> (history limit)";
    assert_eq!(limited(0), [v2, v3]);
    assert_eq!(limited(1), [v2]);
    assert!(limited(2).is_empty());
    assert!(limited(-1).is_empty());
}

#[test]
fn orphaned_revisions_are_adopted_and_used() {
    let mut case = set(0, json!({}));
    case.revisions.clear();
    let orphan: Value = json!({ "metadata": { "ownerReferences": [] } });
    let planned = case.revision("v1", 1, orphan).planned();
    assert_eq!(planned.len(), 1);
    assert!(
        planned[0].starts_with("patch controllerrevision/<v1> ")
            && planned[0].contains("if statefulset/web is alive"),
        "{planned:?}"
    );
}

#[test]
fn a_current_revision_that_is_gone_is_the_update_revision() {
    let case = set(
        1,
        json!({ "spec": { "updateStrategy": { "rollingUpdate": { "partition": 1 } } } }),
    );
    let case = case.wants("v1", "v2");
    assert_eq!(case.created(), [("web-0".to_owned(), "v1".to_owned())]);
}
