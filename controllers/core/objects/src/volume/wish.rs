//! Which volume is the best for a claim (upstream: `FindMatchingVolume`; `pkg/controller/volume/persistentvolume/index.go`).

use super::{
    capacity, class_of_claim, class_of_volume, has_access_modes, is_bound_to, is_reachable,
    mode_differs, request, volume_phase,
};
use crate::fnv::fnv32a;
use crate::selector::{Selector, SelectorError};
use crate::{Quantity, meta};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::sync::Arc;

/// What a claim asks of a volume, checked once.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
    claim: &'a PersistentVolumeClaim,
    size: Quantity,
    class: &'a str,
    selector: Option<Selector>,
}

impl<'a> Wish<'a> {
    /// What this claim asks for.
    ///
    /// # Errors
    /// `spec.selector` is not valid.
    pub fn of(claim: &'a PersistentVolumeClaim) -> Result<Self, SelectorError> {
        let selector = claim.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        Ok(Self {
            claim,
            size: request(claim),
            class: class_of_claim(claim),
            selector: selector.map(Selector::parse).transpose()?,
        })
    }

    /// The volume that was reserved for the claim, by a user, a provisioner or the scheduler. Upstream's controller may
    /// prefer another one that offers fewer access modes.
    pub fn reserved<'v>(
        &self,
        volumes: &'v [Arc<PersistentVolume>],
    ) -> Option<&'v Arc<PersistentVolume>> {
        let ours = |volume: &&Arc<PersistentVolume>| {
            is_bound_to(volume, self.claim)
                && self.may_hold(volume)
                && has_access_modes(volume, self.claim)
        };
        volumes
            .iter()
            .filter(ours)
            .min_by_key(|volume| meta::name(&volume.metadata))
    }

    /// Whether this volume, which is nobody's, would do.
    pub fn suits(&self, volume: &PersistentVolume) -> bool {
        let spec = volume.spec.as_ref();
        let labels = volume.metadata.labels.as_ref();
        spec.is_some_and(|spec| spec.claim_ref.is_none())
            && volume_phase(volume) == "Available"
            && class_of_volume(volume) == self.class
            && self.may_hold(volume)
            && has_access_modes(volume, self.claim)
            && self
                .selector
                .as_ref()
                .is_none_or(|selector| selector.matches(labels))
    }

    /// The best of the volumes that are nobody's: the one that offers the fewest further access modes, and of those the
    /// smallest. Among equals each claim has another order, so that many claims do not all want the same one.
    pub fn best<'v>(
        &self,
        volumes: &'v [Arc<PersistentVolume>],
    ) -> Option<&'v Arc<PersistentVolume>> {
        let modes = |volume: &PersistentVolume| {
            let modes = volume
                .spec
                .as_ref()
                .and_then(|spec| spec.access_modes.as_ref());
            modes.map_or(0, Vec::len)
        };
        let suitable = volumes.iter().filter(|volume| self.suits(volume));
        suitable.min_by_key(|volume| (modes(volume), capacity(volume), self.lot(volume)))
    }

    /// The smallest of the volumes that are nobody's and can be used on this node, without those that are `taken`.
    pub fn best_on<'v>(
        &self,
        volumes: impl Iterator<Item = &'v Arc<PersistentVolume>>,
        node: &ObjectMeta,
        taken: impl Fn(&PersistentVolume) -> bool,
    ) -> Option<&'v Arc<PersistentVolume>> {
        let here = volumes
            .filter(|volume| self.suits(volume) && is_reachable(volume, node) && !taken(volume));
        here.min_by_key(|volume| (capacity(volume), self.lot(volume)))
    }

    /// Why the volume that the claim names will not do, in upstream's words (`checkVolumeSatisfyClaim`).
    ///
    /// # Errors
    /// It will not do.
    pub fn check(&self, volume: &PersistentVolume) -> Result<(), String> {
        let name = meta::name(&volume.metadata);
        let reason = if meta::is_deleting(&volume.metadata) {
            format!("the volume is marked for deletion {name:?}")
        } else if capacity(volume).value() < self.size.value() {
            "requested PV is too small".to_owned()
        } else if class_of_volume(volume) != self.class {
            "storageClassName does not match".to_owned()
        } else if self.attributes_differ(volume) {
            "volumeAttributesClassName does not match".to_owned()
        } else if mode_differs(self.claim, volume) {
            "incompatible volumeMode".to_owned()
        } else if !has_access_modes(volume, self.claim) {
            "incompatible accessMode".to_owned()
        } else {
            return Ok(());
        };
        Err(reason)
    }

    fn may_hold(&self, volume: &PersistentVolume) -> bool {
        capacity(volume) >= self.size
            && !mode_differs(self.claim, volume)
            && !self.attributes_differ(volume)
            && !meta::is_deleting(&volume.metadata)
    }

    fn attributes_differ(&self, volume: &PersistentVolume) -> bool {
        let claim = self.claim.spec.as_ref();
        let claim = claim.and_then(|spec| spec.volume_attributes_class_name.as_deref());
        let volume = volume.spec.as_ref();
        let volume = volume.and_then(|spec| spec.volume_attributes_class_name.as_deref());
        claim.unwrap_or_default() != volume.unwrap_or_default()
    }

    fn lot<'v>(&self, volume: &'v PersistentVolume) -> (u32, &'v str) {
        let (claim, name) = (
            meta::uid(&self.claim.metadata),
            meta::name(&volume.metadata),
        );
        (fnv32a(claim.bytes().chain(name.bytes())), name)
    }
}
