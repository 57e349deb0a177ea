//! What a decision is made from: a checked StatefulSet, its pods by ordinal, their claims, its revisions.

use crate::identity;
use ::plan::{Claim, Reference};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use objects::{Selector, history, int_or_percent, meta};
use runtime::Moment;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// At most this many pods are created in one plan (upstream: `MaxBatchSize`).
pub(crate) const BURST: usize = 500;

/// A StatefulSet and all that is known about it.
#[derive(Clone, Debug)]
pub struct World {
    /// The set as the cache holds it.
    pub set: Arc<StatefulSet>,
    /// The set, to say what events are about.
    pub owner: Reference,
    /// What its pods and revisions carry.
    pub owner_reference: OwnerReference,
    /// What it asks for, or why that cannot be said.
    pub spec: Result<Settings, Invalid>,
    /// The pods that are its own, or will be when they are adopted, by ordinal.
    pub pods: BTreeMap<i64, Arc<Pod>>,
    /// Those of them that are nobody's yet.
    pub orphans: Vec<Arc<Pod>>,
    /// Its own that are none of its any more, by their labels or their names: to be released.
    pub strangers: Vec<Arc<Pod>>,
    /// Its revisions and those that it adopts, oldest first.
    pub revisions: Vec<Arc<ControllerRevision>>,
    /// The claims of its pods, those of the next ones included, by name.
    pub claims: BTreeMap<String, Arc<PersistentVolumeClaim>>,
    /// The time of the decision.
    pub now: Timestamp,
}

/// Why a spec cannot be worked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The reason of the event that says so.
    pub reason: &'static str,
    /// Its message: the field, and what is wrong with it.
    pub message: String,
}

/// Options with their defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which pods may be its own.
    pub selector: Selector,
    /// The ordinals that pods are wanted for.
    pub ordinals: Range<i64>,
    /// True where nobody waits for anybody (`podManagementPolicy: Parallel`).
    pub parallel: bool,
    /// How pods get another template.
    pub strategy: Strategy,
    /// For how long a pod must be ready to be available, in seconds.
    pub min_ready_seconds: i32,
    /// How many revisions that are not in use are kept; below zero all.
    pub history_limit: i32,
    /// What becomes of claims.
    pub retention: Retention,
}

/// How pods get another template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// When somebody deletes them.
    OnDelete,
    /// From the highest ordinal down.
    RollingUpdate {
        /// Pods below this index (ordinal less the first one) stay at the current revision; `None` where there is no
        /// `rollingUpdate` at all.
        partition: Option<i64>,
        /// So many at a time. `None` where the API server keeps the field to itself (gate `MaxUnavailableStatefulSet`,
        /// off in 1.36): one, and all that stand above it must be available.
        max_unavailable: Option<i64>,
    },
}

/// What becomes of claims; otherwise they stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// They go with the set.
    pub delete_with_set: bool,
    /// They go with a pod that is one too many.
    pub delete_with_pod: bool,
}

impl World {
    /// Sorts out what the caches hold about `set`: `pods` and `revisions` are its own and the orphans of its
    /// namespace, in any order; `claim` finds a claim of the namespace by name.
    pub fn new(
        set: Arc<StatefulSet>,
        pods: Vec<Arc<Pod>>,
        revisions: Vec<Arc<ControllerRevision>>,
        claim: impl Fn(&str) -> Option<Arc<PersistentVolumeClaim>>,
        moment: Moment,
    ) -> Self {
        let mut world = Self {
            owner: Reference::to(&*set),
            owner_reference: meta::owner_reference("apps/v1", "StatefulSet", &set.metadata),
            spec: Settings::of(set.spec.as_ref()),
            set,
            pods: BTreeMap::new(),
            orphans: Vec::new(),
            strangers: Vec::new(),
            revisions: Vec::new(),
            claims: BTreeMap::new(),
            now: moment.now,
        };
        let Ok(settings) = world.spec.clone() else {
            return world;
        };
        world.take_pods(pods, &settings);
        world.take_revisions(revisions, &settings);
        world.find_claims(claim, &settings);
        world
    }

    /// Upstream: `getPodsForStatefulSet`.
    fn take_pods(&mut self, pods: Vec<Arc<Pod>>, settings: &Settings) {
        for pod in pods {
            let ordinal = identity::ordinal(&self.owner.name, &pod);
            let selected = settings.selector.matches(pod.metadata.labels.as_ref());
            let claim = Claim::of(
                &self.set.metadata,
                &pod.metadata,
                selected && ordinal.is_some(),
            );
            match (claim, ordinal) {
                (Claim::Keep, Some(ordinal)) => drop(self.pods.insert(ordinal, pod)),
                (Claim::Adopt, Some(ordinal)) => {
                    self.orphans.push(pod.clone());
                    self.pods.insert(ordinal, pod);
                }
                (Claim::Release, _) => self.strangers.push(pod),
                _ => {}
            }
        }
    }

