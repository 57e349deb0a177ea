//! Claims: made before the pod, and owned by whom the policy names.

use super::kit::{Case, going, owner, set};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use serde_json::{Value, json};
use std::slice::from_ref;

fn with_claims(replicas: i64, deleted: &str, scaled: &str) -> Case {
    let more = json!({ "spec": {
        "volumeClaimTemplates": [{
            "metadata": { "name": "data", "labels": { "tier": "slow", "app": "water" }, "annotations": { "a": "b" } },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
            "status": { "phase": "Pending" },
        }],
        "persistentVolumeClaimRetentionPolicy": { "whenDeleted": deleted, "whenScaled": scaled },
    }});
    set(replicas, more)
}

fn retained(replicas: i64) -> Case {
    with_claims(replicas, "Retain", "Retain")
}

fn mounted(ordinal: i64) -> Value {
    let claim = json!({ "claimName": format!("data-web-{ordinal}") });
    json!({ "spec": { "volumes": [{ "name": "data", "persistentVolumeClaim": claim }] } })
}

fn pending(ordinal: i64) -> Value {
    let mut pod = mounted(ordinal);
    pod["status"] = json!({ "phase": "Pending", "conditions": [] });
    pod
}

fn owned(owners: &[Value]) -> Value {
    json!({ "metadata": { "ownerReferences": owners } })
}

fn by_set() -> Value {
    owner("apps/v1", "StatefulSet", "web", "set-1")
}

fn by_pod(ordinal: i64, uid: &str) -> Value {
    owner("v1", "Pod", &format!("web-{ordinal}"), uid)
}

/// The line that gives the claim of this ordinal these owners.
fn given(ordinal: i64, owners: &[Value]) -> String {
    let body = json!({ "metadata": {
        "ownerReferences": owners, "resourceVersion": "9", "uid": format!("uid-data-web-{ordinal}"),
    }});
    format!("patch persistentvolumeclaim/data-web-{ordinal} {body} (retention policy)")
}

#[test]
fn claims_come_before_their_pod() {
    let parallel = json!({ "podManagementPolicy": "Parallel" });
    assert_eq!(
        retained(2).spec(parallel).claim(1, json!({})).planned(),
        [
            "create persistentvolumeclaim/data-web-0",
            "create pod/web-0",
            "create pod/web-1"
        ]
    );
}

#[test]
fn a_claim_is_made_from_its_template_and_mounted_in_the_place_of_a_volume_of_its_name() {
    let volumes = json!([{ "name": "data", "emptyDir": {} }, { "name": "tmp", "emptyDir": {} }]);
    let case = with_claims(1, "Delete", "Retain");
    let case = case.spec(json!({ "template": { "spec": { "volumes": volumes } } }));
    let plan = case.plan();
    let objects: Vec<_> = plan
        .actions()
        .filter_map(|action| match &action.verb {
            ::plan::Verb::Create(object) => Some(object),
            _ => None,
        })
        .collect();
    let claim = objects
        .iter()
        .find_map(|o| o.read::<PersistentVolumeClaim>());
    let claim = serde_json::to_value(claim.unwrap()).unwrap();
    assert_eq!(
        claim["metadata"],
        json!({
            "name": "data-web-0", "namespace": "shop", "annotations": { "a": "b" },
            "labels": { "tier": "slow", "app": "fire" }, "ownerReferences": [by_set()],
        })
    );
    assert_eq!(claim["spec"]["accessModes"], json!(["ReadWriteOnce"]));
    assert_eq!(claim.get("status"), None);
    let pod = objects.iter().find_map(|o| o.read::<Pod>()).unwrap();
    assert_eq!(
        serde_json::to_value(&pod.spec.as_ref().unwrap().volumes).unwrap(),
        json!([
            { "name": "data", "persistentVolumeClaim": { "claimName": "data-web-0" } },
            { "name": "tmp", "emptyDir": {} },
        ])
    );
}

#[test]
fn the_claims_of_a_pod_that_waits_for_them_are_made_again() {
    assert_eq!(
        retained(1).with(0, "v1", pending(0)).planned(),
        ["create persistentvolumeclaim/data-web-0"]
    );
    assert!(retained(1).with(0, "v1", mounted(0)).planned().is_empty());
}

