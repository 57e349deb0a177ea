//! All nodes and all pods on them, and one heap of timers: a state that is fed changes and gives plans.
//!
//! It waits for nothing and reads no clock, so a test drives it as [`crate::agent`] does. One plan an
//! object is on its way at a time; what happens meanwhile is looked at when [`Worker::done`] is told.

mod nodes;
mod pods;

use crate::admit::Claim;
use crate::hollow::{Hollow, plus};
use crate::ip::{Addresses, Cidr};
use crate::script::files::Tree;
use crate::{Options, node};
use ahash::{AHashMap, AHashSet};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use plan::{Cause, Outcome, Plan};
use runtime::Key;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// What is looked at, and what a plan is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Item {
    /// A node's object. The order of the variants is the order of a batch: ranges that nodes have are known
    /// before new ones are given.
    Node(Arc<str>),
    /// The node of this number, to be registered.
    Register(usize),
    /// A node's Lease.
    Lease(Arc<str>),
    /// A pod.
    Pod(Key),
}

/// What the worker reads: the caches, or a test's own.
pub trait View {
    /// The pod of this key.
    fn pod(&self, key: &Key) -> Option<Arc<Pod>>;
    /// The node of this name.
    fn node(&self, name: &str) -> Option<Arc<Node>>;
    /// The pods bound to the node of this name.
    fn pods_on(&self, node: &str) -> Vec<Arc<Pod>>;
    /// The claim of this name.
    fn claim(&self, namespace: &str, name: &str) -> Option<Arc<PersistentVolumeClaim>>;
    /// The volume of this name.
    fn volume(&self, name: &str) -> Option<Arc<PersistentVolume>>;
}

/// The state of the agent.
pub struct Worker {
    options: Options,
    nodes: AHashMap<Arc<str>, Place>,
    pods: AHashMap<Key, Entry>,
    overflow: Addresses,
    ranges: AHashSet<Cidr>,
    next_range: u32,
    timers: BinaryHeap<Reverse<(Timestamp, Item)>>,
    flying: AHashMap<Item, Flight>,
    failures: AHashMap<Item, u32>,
}

/// A node that this agent keeps.
struct Place {
    uid: String,
    foreign: bool,
    /// Cut off: what goes on there is not told until it is back.
    silent: bool,
    address: Ipv4Addr,
    addresses: Addresses,
    used: Claim,
    /// What scripts have written into the node's own files.
    disk: Tree,
    written: Option<Timestamp>,
    lease: LeaseState,
    renew_at: Timestamp,
    heartbeat_at: Option<Timestamp>,
}

/// What is known of a node's Lease.
#[derive(Clone, Copy, Debug, PartialEq)]
enum LeaseState {
    /// It may be there, of any version.
    Unknown,
    /// It is not there.
    Missing,
    /// It is there, as our last write left it.
    At(u64),
}

/// A pod on one of the nodes.
struct Entry {
    uid: String,
    node: Arc<str>,
    /// None once the pod is in a terminal phase.
    hollow: Option<Box<Hollow>>,
    claim: Option<Box<Claim>>,
    written: Option<(u64, Timestamp)>,
    deleted: Option<Timestamp>,
    due: Option<Timestamp>,
}

/// A plan on its way.
struct Flight {
    /// The object changed meanwhile.
    again: bool,
    writes: Option<u64>,
    deletes: bool,
}

