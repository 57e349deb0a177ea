//! Starting the Job of a time.

use crate::{Active, Due, SCHEDULED, World, schedule::zone};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::meta;
use plan::{Action, Note, Plan, Propagation};

/// A Job that is to be started.
pub(super) struct Start {
    /// What ends for it.
    pub(super) replaced: Vec<Action>,
    /// The Job.
    pub(super) create: Action,
}

/// Whether and how the Job that is due is started (upstream: the second half of `syncCronJob`).
pub(super) fn start(world: &World, active: &Active, due: Due, plan: &mut Plan) -> Option<Start> {
    let owner = &world.owner;
    let name = world.job_name(due.at);
    if due.is_too_late {
        let time = due.at.strftime("%a, %d %b %Y %H:%M:%S +0000");
        let text = format!("Missed scheduled time to start a job: {time}");
        plan.note(Note::warning(owner, "MissSchedule", text));
        return None;
    }
    if due.is_one_of_many {
        let text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
        plan.note(Note::warning(owner, "TooManyMissedTimes", text));
    }
    // A schedule finer than a minute: the Job of this minute has been.
    let is_there = world
        .jobs
        .iter()
        .any(|job| meta::name(&job.metadata) == name);
    let is_said = active
        .references
        .iter()
        .any(|r| r.name.as_ref() == Some(&name));
    if is_there || is_said {
        return None;
    }
    if world.is_taken {
        let text = format!(
            "Error creating job: jobs.batch {name:?} already exists and is not controlled by this CronJob"
        );
        plan.note(Note::warning(owner, "FailedCreate", text));
        return None;
    }
    let spec = world.spec();
    let mut replaced = Vec::new();
    match spec.concurrency_policy.as_deref() {
        Some("Forbid") if !active.references.is_empty() => {
            let text = "Not starting job because prior execution is running and concurrency policy is Forbid";
            plan.note(Note::normal(owner, "JobAlreadyActive", text));
            return None;
        }
        Some("Replace") => {
            let running = active.references.iter();
            let running = running.filter_map(|r| world.job(r.uid.as_deref()?));
            let running = running.filter(|job| !meta::is_deleting(&job.metadata));
            replaced.extend(running.map(|job| delete(world, job).because("replaced")));
        }
        _ => {}
    }
    let create = Action::create(job(world, &name, due.at))
        .noting(owner, "SuccessfulCreate", format!("Created job {name}"))
        .warning(owner, "FailedCreate", "Error creating job");
    Some(Start { replaced, create })
}

/// The Job of a time (upstream: utils.go, `getJobFromTemplate2`).
fn job(world: &World, name: &str, at: Timestamp) -> Job {
    let spec = world.spec();
    let template = spec.job_template.metadata.clone().unwrap_or_default();
    let mut annotations = template.annotations.unwrap_or_default();
    annotations.insert(SCHEDULED.to_owned(), scheduled(world, at));
    let owner = meta::owner_reference("batch/v1", "CronJob", &world.cronjob.metadata);
    Job {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(world.owner.namespace.clone()),
            labels: template.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: spec.job_template.spec.clone(),
        status: None,
    }
}

/// The time in the CronJob's zone, as RFC 3339 has it.
fn scheduled(world: &World, at: Timestamp) -> String {
    let spec = world.spec();
    let zone = zone::find(spec.time_zone.as_deref().unwrap_or_default());
    let zone = zone.unwrap_or(jiff::tz::TimeZone::UTC);
    let format = match zone.to_offset(at).is_zero() {
        true => "%Y-%m-%dT%H:%M:%SZ",
        false => "%Y-%m-%dT%H:%M:%S%:z",
    };
    at.to_zoned(zone).strftime(format).to_string()
}

/// Deletes a Job and, by the garbage collector, its pods (upstream: `deleteJob`).
pub(super) fn delete(world: &World, job: &Job) -> Action {
    let name = meta::name(&job.metadata);
    Action::delete(job)
        .with_propagation(Propagation::Background)
        .noting(
            &world.owner,
            "SuccessfulDelete",
            format!("Deleted job {name}"),
        )
        .warning(&world.owner, "FailedDelete", "Deleted job")
}
