//! The claims of a pod: created before it, and owned by whom the retention policy names.
//!
//! Upstream: `createPersistentVolumeClaims`, `PodClaimIsStale` in `stateful_pod_control.go`, `isClaimOwnerUpToDate`,
//! `updateClaimOwnerRefForSetAndPod` in `stateful_set_utils.go`.

use crate::identity;
use crate::world::{Settings, World};
use ::plan::{Action, Note, PatchType, Reference};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use objects::meta;
use serde_json::json;
use std::sync::Arc;

/// Why a pod cannot be created yet.
pub(super) enum Block {
    /// A claim is about to be collected with a pod of before.
    Stale,
    /// The claim of this name is being deleted.
    Going(String),
}

/// Whose claims are looked at: a pod that is there, or one that will be.
#[derive(Clone, Copy)]
pub(super) struct Holder<'a> {
    world: &'a World,
    settings: &'a Settings,
    ordinal: i64,
    pod: Option<&'a Pod>,
}

impl<'a> Holder<'a> {
    pub(super) fn new(
        world: &'a World,
        settings: &'a Settings,
        ordinal: i64,
        pod: Option<&'a Pod>,
    ) -> Self {
        Self {
            world,
            settings,
            ordinal,
            pod,
        }
    }

    /// The claims that are missing, each with the owner that it should have.
    pub(super) fn create_missing(&self) -> Vec<Action> {
        let all = self.names();
        all.filter(|(_, name)| !self.world.claims.contains_key(name))
            .map(|(template, name)| self.create(template, name))
            .collect()
    }

    /// What stands in the way of the pod.
    pub(super) fn block(&self) -> Option<Block> {
        let claims: Vec<_> = self.claims().collect();
        if self.settings.retention.delete_with_pod
            && claims.iter().any(|(_, claim)| self.is_stale_pod(claim))
        {
            return Some(Block::Stale);
        }
        let going = claims
            .iter()
            .find(|(_, claim)| meta::is_deleting(&claim.metadata));
        going.map(|(name, _)| Block::Going(name.clone()))
    }

    /// Gives the claims that are there the owners that they should have, and says where that cannot be.
    pub(super) fn retain(&self) -> (Vec<Action>, Vec<Note>) {
        let (mut actions, mut notes) = (Vec::new(), Vec::new());
        for (name, claim) in self.claims() {
            if meta::is_deleting(&claim.metadata) {
                continue;
            }
            let Some(owners) = self.owners(claim) else {
                continue;
            };
            notes.extend(self.conflict(&name, claim));
            let body = json!({ "metadata": {
                "uid": claim.metadata.uid,
                "resourceVersion": claim.metadata.resource_version,
                "ownerReferences": owners,
            }});
            let patch = Action::patch(Reference::to(&**claim), PatchType::Merge, body);
            let pod = self.pod_name();
            let warning = super::pods::failed(self.world, "Update", &pod);
            actions.push(
                patch
                    .warning(&self.world.owner, "FailedUpdate", warning)
                    .because("retention policy"),
            );
        }
        (actions, notes)
    }

    /// Says which claims have a controller that is not ours.
    pub(super) fn conflicts(&self) -> Vec<Note> {
        self.claims()
            .filter_map(|(name, claim)| self.conflict(&name, claim))
            .collect()
    }

    fn conflict(&self, name: &str, claim: &PersistentVolumeClaim) -> Option<Note> {
        let message = format!(
            "PersistentVolumeClaim {name} has a conflicting OwnerReference that acts as a manging controller, the retention policy is ignored for this claim"
        );
        let note = || Note::warning(&self.world.owner, "ConflictingController", message);
        self.has_other_controller(claim).then(note)
    }

    fn names(&self) -> impl Iterator<Item = (&'a PersistentVolumeClaim, String)> {
        let (world, ordinal) = (self.world, self.ordinal);
        world.claim_templates().iter().map(move |template| {
            let base = meta::name(&template.metadata);
            let name = identity::claim_name(base, &world.owner.name, ordinal);
            (template, name)
        })
    }

    fn claims(&self) -> impl Iterator<Item = (String, &'a Arc<PersistentVolumeClaim>)> {
        let claims = &self.world.claims;
        self.names()
            .filter_map(|(_, name)| claims.get(&name).map(|claim| (name, claim)))
    }

