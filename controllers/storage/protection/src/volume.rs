//! Volumes, which claims have.

use crate::plan::{OF_VOLUMES, matters, plan};
use crate::{Use, World};
use ::plan::Plan;
use k8s_openapi::api::core::v1::PersistentVolume;
use objects::volume::volume_phase;
use runtime::{Caches, Controller, Moment};
use std::sync::Arc;

/// The loop that protects volumes.
#[derive(Clone, Copy, Debug, Default)]
pub struct VolumeProtection;

/// Whether a volume is a claim's: it says so, or is about to.
pub(crate) fn used(volume: &PersistentVolume) -> Use {
    let reference = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.claim_ref.as_ref());
    let uid = reference
        .and_then(|reference| reference.uid.as_deref())
        .unwrap_or_default();
    match volume_phase(volume) {
        "Bound" => Use::Yes,
        "Pending" | "Available" if !uid.is_empty() => Use::Yes,
        _ => Use::No,
    }
}

impl Controller for VolumeProtection {
    const NAME: &'static str = "persistentvolume-protection-controller";
    const SOURCE: &'static str = "pv-protection-controller";
    const QUEUE: &'static str = "pvprotection";
    type Object = PersistentVolume;
    type World = World<PersistentVolume>;

    fn matters(volume: &PersistentVolume) -> bool {
        matters(&volume.metadata, OF_VOLUMES)
    }

    async fn observe(&self, _: &Caches, volume: Arc<PersistentVolume>, _: Moment) -> Self::World {
        let used = used(&volume);
        World {
            object: volume,
            used,
        }
    }

    fn plan(world: &Self::World) -> Plan {
        plan(world, OF_VOLUMES)
    }
}
