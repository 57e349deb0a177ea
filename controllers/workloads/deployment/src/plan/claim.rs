//! Which ReplicaSets become ours and which do not stay it.
//!
//! Upstream: `pkg/controller/controller_ref_manager.go`. The patches carry the UID of the ReplicaSet, so that another
//! one of the same name is not hit, and adoption waits for the API server's word that the Deployment still lives: an
//! orphan that is adopted by what is being deleted would be deleted with it.

use crate::world::World;
use ::plan::{Action, Confirm, PatchType, Reference};
use k8s_openapi::api::apps::v1::ReplicaSet;
use objects::meta;
use serde_json::json;

/// The adoptions and releases that are due.
pub(super) fn actions(world: &World) -> Vec<Action> {
    let adopt = world.orphans.iter().map(|rs| adopt(world, rs));
    let release = world.strangers.iter().map(|rs| release(world, rs));
    adopt.chain(release).collect()
}

fn adopt(world: &World, rs: &ReplicaSet) -> Action {
    let owner = meta::owner_reference("apps/v1", "Deployment", &world.deployment.metadata);
    let body = json!({"metadata": {
        "ownerReferences": [owner],
        "uid": meta::uid(&rs.metadata),
    }});
    Action::patch(Reference::to(rs), PatchType::Strategic, body)
        .confirming(Confirm::Alive(world.me.clone()))
        .because("adopt")
}

fn release(world: &World, rs: &ReplicaSet) -> Action {
    let body = json!({"metadata": {
        "ownerReferences": [{"$patch": "delete", "uid": world.me.uid}],
        "uid": meta::uid(&rs.metadata),
    }});
    Action::patch(Reference::to(rs), PatchType::Strategic, body).because("release")
}
