#![allow(clippy::panic)]
use crate::{Action, Cause, Confirm, Failure, Kind, Outcome, Plan, Reference, Verb};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::{Metadata, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

fn pod(name: &str) -> Pod {
    Pod {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some("shop".into()),
            uid: Some(format!("uid-{name}")),
            ..ObjectMeta::default()
        },
        ..Pod::default()
    }
}

#[test]
fn a_plan_prints_one_line_an_action() {
    let mut plan = Plan::none();
    plan.then(vec![
        Action::create(pod("a")),
        Action::delete(&pod("b")).because("too many"),
    ])
    .again(Duration::from_secs(5))
    .again(Duration::from_millis(1500));
    assert_eq!(
        plan.to_string(),
        "create pod/a\ndelete pod/b (too many)\nagain in 1.500s"
    );
}

#[test]
fn a_condition_is_told() {
    let (a, b) = (pod("a"), Reference::to(&pod("b")));
    for (confirm, wanted) in [
        (Confirm::Alive(b.clone()), "delete pod/a if pod/b is alive"),
        (Confirm::Gone(b), "delete pod/a if pod/b is gone"),
    ] {
        assert_eq!(Action::delete(&a).confirming(confirm).to_string(), wanted);
    }
}

#[test]
fn a_deletion_may_be_of_one_version() {
    let action = Action::delete(&pod("a")).at_version(Some("7".to_owned()));
    let version = match action.verb {
        Verb::Delete {
            resource_version, ..
        } => resource_version,
        _ => None,
    };
    assert_eq!(version.as_deref(), Some("7"));
}

/// What is done about the owners of an object that somebody else owns too, and of which this one is the controller.
fn claims<K>(metadata: Value) -> [String; 2]
where
    K: Resource + Metadata<Ty = ObjectMeta> + DeserializeOwned,
{
    let object: K =
        serde_json::from_value(json!({"metadata": metadata})).unwrap_or_else(|e| panic!("{e}"));
    let owner = Reference::to(&pod("owner"));
    let reference = OwnerReference {
        name: "new".into(),
        uid: "uid-new".into(),
        ..OwnerReference::default()
    };
    [
        Action::adopt(&object, &owner, &reference),
        Action::release(&object, "uid-old"),
    ]
    .map(|action| action.to_string())
}

#[test]
fn pods_are_claimed_by_strategic_patches_and_what_may_be_a_custom_resource_by_plain_ones() {
    let old = json!({"apiVersion": "v1", "kind": "X", "name": "old", "uid": "uid-old"});
    let other = json!({"apiVersion": "v1", "kind": "X", "name": "other", "uid": "uid-other"});
    let new = json!({"apiVersion": "", "kind": "", "name": "new", "uid": "uid-new"});
    let meta =
        json!({"name": "a", "uid": "u", "resourceVersion": "7", "ownerReferences": [old, other]});
    let patch = |body: Value| format!("{{\"metadata\":{body}}}");
    let [adopt, release] = claims::<Pod>(meta.clone());
    let wanted = patch(json!({"uid": "u", "ownerReferences": [new]}));
    assert_eq!(
        adopt,
        format!("patch pod/a {wanted} if pod/owner is alive (it matches and is nobody's)")
    );
    let wanted =
        patch(json!({"uid": "u", "ownerReferences": [{"$patch": "delete", "uid": "uid-old"}]}));
    assert_eq!(
        release,
        format!("patch pod/a {wanted} (it does not match any more)")
    );
    let [adopt, release] = claims::<ReplicaSet>(meta);
    let wanted =
        patch(json!({"uid": "u", "resourceVersion": "7", "ownerReferences": [old, other, new]}));
    assert!(adopt.contains(&wanted), "{adopt}");
    let wanted = patch(json!({"uid": "u", "resourceVersion": "7", "ownerReferences": [other]}));
    assert!(release.contains(&wanted), "{release}");
}

#[test]
fn an_empty_step_is_no_step() {
    let mut plan = Plan::none();
    plan.then(vec![]).then_ramp(vec![]);
    assert!(plan.is_empty());
    assert_eq!(plan.steps.len(), 0);
}

#[test]
fn paths_are_the_rest_paths() {
    let pod_ref = Reference::to(&pod("a"));
    assert_eq!(pod_ref.path(), "/api/v1/namespaces/shop/pods/a");
    let rs = Kind::of::<k8s_openapi::api::apps::v1::ReplicaSet>();
    assert_eq!(rs.path(""), "/apis/apps/v1/replicasets");
    assert_eq!(rs.api_version(), "apps/v1");
}

#[test]
fn deleting_what_is_gone_is_no_failure_but_patching_into_the_void_of_a_create_is() {
    let failure = |verb, cause| Failure {
        on: Reference::to(&pod("a")),
        verb,
        cause,
        message: String::new(),
    };
    for (verb, cause, told) in [
        ("delete", Cause::NotFound, false),
        ("create", Cause::NamespaceTerminating, false),
        ("create", Cause::NotFound, true),
        ("create", Cause::Forbidden, true),
    ] {
        let outcome = Outcome {
            failures: vec![failure(verb, cause)],
            ..Outcome::default()
        };
        assert_eq!(outcome.failure().is_some(), told, "{verb} {cause:?}");
    }
}

#[test]
fn a_sample_prints_as_it_is_shown() {
    use crate::{Metric, Stability, exponential};
    static MADE: Metric = Metric::counter("made_total", Stability::Beta, &["by", "result"], "");
    static TOOK: Metric = Metric::histogram(
        "took_seconds",
        Stability::Beta,
        &[],
        exponential(1.0, 5.0, 3),
        "",
    );
    let sample = MADE.at(["job", "failed"], 2.0);
    assert_eq!(
        sample.to_string(),
        r#"made_total{by="job",result="failed"} 2"#
    );
    assert_eq!(TOOK.of(0.5).to_string(), "took_seconds 0.5");
    assert_eq!(exponential(1.0, 5.0, 3).bounds(), [1.0, 5.0, 25.0]);
}
