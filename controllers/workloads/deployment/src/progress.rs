//! Whether a rollout is finished, moves, or stands still for too long.
//!
//! Upstream: `pkg/controller/deployment/util/deployment_util.go` (`DeploymentComplete`, `DeploymentProgressing`,
//! `DeploymentTimedOut`), `progress.go` (`requeueStuckDeployment`).

use crate::replicas::{self, Totals};
use crate::world::{Settings, World};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus};
use std::time::Duration;

pub(crate) const PROGRESSING: &str = "Progressing";
pub(crate) const COMPLETE: &str = "NewReplicaSetAvailable";
pub(crate) const TIMED_OUT: &str = "ProgressDeadlineExceeded";

/// True when all pods are of the new template and available, and no old one is left.
pub(crate) fn is_complete(world: &World, settings: &Settings) -> bool {
    let all = Totals::of(world.replica_sets());
    let updated = world.new_replica_set().map_or(0, |rs| replicas::active(rs));
    updated == settings.replicas
        && all.active == settings.replicas
        && all.available == settings.replicas
}

/// True when more pods are new, ready or available, or fewer old, than in the status before.
pub(crate) fn is_progressing(before: &DeploymentStatus, now: &DeploymentStatus) -> bool {
    let n = |count: Option<i32>| count.unwrap_or(0);
    let old_pods = |s: &DeploymentStatus| n(s.replicas) - n(s.updated_replicas);
    n(now.updated_replicas) > n(before.updated_replicas)
        || old_pods(now) < old_pods(before)
        || n(now.ready_replicas) > n(before.ready_replicas)
        || n(now.available_replicas) > n(before.available_replicas)
}

/// True when the last progress is longer ago than the deadline. A finished rollout cannot time out.
pub(crate) fn has_timed_out(
    condition: &DeploymentCondition,
    deadline: SignedDuration,
    now: Timestamp,
) -> bool {
    match condition.reason.as_deref() {
        Some(COMPLETE) => false,
        Some(TIMED_OUT) => true,
        _ => times_out_at(condition, deadline).is_none_or(|at| at < now),
    }
}

/// When to look whether the rollout has timed out; nothing where it cannot.
pub(crate) fn look_again_after(world: &World, settings: &Settings) -> Option<Duration> {
    let status = world.deployment.status.as_ref();
    let conditions = status
        .and_then(|s| s.conditions.as_deref())
        .unwrap_or_default();
    let condition = conditions.iter().find(|c| c.type_ == PROGRESSING)?;
    // Upstream looks again after `COMPLETE` too, although nothing can come of it.
    if matches!(condition.reason.as_deref(), Some(COMPLETE | TIMED_OUT))
        || is_complete(world, settings)
    {
        return None;
    }
    let at = times_out_at(condition, settings.progress_deadline?)?;
    // A second more: the times of the API server have whole seconds.
    let wait =
        at.duration_since(world.now).max(SignedDuration::ZERO) + SignedDuration::from_secs(1);
    Duration::try_from(wait).ok()
}

fn times_out_at(condition: &DeploymentCondition, deadline: SignedDuration) -> Option<Timestamp> {
    let updated = condition.last_update_time.as_ref()?.0;
    updated.checked_add(deadline).ok()
}