#[test]
fn a_claim_that_is_on_its_way_out_holds_its_pod_up() {
    assert_eq!(
        retained(1).claim(0, going()).planned(),
        [
            "note Warning FailedCreate: Create Pod web-0 in StatefulSet web failed error: pvc data-web-0 is being deleted"
        ]
    );
    let stale = || owned(&[by_pod(0, "of-before")]);
    assert!(
        with_claims(1, "Retain", "Delete")
            .claim(0, stale())
            .planned()
            .is_empty()
    );
    assert_eq!(
        retained(1).claim(0, stale()).planned(),
        ["create pod/web-0"]
    );
}

#[test]
fn the_policy_says_who_owns_a_claim() {
    let pod = by_pod(0, "uid-web-0");
    let foreign = owner("v1", "X", "x", "other");
    let mut weak = by_set();
    weak["controller"] = json!(false);
    let another = owner("apps/v1", "StatefulSet", "web", "of-before");
    let none = || owned(&[]);
    // (policy, owners that it has, owners that it gets, while the pod is wanted and when it is not any more)
    for (deleted, scaled, has, wanted, condemned) in [
        ("Retain", "Retain", none(), None, None),
        (
            "Retain",
            "Retain",
            owned(&[by_set()]),
            Some(vec![]),
            Some(vec![]),
        ),
        (
            "Delete",
            "Retain",
            none(),
            Some(vec![by_set()]),
            Some(vec![by_set()]),
        ),
        ("Delete", "Retain", owned(&[by_set()]), None, None),
        ("Retain", "Delete", none(), None, Some(vec![pod.clone()])),
        (
            "Retain",
            "Delete",
            owned(from_ref(&pod)),
            Some(vec![]),
            None,
        ),
        (
            "Delete",
            "Delete",
            none(),
            Some(vec![by_set()]),
            Some(vec![pod.clone()]),
        ),
        (
            "Delete",
            "Delete",
            owned(&[by_set()]),
            None,
            Some(vec![pod.clone()]),
        ),
        (
            "Delete",
            "Delete",
            owned(from_ref(&pod)),
            Some(vec![by_set()]),
            None,
        ),
        // An owner that is no controller is made one.
        (
            "Delete",
            "Retain",
            owned(&[weak]),
            Some(vec![by_set()]),
            Some(vec![by_set()]),
        ),
        // Of a set of before: not ours to touch.
        ("Delete", "Delete", owned(&[another]), None, None),
        // Somebody else sees to it.
        ("Delete", "Delete", owned(from_ref(&foreign)), None, None),
        (
            "Delete",
            "Delete",
            owned(&[foreign.clone(), by_set()]),
            Some(vec![foreign.clone()]),
            Some(vec![foreign.clone()]),
        ),
        (
            "Retain",
            "Retain",
            owned(&[foreign.clone(), by_set()]),
            Some(vec![foreign.clone()]),
            Some(vec![foreign]),
        ),
    ] {
        for (replicas, expected) in [(1, &wanted), (0, &condemned)] {
            let case = with_claims(replicas, deleted, scaled).with(0, "v1", mounted(0));
            let planned = case.claim(0, has.clone()).planned();
            let patch = planned.iter().find(|line| line.starts_with("patch"));
            let expected = expected.as_ref().map(|owners| given(0, owners));
            assert_eq!(
                patch,
                expected.as_ref(),
                "{deleted} {scaled} {replicas} {has}"
            );
        }
    }
}

#[test]
fn a_pod_that_is_too_many_owns_its_claim_before_it_goes() {
    let case = with_claims(0, "Retain", "Delete").with(0, "v1", mounted(0));
    assert_eq!(
        case.claim(0, json!({})).planned(),
        [
            given(0, &[by_pod(0, "uid-web-0")]),
            "delete pod/web-0 (one too many)".to_owned()
        ]
    );
}

#[test]
fn a_conflict_of_owners_is_told() {
    let case = with_claims(1, "Delete", "Retain");
    let case = case.claim(0, owned(&[owner("v1", "X", "x", "other")]));
    let planned = case.planned();
    assert!(
        planned[1].starts_with(
            "note Warning ConflictingController: PersistentVolumeClaim data-web-0 has "
        ),
        "{planned:?}"
    );
}

#[test]
fn a_pod_without_the_volumes_that_are_asked_for_is_told_and_can_be_updated() {
    let case = retained(1).revision("v2", 2, json!({})).wants("v2", "v1");
    let planned = case.ready(0..1, "v1").planned();
    assert_eq!(planned[0], "delete pod/web-0 (of an old revision)");
    assert!(
        planned[1].starts_with("note Warning FailedUpdate: Update Pod web-0 in StatefulSet web failed error: spec.volumes: "),
        "{planned:?}"
    );
}
