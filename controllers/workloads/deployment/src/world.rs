//! What a decision is made from: a validated Deployment, its ReplicaSets and what stands in its way.

use crate::{annotations, replicas};
use ::plan::{Claim, Reference};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use objects::{Selector, int_or_percent, meta, pod, template};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A Deployment and all that is known about it.
#[derive(Clone, Debug)]
pub struct World {
    /// As the cache has it.
    pub deployment: Arc<Deployment>,
    /// The Deployment as events and preconditions name it.
    pub me: Reference,
    /// What it asks for.
    pub spec: Spec,
    /// Orphans that it selects: to be adopted.
    pub orphans: Vec<Arc<ReplicaSet>>,
    /// Its own that it does not select any more: to be released.
    pub strangers: Vec<Arc<ReplicaSet>>,
    /// The oldest of its own whose template is the Deployment's.
    pub new: NewReplicaSet,
    /// All others of its own, oldest first.
    pub old: Vec<Arc<ReplicaSet>>,
    /// Pods of old ReplicaSets that may still run; looked for only where the strategy is `Recreate`.
    pub old_pods: Vec<Arc<Pod>>,
    /// The time of the decision.
    pub now: Timestamp,
}

/// The spec of a Deployment, checked.
#[derive(Clone, Debug)]
pub enum Spec {
    /// The selector is empty: it would take every pod of the namespace.
    SelectsAll,
    /// The API server would have refused it; nothing is done.
    Invalid(String),
    /// A usable one, all options resolved.
    Valid(Settings),
}

/// Options with their defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The number of pods wanted.
    pub replicas: i32,
    /// How old pods are replaced.
    pub strategy: Strategy,
    /// For how long a pod must be ready to be available, in seconds.
    pub min_ready_seconds: i32,
    /// For how long a rollout may show no progress; nothing for ever.
    pub progress_deadline: Option<SignedDuration>,
    /// How many old ReplicaSets are kept; nothing for all.
    pub history_limit: Option<usize>,
    /// True when templates are not rolled out for now.
    pub paused: bool,
    /// The revision to go back to; 0 is the last one.
    pub rollback_to: Option<i64>,
}

/// How old pods are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// All old ones go before a new one comes.
    Recreate,
    /// Step by step, within bounds in pods.
    RollingUpdate {
        /// Pods above `replicas`.
        max_surge: i32,
        /// Pods that may lack below `replicas`; at most `replicas`.
        max_unavailable: i32,
    },
}

/// The ReplicaSet of the current template.
#[derive(Clone, Debug)]
pub enum NewReplicaSet {
    /// It is there.
    There(Arc<ReplicaSet>),
    /// It has to be created.
    Missing {
        /// The value of its label `pod-template-hash`.
        hash: String,
        /// The name that it will have.
        name: String,
        /// What has that name already and is something else.
        occupant: Option<Arc<ReplicaSet>>,
    },
}

/// What kind of round this is, in upstream's order (`deployment_controller.go` `syncDeployment`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// Only the status is kept.
    Deleting,
    /// Sizes follow `replicas`, templates do not follow.
    Paused,
    /// The template is set back to this revision's.
    Rollback(i64),
    /// `replicas` has changed since the ReplicaSets were last sized.
    Scaling,
    /// The ordinary round.
    Rollout,
}

