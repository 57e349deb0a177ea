//! The status that a StatefulSet should have. Pure.
//!
//! Upstream: `computeReplicaStatus`, `updateStatefulSetStatus` in `stateful_set_control.go`, `completeRollingUpdate` in
//! `stateful_set_utils.go`.

use crate::plan::{Revisions, revision_of};
use crate::world::{Settings, World};
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::Pod;
use objects::{meta, pod};
use plan::{Cause, Failure, Outcome};

/// The set with the status it should have, or `None` if it has it.
pub fn status(world: &World, outcome: &Outcome) -> Option<StatefulSet> {
    let settings = world.spec.as_ref().ok()?;
    let old = world.set.status.clone().unwrap_or_default();
    let new = match outcome.failures.iter().find(|f| is_revision(f)) {
        // Its name is taken by something else: the next round hashes to another one. Reckoned from what was observed,
        // so that however often it is done, it is done once.
        Some(failure) if failure.cause == Cause::AlreadyExists => StatefulSetStatus {
            collision_count: Some(old.collision_count.unwrap_or(0).saturating_add(1)),
            ..old.clone()
        },
        // A status must not name a revision that is not there.
        Some(_) => return None,
        None => complete(settings, counted(world, settings, &old)),
    };
    if same(&old, &new) {
        return None;
    }
    Some(StatefulSet {
        status: Some(new),
        ..StatefulSet::clone(&world.set)
    })
}

fn counted(world: &World, settings: &Settings, old: &StatefulSetStatus) -> StatefulSetStatus {
    let revisions = Revisions::of(world);
    let count = |of: &dyn Fn(&Pod) -> bool| {
        let pods = world.pods.values();
        pods.filter(|pod| of(pod)).count() as i32
    };
    let is_of =
        |pod: &Pod, name: &str| !meta::is_deleting(&pod.metadata) && revision_of(pod) == Some(name);
    // Pods that are on their way out count as long as they serve.
    let is_ready = |pod: &Pod| pod::phase(pod) == "Running" && pod::is_ready(pod);
    let min_ready = settings.min_ready_seconds;
    StatefulSetStatus {
        replicas: count(&|_| true),
        ready_replicas: Some(count(&is_ready)),
        available_replicas: Some(count(&|pod| {
            is_ready(pod) && pod::is_available(pod, min_ready, world.now)
        })),
        current_replicas: Some(count(&|pod| is_of(pod, &revisions.current.name))),
        updated_replicas: Some(count(&|pod| is_of(pod, &revisions.update.name))),
        current_revision: Some(revisions.current.name.clone()),
        update_revision: Some(revisions.update.name.clone()),
        collision_count: Some(old.collision_count.unwrap_or(0)),
        observed_generation: world.set.metadata.generation,
        conditions: old.conditions.clone(),
    }
}

/// When all pods are updated and ready, the update revision is the current one.
fn complete(settings: &Settings, mut status: StatefulSetStatus) -> StatefulSetStatus {
    let wanted = settings.replicas();
    let is = |count: Option<i32>| i64::from(count.unwrap_or(0)) == wanted;
    if is(status.updated_replicas) && is(status.ready_replicas) && is(Some(status.replicas)) {
        status.current_replicas = status.updated_replicas;
        status.current_revision.clone_from(&status.update_revision);
    }
    status
}

fn is_revision(failure: &Failure) -> bool {
    failure.on.kind.kind == "ControllerRevision" && failure.verb != "delete"
}

/// Zero and absent are the same count: the API server leaves zeros out.
fn same(old: &StatefulSetStatus, new: &StatefulSetStatus) -> bool {
    let zero = |n: Option<i32>| n.unwrap_or(0);
    old.replicas == new.replicas
        && zero(old.ready_replicas) == zero(new.ready_replicas)
        && zero(old.available_replicas) == zero(new.available_replicas)
        && zero(old.current_replicas) == zero(new.current_replicas)
        && zero(old.updated_replicas) == zero(new.updated_replicas)
        && old.current_revision == new.current_revision
        && old.update_revision == new.update_revision
        && zero(old.collision_count) == zero(new.collision_count)
        && old.observed_generation == new.observed_generation
        && old.conditions == new.conditions
}
