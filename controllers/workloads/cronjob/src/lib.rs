//! The CronJob controller: makes a Job at each time of a schedule.
//!
//! **Promises.** At most one Job for each time of the schedule, whatever is killed on the way: its name is made
//! from the time, and the Jobs that are there say which times have been. After a pause the last time that was
//! missed is made up for, if `startingDeadlineSeconds` allows it, and no other. `status.active` holds the Jobs
//! that run; finished ones go when there are more than the history limits.
//!
//! **Never.** It never touches a Job that it does not control, and has nothing to do with pods.
//!
//! Where upstream is known to be wrong, this is not:
//! - the last missed time of an uneven schedule (`* 0 * * *` after a pause of hours) is found;
//! - `@every` keeps its rhythm under a `startingDeadlineSeconds` that is shorter than it (upstream never runs it);
//! - a deadline of three centuries is a deadline (upstream's sum overflows and nothing is ever started);
//! - a missed deadline is told, as `MissSchedule` (upstream looks only at times that are within it);
//! - after a crash between the creation of a Job and the status, `status.active` is mended at once (upstream warns
//!   of an `UnexpectedJob`, and lets another one run beside it under Forbid);
//! - a Job of somebody else in the place of one of ours costs that one time (upstream then sleeps until the CronJob
//!   changes);
//! - Jobs of an earlier CronJob of the same name are not taken for its own.
//!
//! Schedules without a zone are meant in UTC, whatever the zone of the machine.
//!
//! Semantics: upstream `pkg/controller/cronjob/cronjob_controllerv2.go` and `utils.go`. Start reading at [`plan`];
//! [`schedule`] is a library of its own.
#![forbid(unsafe_code)]

mod active;
mod metrics;
mod plan;
pub mod schedule;
mod status;
#[cfg(test)]
mod tests;
mod timing;

pub use active::Active;
pub use timing::{Due, Timing};

use ::plan::{Kind, Metric, Object, Outcome, Plan, Reference, Sample, Turn};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use objects::meta;
use runtime::{Caches, Controller, Moment, Reads, Watches};
use std::collections::HashSet;
use std::sync::Arc;

/// When a CronJob ordered a Job, on the Job (batch/v1, `CronJobScheduledTimestampAnnotation`).
pub const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// The control loop for CronJobs.
#[derive(Clone)]
pub struct CronJobController {
    reads: Reads,
}

impl CronJobController {
    /// A loop that asks by `reads` for Jobs that should be there and that its cache does not hold.
    pub fn new(reads: Reads) -> Self {
        Self { reads }
    }
}

/// What it looks at when it decides about one CronJob.
#[derive(Clone, Debug)]
pub struct World {
    /// The CronJob as the cache holds it.
    pub cronjob: Arc<CronJob>,
    /// The CronJob, to say what events are about.
    pub owner: Reference,
    /// The Jobs that it controls, in order of their names.
    pub jobs: Vec<Arc<Job>>,
    /// The UIDs of those in `status.active` of which the API server says that they are not there.
    pub gone: HashSet<String>,
    /// When it is due.
    pub timing: Timing,
    /// True where the Job that is due cannot be made, as there is one of that name that it does not control.
    pub is_taken: bool,
    /// The time of the decision.
    pub moment: Moment,
}