impl World {
    /// Sorts out what the caches hold about `deployment`.
    ///
    /// `replica_sets` are its own and the orphans of its namespace, in any order. `named` finds any ReplicaSet of the
    /// namespace, `pods_of` the pods that the ReplicaSet of this UID controls.
    pub fn new(
        deployment: Arc<Deployment>,
        mut replica_sets: Vec<Arc<ReplicaSet>>,
        named: impl Fn(&str) -> Option<Arc<ReplicaSet>>,
        pods_of: impl Fn(&str) -> Vec<Arc<Pod>>,
        now: Timestamp,
    ) -> Self {
        let mut world = Self {
            me: Reference::to(&*deployment),
            spec: Spec::SelectsAll,
            orphans: Vec::new(),
            strangers: Vec::new(),
            new: NewReplicaSet::Missing {
                hash: String::new(),
                name: String::new(),
                occupant: None,
            },
            old: Vec::new(),
            old_pods: Vec::new(),
            now,
            deployment,
        };
        let deployment = &*world.deployment;
        let Some(spec) = &deployment.spec else {
            world.spec = Spec::Invalid("there is no spec".to_owned());
            return world;
        };
        if spec.selector == LabelSelector::default() || is_empty(&spec.selector) {
            return world;
        }
        let selector = match Selector::parse(&spec.selector) {
            Ok(selector) => selector,
            Err(error) => {
                world.spec = Spec::Invalid(format!("selector: {error}"));
                return world;
            }
        };
        world.spec = match Settings::of(deployment, spec) {
            Ok(settings) => Spec::Valid(settings),
            Err(reason) => Spec::Invalid(reason),
        };
        let Spec::Valid(settings) = &world.spec else {
            return world;
        };

        // The order decides which of several equal templates is the new one, and who shrinks first.
        replica_sets.sort_by(|a, b| by_age(a, b));
        replica_sets.dedup_by(|a, b| a.metadata.uid == b.metadata.uid);
        let mut new = None;
        for rs in replica_sets {
            let selected = selector.matches(rs.metadata.labels.as_ref());
            match Claim::of(&deployment.metadata, &rs.metadata, selected) {
                Claim::Keep if new.is_none() && has_template(&rs, &spec.template) => new = Some(rs),
                Claim::Keep => world.old.push(rs),
                Claim::Adopt => world.orphans.push(rs),
                Claim::Release => world.strangers.push(rs),
                Claim::Ignore => {}
            }
        }
        if settings.strategy == Strategy::Recreate {
            let pods = world
                .old
                .iter()
                .flat_map(|rs| pods_of(meta::uid(&rs.metadata)));
            world.old_pods = pods.filter(|pod| !has_stopped(pod)).collect();
        }
        world.new = if let Some(rs) = new {
            NewReplicaSet::There(rs)
        } else {
            let collisions = deployment.status.as_ref().and_then(|s| s.collision_count);
            let hash = template::hash(&spec.template, collisions);
            let name = replica_set_name(meta::name(&deployment.metadata), &hash);
            let occupant = named(&name);
            NewReplicaSet::Missing {
                hash,
                name,
                occupant,
            }
        };
        world
    }

    /// The options, if the spec is usable.
    pub fn settings(&self) -> Option<&Settings> {
        match &self.spec {
            Spec::Valid(settings) => Some(settings),
            Spec::SelectsAll | Spec::Invalid(_) => None,
        }
    }

    /// The new ReplicaSet, if it is there.
    pub fn new_replica_set(&self) -> Option<&Arc<ReplicaSet>> {
        match &self.new {
            NewReplicaSet::There(rs) => Some(rs),
            NewReplicaSet::Missing { .. } => None,
        }
    }

    /// The old ReplicaSets and then the new one.
    pub(crate) fn replica_sets(&self) -> impl Iterator<Item = &ReplicaSet> {
        self.old
            .iter()
            .chain(self.new_replica_set())
            .map(|rs| &**rs)
    }

    /// The revision that the new ReplicaSet must have at least.
    pub(crate) fn next_revision(&self) -> i64 {
        annotations::max_revision(self.old.iter().map(|rs| &**rs)).saturating_add(1)
    }

    pub(crate) fn course(&self, settings: &Settings) -> Course {
        if meta::is_deleting(&self.deployment.metadata) {
            Course::Deleting
        } else if settings.paused {
            Course::Paused
        } else if let Some(revision) = settings.rollback_to {
            Course::Rollback(revision)
        } else if self
            .replica_sets()
            .any(|rs| is_sized_for_another(rs, settings.replicas))
        {
            Course::Scaling
        } else {
            Course::Rollout
        }
    }
}

// === impl Settings ===

