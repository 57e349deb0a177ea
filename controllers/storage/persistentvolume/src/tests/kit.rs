//! Claims, volumes and classes, of which a test says only what it is about.
#![allow(clippy::unwrap_used)]

use crate::{ClaimWorld, Claimed, Class, Named, VolumeWorld};
use json_patch::merge;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use serde::de::DeserializeOwned;
use serde_json::{Value, from_value, json};
use std::sync::Arc;

fn typed<K: DeserializeOwned>(mut value: Value, more: Value) -> Arc<K> {
    merge(&mut value, &more);
    Arc::new(from_value(value).unwrap())
}

/// The claim `shop/data` of 5Gi.
pub(super) fn claim(more: Value) -> Arc<PersistentVolumeClaim> {
    let claim = json!({
        "metadata": { "name": "data", "namespace": "shop", "uid": "u-data", "resourceVersion": "7" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "5Gi" } } },
        "status": { "phase": "Pending" },
    });
    typed(claim, more)
}

/// The volume `disk` of 10Gi.
pub(super) fn volume(more: Value) -> Arc<PersistentVolume> {
    let volume = json!({
        "metadata": { "name": "disk", "uid": "u-disk", "resourceVersion": "9" },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "10Gi" },
            "persistentVolumeReclaimPolicy": "Retain", "nfs": { "path": "/", "server": "s" },
        },
        "status": { "phase": "Available" },
    });
    typed(volume, more)
}

/// A class of this provisioner and binding mode.
pub(super) fn class(provisioner: &str, mode: &str) -> Class {
    let meta = json!({ "name": "fast" });
    let class = json!({ "metadata": meta, "provisioner": provisioner, "volumeBindingMode": mode });
    Class::Is(typed::<StorageClass>(class, json!({})))
}

/// What a volume says of the claim that it is for.
pub(super) fn reference(uid: &str) -> Value {
    json!({ "spec": { "claimRef": { "namespace": "shop", "name": "data", "uid": uid } } })
}

/// A claim that is bound to `disk` on its side.
pub(super) fn bound(more: Value) -> Arc<PersistentVolumeClaim> {
    let mut whole = json!({
        "metadata": { "annotations": { "pv.kubernetes.io/bind-completed": "yes" } },
        "spec": { "volumeName": "disk" },
        "status": { "phase": "Bound" },
    });
    merge(&mut whole, &more);
    claim(whole)
}

/// A claim of no class, and nothing else.
pub(super) fn world(claim: Arc<PersistentVolumeClaim>) -> ClaimWorld {
    ClaimWorld {
        claim,
        named: Named::None,
        class: Class::None,
        default_class: None,
        volumes: Vec::new(),
        unscheduled: Vec::new(),
    }
}

/// What is decided about a claim: plan, phase and event of the status.
pub(super) fn about_claim(world: &ClaimWorld) -> String {
    let status = crate::status::claim(world);
    let phase = status.map(|claim| format!("phase {}", claim.status.unwrap().phase.unwrap()));
    let note = phase
        .as_ref()
        .and_then(|_| match crate::plan::Course::of(world) {
            crate::plan::Course::Lost(reason, _) => Some(reason.to_owned()),
            _ => None,
        });
    lines(&crate::plan::claim(world), [phase, note])
}

/// What is decided about a volume.
pub(super) fn about_volume(volume: Arc<PersistentVolume>, claimed: Claimed) -> String {
    let world = VolumeWorld { volume, claimed };
    let status = crate::status::volume(&world);
    let phase = status.map(|volume| format!("phase {}", volume.status.unwrap().phase.unwrap()));
    let note = phase
        .as_ref()
        .and_then(|_| match crate::plan::Fate::of(&world) {
            crate::plan::Fate::Failed(note) => Some(format!("{}: {}", note.reason, note.message)),
            _ => None,
        });
    lines(&crate::plan::volume(&world), [phase, note])
}

fn lines(plan: &::plan::Plan, more: [Option<String>; 2]) -> String {
    let plan = Some(plan.to_string()).filter(|text| !text.is_empty());
    let lines: Vec<String> = plan.into_iter().chain(more.into_iter().flatten()).collect();
    lines.join("\n")
}
