//! What the loop looks at when it decides about one Job.

use crate::plan::backoff::Memory;
use ::plan::Reference;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobStatus, PodFailurePolicy, SuccessPolicy};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};
use objects::selector::{Selector, SelectorError};
use objects::{conditions, meta};
use runtime::Moment;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Upstream's name of this controller in `spec.managedBy`.
const OURS: &str = "kubernetes.io/job-controller";
/// Labels of a Job's pods that say whose they are.
const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// What it looks at when it decides about one Job.
#[derive(Clone, Debug)]
pub struct World {
    /// The Job as the cache holds it.
    pub job: Arc<Job>,
    /// The Job, to say what events and owner references are about.
    pub owner: Reference,
    /// What the pods carry.
    pub owner_reference: OwnerReference,
    /// What is to be done with it.
    pub case: Case,
    /// Its spec, options resolved.
    pub spec: Spec,
    /// The pods that it controls and those of its namespace that nobody does, in order of their names.
    pub pods: Vec<Arc<Pod>>,
    /// Pods with the finalizer that say they are of a Job of this name that is not this one.
    pub stale: Vec<Arc<Pod>>,
    /// When pods have succeeded and failed, those that are gone included.
    pub memory: Memory,
    /// The time and the seed of the decision.
    pub moment: Moment,
}

/// What is to be done with a Job.
#[derive(Clone, Debug)]
pub enum Case {
    /// It has not finished; this selects its pods.
    Live(Selector),
    /// It is Complete or Failed.
    Finished,
    /// Another controller manages it.
    Foreign,
    /// Nobody knows this completion mode.
    UnknownMode,
    /// Nobody can say which pods are its own.
    BadSelector(SelectorError),
}

/// The spec of a Job, options resolved.
#[derive(Clone, Debug)]
pub struct Spec {
    /// How many pods at once.
    pub parallelism: i32,
    /// How many must succeed; none for a work queue.
    pub completions: Option<i32>,
    /// Each completion is one of its own.
    pub indexed: bool,
    /// How many pods may fail.
    pub backoff_limit: i32,
    /// How many pods of an index may fail.
    pub backoff_limit_per_index: Option<i32>,
    /// How many indexes may fail.
    pub max_failed_indexes: Option<i32>,
    /// How long it may run, in seconds.
    pub deadline: Option<i64>,
    /// It waits.
    pub suspend: bool,
    /// A pod is replaced once it has failed, and not when its deletion begins.
    pub only_failed: bool,
    /// What failures mean.
    pub failure_policy: Option<PodFailurePolicy>,
    /// When enough indexes have succeeded.
    pub success_policy: Option<SuccessPolicy>,
    /// Containers are restarted in their pods.
    pub restarts: bool,
    /// What pods are made from.
    pub template: PodTemplateSpec,
}

impl Spec {
    fn of(job: &Job) -> Self {
        let mut spec = job.spec.clone().unwrap_or_default();
        if spec.selector.is_none() {
            label(job, &mut spec.template);
        }
        // As the API server resolves it for the built-in kind: neither says one pod, once.
        if spec.parallelism.is_none() && spec.completions.is_none() {
            spec.completions = Some(1);
        }
        let pod = spec.template.spec.as_ref();
        let restarts = pod.and_then(|pod| pod.restart_policy.as_deref()) == Some("OnFailure");
        let per_index = spec.backoff_limit_per_index;
        Self {
            parallelism: spec.parallelism.unwrap_or(1).max(0),
            completions: spec.completions.map(|n| n.max(0)),
            indexed: spec.completion_mode.as_deref() == Some("Indexed"),
            backoff_limit: spec.backoff_limit.unwrap_or(if per_index.is_some() {
                i32::MAX
            } else {
                6
            }),
            backoff_limit_per_index: per_index,
            max_failed_indexes: spec.max_failed_indexes,
            deadline: spec.active_deadline_seconds,
            suspend: spec.suspend.unwrap_or(false),
            only_failed: spec.pod_replacement_policy.as_deref() == Some("Failed")
                || spec.pod_failure_policy.is_some(),
            failure_policy: spec.pod_failure_policy,
            success_policy: spec.success_policy,
            restarts,
            template: spec.template,
        }
    }