impl Settings {
    fn of(deployment: &Deployment, spec: &DeploymentSpec) -> Result<Self, String> {
        let replicas = spec.replicas.unwrap_or(1).max(0);
        let strategy = spec.strategy.as_ref();
        let strategy = match strategy.and_then(|s| s.type_.as_deref()) {
            Some("Recreate") => Strategy::Recreate,
            Some("RollingUpdate" | "") | None => {
                let rolling = strategy.and_then(|s| s.rolling_update.as_ref());
                // The API server gives the built-in kind what a custom resource may lack.
                let quarter = || IntOrString::String("25%".to_owned());
                let bounds = |bound: fn(&RollingUpdateDeployment) -> Option<&IntOrString>| {
                    rolling.map_or_else(|| Some(quarter()), |r| bound(r).cloned())
                };
                let (max_surge, max_unavailable) = int_or_percent::max_surge_unavailable(
                    replicas,
                    bounds(|r| r.max_surge.as_ref()).as_ref(),
                    bounds(|r| r.max_unavailable.as_ref()).as_ref(),
                );
                Strategy::RollingUpdate {
                    max_surge,
                    max_unavailable,
                }
            }
            Some(other) => return Err(format!("unexpected deployment strategy type: {other}")),
        };
        let unless_max = |n: &i32| *n != i32::MAX;
        let rollback_to = meta::annotation(&deployment.metadata, annotations::ROLLBACK_TO);
        Ok(Self {
            replicas,
            strategy,
            min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
            progress_deadline: spec
                .progress_deadline_seconds
                .filter(unless_max)
                .map(|seconds| SignedDuration::from_secs(i64::from(seconds))),
            history_limit: spec
                .revision_history_limit
                .filter(unless_max)
                .map(|limit| limit.max(0) as usize),
            paused: spec.paused.unwrap_or(false),
            rollback_to: rollback_to.and_then(|text| text.parse().ok()),
        })
    }

    /// The most pods that there may be.
    pub fn max_total(&self) -> i32 {
        match self.strategy {
            Strategy::Recreate => self.replicas,
            Strategy::RollingUpdate { max_surge, .. } => self.replicas.saturating_add(max_surge),
        }
    }

    /// The fewest available pods that there should be (`MinimumReplicasAvailable`).
    pub fn min_available(&self) -> i32 {
        match self.strategy {
            Strategy::Recreate => self.replicas,
            Strategy::RollingUpdate {
                max_unavailable, ..
            } => self.replicas - max_unavailable,
        }
    }
}

/// Whether a pod has stopped by itself; one that is only asked to stop may still run.
pub(crate) fn has_stopped(pod: &Pod) -> bool {
    matches!(pod::phase(pod), "Failed" | "Succeeded")
}

/// Whether the ReplicaSet was made from this template.
pub(crate) fn has_template(rs: &ReplicaSet, wanted: &PodTemplateSpec) -> bool {
    let own = rs.spec.as_ref().and_then(|spec| spec.template.as_ref());
    own.is_some_and(|own| template::equal_ignoring_hash(own, wanted))
}

/// By creation, then by name: the API server's times have whole seconds.
pub(crate) fn by_age(a: &ReplicaSet, b: &ReplicaSet) -> std::cmp::Ordering {
    let key = |rs: &ReplicaSet| meta::created(&rs.metadata);
    key(a)
        .cmp(&key(b))
        .then_with(|| a.metadata.name.cmp(&b.metadata.name))
}

/// `<deployment>-<hash>`, the first part cut so that the whole is a valid name (`sync.go` `generateReplicaSetName`).
fn replica_set_name(deployment: &str, hash: &str) -> String {
    const LONGEST: usize = 253;
    let room = LONGEST.saturating_sub(hash.len() + 1);
    let stem = &deployment[..deployment.floor_char_boundary(room)];
    format!("{stem}-{hash}")
}

fn is_empty(selector: &LabelSelector) -> bool {
    selector
        .match_labels
        .as_ref()
        .is_none_or(BTreeMap::is_empty)
        && selector
            .match_expressions
            .as_ref()
            .is_none_or(Vec::is_empty)
}

/// `sync.go` `isScalingEvent`, for one ReplicaSet.
fn is_sized_for_another(rs: &ReplicaSet, desired: i32) -> bool {
    let sized_for = meta::annotation(&rs.metadata, annotations::DESIRED_REPLICAS);
    replicas::wanted(rs) > 0 && annotations::count(sized_for).is_some_and(|n| n != desired)
}
