//! What is counted, by upstream's names (`pkg/controller/job/metrics/metrics.go`). Pure.
//!
//! Where upstream counts wrongly, this does not: a pod that could not be created is a failed creation there and a
//! succeeded one as well.

use crate::plan::count::Count;
use crate::plan::finalizers::is_tracked;
use crate::plan::indexes::Indexes;
use crate::plan::policy;
use crate::world::external_manager;
use crate::{Case, World};
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use objects::{meta, pod};
use plan::Stability::{Alpha, Beta, Stable};
use plan::{Kind, Metric, Sample, Turn, exponential};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) static SYNC_SECONDS: Metric = Metric::histogram(
    "job_controller_job_sync_duration_seconds",
    Stable,
    &["completion_mode", "result", "action"],
    exponential(0.004, 2.0, 15),
    "Seconds that a turn about a Job took",
);
pub(crate) static SYNCS: Metric = Metric::counter(
    "job_controller_job_syncs_total",
    Stable,
    &["completion_mode", "result", "action"],
    "Turns about Jobs",
);
static FINISHED: Metric = Metric::counter(
    "job_controller_jobs_finished_total",
    Stable,
    &["completion_mode", "result", "reason"],
    "Jobs that have finished",
);
static EXTERNAL: Metric = Metric::counter(
    "job_controller_jobs_by_external_controller_total",
    Alpha,
    &["controller_name"],
    "Jobs that another controller manages",
);
static PODS_FINISHED: Metric = Metric::counter(
    "job_controller_job_pods_finished_total",
    Stable,
    &["completion_mode", "result"],
    "Pods that have ended and are counted in the status of their Job",
);
static POLICY: Metric = Metric::counter(
    "job_controller_pod_failures_handled_by_failure_policy_total",
    Beta,
    &["action"],
    "Failed pods that a rule of a pod failure policy matched, by its action",
);
static FINALIZERS: Metric = Metric::counter(
    "job_controller_terminated_pods_tracking_finalizer_total",
    Beta,
    &["event"],
    "Pods that have ended and got (add) or lost (delete) the finalizer batch.kubernetes.io/job-tracking",
);
static INDEXES: Metric = Metric::counter(
    "job_controller_job_finished_indexes_total",
    Alpha,
    &["status", "backoffLimit"],
    "Indexes that have succeeded or failed, of Jobs with a back-off limit perIndex or global",
);
static CREATIONS: Metric = Metric::counter(
    "job_controller_job_pods_creation_total",
    Alpha,
    &["reason", "status"],
    "Creations of pods: new, recreate_terminating_or_failed, recreate_failed",
);
static STALE: Metric = Metric::counter(
    "job_controller_stale_sync_skips_total",
    Alpha,
    &["group", "resource"],
    "Turns about Jobs put off because a cache was stale",
);

pub(crate) const METRICS: &[&Metric] = &[
    &SYNC_SECONDS,
    &SYNCS,
    &FINISHED,
    &EXTERNAL,
    &PODS_FINISHED,
    &POLICY,
    &FINALIZERS,
    &INDEXES,
    &CREATIONS,
    &STALE,
];

/// What a turn adds.
pub(crate) fn measure(world: &World, turn: &Turn<'_>) -> Vec<Sample> {
    if !matches!(world.case, Case::Live(_) | Case::BadSelector(_)) {
        return Vec::new();
    }
    let mode = mode(world);
    let result = match world.case {
        Case::BadSelector(_) => "error",
        _ => turn.result(),
    };
    let labels = [mode, result, action(world, turn)];
    let mut samples = vec![
        SYNC_SECONDS.at(labels, turn.took.as_secs_f64()),
        SYNCS.at(labels, 1.0),
    ];
    creations(world, turn, &mut samples);
    let job = turn.status.and_then(plan::Object::read::<Job>);
    let status = job.and_then(|job| job.status);
    if let Some(status) = &status {
        finished(world, mode, status, &mut samples);
        pods_finished(world, mode, status, &mut samples);
    }
    handled(world, turn, status.as_ref(), &mut samples);
    samples
}

fn mode(world: &World) -> &'static str {
    match world.spec.indexed {
        true => "Indexed",
        false => "NonIndexed",
    }
}

