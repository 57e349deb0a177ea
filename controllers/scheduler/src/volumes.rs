//! What is written about a pod's volumes before it is bound, and when that is enough. Pure.
//!
//! Upstream: `framework/plugins/volumebinding/binder.go` (`bindAPIUpdate`, `checkBindings`).

use crate::node::Node;
use crate::pods::PodInfo;
use crate::storage::{Storage, Work};
use ahash::AHashMap;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::meta;
use objects::volume::{self, is_reachable};
use plan::{Action, Outcome, PatchType, Plan, Reference};
use serde_json::{Value, json};

/// The writes: volumes are given to claims, and claims are told for which node volumes are to be made.
pub fn plan(work: &Work, node: &str) -> Plan {
    let mut plan = Plan::none();
    let give = work.give.iter().map(|(volume, claim)| give(volume, claim));
    let make = work.make.iter().filter_map(|claim| choose(claim, node));
    plan.then(give.chain(make).collect());
    plan
}

fn give(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Action {
    let of = &claim.metadata;
    let reference = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "namespace": of.namespace, "name": of.name, "uid": of.uid, "resourceVersion": of.resource_version,
    });
    let body = json!({
        "metadata": {
            "uid": volume.metadata.uid, "resourceVersion": volume.metadata.resource_version,
            "annotations": { volume::BOUND_BY_CONTROLLER: "yes" },
        },
        "spec": { "claimRef": reference },
    });
    Action::patch(Reference::to(volume), PatchType::Merge, body)
        .because("it is near the pod that uses the claim")
}

fn choose(claim: &PersistentVolumeClaim, node: &str) -> Option<Action> {
    if meta::annotation(&claim.metadata, volume::SELECTED_NODE) == Some(node) {
        return None;
    }
    let body: Value = json!({ "metadata": {
        "uid": claim.metadata.uid, "resourceVersion": claim.metadata.resource_version,
        "annotations": { volume::SELECTED_NODE: node },
    } });
    Some(
        Action::patch(Reference::to(claim), PatchType::Merge, body)
            .because("its volume is to be made near this node"),
    )
}

/// The versions of what was written: what is older than these says nothing.
#[derive(Debug, Default)]
pub struct Written(AHashMap<String, u64>);

impl Written {
    /// Of these writes.
    pub fn of(outcome: &Outcome) -> Self {
        let done = outcome.done.iter();
        Self(
            done.filter_map(|done| Some((done.on.uid.clone(), done.version?)))
                .collect(),
        )
    }

    fn is_seen(&self, of: &ObjectMeta) -> bool {
        let wanted = self.0.get(meta::uid(of)).copied().unwrap_or_default();
        meta::resource_version(of).unwrap_or_default() >= wanted
    }
}

/// Whether all claims of the pod are bound to volumes that can be used on the node.
///
/// # Errors
/// They will not be: the pod has to be given another node.
pub fn are_bound(
    storage: &Storage,
    info: &PodInfo,
    node: Option<&Node>,
    work: &Work,
    written: &Written,
) -> Result<bool, String> {
    let node = node.ok_or("binding volumes: the node does not exist any more")?;
    let node_name = meta::name(&node.metadata);
    for (volume, _) in &work.give {
        let name = meta::name(&volume.metadata);
        let live = storage.volume(name);
        let live =
            live.ok_or_else(|| format!("binding volumes: pv {name:?} does not exist any more"))?;
        let reference = live.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        let kept = reference
            .and_then(|reference| reference.uid.as_deref())
            .is_some_and(|uid| !uid.is_empty());
        if written.is_seen(&live.metadata) && !kept {
            return Err(format!(
                "binding volumes: ClaimRef got reset for pv {name:?}"
            ));
        }
    }
    let namespace = info.namespace();
    for used in &info.claims {
        let name = &used.claim;
        let claim = storage.claim(namespace, name);
        let claim = claim
            .ok_or_else(|| format!("binding volumes: persistentvolumeclaim {name:?} not found"))?;
        let to_make = work
            .make
            .iter()
            .any(|made| made.metadata.uid == claim.metadata.uid);
        if !written.is_seen(&claim.metadata) {
            return Ok(false);
        }
        let selected = meta::annotation(&claim.metadata, volume::SELECTED_NODE);
        if to_make && selected != Some(node_name) {
            return Err(format!(
                "binding volumes: provisioning failed for PVC {name:?}"
            ));
        }
        if !volume::is_fully_bound(claim) {
            return Ok(false);
        }
        let Some(volume) = storage.volume(volume::volume_of(claim)) else {
            return Ok(false);
        };
        if !is_reachable(volume, &node.metadata) {
            let volume = meta::name(&volume.metadata);
            return Err(format!(
                "binding volumes: pv {volume:?} node affinity doesn't match node {node_name:?}"
            ));
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
