//! Questions about claims, volumes and storage classes: which belong together, and which could.
//!
//! Upstream: `component-helpers/storage/{volume,ephemeral}`, `pkg/volume/util/storageclass.go`.

mod wish;

pub use wish::Wish;

use crate::affinity::node_selector_term_matches;
use crate::{Quantity, meta};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;
use std::sync::Arc;

/// On a claim: it has been bound completely before. The value does not matter.
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// On a claim or a volume: the controller, and not a user, bound it to the other. The value does not matter.
pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// On a claim: the node that the scheduler chose, near which its volume is to be made.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// On a claim: who is to make a volume for it.
pub const STORAGE_PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
/// The older name of [`STORAGE_PROVISIONER`]; both are written.
pub const BETA_STORAGE_PROVISIONER: &str = "volume.beta.kubernetes.io/storage-provisioner";
/// On a volume: who made it.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// On a claim or a volume of a former in-tree plugin: the CSI driver that sees to it.
pub const MIGRATED_TO: &str = "pv.kubernetes.io/migrated-to";
/// The provisioner of classes whose volumes nobody makes.
pub const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
/// The index of pods by the claims that they use, see [`claim_keys`].
pub const BY_CLAIM: &str = "spec.volumes.persistentVolumeClaim";

const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
const DEFAULT_CLASS: [&str; 2] = [
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];

/// Whether the object has this annotation, whatever its value.
pub fn is_marked(meta: &ObjectMeta, with: &str) -> bool {
    meta::annotation(meta, with).is_some()
}

/// The class that a claim asks for; empty where it asks for none, or for no class at all (see [`has_class`]).
pub fn class_of_claim(claim: &PersistentVolumeClaim) -> &str {
    let spec = || claim.spec.as_ref()?.storage_class_name.as_deref();
    let beta = meta::annotation(&claim.metadata, BETA_CLASS);
    beta.or_else(spec).unwrap_or_default()
}

/// Whether a claim says which class it wants. The empty name says: a volume without one.
pub fn has_class(claim: &PersistentVolumeClaim) -> bool {
    let spec = claim.spec.as_ref();
    is_marked(&claim.metadata, BETA_CLASS)
        || spec.is_some_and(|spec| spec.storage_class_name.is_some())
}

/// The class of a volume; empty without one.
pub fn class_of_volume(volume: &PersistentVolume) -> &str {
    let spec = || volume.spec.as_ref()?.storage_class_name.as_deref();
    let beta = meta::annotation(&volume.metadata, BETA_CLASS);
    beta.or_else(spec).unwrap_or_default()
}

/// Whether claims of this class wait for a pod that uses them.
pub fn waits_for_consumer(class: &StorageClass) -> bool {
    class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer")
}

/// The class of claims that do not say which they want: of those marked as default the newest.
pub fn default_class<'a>(classes: &'a [Arc<StorageClass>]) -> Option<&'a Arc<StorageClass>> {
    let marked = classes.iter().filter(|class| is_default(class));
    marked.min_by(|a, b| {
        let age = |class: &'a StorageClass| meta::created(&class.metadata);
        let by_age = age(b).cmp(&age(a));
        by_age.then_with(|| meta::name(&a.metadata).cmp(meta::name(&b.metadata)))
    })
}

/// Whether a class is marked as the default.
pub fn is_default(class: &StorageClass) -> bool {
    let is = |key| meta::annotation(&class.metadata, key) == Some("true");
    DEFAULT_CLASS.into_iter().any(is)
}

/// The volume that a claim names; empty while it has none.
pub fn volume_of(claim: &PersistentVolumeClaim) -> &str {
    let spec = claim.spec.as_ref();
    spec.and_then(|spec| spec.volume_name.as_deref())
        .unwrap_or_default()
}

/// Whether a claim names a volume, and its binding was finished once.
pub fn is_fully_bound(claim: &PersistentVolumeClaim) -> bool {
    !volume_of(claim).is_empty() && is_marked(&claim.metadata, BIND_COMPLETED)
}

/// The phase of a claim; `Pending` until a status says otherwise.
pub fn claim_phase(claim: &PersistentVolumeClaim) -> &str {
    let status = claim.status.as_ref();
    status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("Pending")
}

/// The phase of a volume; `Pending` until a status says otherwise.
pub fn volume_phase(volume: &PersistentVolume) -> &str {
    let status = volume.status.as_ref();
    status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("Pending")
}

