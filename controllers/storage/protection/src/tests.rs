#![allow(clippy::unwrap_used)]

use crate::plan::{OF_VOLUMES, plan};
use crate::{Use, World, volume};
use k8s_openapi::api::core::v1::PersistentVolume;
use serde_json::{Value, from_value, json};
use std::sync::Arc;

fn decide(finalizers: &[&str], deleting: bool, used: Use) -> String {
    let mut meta =
        json!({ "name": "v", "uid": "u", "resourceVersion": "3", "finalizers": finalizers });
    if deleting {
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    }
    let object: Arc<PersistentVolume> = Arc::new(from_value(json!({ "metadata": meta })).unwrap());
    plan(&World { object, used }, OF_VOLUMES).to_string()
}

#[test]
fn the_finalizer_comes_and_goes() {
    let ours = "kubernetes.io/pv-protection";
    let patch = |finalizers: &str, why: &str| {
        format!(
            r#"patch persistentvolume/v {{"metadata":{{"finalizers":{finalizers},"resourceVersion":"3","uid":"u"}}}} ({why})"#
        )
    };
    let added = r#"["x","kubernetes.io/pv-protection"]"#;
    assert_eq!(
        decide(&["x"], false, Use::Unasked),
        patch(added, "it is to be kept while it is in use")
    );
    assert_eq!(decide(&["x", ours], false, Use::Unasked), "");
    assert_eq!(
        decide(&[ours, "x"], true, Use::No),
        patch(r#"["x"]"#, "nobody uses it")
    );
    assert_eq!(decide(&[ours], true, Use::Yes), "");
    assert_eq!(decide(&[ours], true, Use::Unknown), "again in 1.000s");
    assert_eq!(decide(&["x"], true, Use::No), "");
}

#[test]
fn a_volume_is_used_from_when_a_claim_gets_it_until_that_is_gone() {
    let volume = |phase: &str, uid: Value| -> PersistentVolume {
        let spec = json!({ "claimRef": { "name": "c", "namespace": "ns", "uid": uid } });
        from_value(json!({ "metadata": {}, "spec": spec, "status": { "phase": phase } })).unwrap()
    };
    for (phase, uid, used) in [
        ("Bound", json!("u"), Use::Yes),
        ("Available", json!("u"), Use::Yes),
        ("Pending", json!("u"), Use::Yes),
        ("Available", json!(null), Use::No),
        ("Released", json!("u"), Use::No),
        ("Failed", json!("u"), Use::No),
    ] {
        assert_eq!(
            volume::used(&volume(phase, uid.clone())),
            used,
            "{phase} {uid}"
        );
    }
}
