//! The ReplicaSet controller, which is the ReplicationController's too: keeps the wanted number of pods alive.
//!
//! **Promises.** As many active pods as `spec.replicas` says, each made from the template; orphans that
//! match are adopted, pods that do not match any more are released; when there are too many, those go
//! first that hurt least ([`objects::rank`]). A quota that refuses costs one request a try. Pods that a
//! node refuses one after the other are replaced with growing delays and not by the thousand (known
//! upstream bug, kubernetes#72593).
//!
//! **Never.** It never changes a pod in place, never looks at nodes, never deletes an incarnation that it
//! has not seen.
//!
//! Semantics: upstream `pkg/controller/replicaset/replica_set.go` and `pkg/controller/replication`, which is
//! the same with another kind; what differs is in [`PodSet`]. Start reading at [`plan`].
#![forbid(unsafe_code)]

mod kind;
mod metrics;
mod plan;
mod status;
#[cfg(test)]
mod tests;

pub use kind::{PodSet, Wanted};

use ::plan::{Kind, Metric, Object, Outcome, Plan, Reference, Sample, Turn};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec, ReplicationController};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use objects::selector::{Selector, SelectorError};
use objects::{meta, pod};
use runtime::{Caches, Controller, Key, Moment, Watches};
use std::collections::HashMap;
use std::sync::Arc;

/// The control loop for ReplicaSets.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplicaSetController;

/// The control loop for ReplicationControllers, under upstream's name for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplicationManager;

/// What it looks at when it decides about one ReplicaSet or ReplicationController.
#[derive(Clone, Debug)]
pub struct World<K> {
    /// The set as the cache holds it.
    pub set: Arc<K>,
    /// The set, to say what events and owner references are about.
    pub owner: Reference,
    /// What the pods carry.
    pub owner_reference: OwnerReference,
    /// How many pods are wanted.
    pub replicas: i32,
    /// How long a pod must be ready to be available, in seconds.
    pub min_ready_seconds: i32,
    /// Which pods are its own, or why that cannot be said.
    pub selector: Result<Selector, SelectorError>,
    /// What pods are made from.
    pub template: PodTemplateSpec,
    /// The pods that it controls and those of its namespace that nobody does, in order of their names.
    pub pods: Vec<Arc<Pod>>,
    /// By node: the active pods of all sets with the same controller as this one. Empty where nothing has
    /// to go.
    pub neighbours: HashMap<String, usize>,
    /// The time and the seed of the decision.
    pub moment: Moment,
}

impl Controller for ReplicaSetController {
    const NAME: &'static str = "replicaset-controller";
    const QUEUE: &'static str = "replicaset";
    const METRICS: &'static [&'static Metric] = metrics::METRICS;
    type Object = ReplicaSet;
    type World = World<ReplicaSet>;

    fn watch(watches: &Watches<'_>) {
        watch::<ReplicaSet>(watches);
    }

    async fn observe(&self, caches: &Caches, set: Arc<ReplicaSet>, moment: Moment) -> Self::World {
        observe(caches, set, moment)
    }

    fn plan(world: &Self::World) -> Plan {
        plan::plan(world)
    }

    fn status(world: &Self::World, outcome: &Outcome) -> Option<Object> {
        status::status(world, outcome).map(Object::new)
    }

    fn measure(world: &Self::World, turn: &Turn<'_>) -> Vec<Sample> {
        metrics::measure(world, turn)
    }

    fn held(behind: Kind) -> Option<Sample> {
        Some(metrics::held(behind))
    }
}