    /// Up to which index an Indexed Job goes, itself not included.
    pub fn indexes(&self) -> i32 {
        self.completions.unwrap_or(0)
    }

    /// Whether each index has failures of its own.
    pub fn per_index(&self) -> bool {
        self.indexed && self.backoff_limit_per_index.is_some()
    }
}

impl World {
    /// The world of a Job and the pods that may be its own, in any order.
    pub fn new(job: Arc<Job>, mut pods: Vec<Arc<Pod>>, moment: Moment) -> Self {
        pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        let mut world = Self {
            owner: Reference::to(&*job),
            owner_reference: meta::owner_reference("batch/v1", "Job", &job.metadata),
            case: case(&job),
            spec: Spec::of(&job),
            job,
            pods,
            stale: Vec::new(),
            memory: Memory::default(),
            moment,
        };
        world.memory = Memory::of(&world);
        world
    }

    /// The time of the decision.
    pub fn now(&self) -> Timestamp {
        self.moment.now
    }

    /// True when it is being deleted: the garbage collector sees to the pods.
    pub fn is_going(&self) -> bool {
        meta::is_deleting(&self.job.metadata)
    }

    /// Whether its status has this condition with status True.
    pub fn has(&self, condition: &str) -> bool {
        let conditions = self
            .job
            .status
            .as_ref()
            .and_then(|s| s.conditions.as_deref());
        conditions::is_true(conditions, condition)
    }

    /// Its status, empty if it has none.
    pub fn status(&self) -> JobStatus {
        self.job.status.clone().unwrap_or_default()
    }

    /// Since when it runs, if it does. The clock begins anew when it is resumed.
    pub fn started(&self) -> Option<Timestamp> {
        if self.spec.suspend {
            return None;
        }
        let start = self.job.status.as_ref().and_then(|s| s.start_time.as_ref());
        match start {
            Some(start) if !self.has("Suspended") => Some(start.0),
            _ => Some(self.now()),
        }
    }
}

fn case(job: &Job) -> Case {
    if external_manager(job).is_some() {
        return Case::Foreign;
    }
    let spec = job.spec.as_ref();
    let conditions = job.status.as_ref().and_then(|s| s.conditions.as_deref());
    if conditions::is_true(conditions, "Complete") || conditions::is_true(conditions, "Failed") {
        return Case::Finished;
    }
    let mode = spec.and_then(|spec| spec.completion_mode.as_deref());
    if !matches!(mode, None | Some("NonIndexed" | "Indexed")) {
        return Case::UnknownMode;
    }
    match selector(job) {
        Ok(selector) => Case::Live(selector),
        Err(error) => Case::BadSelector(error),
    }
}

/// The controller that manages it, if it is another one.
pub(crate) fn external_manager(job: &Job) -> Option<&str> {
    let manager = job.spec.as_ref()?.managed_by.as_deref()?;
    (manager != OURS).then_some(manager)
}

/// Which pods are its own. The API server gives each Job a selector for its UID; where the kind is a custom resource
/// nobody does, and it is the same selector all the same.
pub(crate) fn selector(job: &Job) -> Result<Selector, SelectorError> {
    let selector: Option<&LabelSelector> = job.spec.as_ref().and_then(|s| s.selector.as_ref());
    match selector {
        Some(selector) => Selector::parse(selector),
        None => {
            let uid = meta::uid(&job.metadata).to_owned();
            let own = BTreeMap::from([(CONTROLLER_UID.to_owned(), uid)]);
            Ok(Selector::from_labels(&own))
        }
    }
}

/// Gives a template the labels that the API server gives it together with the selector
/// (upstream: `pkg/registry/batch/job/strategy.go`, `generateSelector`).
fn label(job: &Job, template: &mut PodTemplateSpec) {
    let (name, uid) = (meta::name(&job.metadata), meta::uid(&job.metadata));
    let metadata = template.metadata.get_or_insert_default();
    let labels = metadata.labels.get_or_insert_default();
    for (key, value) in [
        (CONTROLLER_UID, uid),
        ("controller-uid", uid),
        (JOB_NAME, name),
        ("job-name", name),
    ] {
        labels.insert(key.to_owned(), value.to_owned());
    }
}
