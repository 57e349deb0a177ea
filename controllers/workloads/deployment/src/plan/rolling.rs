//! `RollingUpdate`: the new ReplicaSet grows, the old ones shrink, within bounds.
//!
//! Upstream: `pkg/controller/deployment/rolling.go`, whose long example (13, 8, 5) is a test here.

use super::draft::{Draft, Drafts, sum};
use super::{new_replicaset, revision};
use crate::world::{Settings, World};

/// One round: up if that is possible, down otherwise.
pub(super) fn roll(world: &World, settings: &Settings, drafts: &mut Drafts) {
    new_replicaset::ensure(world, settings, drafts);
    revision::sync(world, settings, drafts);
    if !resize_new(settings, drafts) {
        shrink_old(settings, drafts);
    }
}

/// Moves the new ReplicaSet towards its size. True when that is all that may be done in this round; what was just
/// created counts among the old ones' reckoning at once.
fn resize_new(settings: &Settings, drafts: &mut Drafts) -> bool {
    let room = drafts.room(settings);
    let Some(new) = &mut drafts.new else {
        return true;
    };
    let size = if new.replicas > settings.replicas {
        settings.replicas
    } else {
        new.replicas + room.min(settings.replicas - new.replicas)
    };
    let resized = size != new.replicas;
    new.scale_to(size, settings);
    resized && new.exists()
}

/// Takes from the old ReplicaSets what the new one can spare.
fn shrink_old(settings: &Settings, drafts: &mut Drafts) {
    if drafts.old.iter().all(|old| old.replicas == 0) {
        return;
    }
    // Pods of the new one that are not available must not make old ones go: they may never become so.
    let new_missing = drafts
        .new
        .as_ref()
        .map_or(0, |new| new.replicas - new.available());
    let spare = drafts.wanted() - settings.min_available() - new_missing;
    if spare > 0 {
        drop_unhealthy(spare, settings, drafts);
        drop_healthy(settings, drafts);
    }
}

/// Old pods that are not available serve nobody and would only hold up the rollout: they go first, oldest first.
fn drop_unhealthy(mut spare: i32, settings: &Settings, drafts: &mut Drafts) {
    for old in &mut drafts.old {
        let count = old.unhealthy().clamp(0, spare.max(0));
        old.scale_to(old.replicas - count, settings);
        spare -= count;
    }
}

/// Then available ones, as long as enough are known to be left, oldest first.
fn drop_healthy(settings: &Settings, drafts: &mut Drafts) {
    let available = sum(drafts.all().map(Draft::available));
    let mut spare = available - settings.min_available();
    for old in &mut drafts.old {
        let count = old.replicas.clamp(0, spare.max(0));
        old.scale_to(old.replicas - count, settings);
        spare -= count;
    }
}