impl Controller for ReplicationManager {
    const NAME: &'static str = "replication-controller";
    const QUEUE: &'static str = "replicationmanager";
    const METRICS: &'static [&'static Metric] = metrics::METRICS;
    type Object = ReplicationController;
    type World = World<ReplicationController>;

    fn watch(watches: &Watches<'_>) {
        watch::<ReplicationController>(watches);
    }

    async fn observe(
        &self,
        caches: &Caches,
        set: Arc<ReplicationController>,
        moment: Moment,
    ) -> Self::World {
        observe(caches, set, moment)
    }

    fn plan(world: &Self::World) -> Plan {
        plan::plan(world)
    }

    fn status(world: &Self::World, outcome: &Outcome) -> Option<Object> {
        status::status(world, outcome).map(Object::new)
    }

    fn measure(world: &Self::World, turn: &Turn<'_>) -> Vec<Sample> {
        metrics::measure(world, turn)
    }
}

/// Pods wake their controller; pods without one wake all sets that would have them.
fn watch<K: PodSet>(watches: &Watches<'_>) {
    watches.owned::<Pod>(K::KIND);
    watches.on::<Pod>(|change, queue, caches| {
        for orphan in change.new.iter().filter(|pod| is_orphan(pod)) {
            let sets = caches.of::<K>();
            for set in sets.in_namespace(meta::namespace(&orphan.metadata)) {
                let selector = set.selector();
                if selector.is_ok_and(|s| s.matches(orphan.metadata.labels.as_ref())) {
                    queue.add(Key::of(set.metadata()));
                }
            }
        }
    });
}

fn observe<K: PodSet>(caches: &Caches, set: Arc<K>, moment: Moment) -> World<K> {
    let cache = caches.of::<Pod>();
    let mut pods = cache.owned_by(meta::uid(set.metadata()));
    pods.extend(cache.orphans(meta::namespace(set.metadata())));
    let mut world = World::new(set, pods, moment);
    if world.surplus() > 0 {
        world.neighbours = neighbours(caches, &world);
    }
    world
}

impl<K: PodSet> World<K> {
    /// The world of a set and the pods that may be its own, in any order.
    pub fn new(set: Arc<K>, mut pods: Vec<Arc<Pod>>, moment: Moment) -> Self {
        pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        let kind = Kind::of::<K>();
        let wanted = set.wants();
        Self {
            owner: Reference::to(&*set),
            owner_reference: meta::owner_reference(&kind.api_version(), kind.kind, set.metadata()),
            replicas: wanted.replicas,
            min_ready_seconds: wanted.min_ready_seconds,
            selector: set.selector(),
            template: wanted.template,
            set,
            pods,
            neighbours: HashMap::new(),
            moment,
        }
    }

    /// The time of the decision.
    pub fn now(&self) -> Timestamp {
        self.moment.now
    }

    /// True when it is being deleted: the garbage collector sees to the pods.
    pub fn is_going(&self) -> bool {
        meta::is_deleting(self.set.metadata())
    }

    /// How many active pods of its own there are beyond those that are wanted; negative if some are
    /// missing.
    fn surplus(&self) -> i64 {
        let uid = meta::uid(self.set.metadata());
        let own = self
            .pods
            .iter()
            .filter(|p| pod::is_active(p) && meta::is_controlled_by(&p.metadata, uid));
        own.count() as i64 - i64::from(self.replicas)
    }
}

fn is_orphan(pod: &Pod) -> bool {
    meta::controller_of(&pod.metadata).is_none()
}

/// Old and new ReplicaSets of one Deployment count together: pods go first where most of them are
/// (upstream: replica_set.go, `getIndirectlyRelatedPods`).
fn neighbours<K: PodSet>(caches: &Caches, world: &World<K>) -> HashMap<String, usize> {
    let sets = match meta::controller_of(world.set.metadata()) {
        Some(owner) => caches.of::<K>().owned_by(&owner.uid),
        None => vec![world.set.clone()],
    };
    let pods = caches.of::<Pod>();
    let mut neighbours = HashMap::new();
    for set in sets {
        for pod in pods.owned_by(meta::uid(set.metadata())) {
            if let Some(node) = pod::node_name(&pod).filter(|_| pod::is_active(&pod)) {
                *neighbours.entry(node.to_owned()).or_default() += 1;
            }
        }
    }
    neighbours
}
