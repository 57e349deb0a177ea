//! Whether and how a Job ends (upstream: `syncJob`, whose order of questions this is).

use super::count::{Count, is_failed};
use super::policy::{self, Meaning, meaning};
use crate::World;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::ContainerStatus;
use objects::pod;

/// Why the deadline ended it (the reasons are part of the API).
const DEADLINE: &str = "DeadlineExceeded";

/// How a Job ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Complete, or Failed.
    pub(crate) success: bool,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// The interim condition is in the status: pods may be deleted for it.
    pub(crate) written: bool,
}

impl End {
    /// The condition that says so before the pods are gone.
    pub(crate) fn interim(&self) -> &'static str {
        match self.success {
            true => "SuccessCriteriaMet",
            false => "FailureTarget",
        }
    }

    /// The condition that says that nothing of it is left.
    pub(crate) fn terminal(&self) -> &'static str {
        match self.success {
            true => "Complete",
            false => "Failed",
        }
    }
}

/// How it ends, if it does. What was written once stays; then a failure goes before a success.
pub(crate) fn end(world: &World, count: &Count<'_>) -> Option<End> {
    written(world, "SuccessCriteriaMet", true)
        .or_else(|| written(world, "FailureTarget", false))
        .or_else(|| failing_pod(world, count))
        .or_else(|| backoff_limit(world, count))
        .or_else(|| deadline(world))
        .or_else(|| indexes(world, count))
        .or_else(|| enough(world, count))
        .or_else(|| completed(world, count))
}

/// How long its deadline is away, if it has one and runs.
pub(crate) fn time_left(world: &World) -> Option<SignedDuration> {
    let (deadline, start) = (world.spec.deadline?, world.started()?);
    let passed = world.now().duration_since(start);
    Some(SignedDuration::from_secs(deadline).saturating_sub(passed))
}

fn written(world: &World, condition: &str, success: bool) -> Option<End> {
    let conditions = world.job.status.as_ref()?.conditions.as_deref()?;
    let found = conditions
        .iter()
        .find(|c| c.type_ == condition && c.status == "True")?;
    Some(End {
        success,
        reason: found.reason.clone().unwrap_or_default(),
        message: found.message.clone().unwrap_or_default(),
        written: true,
    })
}

fn new(success: bool, reason: &str, message: impl Into<String>) -> End {
    End {
        success,
        reason: reason.to_owned(),
        message: message.into(),
        written: false,
    }
}

fn failing_pod(world: &World, count: &Count<'_>) -> Option<End> {
    world.spec.failure_policy.as_ref()?;
    let failed = count
        .own
        .iter()
        .filter(|own| is_failed(&world.spec, own.pod));
    let message = failed
        .map(|own| meaning(world, own.pod))
        .find_map(|m| match m {
            Meaning::FailsJob(message) => Some(message),
            _ => None,
        })?;
    Some(new(false, "PodFailurePolicy", message))
}

fn backoff_limit(world: &World, count: &Count<'_>) -> Option<End> {
    let limit = i64::from(world.spec.backoff_limit);
    let restarted = || {
        // (upstream: `pastBackoffLimitOnFailure`)
        let restarts: i64 = match world.spec.restarts {
            true => count.own.iter().map(restarts).sum(),
            false => return false,
        };
        restarts > 0 && restarts >= limit
    };
    (count.failed > limit || restarted()).then(|| {
        let message = "Job has reached the specified backoff limit";
        new(false, "BackoffLimitExceeded", message)
    })
}

fn restarts(own: &super::count::Own<'_>) -> i64 {
    if !matches!(pod::phase(own.pod), "Running" | "Pending") {
        return 0;
    }
    let of = |list: &Option<Vec<ContainerStatus>>| -> i64 {
        list.iter()
            .flatten()
            .map(|c| i64::from(c.restart_count))
            .sum()
    };
    let status = own.pod.status.as_ref();
    status.map_or(0, |s| {
        of(&s.init_container_statuses) + of(&s.container_statuses)
    })
}

fn deadline(world: &World) -> Option<End> {
    let over = time_left(world)? <= SignedDuration::ZERO;
    let message = "Job was active longer than specified deadline";
    over.then(|| new(false, DEADLINE, message))
}

fn indexes(world: &World, count: &Count<'_>) -> Option<End> {
    let failed = count.failed_indexes.as_ref()?.total();
    let most = world.spec.max_failed_indexes;
    if most.is_some_and(|most| failed > i64::from(most)) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Some(new(false, "MaxFailedIndexesExceeded", message));
    }
    let all = failed + count.completed.total() >= i64::from(world.spec.indexes());
    (failed > 0 && all).then(|| new(false, "FailedIndexes", "Job has failed indexes"))
}

fn enough(world: &World, count: &Count<'_>) -> Option<End> {
    let message = policy::success(world, &count.completed).filter(|_| world.spec.indexed)?;
    Some(new(true, "SuccessPolicy", message))
}

/// A work queue is done when one pod has succeeded and none runs, any other when enough have.
fn completed(world: &World, count: &Count<'_>) -> Option<End> {
    let reached = match world.spec.completions {
        None => count.succeeded > 0,
        Some(completions) => count.succeeded >= i64::from(completions),
    };
    let idle = count.active().next().is_none();
    let message = "Reached expected number of succeeded pods";
    (reached && idle).then(|| new(true, "CompletionsReached", message))
}
