//! The DaemonSet controller: one pod on each node that the template fits.
//!
//! **Promises.** A node that the pod's node selector, required node affinity and tolerations let in has one pod, bound
//! to it by a node affinity to its name, which the scheduler honours; two only while an update with `maxSurge` replaces
//! one by the other. Updates never make more than `maxUnavailable` nodes lack an available pod, nor run more than
//! `maxSurge` extra ones. Each template that was ever rolled out is a ControllerRevision, to which
//! `kubectl rollout undo` goes back; a template that comes back by this restarts no pod that already has it. Pods that
//! fail are replaced with growing delays, node by node.
//!
//! **Never.** It never looks at resources, ports or cordons (the pods tolerate being unschedulable), never changes a
//! pod in place but for the label of its revision, never deletes an incarnation that it has not seen.
//!
//! Better than upstream, on purpose:
//! - A pod's name follows from the DaemonSet, the node, the revision and the pod before it. A loop that starts on an
//!   old list, or two that overlap, ask for the same pod and get one (upstream makes a second one and deletes it).
//! - A node that goes, or that gets a `NoSchedule` taint while its pod runs, is counted at once (upstream looks at
//!   neither, `syncNodeUpdate`).
//! - Of two revisions with one template only the pods of the one that goes are given the other's label (upstream
//!   relabels the pods of old templates too, which are then never updated, `dedupCurHistories`).
//! - A pod that gives way because it is not available goes only if the API server knows it as it was seen. On a list
//!   that lags, upstream deletes all pods that have become ready meanwhile (`rollingUpdate`).
//! - With surge, a failed pod that waits is no reason for another one beside it (`podsShouldBeOnNode`).
//! - Revisions are compared by what they mean and not by their bytes: a field that another version wrote as `null`
//!   starts no rollout.
//!
//! Upstream: `pkg/controller/daemon`. Start reading at [`plan()`]; what it is decided from is [`World`].
#![forbid(unsafe_code)]

mod memory;
mod metrics;
mod place;
mod plan;
mod revisions;
mod status;
#[cfg(test)]
mod tests;
mod wake;
mod world;

pub use place::Place;
pub use plan::plan;
pub use revisions::{Current, Revisions};
pub use status::status;
pub use world::{Settings, Spec, Strategy, World};

use ::plan::{Kind, Metric, Object, Outcome, Plan, Sample};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::{Node, Pod};
use memory::Memory;
use objects::meta;
use runtime::{Caches, Controller, Key, Moment, Watches};
use std::sync::Arc;

/// The loop over DaemonSets.
#[derive(Debug, Default)]
pub struct DaemonSetController {
    memory: Memory,
}

impl Controller for DaemonSetController {
    const NAME: &'static str = "daemonset-controller";
    const QUEUE: &'static str = "daemonset";
    const METRICS: &'static [&'static Metric] = metrics::METRICS;
    type Object = DaemonSet;
    type World = World;

    fn watch(watches: &Watches<'_>) {
        watches.owned::<Pod>("DaemonSet");
        watches.owned::<ControllerRevision>("DaemonSet");
        watches.on::<Pod>(wake::adopters);
        watches.on::<ControllerRevision>(wake::adopters);
        watches.on::<Node>(wake::by_node);
    }

    async fn observe(&self, caches: &Caches, set: Arc<DaemonSet>, moment: Moment) -> World {
        let (uid, namespace) = (meta::uid(&set.metadata), meta::namespace(&set.metadata));
        let cache = caches.of::<Pod>();
        let mut pods = cache.owned_by(uid);
        pods.extend(cache.orphans(namespace));
        let cache = caches.of::<ControllerRevision>();
        let mut revisions = cache.owned_by(uid);
        revisions.extend(cache.orphans(namespace));
        let nodes = caches.of::<Node>().all();
        let mut world = World::new(set, &nodes, pods, revisions, moment.now);
        self.memory.recall(&mut world);
        world
    }

    fn plan(world: &World) -> Plan {
        plan(world)
    }

    fn status(world: &World, outcome: &Outcome) -> Option<Object> {
        status(world, outcome).map(Object::new)
    }

    fn held(behind: Kind) -> Option<Sample> {
        Some(metrics::held(behind))
    }

    fn gone(&self, _: &Caches, key: &Key) -> Plan {
        self.memory.forget(key);
        Plan::none()
    }
}
