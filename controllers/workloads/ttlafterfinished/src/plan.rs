//! Whether the time of a finished Job is over. Pure.

use crate::World;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use objects::meta;
use plan::{Action, Plan, Propagation};
use std::time::Duration;

/// Deletes the Job when its time is over, and otherwise waits for that.
pub(crate) fn plan(world: &World) -> Plan {
    let mut plan = Plan::none();
    let (job, now) = (&*world.job, world.moment.now);
    if meta::is_deleting(&job.metadata) {
        return plan;
    }
    let Some(expires) = expires(job) else {
        return plan;
    };
    if expires > now {
        // Not before the second has passed that the condition was written in.
        plan.again(Duration::try_from(expires.duration_since(now)).unwrap_or_default());
        return plan;
    }
    plan.then(vec![
        Action::delete(job)
            .with_propagation(Propagation::Foreground)
            .at_version(job.metadata.resource_version.clone())
            .because("its time after the finish is over"),
    ]);
    plan
}

/// Whether it has a TTL and has finished (upstream: `needsCleanup`).
pub(crate) fn needs_cleanup(job: &Job) -> bool {
    expires(job).is_some()
}

/// When it may go; nothing while it has not finished, or if it may stay.
pub(crate) fn expires(job: &Job) -> Option<Timestamp> {
    let ttl = job.spec.as_ref()?.ttl_seconds_after_finished?;
    let conditions = job.status.as_ref()?.conditions.as_deref()?;
    let finish = conditions
        .iter()
        .find(|c| matches!(&*c.type_, "Complete" | "Failed") && c.status == "True")?;
    let finished = finish.last_transition_time.as_ref()?.0;
    let ttl = SignedDuration::from_secs(i64::from(ttl.max(0)));
    Some(finished.saturating_add(ttl).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests;