    /// Upstream: `getPersistentVolumeClaims`.
    fn create(&self, template: &PersistentVolumeClaim, name: String) -> Action {
        let (set, pod) = (&self.world.owner, self.pod_name());
        let mut labels = template.metadata.labels.clone().unwrap_or_default();
        let selector = self.world.set.spec.as_ref().map(|spec| &spec.selector);
        labels.extend(
            selector
                .and_then(|s| s.match_labels.clone())
                .unwrap_or_default(),
        );
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(set.namespace.clone()),
            labels: Some(labels),
            owner_references: Some(self.wanted()).filter(|owners| !owners.is_empty()),
            ..template.metadata.clone()
        };
        let claim = PersistentVolumeClaim {
            metadata,
            spec: template.spec.clone(),
            status: None,
        };
        let set_name = &set.name;
        Action::create(claim)
            .noting(
                set,
                "SuccessfulCreate",
                format!("Create Claim {name} Pod {pod} in StatefulSet {set_name} success"),
            )
            .warning(
                set,
                "FailedCreate",
                format!("Create Claim {name} for Pod {pod} in StatefulSet {set_name} failed error"),
            )
    }

    /// The owners that the claim should have, if it has others.
    fn owners(&self, claim: &PersistentVolumeClaim) -> Option<Vec<OwnerReference>> {
        if self.is_stale_set(claim) || self.is_stale_pod(claim) {
            // It belongs to a set or pod of before: the garbage collector's, and not ours to touch.
            return None;
        }
        let has = claim.metadata.owner_references.as_deref();
        let has = has.unwrap_or_default();
        let ours = |owner: &&OwnerReference| self.is_set(owner) || self.is_pod(owner);
        let mut owners: Vec<_> = has.iter().filter(|o| !ours(o)).cloned().collect();
        if !self.has_other_controller(claim) {
            owners.extend(self.wanted());
        }
        let is_same = |a: &OwnerReference, b: &OwnerReference| {
            a.uid == b.uid && a.controller.unwrap_or(false) == b.controller.unwrap_or(false)
        };
        let within = |a: &[OwnerReference], b: &[OwnerReference]| {
            a.iter().all(|a| b.iter().any(|b| is_same(a, b)))
        };
        (!within(has, &owners) || !within(&owners, has)).then_some(owners)
    }

    /// The owners that the policy names: the set while the pod is wanted, the pod when it is not any more.
    fn wanted(&self) -> Vec<OwnerReference> {
        let is_wanted = self.settings.ordinals.contains(&self.ordinal);
        let retention = self.settings.retention;
        match self.pod {
            Some(pod) if !is_wanted && retention.delete_with_pod => {
                vec![meta::owner_reference("v1", "Pod", &pod.metadata)]
            }
            _ if retention.delete_with_set && (is_wanted || !retention.delete_with_pod) => {
                vec![self.world.owner_reference.clone()]
            }
            _ => Vec::new(),
        }
    }

    /// Upstream: `hasUnexpectedController`.
    fn has_other_controller(&self, claim: &PersistentVolumeClaim) -> bool {
        let retention = self.settings.retention;
        if !retention.delete_with_set && !retention.delete_with_pod {
            return false;
        }
        let owners = claim.metadata.owner_references.iter().flatten();
        owners
            .into_iter()
            .any(|o| o.controller == Some(true) && !self.is_set(o) && !self.is_pod(o))
    }

    /// It names a set of this name that is another one.
    fn is_stale_set(&self, claim: &PersistentVolumeClaim) -> bool {
        let mut owners = claim.metadata.owner_references.iter().flatten();
        owners.any(|o| self.is_set(o) && o.uid != self.world.owner.uid)
    }

    /// It names a pod of this name that is another one.
    fn is_stale_pod(&self, claim: &PersistentVolumeClaim) -> bool {
        let uid = self.pod.map_or("", |pod| meta::uid(&pod.metadata));
        let mut owners = claim.metadata.owner_references.iter().flatten();
        owners.any(|o| self.is_pod(o) && o.uid != uid)
    }

    fn is_set(&self, owner: &OwnerReference) -> bool {
        let name = &self.world.owner.name;
        owner.api_version == "apps/v1" && owner.kind == "StatefulSet" && owner.name == *name
    }

    fn is_pod(&self, owner: &OwnerReference) -> bool {
        owner.api_version == "v1" && owner.kind == "Pod" && owner.name == self.pod_name()
    }

    fn pod_name(&self) -> String {
        identity::pod_name(&self.world.owner.name, self.ordinal)
    }
}
