//! The status that a CronJob should have. Pure.

use crate::World;
use crate::active::{Active, finished, reference};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plan::Outcome;

/// The CronJob with the status it should have, or `None` if it has it.
pub(crate) fn status(world: &World, outcome: &Outcome) -> Option<CronJob> {
    let old = world.cronjob.status.clone().unwrap_or_default();
    let mut active = Active::of(world).references;
    let mut last_scheduled = world.last_scheduled();
    let jobs = outcome
        .done
        .iter()
        .filter(|done| done.on.kind.kind == "Job");
    for done in jobs {
        match done.verb {
            "delete" => active.retain(|r| r.uid.as_ref() != Some(&done.on.uid)),
            "create" => {
                let version = done.version.map(|version| version.to_string());
                active.push(reference(&done.on, version));
                last_scheduled = last_scheduled.max(world.timing.due().map(|due| due.at));
            }
            _ => {}
        }
    }
    let new = CronJobStatus {
        active: Some(active).filter(|active| !active.is_empty()),
        last_schedule_time: last_scheduled.map(Time),
        last_successful_time: last_successful(world, &old).map(Time),
    };
    let is_same = old.active.as_deref().unwrap_or_default()
        == new.active.as_deref().unwrap_or_default()
        && old.last_schedule_time == new.last_schedule_time
        && old.last_successful_time == new.last_successful_time;
    (!is_same).then(|| CronJob {
        status: Some(new),
        ..CronJob::clone(&world.cronjob)
    })
}

/// When the last Job succeeded.
fn last_successful(world: &World, old: &CronJobStatus) -> Option<Timestamp> {
    let succeeded = |job: &Job| {
        let ended = job.status.as_ref()?.completion_time.as_ref()?.0;
        (finished(job) == Some("Complete")).then_some(ended)
    };
    let times = world.jobs.iter().filter_map(|job| succeeded(job));
    times
        .chain(old.last_successful_time.as_ref().map(|time| time.0))
        .max()
}
