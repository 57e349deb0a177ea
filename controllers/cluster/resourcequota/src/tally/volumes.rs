//! What a PersistentVolumeClaim uses (upstream: `pkg/quota/v1/evaluator/core/persistent_volume_claims.go`).

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use objects::{Quantity, meta};
use std::collections::BTreeSet;

const COUNT: &str = "count/persistentvolumeclaims";
const CLAIMS: &str = "persistentvolumeclaims";
const STORAGE: &str = "requests.storage";
/// Stands between the name of a StorageClass and that of a resource.
const OF_CLASS: &str = ".storageclass.storage.k8s.io/";
/// The annotation in which the class once stood; it is still heeded first.
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// Whether claims are charged for it.
pub(crate) fn counts(name: &str) -> bool {
    matches!(name, COUNT | CLAIMS | STORAGE)
        || [CLAIMS, STORAGE].iter().any(|resource| {
            let class = name.strip_suffix(resource);
            class.is_some_and(|class| class.ends_with(OF_CLASS))
        })
}

/// All that a claim uses.
pub(crate) fn each(claim: &PersistentVolumeClaim, mut add: impl FnMut(&str, Quantity)) {
    let one = Quantity::from_units(1);
    add(COUNT, one);
    add(CLAIMS, one);
    let storage = storage(claim);
    if let Some(storage) = storage {
        add(STORAGE, storage);
    }
    if let Some(class) = class(claim) {
        add(&format!("{class}{OF_CLASS}{CLAIMS}"), one);
        if let Some(storage) = storage {
            add(&format!("{class}{OF_CLASS}{STORAGE}"), storage);
        }
    }
}

fn class(claim: &PersistentVolumeClaim) -> Option<&str> {
    let spec = claim.spec.as_ref()?.storage_class_name.as_deref();
    let class = meta::annotation(&claim.metadata, CLASS).or(spec)?;
    (!class.is_empty()).then_some(class)
}

/// What is asked for, or allocated while an expansion is on its way, in whole bytes: no other is valid in a quota
/// (kubernetes#94313).
fn storage(claim: &PersistentVolumeClaim) -> Option<Quantity> {
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    let asked = Quantity::try_from(requests.get("storage")?).ok()?;
    let allocated = claim.status.as_ref();
    let allocated = allocated.and_then(|s| s.allocated_resources.as_ref()?.get("storage"));
    let allocated = allocated.and_then(|q| Quantity::try_from(q).ok());
    Some(
        allocated
            .filter(|a| *a > asked)
            .unwrap_or(asked)
            .rounded_up(),
    )
}

/// The VolumeAttributesClasses that it has, wants, or is on its way to.
pub(super) fn attributes(claim: &PersistentVolumeClaim) -> BTreeSet<&str> {
    let wanted = claim.spec.as_ref();
    let wanted = wanted.and_then(|s| s.volume_attributes_class_name.as_deref());
    let status = claim.status.as_ref();
    let current = status.and_then(|s| s.current_volume_attributes_class_name.as_deref());
    let next = status.and_then(|s| s.modify_volume_status.as_ref());
    let next = next.and_then(|m| m.target_volume_attributes_class_name.as_deref());
    let names = [wanted, current, next].into_iter().flatten();
    names.filter(|name| !name.is_empty()).collect()
}

/// Whether it counts for something else now.
pub(crate) fn differs(old: &PersistentVolumeClaim, new: &PersistentVolumeClaim) -> bool {
    storage(old) != storage(new) || class(old) != class(new) || attributes(old) != attributes(new)
}
