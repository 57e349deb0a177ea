//! Which ReplicaSets become ours and which do not stay it.
//!
//! Upstream: `pkg/controller/controller_ref_manager.go`. The patches carry the UID of the ReplicaSet, so that another
//! one of the same name is not hit, and adoption waits for the API server's word that the Deployment still lives: an
//! orphan that is adopted by what is being deleted would be deleted with it.

use crate::world::World;
use ::plan::Action;
use objects::meta;

/// The adoptions and releases that are due.
pub(super) fn actions(world: &World) -> Vec<Action> {
    let owner = meta::owner_reference("apps/v1", "Deployment", &world.deployment.metadata);
    let adopt = world
        .orphans
        .iter()
        .map(|rs| Action::adopt(&**rs, &world.me, &owner));
    let release = world
        .strangers
        .iter()
        .map(|rs| Action::release(&**rs, &world.me.uid));
    adopt.chain(release).collect()
}
