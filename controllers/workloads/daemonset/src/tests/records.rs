use super::kit::*;
use crate::{plan, status};
use ::plan::{Cause, Failure, Outcome, Reference, Verb};
use k8s_openapi::api::apps::v1::ControllerRevision;
use objects::history;
use serde_json::json;

#[test]
fn a_template_is_on_record_before_a_pod_is_made_from_it() {
    let world = world(set(json!({})), &nodes(1), vec![], vec![]);
    assert_eq!(planned(&world), ["create revision", "create pod on n1"]);
    assert_eq!(plan(&world).steps.len(), 2);
    let revision = serde_json::to_value(current(&world)).unwrap();
    let hash = &world.revisions.hash;
    assert_eq!(revision["metadata"]["name"], format!("logs-{hash}"));
    assert_eq!(
        revision["metadata"]["labels"],
        json!({"app": "logs", "controller-revision-hash": hash})
    );
    assert_eq!(revision["metadata"]["annotations"]["team"], "blue");
    assert_eq!(revision["metadata"]["ownerReferences"], json!([owner()]));
    assert_eq!(revision["revision"], 1);
    assert_eq!(revision["data"]["spec"]["template"]["$patch"], "replace");
}

#[test]
fn a_new_template_gets_the_next_number() {
    let changed = set(json!({"template": template("v3")}));
    let revisions = vec![
        revision(4, "h4", "v2", json!({})),
        revision(2, "h1", "v1", json!({})),
    ];
    let world = world(changed, &nodes(0), vec![], revisions);
    assert_eq!(planned(&world), ["create revision"]);
    assert_eq!(current(&world).revision, 5);
}

#[test]
fn a_template_that_comes_back_keeps_its_revision_and_its_pods() {
    let revisions = vec![
        revision(1, "h1", "v1", json!({})),
        revision(2, "h2", "v2", json!({})),
    ];
    let pods = vec![fresh("a", "n1"), pod("b", "n2", "h2", json!({}))];
    let world = world(set(json!({})), &nodes(2), pods, revisions);
    assert_eq!(
        planned(&world),
        [
            "patch controllerrevision/logs-h1 (its template is the current one again)",
            "delete pod/b",
        ]
    );
    let plan = plan(&world);
    let Verb::Patch(_, body) = &plan.actions().next().unwrap().verb else {
        panic!("it is a patch");
    };
    assert_eq!(*body, json!({"metadata": {"uid": "uid-h1"}, "revision": 3}));
}

#[test]
fn what_another_version_wrote_otherwise_is_the_same_template() {
    let mut other = ControllerRevision::clone(&revision(1, "h1", "v1", json!({})));
    let data = &mut other.data.as_mut().unwrap().0;
    data["spec"]["template"]["metadata"]["creationTimestamp"] = serde_json::Value::Null;
    data["spec"]["template"]["spec"]["containers"][0]["env"] = serde_json::Value::Null;
    let world = world(
        set(json!({})),
        &nodes(1),
        vec![fresh("a", "n1")],
        vec![std::sync::Arc::new(other)],
    );
    assert_eq!(planned(&world), [""; 0]);
}

#[test]
fn of_two_revisions_with_one_template_the_newer_stays_and_only_its_twins_pods_are_relabelled() {
    let revisions = vec![
        revision(1, "h0", "v0", json!({})),
        revision(2, "h1", "v1", json!({})),
        revision(3, "h2", "v1", json!({})),
    ];
    let pods = vec![
        pod("a", "n1", "h1", json!({})),
        pod("b", "n2", "h2", json!({})),
        pod("c", "n3", "h0", json!({})),
    ];
    let world = world(set(json!({})), &nodes(3), pods, revisions);
    assert_eq!(
        planned(&world),
        [
            "patch pod/a",
            "delete controllerrevision/logs-h1 (another one is the same)",
            "delete pod/c",
        ]
    );
}

#[test]
fn orphaned_revisions_are_adopted_and_a_missing_label_is_added() {
    let orphan = json!({"metadata": {"ownerReferences": null}});
    let bare = json!({"metadata": {"labels": {"controller-revision-hash": null}}});
    let revisions = vec![
        revision(2, "h1", "v1", orphan),
        revision(1, "h0", "v0", bare),
    ];
    let world = world(set(json!({})), &nodes(0), vec![], revisions);
    assert_eq!(
        planned(&world),
        [
            "patch controllerrevision/logs-h1 (it matches and is nobody's)",
            "patch controllerrevision/logs-h0",
        ]
    );
}

#[test]
fn the_oldest_revisions_beyond_the_limit_go_unless_a_pod_was_made_from_them() {
    let revisions: Vec<_> = (1..=4)
        .map(|n| revision(n, &format!("old{n}"), &format!("v0.{n}"), json!({})))
        .chain([revision(5, "h1", "v1", json!({}))])
        .collect();
    let spec = json!({"revisionHistoryLimit": 2, "updateStrategy": {"type": "OnDelete", "rollingUpdate": null}});
    let pods = vec![pod("a", "n1", "old1", json!({}))];
    let world = world(set(spec), &nodes(1), pods, revisions);
    assert_eq!(
        planned(&world),
        [
            "delete controllerrevision/logs-old2 (the history is full)",
            "delete controllerrevision/logs-old3 (the history is full)",
        ]
    );
}

#[test]
fn a_name_that_is_taken_gives_the_next_try_another_one() {
    let first = world(set(json!({})), &nodes(0), vec![], vec![]);
    let failure = Failure {
        on: Reference::to(current(&first)),
        verb: "create",
        cause: Cause::AlreadyExists,
        message: "it is there".into(),
    };
    let outcome = Outcome {
        failures: vec![failure],
        ..Outcome::default()
    };
    let after = status(&first, &outcome).unwrap();
    assert_eq!(after.status.as_ref().unwrap().collision_count, Some(1));
    let second = world(std::sync::Arc::new(after), &nodes(0), vec![], vec![]);
    assert_ne!(first.revisions.hash, second.revisions.hash);
    assert!(history::stores(
        current(&second),
        &current(&first).data.as_ref().unwrap().0
    ));
}
