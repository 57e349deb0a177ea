#![allow(clippy::unwrap_used)]

use super::plan;
use crate::World;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use plan::Verb;
use serde_json::{Value, from_value, json};
use std::sync::Arc;

/// The pod `web` with the ephemeral volumes `a` and `b`, and these claims as `name owner`.
fn world(more: Value, claims: &[(&str, &str)]) -> World {
    let template = json!({
        "metadata": { "labels": { "app": "web" }, "annotations": { "note": "x" } },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    });
    let volume =
        |name: &str| json!({ "name": name, "ephemeral": { "volumeClaimTemplate": template } });
    let volumes = json!([volume("a"), { "name": "c", "emptyDir": {} }, volume("b")]);
    let mut meta = json!({ "name": "web", "namespace": "shop", "uid": "u-web" });
    meta.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let pod = json!({ "metadata": meta, "spec": { "containers": [], "volumes": volumes } });
    let claim = |(name, owner): &(&str, &str)| {
        let owner = json!({ "apiVersion": "v1", "kind": "Pod", "name": "web", "uid": owner, "controller": true });
        let meta = json!({ "name": name, "namespace": "shop", "ownerReferences": [owner] });
        Arc::new(from_value(json!({ "metadata": meta })).unwrap())
    };
    World {
        pod: Arc::new(from_value(pod).unwrap()),
        claims: claims.iter().map(claim).collect(),
    }
}

#[test]
fn missing_claims_are_made_once() {
    let plan_of = |claims: &[(&str, &str)]| plan(&world(json!({}), claims)).to_string();
    assert_eq!(
        plan_of(&[]),
        "create persistentvolumeclaim/web-a\ncreate persistentvolumeclaim/web-b"
    );
    assert_eq!(
        plan_of(&[("web-a", "u-web")]),
        "create persistentvolumeclaim/web-b"
    );
    assert_eq!(plan_of(&[("web-a", "u-web"), ("web-b", "u-web")]), "");
}

#[test]
fn a_claim_is_as_the_template_says_and_the_pods() {
    let plan = plan(&world(json!({}), &[("web-b", "u-web")]));
    let action = plan.actions().next().unwrap();
    let Verb::Create(object) = &action.verb else {
        return;
    };
    let claim = object.read::<PersistentVolumeClaim>().unwrap();
    assert_eq!(claim.metadata.labels.as_ref().unwrap()["app"], "web");
    assert_eq!(claim.metadata.annotations.as_ref().unwrap()["note"], "x");
    assert_eq!(objects::volume::request(&claim).to_string(), "1Gi");
    assert!(objects::meta::is_controlled_by(&claim.metadata, "u-web"));
    assert_eq!(
        action.on_failure.as_ref().unwrap().message,
        "ephemeral volume a: create PVC web-a"
    );
}

#[test]
fn somebody_elses_claim_is_told_and_left() {
    let text = plan(&world(json!({}), &[("web-a", "u-former")])).to_string();
    assert_eq!(
        text,
        "create persistentvolumeclaim/web-b\nnote Warning FailedBinding: ephemeral volume a: PVC shop/web-a was not \
         created for pod shop/web (pod is not owner)"
    );
}

#[test]
fn a_pod_that_goes_gets_none() {
    let going = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" });
    assert_eq!(plan(&world(going, &[])).to_string(), "");
}

#[test]
fn creations_are_counted_and_those_that_fail() {
    use plan::{Cause, Failure, Outcome, Turn};
    let plan = plan(&world(json!({}), &[]));
    let measured = |outcome: &Outcome| -> Vec<String> {
        let turn = Turn::new(&plan, outcome, jiff::Timestamp::UNIX_EPOCH);
        let samples = crate::metrics::measure(&turn);
        samples.iter().map(ToString::to_string).collect()
    };
    let lines = |all: u32, failed: u32| {
        [
            format!("ephemeral_volume_controller_create_total {all}"),
            format!("ephemeral_volume_controller_create_failures_total {failed}"),
        ]
    };
    let mut outcome = Outcome::of(&plan);
    assert_eq!(measured(&outcome), lines(2, 0));
    let refused = outcome.done.pop().unwrap();
    outcome.failures.push(Failure {
        on: refused.on,
        verb: refused.verb,
        cause: Cause::Forbidden,
        message: String::new(),
    });
    assert_eq!(measured(&outcome), lines(2, 1));
    assert!(measured(&Outcome::default()).is_empty());
}