/// Whether a volume is there for this claim: it names it, and no other incarnation of it.
pub fn is_bound_to(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let Some(reference) = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.claim_ref.as_ref())
    else {
        return false;
    };
    let of = &claim.metadata;
    let uid = reference.uid.as_deref().unwrap_or_default();
    reference.name.as_deref() == Some(meta::name(of))
        && reference.namespace.as_deref().unwrap_or_default() == meta::namespace(of)
        && (uid.is_empty() || uid == meta::uid(of))
}

/// Whether one is a file system and the other a raw device.
pub fn mode_differs(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> bool {
    let claim = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_mode.as_deref());
    let volume = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_mode.as_deref());
    claim.unwrap_or("Filesystem") != volume.unwrap_or("Filesystem")
}

/// Whether a volume can be accessed in all ways that the claim asks for.
pub fn has_access_modes(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let offered = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.access_modes.as_deref());
    let offered = offered.unwrap_or_default();
    let wanted = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.access_modes.as_deref());
    wanted
        .unwrap_or_default()
        .iter()
        .all(|mode| offered.contains(mode))
}

/// Whether a volume can be used on the node with these metadata.
pub fn is_reachable(volume: &PersistentVolume, node: &ObjectMeta) -> bool {
    let affinity = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.node_affinity.as_ref());
    let Some(required) = affinity.and_then(|affinity| affinity.required.as_ref()) else {
        return true;
    };
    let mut terms = required.node_selector_terms.iter();
    terms.any(|term| node_selector_term_matches(term, node))
}

/// The size of a volume.
pub fn capacity(volume: &PersistentVolume) -> Quantity {
    let spec = volume.spec.as_ref();
    storage(spec.and_then(|spec| spec.capacity.as_ref()))
}

/// The size that a claim asks for.
pub fn request(claim: &PersistentVolumeClaim) -> Quantity {
    let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    storage(resources.and_then(|resources| resources.requests.as_ref()))
}

fn storage(amounts: Option<&BTreeMap<String, ApiQuantity>>) -> Quantity {
    let amount = amounts.and_then(|amounts| amounts.get("storage"));
    // What is no quantity the API server has not let in.
    amount
        .and_then(|amount| Quantity::try_from(amount).ok())
        .unwrap_or(Quantity::ZERO)
}

/// A claim that a pod uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// The claim's name, in the pod's namespace.
    pub claim: String,
    /// The volume's name within the pod.
    pub volume: String,
    /// Whether the claim is made for this pod (`ephemeral`), and must be its own.
    pub ephemeral: bool,
}

/// The claims that a pod uses.
pub fn claims_of(pod: &Pod) -> impl Iterator<Item = Used> {
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| {
        let (claim, ephemeral) = match (&volume.persistent_volume_claim, &volume.ephemeral) {
            (Some(source), _) => (source.claim_name.clone(), false),
            (None, Some(_)) => (ephemeral_claim(pod, &volume.name), true),
            (None, None) => return None,
        };
        let volume = volume.name.clone();
        Some(Used {
            claim,
            volume,
            ephemeral,
        })
    })
}

/// `namespace/name` of the claims that a pod uses, for an index called [`BY_CLAIM`].
pub fn claim_keys(pod: &Pod) -> Vec<String> {
    let namespace = meta::namespace(&pod.metadata);
    claims_of(pod)
        .map(|used| format!("{namespace}/{}", used.claim))
        .collect()
}

/// The name of the claim that is made for an ephemeral volume of a pod.
pub fn ephemeral_claim(pod: &Pod, volume: &str) -> String {
    format!("{}-{volume}", meta::name(&pod.metadata))
}

/// Whether a claim was made for the pod of this metadata; otherwise why not, in upstream's words.
///
/// # Errors
/// The claim belongs to nobody, or to somebody else.
pub fn is_for(pod: &ObjectMeta, claim: &PersistentVolumeClaim) -> Result<(), String> {
    let of = &claim.metadata;
    if meta::namespace(of) == meta::namespace(pod) && meta::is_controlled_by(of, meta::uid(pod)) {
        return Ok(());
    }
    Err(format!(
        "PVC {}/{} was not created for pod {}/{} (pod is not owner)",
        meta::namespace(of),
        meta::name(of),
        meta::namespace(pod),
        meta::name(pod)
    ))
}

#[cfg(test)]
mod tests;
