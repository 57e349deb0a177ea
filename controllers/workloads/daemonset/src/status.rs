//! The status that a DaemonSet should have. Pure.
//! (upstream: `updateDaemonSetStatus` in `pkg/controller/daemon/daemon_controller.go`)

use crate::world::World;
use ::plan::{Cause, Outcome};
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use objects::pod;

/// The DaemonSet with the status it should have, or `None` if it has it.
pub fn status(world: &World, outcome: &Outcome) -> Option<DaemonSet> {
    let settings = world.settings()?;
    if world.is_going() {
        return None;
    }
    let old = world.set.status.clone().unwrap_or_default();
    let mut new = DaemonSetStatus {
        desired_number_scheduled: world.desired(),
        current_number_scheduled: 0,
        number_misscheduled: 0,
        number_ready: 0,
        number_available: Some(0),
        updated_number_scheduled: Some(0),
        observed_generation: world.set.metadata.generation,
        collision_count: collisions(&old, outcome),
        ..old.clone()
    };
    let (mut available, mut updated) = (0, 0);
    for place in &world.places {
        let Some(first) = world.on(&place.node).first() else {
            continue;
        };
        if !place.should_run {
            new.number_misscheduled += 1;
            continue;
        }
        new.current_number_scheduled += 1;
        new.number_ready += i32::from(pod::is_ready(first));
        available += i32::from(pod::is_available(
            first,
            settings.min_ready_seconds,
            world.now,
        ));
        updated += i32::from(world.is_updated(settings, first));
    }
    new.number_available = Some(available);
    new.number_unavailable = Some(new.desired_number_scheduled - available);
    new.updated_number_scheduled = Some(updated);
    if is_same(&old, &new) {
        return None;
    }
    Some(DaemonSet {
        status: Some(new),
        ..(*world.set).clone()
    })
}

/// One more where the name of the current revision is taken by something else, so that it gets another one.
fn collisions(old: &DaemonSetStatus, outcome: &Outcome) -> Option<i32> {
    let is_taken = outcome.failures.iter().any(|failure| {
        failure.on.kind.kind == "ControllerRevision"
            && failure.verb == "create"
            && failure.cause == Cause::AlreadyExists
    });
    match is_taken {
        true => Some(old.collision_count.unwrap_or(0).saturating_add(1)),
        false => old.collision_count,
    }
}

/// Zero and absent are the same count: the API server leaves zeros out.
fn is_same(old: &DaemonSetStatus, new: &DaemonSetStatus) -> bool {
    let zero = |n: Option<i32>| n.unwrap_or(0);
    old.desired_number_scheduled == new.desired_number_scheduled
        && old.current_number_scheduled == new.current_number_scheduled
        && old.number_misscheduled == new.number_misscheduled
        && old.number_ready == new.number_ready
        && zero(old.number_available) == zero(new.number_available)
        && zero(old.number_unavailable) == zero(new.number_unavailable)
        && zero(old.updated_number_scheduled) == zero(new.updated_number_scheduled)
        && old.observed_generation.unwrap_or(0) == new.observed_generation.unwrap_or(0)
        && old.collision_count == new.collision_count
}