    /// Upstream: `ListControllerRevisions`.
    fn take_revisions(&mut self, revisions: Vec<Arc<ControllerRevision>>, settings: &Settings) {
        let is_ours = |revision: &Arc<ControllerRevision>| {
            let selected = settings.selector.matches(revision.metadata.labels.as_ref());
            let claim = Claim::of(&self.set.metadata, &revision.metadata, selected);
            selected && matches!(claim, Claim::Keep | Claim::Adopt)
        };
        self.revisions = revisions.into_iter().filter(is_ours).collect();
        self.revisions.sort_by(|a, b| history::order(a, b));
        self.revisions
            .dedup_by(|a, b| a.metadata.uid == b.metadata.uid);
    }

    fn find_claims(
        &mut self,
        claim: impl Fn(&str) -> Option<Arc<PersistentVolumeClaim>>,
        settings: &Settings,
    ) {
        let ordinals: Vec<i64> = self
            .pods
            .keys()
            .copied()
            .chain(self.missing(settings))
            .collect();
        let mut claims = BTreeMap::new();
        for ordinal in ordinals {
            for template in self.claim_templates() {
                let template = meta::name(&template.metadata);
                let name = identity::claim_name(template, &self.owner.name, ordinal);
                if let Some(found) = claim(&name) {
                    claims.insert(name, found);
                }
            }
        }
        self.claims = claims;
    }

    /// The ordinals without a pod that may get one in this round, the lowest first: one after the other, or as many
    /// as one plan creates.
    pub(crate) fn missing(&self, settings: &Settings) -> impl Iterator<Item = i64> {
        let most = if settings.parallel { BURST } else { 1 };
        let missing = settings.ordinals.clone();
        missing
            .filter(|ordinal| !self.pods.contains_key(ordinal))
            .take(most)
    }

    /// The pods that are too many, the highest ordinal first.
    pub(crate) fn condemned(&self, settings: &Settings) -> impl Iterator<Item = (i64, &Arc<Pod>)> {
        self.pods
            .iter()
            .rev()
            .map(|(ordinal, pod)| (*ordinal, pod))
            .filter(|(ordinal, _)| !settings.ordinals.contains(ordinal))
    }

    /// What its pods are made from now.
    pub(crate) fn template(&self) -> Option<&PodTemplateSpec> {
        self.set.spec.as_ref().map(|spec| &spec.template)
    }

    /// What each pod has claims from.
    pub(crate) fn claim_templates(&self) -> &[PersistentVolumeClaim] {
        let templates = self.set.spec.as_ref().map(|s| &s.volume_claim_templates);
        templates
            .and_then(|templates| templates.as_deref())
            .unwrap_or_default()
    }

    /// True when it is being deleted: the garbage collector sees to the pods.
    pub(crate) fn is_going(&self) -> bool {
        meta::is_deleting(&self.set.metadata)
    }
}

impl Settings {
    fn of(spec: Option<&StatefulSetSpec>) -> Result<Self, Invalid> {
        let spec = spec.ok_or_else(|| Invalid::new("InvalidSpec", "spec: there is none"))?;
        let selector = Selector::parse(&spec.selector)
            .map_err(|error| Invalid::new("InvalidSelector", format!("spec.selector: {error}")))?;
        if selector.is_empty() {
            let message = "spec.selector: an empty selector selects every pod";
            return Err(Invalid::new("InvalidSelector", message));
        }
        let replicas = spec.replicas.unwrap_or(1).max(0);
        let start = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start);
        let start = i64::from(start.unwrap_or(0).max(0));
        let retention = spec.persistent_volume_claim_retention_policy.as_ref();
        let deletes = |policy: Option<&String>| policy.is_some_and(|policy| policy == "Delete");
        Ok(Self {
            selector,
            ordinals: start..start + i64::from(replicas),
            parallel: spec.pod_management_policy.as_deref() == Some("Parallel"),
            strategy: strategy(spec, replicas)?,
            min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
            history_limit: spec.revision_history_limit.unwrap_or(10),
            retention: Retention {
                delete_with_set: deletes(retention.and_then(|r| r.when_deleted.as_ref())),
                delete_with_pod: deletes(retention.and_then(|r| r.when_scaled.as_ref())),
            },
        })
    }

    /// How many pods are wanted.
    pub(crate) fn replicas(&self) -> i64 {
        self.ordinals.end - self.ordinals.start
    }
}

/// Upstream: `getStatefulSetMaxUnavailable`; a percentage is rounded down, but is at least one.
fn strategy(spec: &StatefulSetSpec, replicas: i32) -> Result<Strategy, Invalid> {
    let strategy = spec.update_strategy.as_ref();
    if strategy.and_then(|s| s.type_.as_deref()) == Some("OnDelete") {
        return Ok(Strategy::OnDelete);
    }
    let rolling = strategy.and_then(|s| s.rolling_update.as_ref());
    let max_unavailable = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
    let max_unavailable = max_unavailable
        .map(|value| int_or_percent::resolve(value, replicas, false))
        .transpose()
        .map_err(|error| {
            let message = format!("spec.updateStrategy.rollingUpdate.maxUnavailable: {error}");
            Invalid::new("InvalidSpec", message)
        })?;
    Ok(Strategy::RollingUpdate {
        partition: rolling.map(|rolling| i64::from(rolling.partition.unwrap_or(0).max(0))),
        max_unavailable: max_unavailable.map(|count| i64::from(count.max(1))),
    })
}

impl Invalid {
    fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}
