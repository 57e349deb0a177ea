//! The taint eviction controller: deletes the pods of a node that do not tolerate one of its NoExecute taints, and
//! those that tolerate it for some time when that is over.
//!
//! **Promises.** A pod that lacks a toleration goes at once; one with `tolerationSeconds` goes that long after the
//! taint came, or after the pod did if it came later; the shortest time of all taints counts. When a taint goes or
//! tolerations change in time, the pod stays, and an event says so. Before a pod is deleted it carries the condition
//! `DisruptionTarget` (`DeletionByTaintManager`).
//!
//! **Never.** It decides on no node that it has only in a cache: a pod is deleted if the API server itself says just
//! before that the taint is still there (upstream: kubernetes#140198, #139992), and never another pod of the same name.
//! A time that ran out while this process or the API server was away is no reason to hurry where the node could not
//! have said that it is back: pods that go because of `not-ready` and `unreachable` have 15 s more then.
//!
//! Time is counted from the taint's `timeAdded`, so it goes on when this process is started anew (upstream begins
//! again: kubernetes#108268). Taints set by people often do not say it (`kubectl taint` does not): for these the API
//! server's record of who last changed the list of taints counts, if that is there.
//!
//! Semantics: upstream `pkg/controller/tainteviction`. Here the node is what is reconciled and not the pod. Pods that
//! are being deleted already are left alone, and of pods that are gone nothing is told.
//!
//! Start reading at [`plan`].
#![forbid(unsafe_code)]

mod metrics;
mod plan;
mod since;
#[cfg(test)]
mod tests;

use ::plan::{Metric, Plan, Sample, Turn};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use objects::{meta, node as nodes, pod as pods};
use plan::NO_EXECUTE;
use runtime::{Caches, Contact, Controller, Key, Moment, Reads, Runtime, Watches};
use serde_json::Value;
use since::Since;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The index of pods by the node that they are bound to.
const BY_NODE: &str = "spec.nodeName";

/// The control loop for the pods of tainted nodes. It remembers since when taints are there that do not say so, and
/// which pods wait for their end.
pub struct TaintEvictionController {
    reads: Reads,
    contact: Contact,
    nodes: Arc<Mutex<HashMap<String, Memory>>>,
}

/// What is remembered of one node.
#[derive(Clone, Debug, Default)]
struct Memory {
    uid: String,
    since: Since,
    waiting: BTreeSet<String>,
}

/// What it looks at when it decides about the pods of one node.
#[derive(Clone, Debug)]
pub struct World {
    /// The node's NoExecute taints, and since when they are there.
    pub taints: Vec<Taint>,
    /// Its pods in order of their names, without those that are being deleted.
    pub pods: Vec<Arc<Pod>>,
    /// UIDs of the pods that waited for their end when it was last looked at.
    pub waiting: BTreeSet<String>,
    /// The API server has said just now that these are the taints.
    pub is_certain: bool,
    /// Since when the API server has been there for us; none if it is not.
    pub contact: Option<Timestamp>,
    /// The time of the decision.
    pub now: Timestamp,
}

/// A NoExecute taint.
#[derive(Clone, Debug)]
pub struct Taint {
    /// As it stands in the node.
    pub taint: k8s_openapi::api::core::v1::Taint,
    /// Since when it is there.
    pub since: Timestamp,
}

impl TaintEvictionController {
    /// The controller of a process.
    pub fn new(runtime: &Runtime) -> Self {
        Self {
            reads: runtime.reads(),
            contact: runtime.contact(),
            nodes: Arc::default(),
        }
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<String, Memory>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of this node, not of another one of its name.
    fn recall(&self, node: &Node) -> Memory {
        let found = self.nodes().get(meta::name(&node.metadata)).cloned();
        let uid = meta::uid(&node.metadata);
        found.filter(|memory| memory.uid == uid).unwrap_or(Memory {
            uid: uid.to_owned(),
            ..Memory::default()
        })
    }

    /// The node from etcd and not from a cache; nothing if nobody answers, or if it is another one.
    async fn ask(&self, node: &Node) -> Option<Value> {
        let path = format!("/api/v1/nodes/{}", meta::name(&node.metadata));
        let live = self.reads.get::<Value>(&path).await.ok()?;
        (live["metadata"]["uid"].as_str() == Some(meta::uid(&node.metadata))).then_some(live)
    }
}

impl Controller for TaintEvictionController {
    const NAME: &'static str = "taint-eviction-controller";
    const QUEUE: &'static str = "noexec_taint_node";
    const METRICS: &'static [&'static Metric] = metrics::METRICS;
    type Object = Node;
    type World = World;

    fn matters(node: &Node) -> bool {
        is_tainted(node)
    }

    fn watch(watches: &Watches<'_>) {
        watches.reads::<Pod>().index(BY_NODE, |pod| {
            let name = pods::node_name(pod).map(str::to_owned);
            name.into_iter().collect()
        });
        watches.on::<Pod>(|change, queue, caches| {
            let pod = change.latest();
            if let Some(name) = pods::node_name(pod)
                && caches
                    .of::<Node>()
                    .get("", name)
                    .is_some_and(|node| is_tainted(&node))
            {
                queue.add(Key::new("", name));
            }
        });
    }

    async fn observe(&self, caches: &Caches, node: Arc<Node>, moment: Moment) -> World {
        let (name, now) = (meta::name(&node.metadata), moment.now);
        let mut memory = self.recall(&node);
        let mut live = None;
        if memory.since.misses(&node) {
            live = self.ask(&node).await;
        }
        let taints = memory.since.of(&node, live.as_ref(), now);
        let mut pods = caches.of::<Pod>().indexed(BY_NODE, name);
        pods.retain(|pod| !meta::is_deleting(&pod.metadata));
        pods.sort_by_cached_key(|pod| Key::of(&pod.metadata));
        let mut world = World {
            taints,
            pods,
            waiting: std::mem::take(&mut memory.waiting),
            is_certain: false,
            contact: self.contact.since(),
            now,
        };
        if world.is_due() {
            let live = match live {
                Some(live) => Some(live),
                None => self.ask(&node).await,
            };
            if let Some(live) = live.and_then(|live| serde_json::from_value::<Node>(live).ok()) {
                world.taints = memory.since.of(&live, None, now);
                world.is_certain = true;
            }
        }
        memory.waiting = world.keeps_waiting();
        let mut nodes = self.nodes();
        if world.taints.is_empty() {
            nodes.remove(name);
        } else {
            nodes.insert(name.to_owned(), memory);
        }
        drop(nodes);
        world
    }

    fn plan(world: &World) -> Plan {
        plan::plan(world)
    }

    fn measure(world: &World, turn: &Turn<'_>) -> Vec<Sample> {
        metrics::measure(world, turn)
    }

    fn gone(&self, _: &Caches, key: &Key) -> Plan {
        self.nodes().remove(&*key.name);
        Plan::none()
    }
}

fn is_tainted(node: &Node) -> bool {
    nodes::taints(node)
        .iter()
        .any(|taint| taint.effect == NO_EXECUTE)
}
