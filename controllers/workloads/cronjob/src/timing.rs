//! When a CronJob is due.

use crate::World;
use crate::schedule::{Schedule, zone};
use jiff::{SignedDuration, Timestamp};
use objects::meta;

/// So many missed times are worth a warning (upstream: utils.go, `mostRecentScheduleTime`).
const MANY: usize = 100;

/// When a CronJob is due, or why it never is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Timing {
    /// `spec.timeZone` is none.
    UnknownZone(String),
    /// The user wants no Jobs for now.
    Suspended,
    /// `spec.schedule` cannot be read.
    Unparseable(String),
    /// `spec.schedule` can be read but has no time (31st of February).
    Never,
    /// It has times.
    Times {
        /// The last time for which there should be a Job and is none.
        due: Option<Due>,
        /// The first time that is still to come.
        next: Option<Timestamp>,
    },
}

/// A time for which there should be a Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The time.
    pub at: Timestamp,
    /// `spec.startingDeadlineSeconds` is over.
    pub is_too_late: bool,
    /// It is one of more than a hundred that were missed.
    pub is_one_of_many: bool,
}

impl Timing {
    /// What is due, in time or too late.
    pub fn due(&self) -> Option<Due> {
        match self {
            Self::Times { due, .. } => *due,
            _ => None,
        }
    }
}

pub(crate) fn of(world: &World) -> Timing {
    let spec = world.spec();
    let zone = match zone::find(spec.time_zone.as_deref().unwrap_or_default()) {
        Ok(zone) => zone,
        Err(error) => return Timing::UnknownZone(error),
    };
    if spec.suspend == Some(true) {
        return Timing::Suspended;
    }
    let schedule = match Schedule::parse(&spec.schedule, &zone) {
        Ok(schedule) => schedule,
        Err(error) => return Timing::Unparseable(error),
    };
    let now = world.now();
    let created = meta::created(&world.cronjob.metadata).unwrap_or(now);
    let since = world.last_scheduled().unwrap_or(created);
    let last = schedule.last(since, now);
    // Seconds, as the API has them: a deadline of none is still met within the second.
    let deadline = spec.starting_deadline_seconds.map(|s| s.max(0));
    let passed = |at: Timestamp| now.as_second() - at.as_second();
    let due = last.map(|at| {
        let window = deadline.and_then(|seconds| {
            now.checked_sub(SignedDuration::from_secs(seconds))
                .ok()
                .filter(|begin| *begin > since)
        });
        Due {
            at,
            is_too_late: deadline.is_some_and(|seconds| passed(at) > seconds),
            is_one_of_many: schedule.count(window.unwrap_or(since), now, MANY + 1) > MANY,
        }
    });
    match (due, schedule.next(last.unwrap_or(since))) {
        (None, None) => Timing::Never,
        (due, next) => Timing::Times { due, next },
    }
}