impl Controller for CronJobController {
    const NAME: &'static str = "cronjob-controller";
    const QUEUE: &'static str = "cronjob";
    const METRICS: &'static [&'static Metric] = metrics::METRICS;
    // An event that tells what the status is about to say is told twice if the status has to wait.
    const STATUS_WINDOW: std::time::Duration = std::time::Duration::ZERO;
    type Object = CronJob;
    type World = World;

    fn watch(watches: &Watches<'_>) {
        watches.owned::<Job>("CronJob");
    }

    async fn observe(&self, caches: &Caches, cronjob: Arc<CronJob>, moment: Moment) -> World {
        let cache = caches.of::<Job>();
        let jobs = cache.owned_by(meta::uid(&cronjob.metadata));
        let mut world = World::new(cronjob, jobs, moment);
        for reference in world.unseen() {
            if self.is_gone(&world.owner.namespace, &reference).await {
                world.gone.insert(reference.uid.unwrap_or_default());
            }
        }
        if let Some(due) = world.timing.due() {
            let job = cache.get(&world.owner.namespace, &world.job_name(due.at));
            let uid = &world.owner.uid;
            world.is_taken = job.is_some_and(|job| !meta::is_controlled_by(&job.metadata, uid));
        }
        world
    }

    fn plan(world: &World) -> Plan {
        plan::plan(world)
    }

    fn status(world: &World, outcome: &Outcome) -> Option<Object> {
        status::status(world, outcome).map(Object::new)
    }

    fn measure(world: &World, turn: &Turn<'_>) -> Vec<Sample> {
        metrics::measure(world, turn)
    }
}

impl CronJobController {
    /// Asks whether a Job that no watch has shown is really not there: after a restart the list of CronJobs may be
    /// newer than that of Jobs. No answer is no.
    async fn is_gone(&self, namespace: &str, reference: &ObjectReference) -> bool {
        let name = reference.name.as_deref().unwrap_or_default();
        let path = format!("{}/{name}", Kind::of::<Job>().path(namespace));
        match self.reads.get::<Job>(&path).await {
            Ok(live) => live.metadata.uid != reference.uid,
            Err(error) => error.not_found,
        }
    }
}

impl World {
    /// The world of a CronJob and the Jobs that it controls, in any order.
    pub fn new(cronjob: Arc<CronJob>, mut jobs: Vec<Arc<Job>>, moment: Moment) -> Self {
        jobs.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        let mut world = Self {
            owner: Reference::to(&*cronjob),
            cronjob,
            jobs,
            gone: HashSet::new(),
            timing: Timing::Suspended,
            is_taken: false,
            moment,
        };
        world.timing = timing::of(&world);
        world
    }

    /// The time of the decision.
    pub fn now(&self) -> Timestamp {
        self.moment.now
    }

    /// True when it is being deleted: the garbage collector sees to the Jobs.
    pub fn is_going(&self) -> bool {
        meta::is_deleting(&self.cronjob.metadata)
    }

    /// What the user asks for.
    fn spec(&self) -> &CronJobSpec {
        &self.cronjob.spec
    }

    /// The name of the Job of a time: one a minute (upstream: `getJobName`).
    pub fn job_name(&self, at: Timestamp) -> String {
        format!("{}-{}", self.owner.name, at.as_second().div_euclid(60))
    }

    /// The last time for which a Job was made, as far as the status says.
    fn recorded(&self) -> Option<Timestamp> {
        let status = self.cronjob.status.as_ref()?;
        Some(status.last_schedule_time.as_ref()?.0)
    }

    /// The last time for which a Job was made, as the status or the Jobs say it: the status may not have been
    /// written.
    fn last_scheduled(&self) -> Option<Timestamp> {
        let made = self.jobs.iter().filter_map(|job| self.made_for(job));
        made.chain(self.recorded()).max()
    }

    /// The time for which this loop made the Job, if it did.
    fn made_for(&self, job: &Job) -> Option<Timestamp> {
        let at: Timestamp = meta::annotation(&job.metadata, SCHEDULED)?.parse().ok()?;
        (meta::name(&job.metadata) == self.job_name(at)).then_some(at)
    }

    /// The Job of this UID.
    fn job(&self, uid: &str) -> Option<&Arc<Job>> {
        self.jobs.iter().find(|job| meta::uid(&job.metadata) == uid)
    }

    /// What `status.active` holds and no watch has shown.
    fn unseen(&self) -> Vec<ObjectReference> {
        let active = self.cronjob.status.iter().flat_map(|s| s.active.iter());
        let unseen = active
            .flatten()
            .filter(|r| self.job(r.uid.as_deref().unwrap_or_default()).is_none());
        unseen.cloned().collect()
    }
}
