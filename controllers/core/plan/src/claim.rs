//! Adoption and release: which objects a selector's owner may call its own
//! (upstream: controller_ref_manager.go, `ClaimObject`).

use crate::{Action, Confirm, PatchType, Reference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::{Metadata, Resource};
use serde_json::{Value, json};

/// What an owner does about an object of the kind that it owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is ours and stays so.
    Keep,
    /// It is nobody's and the selector matches.
    Adopt,
    /// It is ours and the selector does not match any more.
    Release,
    /// It is none of our business.
    Ignore,
}

impl Claim {
    /// What the owner with this metadata does about the object with `meta`, whose labels its selector
    /// `matches` or not.
    pub fn of(owner: &ObjectMeta, meta: &ObjectMeta, matches: bool) -> Self {
        let controller = meta
            .owner_references
            .iter()
            .flatten()
            .find(|reference| reference.controller == Some(true));
        let owner_is_going = owner.deletion_timestamp.is_some();
        match controller {
            Some(controller) if Some(&controller.uid) == owner.uid.as_ref() => match matches {
                true => Self::Keep,
                false if owner_is_going => Self::Ignore,
                false => Self::Release,
            },
            None if matches && !owner_is_going && meta.deletion_timestamp.is_none() => Self::Adopt,
            _ => Self::Ignore,
        }
    }
}

impl Action {
    /// Makes `owner` the controller of `object`, if it is still that incarnation and the owner is still alive.
    pub fn adopt<K>(object: &K, owner: &Reference, owner_reference: &OwnerReference) -> Self
    where
        K: Resource + Metadata<Ty = ObjectMeta>,
    {
        let strategic = || json!([owner_reference]);
        let whole = |owners: &mut Vec<OwnerReference>| owners.push(owner_reference.clone());
        Self::owners(object, strategic, whole)
            .confirming(Confirm::Alive(owner.clone()))
            .because("it matches and is nobody's")
    }

    /// Takes the owner with this UID off `object`.
    pub fn release<K>(object: &K, owner_uid: &str) -> Self
    where
        K: Resource + Metadata<Ty = ObjectMeta>,
    {
        let strategic = || json!([{"$patch": "delete", "uid": owner_uid}]);
        let whole = |owners: &mut Vec<OwnerReference>| owners.retain(|o| o.uid != owner_uid);
        Self::owners(object, strategic, whole).because("it does not match any more")
    }

    /// A change of the owners of `object`. Custom resources know no strategic merge patch, and any kind outside the core
    /// group may be served as one: of these the whole list is put, on the version that was seen.
    fn owners<K>(
        object: &K,
        strategic: impl FnOnce() -> Value,
        whole: impl FnOnce(&mut Vec<OwnerReference>),
    ) -> Self
    where
        K: Resource + Metadata<Ty = ObjectMeta>,
    {
        let (on, meta) = (Reference::to(object), object.metadata());
        if K::GROUP.is_empty() {
            let body = json!({"metadata": {"uid": on.uid, "ownerReferences": strategic()}});
            return Self::patch(on, PatchType::Strategic, body);
        }
        let mut owners = meta.owner_references.clone().unwrap_or_default();
        whole(&mut owners);
        let body = json!({"metadata": {
            "uid": on.uid,
            "resourceVersion": meta.resource_version,
            "ownerReferences": owners,
        }});
        Self::patch(on, PatchType::Merge, body)
    }
}
