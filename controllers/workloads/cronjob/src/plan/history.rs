//! Finished Jobs beyond the history limits go, the oldest first.

use super::start::delete;
use crate::World;
use crate::active::finished;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use objects::meta;
use plan::Action;

/// The Jobs that there are too many of (upstream: `cleanupFinishedJobs`).
pub(super) fn surplus(world: &World) -> Vec<Action> {
    let spec = world.spec();
    let limits = [
        ("Complete", spec.successful_jobs_history_limit),
        ("Failed", spec.failed_jobs_history_limit),
    ];
    let mut deletions = Vec::new();
    for (how, limit) in limits {
        let Some(limit) = limit else { continue };
        let jobs = world.jobs.iter().map(AsRef::as_ref);
        let mut jobs: Vec<&Job> = jobs
            .filter(|job| finished(job) == Some(how) && !meta::is_deleting(&job.metadata))
            .collect();
        jobs.sort_by_key(|job| age(job));
        let surplus = jobs.len().saturating_sub(limit.max(0) as usize);
        let surplus = jobs
            .into_iter()
            .take(surplus)
            .filter(|job| is_recorded(world, job));
        deletions.extend(surplus.map(|job| delete(world, job).because("history limit")));
    }
    deletions
}

/// Sorts the oldest first; those that never started last; then by name.
fn age(job: &Job) -> (bool, Option<Timestamp>, String) {
    let started = job.status.as_ref().and_then(|s| s.start_time.as_ref());
    let started = started.map(|time| time.0);
    (
        started.is_none(),
        started,
        meta::name(&job.metadata).to_owned(),
    )
}

/// A Job may be the only sign that its time has been: it stays until the status says so too.
fn is_recorded(world: &World, job: &Job) -> bool {
    match world.made_for(job) {
        Some(at) => world.recorded().is_some_and(|last| last >= at),
        None => true,
    }
}
