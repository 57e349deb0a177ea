//! The node lifecycle controller: says which nodes are silent, and lets the pods go from them, but not from too many
//! nodes at once.
//!
//! **Promises.** A node of which neither Lease nor status has moved for 50 s (60 s if its kubelet never posted a
//! status) gets the four conditions `Unknown`, and its pods are not ready. Taints say what conditions and
//! `spec.unschedulable` say: with the effect NoSchedule at once; with NoExecute for nodes that are not ready, one node
//! in 10 s a zone, one in 100 s in a zone of more than 50 nodes of which 55 % or more are not ready, none in a smaller
//! one. While no node of any zone is ready, the fault is not with the nodes: no NoExecute taint stays. The old labels
//! `beta.kubernetes.io/os` and `arch` are kept in step.
//!
//! **Never.** No healthy pod is let go because this process or the API server was away. Silence counts only while the
//! server answers ([`runtime::Contact`]), from when this process listens, and from when the last node of a cluster that
//! was all silent has come back; and before a node is called silent or tainted as such, its Lease is read once more,
//! from etcd and not from a cache. It deletes nothing: that is the taint eviction controller's part.
//!
//! Semantics: upstream `pkg/controller/nodelifecycle`, with these differences:
//!
//! - A Lease watch that lags does not make nodes silent (upstream until v1.37: kubernetes#138698).
//! - The pods of a silent node are marked whenever one is found that says it is ready, so also by the process that
//!   comes after one that died in between (kubernetes#135205).
//! - The pace of the taints outlives the process: it goes by the times that stand in them. When `not-ready` becomes
//!   `unreachable` or the other way round, the time stays, so that the pods' time goes on.
//! - Any change of a Lease is a sign of life, also one to an earlier time: a node's clock is its own affair.
//! - A node whose conditions are `Unknown` and that has begun to renew its Lease is not tainted in the seconds until
//!   its status says so.
//! - A change is looked at when it comes and not every five seconds; only nodes that are not ready are looked at again
//!   after five seconds.
//! - `RegisteredNode` is told of nodes that are new, not of all nodes at each start.
//!
//! As upstream, a kubelet that posts `Ready=False` sees to its pods' statuses itself (kubernetes#125618).
//!
//! Start reading at [`plan`]; then [`Zones`], and [`Book`], the only memory.
#![forbid(unsafe_code)]

mod book;
mod metrics;
mod plan;
mod status;
#[cfg(test)]
mod tests;
mod zones;

pub use book::{Book, Health};
pub use zones::{ZoneState, Zones, zone_of};

use ::plan::{Metric, Note, Object, Outcome, Plan, Reference, Sample, Turn};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use objects::{meta, node as nodes, pod as pods};
use runtime::{Caches, Contact, Controller, Key, Moment, Reads, Runtime, Watches};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The namespace of the nodes' Leases.
const LEASES: &str = "kube-node-lease";
/// The index of pods by the node that they are bound to.
const BY_NODE: &str = "spec.nodeName";

/// The control loop for nodes. It remembers when each node was last heard of.
pub struct NodeLifecycleController {
    reads: Reads,
    contact: Contact,
    book: Arc<Mutex<Book>>,
}

/// What it looks at when it decides about one node.
#[derive(Clone, Debug)]
pub struct World {
    /// The node as the cache holds it.
    pub node: Arc<Node>,
    /// What is known of its life.
    pub health: Health,
    /// It has been silent for its grace period, and its Lease, read from etcd, says nothing else.
    pub silent: bool,
    /// It may get its NoExecute taint now; its zone gives that to one node at a time.
    pub may_taint: bool,
    /// Those of its pods that say whether they are ready and do not say no, in order of their names; only where the
    /// node's condition Ready is `Unknown` and nothing else has been heard of it.
    pub pods: Vec<Arc<Pod>>,
    /// The time of the decision.
    pub now: Timestamp,
}

