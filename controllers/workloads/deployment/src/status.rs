//! The status of a Deployment: counts, conditions, the number of its rollout.
//!
//! Upstream: `pkg/controller/deployment/sync.go` (`calculateStatus`, `checkPausedConditions`), `progress.go`
//! (`syncRolloutStatus`).

mod condition;

use crate::annotations::{self, REVISION, REVISION_HISTORY};
use crate::progress::{self, COMPLETE, PROGRESSING, TIMED_OUT};
use crate::replicas::{self, Totals};
use crate::world::{Course, NewReplicaSet, Settings, Spec, World};
use ::plan::{Cause, Failure, Kind, Object, Outcome};
use condition::Conditions;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use objects::meta;

const PAUSED: &str = "DeploymentPaused";

/// The Deployment with the status that it should have, and with the annotation `deployment.kubernetes.io/revision`,
/// which the API server takes with a status too; nothing if it has both.
pub fn status(world: &World, outcome: &Outcome) -> Option<Object> {
    let deployment = &world.deployment;
    let before = deployment.status.clone().unwrap_or_default();
    let mut revision = None;
    let after = match &world.spec {
        Spec::Invalid(_) => return None,
        Spec::SelectsAll => DeploymentStatus {
            observed_generation: deployment
                .metadata
                .generation
                .max(before.observed_generation),
            ..before.clone()
        },
        Spec::Valid(settings) => {
            // Orphans count only when they are ours, a moment from now.
            if !world.orphans.is_empty() || has_set_back(outcome) {
                return None;
            }
            let course = world.course(settings);
            if course != Course::Deleting {
                revision = revision_to_show(world, outcome);
            }
            valid(world, settings, course, &before, outcome)
        }
    };
    let shown = meta::annotation(&deployment.metadata, REVISION);
    let is_shown = revision.is_none() || revision.as_deref() == shown;
    if is_shown && after == before {
        return None;
    }
    let mut deployment = (**deployment).clone();
    deployment.status = Some(after);
    if let Some(revision) = revision {
        let annotations = deployment.metadata.annotations.get_or_insert_default();
        annotations.insert(REVISION.to_owned(), revision);
    }
    Some(Object::new(deployment))
}

fn valid(
    world: &World,
    settings: &Settings,
    course: Course,
    before: &DeploymentStatus,
    outcome: &Outcome,
) -> DeploymentStatus {
    let mut conditions = Conditions::new(before.conditions.clone(), world.now);
    let refused = outcome.failures.iter().find(|failure| is_creation(failure));
    if course != Course::Deleting && settings.progress_deadline.is_some() {
        pause_or_resume(settings, &mut conditions);
        announce_new(world, outcome, &mut conditions);
    }

    let mut after = counts(world, before);
    if after.available_replicas.unwrap_or(0) >= settings.min_available() {
        let message = "Deployment has minimum availability.";
        conditions.set("Available", "True", "MinimumReplicasAvailable", message);
    } else {
        let message = "Deployment does not have minimum availability.";
        conditions.set("Available", "False", "MinimumReplicasUnavailable", message);
    }
    if course == Course::Rollout {
        report_progress(world, settings, before, &after, &mut conditions);
        report_failure(world, &mut conditions);
    }

    match refused {
        Some(failure) if failure.cause == Cause::AlreadyExists => bump(&mut after, before),
        Some(failure)
            if failure.cause != Cause::NamespaceTerminating
                && settings.progress_deadline.is_some() =>
        {
            let (name, error) = (&failure.on.name, &failure.message);
            let message = format!("Failed to create new replica set {name:?}: {error}");
            conditions.set(PROGRESSING, "False", "ReplicaSetCreateError", &message);
        }
        _ => {}
    }
    if let NewReplicaSet::Missing {
        occupant: Some(_), ..
    } = &world.new
        && matches!(course, Course::Rollout | Course::Rollback(_))
    {
        bump(&mut after, before);
    }
    after.conditions = conditions.into_list();
    after
}

/// The name of the new ReplicaSet is taken by something else: the next round hashes to another one. Reckoned from what
/// was observed, so that however often it is done, it is done once.
fn bump(after: &mut DeploymentStatus, before: &DeploymentStatus) {
    after.collision_count = Some(before.collision_count.unwrap_or(0).saturating_add(1));
}

/// All fields but the conditions. What is zero is left out, as the API server does it.
fn counts(world: &World, before: &DeploymentStatus) -> DeploymentStatus {
    let all = Totals::of(world.replica_sets());
    let updated = world.new_replica_set().map_or(0, |rs| replicas::active(rs));
    let unless_zero = |count: i32| (count != 0).then_some(count);
    DeploymentStatus {
        observed_generation: world.deployment.metadata.generation,
        replicas: unless_zero(all.active),
        updated_replicas: unless_zero(updated),
        ready_replicas: unless_zero(all.ready),
        available_replicas: unless_zero(all.available),
        unavailable_replicas: unless_zero(all.wanted.saturating_sub(all.available).max(0)),
        terminating_replicas: all.terminating,
        collision_count: before.collision_count,
        conditions: None,
    }
}

