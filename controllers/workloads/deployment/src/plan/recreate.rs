//! `Recreate`: all old pods end before a new one is made.
//!
//! Upstream: `pkg/controller/deployment/recreate.go`.

use super::draft::Drafts;
use super::{new_replicaset, revision};
use crate::replicas;
use crate::world::{Settings, World};

/// One round.
pub(super) fn roll(world: &World, settings: &Settings, drafts: &mut Drafts) {
    revision::sync(world, settings, drafts);
    if drafts.old.iter().any(|old| old.replicas > 0) {
        for old in &mut drafts.old {
            old.scale_to(0, settings);
        }
        return;
    }
    if may_run(world) {
        return;
    }
    if drafts.new.is_none() {
        new_replicaset::ensure(world, settings, drafts);
        revision::sync(world, settings, drafts);
    }
    if let Some(new) = &mut drafts.new {
        new.scale_to(settings.replicas, settings);
    }
}

/// Whether a pod of an old ReplicaSet may still run. A pod that was asked to end may; one that has finished does not.
/// The pods that are seen may be fewer than there are, so the ReplicaSets are asked too, and one whose status is
/// older than its spec may have made pods that nobody has seen yet.
fn may_run(world: &World) -> bool {
    let reported = |rs: &k8s_openapi::api::apps::v1::ReplicaSet| {
        replicas::active(rs) > 0
            || replicas::terminating(rs).unwrap_or(0) > 0
            || !replicas::is_current(rs)
    };
    !world.old_pods.is_empty() || world.old.iter().any(|rs| reported(rs))
}
