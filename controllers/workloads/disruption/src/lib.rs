//! The disruption controller: says in the status of each PodDisruptionBudget how many of its pods may be evicted now.
//! The API server's eviction subresource, and by it `kubectl drain`, lets no more go than that.
//!
//! **Promises.** `disruptionsAllowed` is what is healthy beyond what must be; a pod whose eviction was let through
//! counts as lost at once, and again as healthy if two minutes later it still has not been deleted. A budget whose
//! numbers cannot be told allows nothing and says why. A condition `DisruptionTarget` that has announced the end of a
//! pod for two minutes without one is taken back.
//!
//! **Never.** It deletes and evicts nothing. `unhealthyPodEvictionPolicy` is for the API server to read.
//!
//! Read [`plan`] and `status/counts.rs` first. The semantics are upstream's
//! `pkg/controller/disruption/disruption.go`, with these differences:
//!
//! - Each budget that selects a pod learns of its changes. Upstream tells one of them only, and the numbers of the
//!   others go stale.
//! - A budget learns when the size of a workload changes, or when what owns a pod appears after it; upstream waits for
//!   the next change of a pod, and until then keeps a number of expected pods that is no more, or `SyncFailed`.
//! - What failed for want of the API server is tried again.
//! - An entry of `disruptedPods` that is older than the pod of that name is about another pod, of a StatefulSet, and
//!   no reason to count this one as lost.
//! - Events are recorded when the status changes and not at each look; `NotDeleted` names the budget (upstream writes
//!   its namespace twice).
#![forbid(unsafe_code)]

mod owners;
mod plan;
mod status;
#[cfg(test)]
mod tests;

use ::plan::{Note, Object, Outcome, Plan, Reference};
use jiff::Timestamp;
use k8s_openapi::Metadata;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use objects::selector::{Selector, SelectorError};
use objects::{meta, pod};
use runtime::{
    Caches, Change, Controller, Key, Moment, Queue, ScaleError, Scales, Watched, Watches,
};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// A pod that is in several budgets is told about once, as long as there are not more of them than this.
const REMEMBERED: usize = 10_000;

/// The control loop for PodDisruptionBudgets. It remembers only which pods it has warned about.
pub struct DisruptionController {
    scales: Scales,
    warned: Mutex<HashSet<String>>,
}

/// The control loop for the condition `DisruptionTarget` of pods.
#[derive(Clone, Copy, Debug, Default)]
pub struct StaleDisruptionController;

/// What it looks at when it decides about one budget.
#[derive(Clone, Debug)]
pub struct World {
    /// The budget as the cache holds it.
    pub budget: Arc<PodDisruptionBudget>,
    /// The pods that it selects in order of their names, or why that cannot be said.
    pub pods: Result<Vec<Arc<Pod>>, SelectorError>,
    /// By UID of what controls these pods: how many it wants, or why that cannot be said. Empty where the budget does
    /// not depend on it.
    pub sizes: BTreeMap<String, Result<Size, ScaleError>>,
    /// Pods that other budgets select too, and the first of these budgets; only those that have not been told about.
    pub shared: Vec<(Reference, String)>,
    /// The time of the decision.
    pub now: Timestamp,
}

/// How many pods a workload wants. Two ReplicaSets of one Deployment are the same workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// The workload.
    pub uid: String,
    /// `spec.replicas` of its scale.
    pub replicas: i32,
}

/// A pod and the time: what is looked at when its end has been announced.
#[derive(Clone, Debug)]
pub struct Announced {
    /// The pod.
    pub pod: Arc<Pod>,
    /// The time of the decision.
    pub now: Timestamp,
}

impl DisruptionController {
    /// A controller that asks `scales` about owners other than the built-in ones.
    pub fn new(scales: Scales) -> Self {
        Self {
            scales,
            warned: Mutex::default(),
        }
    }

    /// The pods that other budgets select too, but for those that have been told about.
    fn shared(
        &self,
        caches: &Caches,
        budget: &PodDisruptionBudget,
        pods: &[Arc<Pod>],
    ) -> Vec<(Reference, String)> {
        let name = meta::name(&budget.metadata);
        let budgets = caches.of::<PodDisruptionBudget>();
        let mut others = budgets.in_namespace(meta::namespace(&budget.metadata));
        others.retain(|other| meta::name(&other.metadata) != name);
        let parsed = others
            .iter()
            .filter_map(|other| Some((meta::name(&other.metadata), selector(other).ok()??)));
        let parsed: Vec<_> = parsed.collect();
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() > REMEMBERED {
            warned.clear();
        }
        let mut shared = Vec::new();
        for pod in pods.iter().filter(|_| !parsed.is_empty()) {
            let labels = pod.metadata.labels.as_ref();
            let matching = parsed.iter().filter(|(_, other)| other.matches(labels));
            let first = matching.map(|(other, _)| *other).min();
            if let Some(other) = first
                && warned.insert(meta::uid(&pod.metadata).to_owned())
            {
                shared.push((Reference::to(&**pod), other.min(name).to_owned()));
            }
        }
        shared
    }
}