impl NodeLifecycleController {
    /// The controller of a process.
    pub fn new(runtime: &Runtime) -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        let metrics = runtime.metrics().clone();
        let (nodes, clock) = (book.clone(), runtime.clock());
        let listener = move |change: &runtime::Change<Node>| {
            let mut book = locked(&nodes);
            book.node(change.old.as_deref(), change.new.as_deref(), clock.now());
            metrics.record(&metrics::zones(book.zones()));
        };
        runtime.caches().of::<Node>().listen(Box::new(listener));
        let (leases, clock) = (book.clone(), runtime.clock());
        let listener = move |change: &runtime::Change<Lease>| {
            if let Some(lease) = change.new.as_deref()
                && meta::namespace(&lease.metadata) == LEASES
            {
                locked(&leases).lease(lease, clock.now());
            }
        };
        runtime
            .caches()
            .leisurely::<Lease>()
            .listen(Box::new(listener));
        Self {
            reads: runtime.reads(),
            contact: runtime.contact(),
            book,
        }
    }

    /// Whether the Lease of a node, read from etcd, tells nothing that was not known. Nobody knows if it cannot be
    /// read.
    async fn confirm(&self, name: &str, now: Timestamp) -> bool {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{LEASES}/leases/{name}");
        match self.reads.get::<Lease>(&path).await {
            Ok(lease) => !locked(&self.book).lease(&lease, now),
            Err(error) => error.not_found,
        }
    }
}

impl Controller for NodeLifecycleController {
    const NAME: &'static str = "node-lifecycle-controller";
    const SOURCE: &'static str = "node-controller";
    const QUEUE: &'static str = "node_lifecycle_controller";
    const METRICS: &'static [&'static Metric] = metrics::METRICS;
    type Object = Node;
    type World = World;

    fn watch(watches: &Watches<'_>) {
        watches.reads::<Pod>().index(BY_NODE, |pod| {
            let name = pods::node_name(pod).map(str::to_owned);
            name.into_iter().collect()
        });
        // A pod that says it is ready, on a node that has gone.
        watches.on::<Pod>(|change, queue, caches| {
            if let Some(pod) = change.new.as_deref()
                && says_ready(pod)
                && let Some(name) = pods::node_name(pod)
                && let Some(node) = caches.of::<Node>().get("", name)
                && is_unknown(&node)
            {
                queue.add(Key::new("", name));
            }
        });
    }

    async fn observe(&self, caches: &Caches, node: Arc<Node>, moment: Moment) -> World {
        let (name, now) = (meta::name(&node.metadata).to_owned(), moment.now);
        let look = |silent| {
            let health = locked(&self.book).look(&node, self.contact.since(), now);
            World {
                silent: silent && health.is_overdue(now),
                node: node.clone(),
                health,
                may_taint: false,
                pods: Vec::new(),
                now,
            }
        };
        let mut world = look(true);
        if world.silent && world.acts_on_silence() {
            world = look(self.confirm(&name, now).await);
        }
        if world.wants_taint() {
            world.may_taint = locked(&self.book).claim(&node, now);
        }
        if is_unknown(&node) && (world.silent || !world.health.signs) {
            world.pods = caches.of::<Pod>().indexed(BY_NODE, &name);
            world.pods.retain(|pod| says_ready(pod));
            let key = |pod: &Arc<Pod>| Key::of(&pod.metadata);
            world.pods.sort_by_cached_key(key);
        }
        world
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

    fn measure(world: &World, turn: &Turn<'_>) -> Vec<Sample> {
        metrics::measure(world, turn)
    }

    fn gone(&self, _: &Caches, key: &Key) -> Plan {
        let mut plan = Plan::none();
        if let Some(uid) = locked(&self.book).forget(&key.name) {
            let node = Reference {
                kind: ::plan::Kind::of::<Node>(),
                namespace: String::new(),
                name: key.name.to_string(),
                uid,
            };
            let message = format!(
                "Node {0} event: Removing Node {0} from Controller",
                key.name
            );
            plan.note(Note::normal(&node, "RemovingNode", message));
        }
        plan
    }
}

fn locked(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the pod has a condition Ready that is not `False` already.
fn says_ready(pod: &Pod) -> bool {
    pods::condition(pod, "Ready").is_some_and(|ready| ready.status != "False")
}

fn is_unknown(node: &Node) -> bool {
    nodes::condition(node, "Ready").is_some_and(|ready| ready.status == "Unknown")
}
