//! What claims and volumes say about themselves. Pure.

use crate::claims::ClaimWorld;
use crate::plan::{Course, Fate};
use crate::reference_of;
use crate::volumes::VolumeWorld;
use k8s_openapi::api::core::v1::{
    PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use objects::{meta, volume};
use std::collections::BTreeMap;

/// The size that a volume had before it grew, while its file system has not grown yet.
const BEFORE_RESIZE: &str = "volume.alpha.kubernetes.io/pre-resize-capacity";

/// The claim with the status that it should have, or nothing if it has it (upstream: `updateClaimStatus`).
pub fn claim(world: &ClaimWorld) -> Option<PersistentVolumeClaim> {
    let mut claim = (*world.claim).clone();
    let old = claim.status.clone().unwrap_or_default();
    let new = match Course::of(world) {
        Course::Bind(of) if is_written(&of, &claim) => bound(&old, &of)?,
        Course::Wait(note) if note.reason == "ProvisioningFailed" => return None,
        Course::Wait(_) | Course::Pending => empty(&old, "Pending"),
        Course::Lost(..) if old.phase.as_deref() == Some("Lost") => return None,
        Course::Lost(..) => empty(&old, "Lost"),
        Course::Bind(_) | Course::Classify(_) | Course::Provision(_) | Course::Ask => return None,
    };
    if new == old {
        return None;
    }
    claim.status = Some(new);
    Some(claim)
}

/// Whether both sides of the binding are stored.
fn is_written(of: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let reference = reference_of(of);
    volume::is_fully_bound(claim)
        && volume::volume_of(claim) == meta::name(&of.metadata)
        && reference.is_some_and(|reference| reference.uid == claim.metadata.uid)
}

/// The status of a claim that has this volume; nothing if the volume does not say how large it is.
fn bound(
    old: &PersistentVolumeClaimStatus,
    of: &PersistentVolume,
) -> Option<PersistentVolumeClaimStatus> {
    let spec = of.spec.as_ref()?;
    let mut new = PersistentVolumeClaimStatus {
        phase: Some("Bound".to_owned()),
        access_modes: spec.access_modes.clone(),
        ..old.clone()
    };
    // Later on the two may differ on purpose: the volume has grown, its file system has not.
    if old.phase != new.phase {
        new.capacity = Some(size(of, spec.capacity.as_ref()?)?);
    }
    // Afterwards it is the resizer's to write.
    if matches!(old.phase.as_deref(), None | Some("Pending")) {
        new.current_volume_attributes_class_name
            .clone_from(&spec.volume_attributes_class_name);
    }
    Some(new)
}

fn size(
    of: &PersistentVolume,
    capacity: &BTreeMap<String, Quantity>,
) -> Option<BTreeMap<String, Quantity>> {
    capacity.get("storage")?;
    let before = meta::annotation(&of.metadata, BEFORE_RESIZE)
        .filter(|text| text.parse::<objects::Quantity>().is_ok());
    let mut size = capacity.clone();
    if let Some(before) = before {
        size.insert("storage".to_owned(), Quantity(before.to_owned()));
    }
    Some(size)
}

fn empty(old: &PersistentVolumeClaimStatus, phase: &str) -> PersistentVolumeClaimStatus {
    PersistentVolumeClaimStatus {
        phase: Some(phase.to_owned()),
        access_modes: None,
        capacity: None,
        current_volume_attributes_class_name: None,
        ..old.clone()
    }
}

/// The volume with the phase that it should have, or nothing if it has it (upstream: `updateVolumePhase`).
pub fn volume(world: &VolumeWorld) -> Option<PersistentVolume> {
    let old = volume::volume_phase(&world.volume);
    let (phase, message) = match Fate::of(world) {
        Fate::Available => ("Available", None),
        Fate::Bound => ("Bound", None),
        // What went wrong is to be seen for as long as it is so.
        Fate::Released | Fate::Delete if old == "Failed" => return None,
        Fate::Released | Fate::Delete => ("Released", None),
        Fate::Failed(note) => ("Failed", Some(note.message)),
        Fate::Unbind | Fate::Mismatch(_) | Fate::Wait | Fate::Ask => return None,
    };
    if old == phase && world.volume.status.is_some() {
        return None;
    }
    let mut volume = (*world.volume).clone();
    let status = volume.status.get_or_insert_default();
    status.phase = Some(phase.to_owned());
    status.message = message;
    Some(volume)
}