impl Worker {
    /// An agent that keeps no nodes yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            nodes: AHashMap::new(),
            pods: AHashMap::new(),
            overflow: Addresses::overflow(),
            ranges: AHashSet::new(),
            next_range: 0,
            timers: BinaryHeap::new(),
            flying: AHashMap::new(),
            failures: AHashMap::new(),
        }
    }

    /// How many nodes and pods it keeps.
    pub fn len(&self) -> (usize, usize) {
        (self.nodes.len(), self.pods.len())
    }

    /// The nodes of its own that have to be registered.
    pub fn unregistered(&self, view: &impl View) -> Vec<Item> {
        let missing = |index: &usize| view.node(&self.options.name(*index)).is_none();
        (0..self.options.count)
            .filter(missing)
            .map(Item::Register)
            .collect()
    }

    /// When the next timer runs out.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// What is due at `now`. Timers that were moved since are dropped here.
    pub fn due(&mut self, now: Timestamp) -> Vec<Item> {
        let mut due = Vec::new();
        while let Some(Reverse((at, _))) = self.timers.peek()
            && *at <= now
            && let Some(Reverse((at, item))) = self.timers.pop()
        {
            let current = match &item {
                Item::Pod(key) => self
                    .pods
                    .get(key)
                    .is_some_and(|entry| entry.due == Some(at)),
                Item::Lease(name) => self.nodes.get(name).is_some_and(|p| p.renew_at == at),
                Item::Node(name) => self
                    .nodes
                    .get(name)
                    .is_some_and(|p| p.heartbeat_at == Some(at)),
                Item::Register(_) => true,
            };
            if current {
                due.push(item);
            }
        }
        due
    }

    /// Puts those that hold something first: nodes before pods, and pods that a former process had taken on
    /// before those that need an address and room.
    pub fn sort(items: &mut Vec<Item>, view: &impl View) {
        items.sort_by_cached_key(|item| {
            let new = match item {
                Item::Pod(key) => view.pod(key).is_none_or(|pod| !is_taken_on(&pod)),
                _ => false,
            };
            (new, item.clone())
        });
        items.dedup();
    }

    /// Looks at one item and gives the plan for it, empty when all is well, along with further items to look
    /// at. A plan that is not empty must be carried out and told to [`Worker::done`].
    pub fn look(&mut self, item: &Item, view: &impl View, now: Timestamp) -> (Plan, Vec<Item>) {
        if let Some(flight) = self.flying.get_mut(item) {
            flight.again = true;
            return (Plan::none(), Vec::new());
        }
        let (decision, more) = match item {
            Item::Register(index) => (self.register(*index, view, now), Vec::new()),
            Item::Node(name) => self.look_at_node(name, view, now),
            Item::Lease(name) => (self.renew(name, view, now), Vec::new()),
            Item::Pod(key) => (self.look_at_pod(key, view, now), Vec::new()),
        };
        if !decision.plan.is_empty() {
            let flight = Flight {
                again: false,
                writes: decision.writes,
                deletes: decision.deletes,
            };
            self.flying.insert(item.clone(), flight);
        }
        (decision.plan, more)
    }

    /// Takes note of what became of a plan. True when the item should be looked at again at once.
    pub fn done(&mut self, item: &Item, outcome: &Outcome, now: Timestamp) -> bool {
        let Some(flight) = self.flying.remove(item) else {
            return false;
        };
        let success = outcome.is_success();
        let retry = if success {
            self.failures.remove(item);
            None
        } else {
            let failures = self.failures.entry(item.clone()).or_default();
            *failures = (*failures + 1).min(5);
            let wait = Duration::from_secs(1 << (*failures - 1)).min(node::RENEW);
            Some(plus(now, wait))
        };
        match item {
            Item::Pod(key) => {
                let patched = outcome.done.iter().any(|done| done.verb == "patch");
                if let Some(entry) = self.pods.get_mut(key) {
                    if let Some(print) = flight.writes.filter(|_| patched) {
                        entry.written = Some((print, now));
                    }
                    if flight.deletes && success {
                        entry.deleted = Some(now);
                    }
                }
                if let Some(at) = retry {
                    self.wake_pod(key, at);
                }
            }
            Item::Node(name) => {
                if let Some(place) = self.nodes.get_mut(name)
                    && let Some(at) = retry
                {
                    place.heartbeat_at = Some(at);
                    place.written = None;
                    self.timers.push(Reverse((at, item.clone())));
                }
            }
            Item::Lease(name) => self.renewed(name, outcome, retry, now),
            Item::Register(_) => {
                let exists = outcome
                    .failures
                    .iter()
                    .any(|f| f.cause == Cause::AlreadyExists);
                if let Some(at) = retry.filter(|_| !exists) {
                    self.timers.push(Reverse((at, item.clone())));
                }
            }
        }
        flight.again
    }
}

fn is_taken_on(pod: &Pod) -> bool {
    pod.status
        .as_ref()
        .is_some_and(|status| status.start_time.is_some())
}

#[cfg(test)]
mod tests;
