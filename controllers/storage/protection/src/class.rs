//! Attribute classes, which claims and volumes name.

use crate::plan::{OF_CLASSES, is_going, matters, plan};
use crate::{Use, World};
use ::plan::Plan;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::VolumeAttributesClass;
use objects::meta;
use runtime::{Caches, Change, Controller, Key, Moment, Queue, Watched, Watches};
use std::sync::Arc;

/// The index of claims and volumes by the attribute classes that they name.
const BY_CLASS: &str = "volumeAttributesClassName";

/// The loop that protects attribute classes.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttributesClassProtection;

/// The classes that a claim has, wants, or is on its way to.
fn of_claim(claim: &PersistentVolumeClaim) -> Vec<String> {
    let (spec, status) = (claim.spec.as_ref(), claim.status.as_ref());
    let wanted = spec.and_then(|spec| spec.volume_attributes_class_name.clone());
    let current = status.and_then(|status| status.current_volume_attributes_class_name.clone());
    let modify = status.and_then(|status| status.modify_volume_status.as_ref());
    let target = modify.and_then(|modify| modify.target_volume_attributes_class_name.clone());
    let mut names: Vec<String> = [wanted, current, target].into_iter().flatten().collect();
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    names
}

fn of_volume(volume: &PersistentVolume) -> Vec<String> {
    let spec = volume.spec.as_ref();
    let name = spec.and_then(|spec| spec.volume_attributes_class_name.clone());
    name.filter(|name| !name.is_empty()).into_iter().collect()
}

impl Controller for AttributesClassProtection {
    const NAME: &'static str = "volumeattributesclass-protection-controller";
    const SOURCE: &'static str = "volumeattributesclass-protection-controller";
    const QUEUE: &'static str = "vacprotection";
    type Object = VolumeAttributesClass;
    type World = World<VolumeAttributesClass>;

    fn matters(class: &VolumeAttributesClass) -> bool {
        matters(&class.metadata, OF_CLASSES)
    }

    fn watch(watches: &Watches<'_>) {
        watches
            .reads::<PersistentVolumeClaim>()
            .index(BY_CLASS, of_claim);
        watches
            .reads::<PersistentVolume>()
            .index(BY_CLASS, of_volume);
        watches.on::<PersistentVolumeClaim>(|change, queue, caches| {
            wake(change, of_claim, queue, caches);
        });
        watches
            .on::<PersistentVolume>(|change, queue, caches| wake(change, of_volume, queue, caches));
    }

    async fn observe(
        &self,
        caches: &Caches,
        class: Arc<VolumeAttributesClass>,
        _: Moment,
    ) -> Self::World {
        let name = meta::name(&class.metadata);
        let free = || {
            caches
                .of::<PersistentVolumeClaim>()
                .indexed(BY_CLASS, name)
                .is_empty()
                && caches
                    .of::<PersistentVolume>()
                    .indexed(BY_CLASS, name)
                    .is_empty()
        };
        let used = match is_going(&class.metadata, OF_CLASSES) {
            false => Use::Unasked,
            true if free() => Use::No,
            true => Use::Yes,
        };
        World {
            object: class,
            used,
        }
    }

    fn plan(world: &Self::World) -> Plan {
        plan(world, OF_CLASSES)
    }
}

/// What names a class no more wakes it, if it goes.
fn wake<K: Watched>(
    change: &Change<K>,
    names: fn(&K) -> Vec<String>,
    queue: &Queue,
    caches: &Caches,
) {
    let now = change.new.as_deref().map(names).unwrap_or_default();
    let classes = caches.of::<VolumeAttributesClass>();
    for name in change.old.as_deref().map(names).unwrap_or_default() {
        let class = classes.get("", &name).filter(|_| !now.contains(&name));
        if class.is_some_and(|class| is_going(&class.metadata, OF_CLASSES)) {
            queue.add(Key::new("", &name));
        }
    }
}
