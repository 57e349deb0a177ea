//! All nodes and all pods on them, and one heap of timers: a state that is fed changes and gives plans.
//!
//! It waits for nothing and reads no clock, so a test drives it as [`crate::agent`] does. One plan an
//! object is on its way at a time; what happens meanwhile is looked at when [`Worker::done`] is told.

use crate::admit::{self, Claim};
use crate::hollow::{Hollow, plus};
use crate::ip::{self, Addresses, Cidr};
use crate::plan::{self as pod_plan, Decision};
use crate::script::files::Tree;
use crate::{Options, node};
use ahash::{AHashMap, AHashSet};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use objects::{meta, pod as pods};
use plan::{Action, Cause, Outcome, Plan};
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

    fn register(&mut self, index: usize, view: &impl View, now: Timestamp) -> Decision {
        let name = self.options.name(index);
        let mut decision = Decision::default();
        if view.node(&name).is_none() {
            let cidr = self.range(index as u32);
            let node = node::registration(&self.options, index, cidr, now);
            decision.plan.then(vec![Action::create(node)]);
        }
        decision
    }

    /// A range that no node has, that of this number if it is free.
    fn range(&mut self, index: u32) -> Cidr {
        let mut cidr = Cidr::of_node(index);
        for _ in 0..ip::RANGES {
            if self.ranges.insert(cidr) {
                break;
            }
            // Foreign nodes are given ranges from the far end, where they meet ours last.
            self.next_range += 1;
            cidr = Cidr::of_node(ip::RANGES - self.next_range % ip::RANGES);
        }
        cidr
    }

    fn look_at_node(
        &mut self,
        name: &Arc<str>,
        view: &impl View,
        now: Timestamp,
    ) -> (Decision, Vec<Item>) {
        let index = self.options.index(name);
        let node = view.node(name);
        let known = self.nodes.get(name).map(|place| place.uid.as_str());
        if known.is_some_and(|uid| node.as_ref().is_none_or(|n| meta::uid(&n.metadata) != uid)) {
            self.drop_node(name);
        }
        // A node that somebody deleted stays away until the agent is started anew, as a kubelet's does.
        let Some(node) = node else {
            return (Decision::default(), Vec::new());
        };
        let foreign = index.is_none();
        if foreign && !(self.options.manage_kwok_nodes && node::is_kwok(&node)) {
            self.drop_node(name);
            return (Decision::default(), Vec::new());
        }
        let mut more = Vec::new();
        if !self.nodes.contains_key(name) {
            self.take_on(name, &node, index, now);
            more.push(Item::Lease(name.clone()));
            let pods = view.pods_on(name);
            more.extend(pods.iter().map(|pod| Item::Pod(Key::of(&pod.metadata))));
            Self::sort(&mut more, view);
        }
        let mut decision = Decision::default();
        if let Some(place) = self.nodes.get_mut(name) {
            decision.plan = node::plan(node::World {
                node: &node,
                options: &self.options,
                foreign,
                address: place.address,
                cidr: place.addresses.cidr(),
                written: place.written,
                now,
            });
            if decision
                .plan
                .actions()
                .any(|action| action.subresource == "status")
            {
                place.written = Some(now);
            }
            let by_status = node::heartbeat_at(&node).filter(|at| *at > now);
            let next = by_status.unwrap_or_else(|| plus(now, node::HEARTBEAT));
            if place.heartbeat_at != Some(next) {
                place.heartbeat_at = Some(next);
                self.timers.push(Reverse((next, Item::Node(name.clone()))));
            }
        }
        (decision, more)
    }

    fn take_on(&mut self, name: &Arc<str>, node: &Node, index: Option<usize>, now: Timestamp) {
        let given = node.spec.as_ref().and_then(|spec| spec.pod_cidr.as_deref());
        let cidr = match given.and_then(|cidr| cidr.parse().ok()) {
            Some(cidr) => {
                self.ranges.insert(cidr);
                cidr
            }
            None => match index {
                Some(index) => self.range(index as u32),
                None => self.range(ip::RANGES - 1),
            },
        };
        let number = index.unwrap_or(self.options.count + self.nodes.len());
        let address = internal_ip(node)
            .or(self.options.address)
            .unwrap_or_else(|| ip::of_node(number as u32));
        // A node that is older than a renewal may have a Lease; a new one has none.
        let age = meta::created(&node.metadata).map(|at| now.duration_since(at));
        let old = age.is_none_or(|age| age > jiff::SignedDuration::from_secs(10));
        let place = Place {
            uid: meta::uid(&node.metadata).to_owned(),
            foreign: index.is_none(),
            address,
            addresses: Addresses::new(cidr),
            used: Claim::default(),
            disk: Tree::default(),
            written: None,
            lease: if old {
                LeaseState::Unknown
            } else {
                LeaseState::Missing
            },
            renew_at: now,
            heartbeat_at: None,
        };
        tracing::debug!(node = %name, foreign = place.foreign, "keeping node");
        self.nodes.insert(name.clone(), place);
    }

    fn drop_node(&mut self, name: &Arc<str>) {
        if let Some(place) = self.nodes.remove(name) {
            self.ranges.remove(&place.addresses.cidr());
            let overflow = &mut self.overflow;
            self.pods.retain(|_, entry| {
                let stays = entry.node != *name;
                if let Some(ip) = entry.hollow.as_ref().filter(|_| !stays).and_then(|h| h.ip) {
                    overflow.release(ip);
                }
                stays
            });
        }
    }

    fn renew(&mut self, name: &Arc<str>, view: &impl View, now: Timestamp) -> Decision {
        let mut decision = Decision::default();
        if let (Some(place), Some(node)) = (self.nodes.get(name), view.node(name)) {
            let action = match place.lease {
                LeaseState::Unknown => node::take_lease(&node, now),
                LeaseState::Missing => Action::create(node::lease(&node, None, now)),
                LeaseState::At(version) => Action::replace(node::lease(&node, Some(version), now)),
            };
            decision.plan.then(vec![action]);
        }
        decision
    }

    fn renewed(
        &mut self,
        name: &Arc<str>,
        outcome: &Outcome,
        retry: Option<Timestamp>,
        now: Timestamp,
    ) {
        let phase = self.phase(name);
        let Some(place) = self.nodes.get_mut(name) else {
            return;
        };
        let first = place.renew_at <= now && !matches!(place.lease, LeaseState::At(_));
        let gone = outcome.failures.iter().any(|f| f.cause == Cause::NotFound);
        place.lease = match outcome.done.first() {
            Some(done) => done.version.map_or(LeaseState::Unknown, LeaseState::At),
            None if gone => LeaseState::Missing,
            None => LeaseState::Unknown,
        };
        place.renew_at = match outcome.done.first() {
            // The first renewal spreads the nodes over the interval; from then on it is regular.
            Some(_) if first => plus(now, phase),
            Some(_) => plus(place.renew_at, node::RENEW).max(plus(now, node::RENEW / 2)),
            None if gone => now,
            None => retry.unwrap_or(now),
        };
        self.timers
            .push(Reverse((place.renew_at, Item::Lease(name.clone()))));
    }

    /// Where in the interval of renewals this node has its place, after a first one.
    fn phase(&self, name: &str) -> Duration {
        let count = self.options.count.max(1) as u64;
        let share = match self.options.index(name) {
            Some(index) => index as u64 * 1000 / count,
            None => {
                name.bytes()
                    .fold(7u64, |h, b| h.wrapping_mul(31) + u64::from(b))
                    % 1000
            }
        };
        node::RENEW * (1000 - share as u32) / 1000
    }

    fn look_at_pod(&mut self, key: &Key, view: &impl View, now: Timestamp) -> Decision {
        let pod = view.pod(key);
        let stale = |entry: &Entry| {
            pod.as_ref().is_none_or(|pod| {
                meta::uid(&pod.metadata) != entry.uid
                    || pods::node_name(pod) != Some(entry.node.as_ref())
            })
        };
        if self.pods.get(key).is_some_and(stale) {
            self.drop_pod(key);
        }
        let Some(pod) = pod else {
            self.failures.remove(&Item::Pod(key.clone()));
            return Decision::default();
        };
        if !self.pods.contains_key(key) && !self.take_on_pod(key, &pod, view, now) {
            return Decision::default();
        }
        let Some(entry) = self.pods.get_mut(key) else {
            return Decision::default();
        };
        let Some(place) = self.nodes.get_mut(&entry.node) else {
            return Decision::default();
        };
        if pods::is_terminal(&pod) {
            free(entry, place, &mut self.overflow);
            entry.hollow = None;
        }
        let world = pod_plan::World {
            pod: &pod,
            host: place.address,
            profiles: &self.options.profiles,
            events: self.options.events,
            written: entry.written,
            deleted: entry.deleted,
            now,
        };
        let decision = match entry.hollow.as_deref_mut() {
            Some(hollow) => pod_plan::plan(world, hollow, &mut place.disk),
            None => pod_plan::plan_terminal(world),
        };
        if let Some(at) = decision.next {
            self.wake_pod(key, at);
        } else {
            entry.due = None;
        }
        decision
    }

    /// Takes a pod on, or refuses it; false when it is on no node of ours.
    fn take_on_pod(&mut self, key: &Key, pod: &Pod, view: &impl View, now: Timestamp) -> bool {
        let known = pods::node_name(pod).and_then(|name| self.nodes.get_key_value(name));
        let Some(name) = known.map(|(name, _)| name.clone()) else {
            return false;
        };
        let (Some(place), Some(node)) = (self.nodes.get(&name), view.node(&name)) else {
            return false;
        };
        let claim = Claim::of(pod);
        if admit::admit(pod, &claim, &node, &place.used).is_err() {
            // The scheduler may have seen sooner than we that a pod is gone whose room this one has.
            self.drop_departed(&name, view);
        }
        let Some(place) = self.nodes.get_mut(&name) else {
            return false;
        };
        let mut entry = Entry {
            uid: meta::uid(&pod.metadata).to_owned(),
            node: name,
            hollow: None,
            claim: None,
            written: None,
            deleted: None,
            due: None,
        };
        if !pods::is_terminal(pod) {
            let before = Hollow::from_status(pod);
            // What a former process admitted is admitted, and what is being deleted needs no room.
            let free = before.is_some() || meta::is_deleting(&pod.metadata);
            let verdict = if free {
                Ok(())
            } else {
                admit::admit(pod, &claim, &node, &place.used)
            };
            let hollow = match verdict {
                Ok(()) => {
                    place.used.add(&claim);
                    entry.claim = Some(Box::new(claim));
                    let mut hollow = before.unwrap_or_else(|| Hollow::begin(pod, None, now));
                    let own = pod
                        .spec
                        .as_ref()
                        .is_none_or(|s| s.host_network != Some(true));
                    match hollow.ip {
                        Some(ip) if !place.addresses.hold(ip) => {
                            self.overflow.hold(ip);
                        }
                        None if own => {
                            let ip = place.addresses.take();
                            hollow.ip = ip.or_else(|| self.overflow.take());
                        }
                        _ => {}
                    }
                    hollow
                }
                Err(refusal) => {
                    let message = format!("Pod was rejected: {}", refusal.message);
                    Hollow::refuse(pod, refusal.reason, message, now)
                }
            };
            entry.hollow = Some(Box::new(hollow));
        }
        self.pods.insert(key.clone(), entry);
        true
    }

    /// Gives back what pods of this node had that have ended or are not there any more. They may not have been
    /// looked at since, as the plan that ended them is still on its way.
    fn drop_departed(&mut self, node: &str, view: &impl View) {
        let mut gone = Vec::new();
        for (key, entry) in &mut self.pods {
            if *entry.node != *node {
                continue;
            }
            let pod = view.pod(key);
            let pod = pod.filter(|pod| meta::uid(&pod.metadata) == entry.uid);
            match pod {
                None => gone.push(key.clone()),
                Some(pod) if pods::is_terminal(&pod) => {
                    if let Some(place) = self.nodes.get_mut(node) {
                        free(entry, place, &mut self.overflow);
                    }
                }
                Some(_) => {}
            }
        }
        for key in gone {
            self.drop_pod(&key);
        }
    }

    fn drop_pod(&mut self, key: &Key) {
        if let Some(mut entry) = self.pods.remove(key)
            && let Some(place) = self.nodes.get_mut(&entry.node)
        {
            free(&mut entry, place, &mut self.overflow);
        }
    }

    fn wake_pod(&mut self, key: &Key, at: Timestamp) {
        if let Some(entry) = self.pods.get_mut(key)
            && entry.due != Some(at)
        {
            entry.due = Some(at);
            self.timers.push(Reverse((at, Item::Pod(key.clone()))));
        }
    }
}

/// Gives back what a pod took of its node.
fn free(entry: &mut Entry, place: &mut Place, overflow: &mut Addresses) {
    if let Some(claim) = entry.claim.take() {
        place.used.sub(&claim);
    }
    if let Some(ip) = entry.hollow.as_mut().and_then(|hollow| hollow.ip.take()) {
        place.addresses.release(ip);
        overflow.release(ip);
    }
}

fn is_taken_on(pod: &Pod) -> bool {
    pod.status
        .as_ref()
        .is_some_and(|status| status.start_time.is_some())
}

fn internal_ip(node: &Node) -> Option<Ipv4Addr> {
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    let mut internal = addresses.iter().filter(|a| a.type_ == "InternalIP");
    internal.find_map(|a| a.address.parse().ok())
}

#[cfg(test)]
mod tests;