/// A rollout that rests must not be found to be late when it goes on.
fn pause_or_resume(settings: &Settings, conditions: &mut Conditions) {
    let reason = conditions.reason(PROGRESSING);
    if reason == Some(TIMED_OUT) {
        return;
    }
    let is_paused = reason == Some(PAUSED);
    if settings.paused && !is_paused {
        conditions.set(PROGRESSING, "Unknown", PAUSED, "Deployment is paused");
    } else if !settings.paused && is_paused {
        conditions.set(
            PROGRESSING,
            "Unknown",
            "DeploymentResumed",
            "Deployment is resumed",
        );
    }
}

/// The progress of a rollout counts from its ReplicaSet's creation. Whether that has been told is seen from the
/// revision that the Deployment shows, so a status that was not written is made up for.
fn announce_new(world: &World, outcome: &Outcome, conditions: &mut Conditions) {
    let created = |name: &str| format!("Created new replica set {name:?}");
    match &world.new {
        NewReplicaSet::Missing { name, .. } => {
            let kind = Kind::of::<ReplicaSet>();
            if outcome
                .done
                .iter()
                .any(|d| d.verb == "create" && d.on.kind == kind)
            {
                conditions.set(PROGRESSING, "True", "NewReplicaSetCreated", &created(name));
            }
        }
        NewReplicaSet::There(rs) => {
            let name = meta::name(&rs.metadata);
            let shown = meta::annotation(&world.deployment.metadata, REVISION);
            let revision = meta::annotation(&rs.metadata, REVISION);
            let is_reused = meta::annotation(&rs.metadata, REVISION_HISTORY).is_some();
            let found = format!("Found new replica set {name:?}");
            let is_told = shown.is_none() || shown == revision;
            match conditions.reason(PROGRESSING) {
                Some(COMPLETE | TIMED_OUT) if !is_told && !is_reused => {
                    conditions.set(PROGRESSING, "True", "NewReplicaSetCreated", &created(name));
                }
                // Upstream says nothing here, and so has no deadline until the first progress.
                Some(COMPLETE) if !is_told => {
                    conditions.set(PROGRESSING, "True", "FoundNewReplicaSet", &found);
                }
                None => conditions.set(PROGRESSING, "True", "FoundNewReplicaSet", &found),
                Some(_) => {}
            }
        }
    }
}

fn report_progress(
    world: &World,
    settings: &Settings,
    before: &DeploymentStatus,
    after: &DeploymentStatus,
    conditions: &mut Conditions,
) {
    let Some(deadline) = settings.progress_deadline else {
        conditions.remove(PROGRESSING);
        return;
    };
    // Once all is rolled out, pods that come and go are no rollout.
    let was_complete = conditions.reason(PROGRESSING) == Some(COMPLETE);
    if was_complete && after.replicas == after.updated_replicas {
        return;
    }
    let who = match &world.new {
        NewReplicaSet::There(rs) => format!("ReplicaSet {:?}", meta::name(&rs.metadata)),
        NewReplicaSet::Missing { .. } => format!("Deployment {:?}", world.me.name),
    };
    if progress::is_complete(world, settings) {
        let message = format!("{who} has successfully progressed.");
        conditions.set(PROGRESSING, "True", COMPLETE, &message);
    } else if progress::is_progressing(before, after) {
        let message = format!("{who} is progressing.");
        conditions.renew(PROGRESSING, "True", "ReplicaSetUpdated", &message);
    } else if let Some(condition) = conditions.find(PROGRESSING)
        && progress::has_timed_out(condition, deadline, world.now)
    {
        let message = format!("{who} has timed out progressing.");
        conditions.set(PROGRESSING, "False", TIMED_OUT, &message);
    }
}

/// What keeps a ReplicaSet from having its pods, the new one's before the old ones'.
fn report_failure(world: &World, conditions: &mut Conditions) {
    const FAILURE: &str = "ReplicaFailure";
    let newest_first = world.new_replica_set().into_iter().chain(&world.old);
    let mut failures = newest_first.flat_map(|rs| {
        let conditions = rs
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_deref());
        conditions
            .unwrap_or_default()
            .iter()
            .filter(|c| c.type_ == FAILURE)
    });
    match failures.next() {
        Some(failure) => conditions.copy(failure),
        None => conditions.remove(FAILURE),
    }
}

/// The revision that the Deployment shows: its new ReplicaSet's, once that is known to have it.
fn revision_to_show(world: &World, outcome: &Outcome) -> Option<String> {
    let kind = Kind::of::<ReplicaSet>();
    let wrote = |name: &str, verb: &str| {
        let mut done = outcome.done.iter();
        done.any(|d| d.on.kind == kind && d.on.name == name && d.verb == verb)
    };
    let next = world.next_revision();
    match &world.new {
        NewReplicaSet::Missing { name, .. } => wrote(name, "create").then(|| next.to_string()),
        NewReplicaSet::There(rs) => {
            let held = meta::annotation(&rs.metadata, REVISION).filter(|text| !text.is_empty());
            match annotations::revision(rs) {
                Some(number) if held.is_none() || number < next => {
                    wrote(meta::name(&rs.metadata), "update").then(|| next.to_string())
                }
                _ => held.map(str::to_owned),
            }
        }
    }
}

fn is_creation(failure: &Failure) -> bool {
    failure.verb == "create" && failure.on.kind == Kind::of::<ReplicaSet>()
}

fn has_set_back(outcome: &Outcome) -> bool {
    let kind = Kind::of::<Deployment>();
    outcome.done.iter().any(|done| done.on.kind == kind)
}

#[cfg(test)]
mod tests;
