//! What to do about one CronJob. Pure.

mod history;
mod start;

use crate::{Active, Timing, World};
use jiff::Timestamp;
use objects::meta;
use plan::{Note, Plan};
use std::time::Duration;

/// So long after a time of the schedule it is looked at (upstream: `nextScheduleDelta`).
const AFTER: Duration = Duration::from_millis(100);
/// It is looked at again after so long at the latest: timers stand still while a laptop sleeps, and know nothing of
/// a clock that is set.
const LONGEST: Duration = Duration::from_mins(1);

/// Says what became of the Jobs, starts the one that is due, and lets old ones go.
pub(crate) fn plan(world: &World) -> Plan {
    let mut plan = Plan::none();
    let active = Active::of(world);
    tell(world, &active, &mut plan);
    if world.is_going() {
        return plan;
    }
    let mut writes = history::surplus(world);
    if let Some(start) = due(world, &active, &mut plan) {
        plan.then(start.replaced);
        writes.insert(0, start.create);
    }
    plan.then(writes);
    plan
}

/// The events about Jobs (upstream: the first half of `syncCronJob`).
fn tell(world: &World, active: &Active, plan: &mut Plan) {
    let owner = &world.owner;
    for job in &active.unexpected {
        let name = meta::name(&job.metadata);
        let text = format!("Saw a job that the controller did not create or forgot: {name}");
        plan.note(Note::warning(owner, "UnexpectedJob", text));
    }
    for (job, how) in &active.finished {
        let name = meta::name(&job.metadata);
        let text = format!("Saw completed job: {name}, condition: {how}");
        plan.note(Note::normal(owner, "SawCompletedJob", text));
    }
    for name in &active.missing {
        let text = format!("Active job went missing: {name}");
        plan.note(Note::normal(owner, "MissingJob", text));
    }
}

/// The Job that is to be started now, with the events that say why another is not, and the time of the next look.
fn due(world: &World, active: &Active, plan: &mut Plan) -> Option<start::Start> {
    let owner = &world.owner;
    let spec = world.spec();
    let schedule = &spec.schedule;
    if schedule.contains("TZ")
        && !matches!(world.timing, Timing::UnknownZone(_) | Timing::Suspended)
    {
        let text = format!(
            "CRON_TZ or TZ used in schedule {schedule:?} is not officially supported, see \
             https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
        );
        plan.note(Note::warning(owner, "UnsupportedSchedule", text));
    }
    let (due, next) = match &world.timing {
        Timing::UnknownZone(error) => {
            let zone = spec.time_zone.as_deref().unwrap_or_default();
            let text = format!("invalid timeZone: {zone:?}: {error}");
            plan.note(Note::warning(owner, "UnknownTimeZone", text));
            return None;
        }
        Timing::Suspended => return None,
        Timing::Unparseable(error) => {
            let text = format!("unparseable schedule: {schedule:?} : {error}");
            plan.note(Note::warning(owner, "UnparseableSchedule", text));
            return None;
        }
        Timing::Never => {
            let text = format!(
                "invalid schedule: {schedule} : time difference between two schedules is less than 1 second"
            );
            plan.note(Note::warning(owner, "InvalidSchedule", text));
            return None;
        }
        Timing::Times { due, next } => (*due, *next),
    };
    if let Some(next) = next {
        plan.again(wait(world.now(), next));
    }
    start::start(world, active, due?, plan)
}

/// How long to wait for a time.
fn wait(now: Timestamp, next: Timestamp) -> Duration {
    let until = Duration::try_from(next.duration_since(now)).unwrap_or_default();
    until.saturating_add(AFTER).min(LONGEST)
}
