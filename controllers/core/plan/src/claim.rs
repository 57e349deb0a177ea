//! Adoption and release: which objects a selector's owner may call its own
//! (upstream: controller_ref_manager.go, `ClaimObject`).

use crate::{Action, Confirm, PatchType, Reference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::json;

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
    /// Makes `owner` the controller of the object `on`, if it is still that incarnation and the owner is
    /// still alive.
    pub fn adopt(on: Reference, owner: &Reference, owner_reference: &OwnerReference) -> Self {
        let body = json!({"metadata": {"uid": on.uid, "ownerReferences": [owner_reference]}});
        Self::patch(on, PatchType::Strategic, body)
            .confirming(Confirm::Alive(owner.clone()))
            .because("it matches and is nobody's")
    }

    /// Takes the owner with this UID off the object `on`.
    pub fn release(on: Reference, owner_uid: &str) -> Self {
        let gone = json!({"$patch": "delete", "uid": owner_uid});
        let body = json!({"metadata": {"uid": on.uid, "ownerReferences": [gone]}});
        Self::patch(on, PatchType::Strategic, body).because("it does not match any more")
    }
}