/// What the turn was about. One that waits until failed pods may be replaced creates nothing: it is `tracking`.
fn action(world: &World, turn: &Turn<'_>) -> &'static str {
    let ends = world.has("SuccessCriteriaMet") || world.has("FailureTarget");
    let has = |verb: &str| {
        let pods = |action: &&plan::Action| action.on.kind == Kind::of::<Pod>();
        let mut actions = turn.plan.actions().filter(pods);
        actions.any(|action| action.verb.name() == verb)
    };
    if ends || world.is_going() || matches!(world.case, Case::BadSelector(_)) {
        "reconciling"
    } else if has("create") {
        "pods_created"
    } else if has("delete") || world.spec.suspend {
        "pods_deleted"
    } else {
        "tracking"
    }
}

/// (upstream: `recordJobPodsCreationTotal`)
fn creations(world: &World, turn: &Turn<'_>, samples: &mut Vec<Sample>) {
    let pods = Kind::of::<Pod>();
    let (done, failed) = (turn.done("create", pods), turn.failed("create", pods));
    if done + failed == 0 {
        return;
    }
    let count = Count::of(world);
    let policy = world.job.spec.as_ref();
    let policy = policy.and_then(|spec| spec.pod_replacement_policy.as_deref());
    let reason = if count.failed > 0 && policy == Some("Failed") {
        "recreate_failed"
    } else if count.failed > 0 || count.terminating().next().is_some() {
        "recreate_terminating_or_failed"
    } else {
        "new"
    };
    for (status, number) in [("succeeded", done), ("failed", failed)] {
        if number > 0 {
            samples.push(CREATIONS.at([reason, status], number as f64));
        }
    }
}

/// (upstream: `recordJobFinished`)
fn finished(world: &World, mode: &'static str, status: &JobStatus, samples: &mut Vec<Sample>) {
    for condition in status.conditions.iter().flatten() {
        let result = match (&*condition.type_, &*condition.status) {
            ("Complete", "True") => "succeeded",
            ("Failed", "True") => "failed",
            _ => continue,
        };
        if !world.has(&condition.type_) {
            let reason = condition.reason.clone().unwrap_or_default();
            samples.push(FINISHED.at([mode.into(), result.into(), reason], 1.0));
        }
    }
}

/// (upstream: `recordJobPodFinished`)
fn pods_finished(world: &World, mode: &'static str, new: &JobStatus, samples: &mut Vec<Sample>) {
    let old = world.status();
    let risen = |new: i64, old: i64| (new - old).max(0) as f64;
    let counted = |counter: Option<i32>| i64::from(counter.unwrap_or(0));
    let mut succeeded = risen(counted(new.succeeded), counted(old.succeeded));
    if world.spec.indexed {
        // An index that the Job has become too small for is not taken away from what was counted.
        let total = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            Indexes::parse(text, world.spec.indexes()).total()
        };
        let limit = match world.spec.per_index() {
            true => "perIndex",
            false => "global",
        };
        succeeded = risen(total(&new.completed_indexes), total(&old.completed_indexes));
        samples.push(INDEXES.at(["succeeded", limit], succeeded));
        let failed = risen(total(&new.failed_indexes), total(&old.failed_indexes));
        if failed > 0.0 {
            samples.push(INDEXES.at(["failed", limit], failed));
        }
    }
    let failed = risen(counted(new.failed), counted(old.failed));
    samples.push(PODS_FINISHED.at([mode, "succeeded"], succeeded));
    samples.push(PODS_FINISHED.at([mode, "failed"], failed));
}

/// The failed pods that a rule decided about: those that are written down now, and those that were let go without
/// (upstream: `recordJobPodFailurePolicyActions`).
fn handled(world: &World, turn: &Turn<'_>, status: Option<&JobStatus>, samples: &mut Vec<Sample>) {
    if world.spec.failure_policy.is_none() {
        return;
    }
    let failed = |status: &JobStatus| -> BTreeSet<String> {
        let uncounted = status.uncounted_terminated_pods.clone().unwrap_or_default();
        uncounted.failed.into_iter().flatten().collect()
    };
    let written = status.map(failed).unwrap_or_default();
    let before = failed(&world.status());
    let freed: BTreeSet<&str> = turn
        .outcome
        .done
        .iter()
        .filter(|done| done.on.kind == Kind::of::<Pod>() && done.verb == "patch")
        .map(|done| done.on.uid.as_str())
        .collect();
    let mut actions: BTreeMap<&'static str, f64> = BTreeMap::new();
    for pod in world.pods.iter().filter(|pod| is_tracked(pod)) {
        let uid = meta::uid(&pod.metadata);
        let Some(action) = policy::action(world, pod) else {
            continue;
        };
        let is_new = written.contains(uid) && !before.contains(uid);
        let is_free = action == "Ignore" && freed.contains(uid) && pod::phase(pod) == "Failed";
        if is_new || is_free {
            *actions.entry(action).or_default() += 1.0;
        }
    }
    let actions = actions.into_iter();
    samples.extend(actions.map(|(action, number)| POLICY.at([action], number)));
}

/// What a turn adds that is put off.
pub(crate) fn held(behind: Kind) -> Sample {
    STALE.at([behind.group, behind.plural], 1.0)
}

/// What a change of a pod adds (upstream: tracking_utils.go, `recordFinishedPodWithTrackingFinalizer`).
pub(crate) fn of_pod(old: Option<&Pod>, new: Option<&Pod>) -> Option<Sample> {
    let counts =
        |pod: Option<&Pod>| pod.is_some_and(|pod| pod::is_terminal(pod) && is_tracked(pod));
    match (counts(old), counts(new)) {
        (false, true) => Some(FINALIZERS.at(["add"], 1.0)),
        (true, false) => Some(FINALIZERS.at(["delete"], 1.0)),
        _ => None,
    }
}

/// What a Job adds that is new (upstream: `addJob`).
pub(crate) fn of_job(job: &Job) -> Option<Sample> {
    let manager = external_manager(job)?;
    Some(EXTERNAL.at([manager.to_owned()], 1.0))
}
