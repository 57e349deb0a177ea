//! `replicas` changed while several ReplicaSets have pods: each gets its share, so that a rollout neither hastens nor
//! goes back.
//!
//! Upstream: `pkg/controller/deployment/sync.go` `scale`. It can leave a `desired-replicas` annotation that differs
//! from `replicas` and then takes every later round for a scaling one, for ever (kubernetes#138036); here each
//! ReplicaSet with pods gets its annotations in every such round.

use super::draft::{Draft, Drafts, sum};
use crate::annotations::{self, DESIRED_REPLICAS, MAX_REPLICAS};
use crate::world::{Settings, Strategy, World, by_age};
use std::cmp::Ordering;

/// Sizes all ReplicaSets for the `replicas` that are wanted now.
pub(super) fn proportionally(settings: &Settings, world: &World, drafts: &mut Drafts) {
    let before: Vec<i32> = drafts.all().map(|draft| draft.replicas).collect();
    let size_before = drafts.wanted();
    let room = drafts.room(settings);

    match drafts.active().count() {
        0 | 1 => resize_only(settings, drafts),
        _ if is_saturated(settings, drafts) => {
            drafts.old.iter_mut().for_each(|old| old.replicas = 0);
        }
        _ => match settings.strategy {
            Strategy::RollingUpdate { .. } => share_out(settings, world, drafts),
            // The rollout that follows ends the old ones; only the annotations hold it up.
            Strategy::Recreate => {}
        },
    }

    let growth = drafts.wanted() - size_before;
    let several = before.iter().filter(|size| **size > 0).count() > 1;
    if growth > room || (growth < 0 && several && !drafts.are_current()) {
        // Pods of an earlier size are still there, or it is not known which ones are available. Nothing is changed,
        // also no annotation: the next change of a ReplicaSet's status is the occasion to come back.
        for (draft, size) in drafts.all_mut().zip(before) {
            draft.replicas = size;
        }
        return;
    }
    for (draft, size) in drafts.all_mut().zip(before) {
        if draft.replicas > 0 || draft.replicas != size {
            draft.note_size(settings);
        }
    }
}

/// The only one with pods, or else the newest one, gets them all.
fn resize_only(settings: &Settings, drafts: &mut Drafts) {
    let is_active = |draft: &Draft| draft.replicas > 0;
    let only = match drafts.old.iter().position(is_active) {
        Some(index) => drafts.old.get_mut(index),
        None => drafts.new.as_mut().or(drafts.old.last_mut()),
    };
    if let Some(only) = only {
        only.replicas = settings.replicas;
    }
}

/// Whether the new ReplicaSet has all the pods that are wanted, and all available.
fn is_saturated(settings: &Settings, drafts: &Drafts) -> bool {
    drafts.new.as_ref().is_some_and(|new| {
        new.replicas == settings.replicas
            && new.available() == settings.replicas
            && annotations::count(new.annotation(DESIRED_REPLICAS)) == Some(settings.replicas)
    })
}

fn share_out(settings: &Settings, world: &World, drafts: &mut Drafts) {
    let allowed = if settings.replicas > 0 {
        settings.max_total()
    } else {
        0
    };
    let to_add = allowed - drafts.wanted();
    if to_add == 0 {
        return;
    }
    // From large to small; of equal ones the newer first where they grow, the older first where they shrink.
    let mut active: Vec<&mut Draft> = drafts
        .all_mut()
        .filter(|draft| draft.replicas > 0)
        .collect();
    active.sort_by(|a, b| {
        let by_age = by_age(&a.rs, &b.rs);
        let by_age = if to_add > 0 { by_age.reverse() } else { by_age };
        b.replicas.cmp(&a.replicas).then(by_age)
    });
    let available: Vec<i32> = active.iter().map(|draft| draft.available()).collect();
    let mut left = to_add;
    for draft in &mut active {
        let share = share(draft, settings, world);
        let share = match left.cmp(&0) {
            Ordering::Equal => 0,
            _ if to_add > 0 => share.min(left),
            _ => share.max(left),
        };
        draft.replicas += share;
        left -= share;
    }
    // What rounding leaves goes to the largest.
    if let Some(largest) = active.first_mut() {
        largest.replicas = largest.replicas.saturating_add(left).max(0);
    }
    keep_available(settings, &mut active, &available);
}

/// Shares are of sizes, and so may take available pods and leave others. Where too few available ones would be left
/// (upstream goes on), they are kept and as many of the others go in their place.
fn keep_available(settings: &Settings, active: &mut [&mut Draft], available: &[i32]) {
    let needed = settings.min_available().min(sum(available.iter().copied()));
    let kept = active
        .iter()
        .zip(available)
        .map(|(draft, had)| draft.replicas.min(*had));
    let lacking = (needed - sum(kept)).max(0);
    let mut given = 0;
    for (draft, had) in active.iter_mut().zip(available) {
        let back = (had - draft.replicas).clamp(0, lacking - given);
        draft.replicas += back;
        given += back;
    }
    for (draft, had) in active.iter_mut().zip(available) {
        let others = (draft.replicas - had).clamp(0, given);
        draft.replicas -= others;
        given -= others;
    }
}

/// How much a ReplicaSet would grow if it kept its part of the whole (`deployment_util.go` `getReplicaSetFraction`).
fn share(draft: &Draft, settings: &Settings, world: &World) -> i32 {
    if settings.replicas == 0 {
        return -draft.replicas;
    }
    let noted = annotations::count(draft.annotation(MAX_REPLICAS)).filter(|whole| *whole > 0);
    // Without the note, the pods that there are must do as the whole.
    let seen = || {
        world
            .deployment
            .status
            .as_ref()
            .and_then(|status| status.replicas)
    };
    let Some(whole) = noted.or_else(seen).filter(|whole| *whole > 0) else {
        return 0;
    };
    let size = f64::from(draft.replicas) * f64::from(settings.max_total()) / f64::from(whole);
    size.round() as i32 - draft.replicas
}
