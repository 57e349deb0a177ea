#![allow(clippy::unwrap_used)]

use super::{delete, plan};
use crate::World;
use ::plan::Verb;
use json_patch::merge;
use k8s_openapi::api::core::v1::PersistentVolume;
use serde_json::{Value, from_value, json};
use std::sync::Arc;

fn world(of_claim: Value, of_class: Value, node: Option<&str>) -> World {
    let mut claim = json!({
        "metadata": { "name": "data", "namespace": "shop", "uid": "u1", "resourceVersion": "4",
            "annotations": { "volume.kubernetes.io/storage-provisioner": "hostpath.corten.dev" } },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    });
    merge(&mut claim, &of_claim);
    let mut class = json!({ "metadata": { "name": "standard" }, "provisioner": "hostpath.corten.dev",
        "volumeBindingMode": "Immediate", "reclaimPolicy": "Delete" });
    merge(&mut class, &of_class);
    let node = node.map(|name| {
        let labels = json!({ "kubernetes.io/hostname": format!("{name}.local") });
        Arc::new(from_value(json!({ "metadata": { "name": name, "labels": labels } })).unwrap())
    });
    World {
        claim: Arc::new(from_value(claim).unwrap()),
        class: Some(Arc::new(from_value(class).unwrap())),
        node,
        is_made: false,
    }
}

fn made(world: &World) -> PersistentVolume {
    let plan = plan(world);
    let action = plan.actions().next().unwrap();
    match &action.verb {
        Verb::Create(object) => object.read::<PersistentVolume>().unwrap(),
        _ => PersistentVolume::default(),
    }
}

fn late() -> Value {
    json!({ "volumeBindingMode": "WaitForFirstConsumer" })
}

fn selected(node: &str) -> Value {
    json!({ "metadata": { "annotations": { "volume.kubernetes.io/selected-node": node } } })
}

#[test]
fn a_volume_is_the_claims_and_as_it_asked() {
    let volume = made(&world(json!({}), json!({}), None));
    let spec = volume.spec.unwrap();
    assert_eq!(volume.metadata.name.as_deref(), Some("pvc-u1"));
    assert_eq!(
        spec.host_path.unwrap().path,
        "/var/lib/corten/volumes/pvc-u1"
    );
    assert_eq!(spec.claim_ref.unwrap().uid.as_deref(), Some("u1"));
    assert_eq!(spec.capacity.unwrap()["storage"].0, "1Gi");
    assert_eq!(
        spec.persistent_volume_reclaim_policy.as_deref(),
        Some("Delete")
    );
    assert_eq!(spec.storage_class_name.as_deref(), Some("standard"));
    assert_eq!(spec.node_affinity, None);
}

#[test]
fn a_volume_is_on_the_node_that_was_chosen() {
    let volume = made(&world(selected("n1"), late(), Some("n1")));
    let affinity = serde_json::to_string(&volume.spec.unwrap().node_affinity).unwrap();
    assert!(
        affinity
            .contains(r#"{"key":"kubernetes.io/hostname","operator":"In","values":["n1.local"]}"#),
        "{affinity}"
    );
    assert!(
        plan(&world(json!({}), late(), None)).is_empty(),
        "nobody has chosen"
    );
}

#[test]
fn a_node_that_is_not_there_is_chosen_anew() {
    let text = plan(&world(selected("n1"), late(), None)).to_string();
    assert!(
        text.contains(r#""volume.kubernetes.io/selected-node":null"#),
        "{text}"
    );
    assert!(
        text.ends_with("note Warning ProvisioningFailed: node \"n1\" not found"),
        "{text}"
    );
}

#[test]
fn what_it_cannot_do_it_names() {
    for (claim, class, field) in [
        (
            json!({ "spec": { "volumeMode": "Block" } }),
            json!({}),
            "spec.volumeMode",
        ),
        (
            json!({ "spec": { "dataSource": { "kind": "X", "name": "x" } } }),
            json!({}),
            "spec.dataSource",
        ),
        (
            json!({ "spec": { "selector": {} } }),
            json!({}),
            "spec.selector",
        ),
        (json!({}), json!({ "mountOptions": ["ro"] }), "mountOptions"),
        (
            json!({}),
            json!({ "parameters": { "type": "ssd" } }),
            "parameters.type",
        ),
        (
            json!({}),
            json!({ "parameters": { "path": "../x" } }),
            "parameters.path",
        ),
    ] {
        let text = plan(&world(claim, class, None)).to_string();
        assert!(
            text.starts_with("note Warning ProvisioningFailed:") && text.contains(field),
            "{text}"
        );
    }
}

#[test]
fn the_class_may_say_where() {
    let class = json!({ "parameters": { "path": "/data/" } });
    assert_eq!(
        made(&world(json!({}), class, None))
            .spec
            .unwrap()
            .host_path
            .unwrap()
            .path,
        "/data/pvc-u1"
    );
}

#[test]
fn others_claims_and_volumes_are_left_alone() {
    assert!(
        plan(&world(
            json!({}),
            json!({ "provisioner": "example.com/x" }),
            None
        ))
        .is_empty()
    );
    let made = World {
        is_made: true,
        ..world(json!({}), json!({}), None)
    };
    assert!(plan(&made).is_empty());
    let volume = |by: &str, phase: &str, policy: &str| {
        let meta = json!({ "name": "v", "uid": "u", "annotations": { "pv.kubernetes.io/provisioned-by": by } });
        let spec = json!({ "persistentVolumeReclaimPolicy": policy });
        let volume = json!({ "metadata": meta, "spec": spec, "status": { "phase": phase } });
        delete(&from_value(volume).unwrap()).to_string()
    };
    let ours = "hostpath.corten.dev";
    assert_eq!(
        volume(ours, "Released", "Delete"),
        "delete persistentvolume/v (its claim is gone)"
    );
    assert_eq!(volume(ours, "Bound", "Delete"), "");
    assert_eq!(volume(ours, "Released", "Retain"), "");
    assert_eq!(volume("example.com/x", "Released", "Delete"), "");
}