impl Controller for DisruptionController {
    const NAME: &'static str = "disruption-controller";
    const SOURCE: &'static str = "controllermanager";
    const QUEUE: &'static str = "disruption";
    type Object = PodDisruptionBudget;
    type World = World;

    fn watch(watches: &Watches<'_>) {
        watches.on::<Pod>(pod_changed);
        wake_at_sizes::<ReplicaSet>(watches, |set| set.spec.as_ref()?.replicas);
        wake_at_sizes::<Deployment>(watches, |deployment| deployment.spec.as_ref()?.replicas);
        wake_at_sizes::<StatefulSet>(watches, |set| set.spec.as_ref()?.replicas);
        wake_at_sizes::<ReplicationController>(watches, |rc| rc.spec.as_ref()?.replicas);
    }

    async fn observe(
        &self,
        caches: &Caches,
        budget: Arc<PodDisruptionBudget>,
        moment: Moment,
    ) -> World {
        let pods = selector(&budget).map(|selector| {
            let namespace = meta::namespace(&budget.metadata);
            let all = caches.of::<Pod>();
            let selected = selector.map(|selector| all.select(namespace, &selector));
            let mut pods = selected.unwrap_or_default();
            pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
            pods
        });
        let selected = pods.as_deref().unwrap_or_default();
        let sizes = match needs_sizes(&budget) {
            true => owners::sizes(caches, &self.scales, selected).await,
            false => BTreeMap::new(),
        };
        World {
            shared: self.shared(caches, &budget, selected),
            sizes,
            pods,
            budget,
            now: moment.now,
        }
    }

    fn plan(world: &World) -> Plan {
        plan::plan(world)
    }

    fn status(world: &World, _: &Outcome) -> Option<Object> {
        status::status(world).map(Object::new)
    }

    fn status_notes(world: &World, _: &Object) -> Vec<Note> {
        status::notes(world)
    }
}

impl Controller for StaleDisruptionController {
    const NAME: &'static str = "disruption-controller";
    const SOURCE: &'static str = "controllermanager";
    const QUEUE: &'static str = "stale_pod_disruption";
    type Object = Pod;
    type World = Announced;

    fn matters(pod: &Pod) -> bool {
        plan::stale::announced(pod).is_some()
    }

    async fn observe(&self, _: &Caches, pod: Arc<Pod>, moment: Moment) -> Announced {
        let now = moment.now;
        Announced { pod, now }
    }

    fn plan(world: &Announced) -> Plan {
        plan::stale::plan(world)
    }
}

/// What a budget selects: nothing without a selector, all with an empty one.
fn selector(budget: &PodDisruptionBudget) -> Result<Option<Selector>, SelectorError> {
    let selector = budget.spec.as_ref().and_then(|s| s.selector.as_ref());
    selector.map(Selector::parse).transpose()
}

/// Whether the budget is counted from the sizes of workloads, and not from the pods that there are.
fn needs_sizes(budget: &PodDisruptionBudget) -> bool {
    budget.spec.as_ref().is_some_and(|spec| {
        spec.max_unavailable.is_some() || matches!(spec.min_available, Some(IntOrString::String(_)))
    })
}

// === What wakes ===

fn pod_changed(change: &Change<Pod>, queue: &Queue, caches: &Caches) {
    fn view(pod: &Pod) -> impl PartialEq {
        let owner = meta::controller_of(&pod.metadata).map(|owner| &owner.uid);
        let going = meta::is_deleting(&pod.metadata);
        let labels = pod.metadata.labels.as_ref();
        (&pod.metadata.uid, labels, going, pod::is_ready(pod), owner)
    }
    let namespace = meta::namespace(&change.latest().metadata);
    let budgets = caches.of::<PodDisruptionBudget>().in_namespace(namespace);
    let (old, new) = (change.old.as_deref(), change.new.as_deref());
    if budgets.is_empty() || old.map(view) == new.map(view) {
        return;
    }
    for budget in budgets {
        if let Ok(Some(selector)) = selector(&budget)
            && change.metas().any(|m| selector.matches(m.labels.as_ref()))
        {
            queue.add(Key::of(&budget.metadata));
        }
    }
}

/// The budgets of its namespace are woken when a workload comes, goes, changes hands, or its size changes.
fn wake_at_sizes<K: Watched>(watches: &Watches<'_>, replicas: fn(&K) -> Option<i32>) {
    watches.on::<K>(move |change, queue, caches| {
        let view = |object: &Option<Arc<K>>| {
            let object = object.as_ref()?;
            let owner = meta::controller_of(metadata(&**object)).map(|owner| owner.uid.clone());
            Some((replicas(object), owner))
        };
        if view(&change.old) == view(&change.new) {
            return;
        }
        let namespace = meta::namespace(metadata(&**change.latest()));
        for budget in caches.of::<PodDisruptionBudget>().in_namespace(namespace) {
            queue.add(Key::of(&budget.metadata));
        }
    });
}

fn metadata<K: Metadata<Ty = ObjectMeta>>(object: &K) -> &ObjectMeta {
    object.metadata()
}
