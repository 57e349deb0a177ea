//! The node IPAM controller: gives each node ranges of addresses for its pods, one of each range of the cluster.
//!
//! **Promises.** A node without `spec.podCIDRs` gets one range out of each of `--cluster-cidr`, of the size that the
//! `--node-cidr-mask-size` flags say; none that another node has, none that was promised to another node and may still
//! reach it, and none of the addresses of Services. A range that became free is handed out again last. Where no range
//! is left, the event `CIDRNotAvailable` says so, and the nodes that wait get theirs as soon as one comes free.
//!
//! **Never.** A node that has ranges keeps them: the API server lets nobody change them. What a node has that is not
//! of the cluster's ranges is left alone, and told in the log.
//!
//! **Better than upstream.** What is promised stays with its node until that shows or is gone, whatever becomes of the
//! request: upstream gives a range back when a request has failed three times, also one that was committed, and hands
//! it to the next node; and after a time-out it takes the next range for the same node and loses the first one until
//! it is started again. Two nodes with one range (made by hand) hold it both: upstream hands it out when the first of
//! them goes; and one that lies among the addresses of Services stays taken. A node whose ranges are not the cluster's
//! ends upstream's process at its start.
//!
//! The event `CIDRAssignmentFailed` is a Warning here and says why.
//!
//! Semantics: upstream `pkg/controller/nodeipam`, the allocator `RangeAllocator`; the other kinds need a cloud. Start
//! reading at [`plan`]; [`ranges`] keeps the books.
#![forbid(unsafe_code)]

mod metrics;
mod options;
mod plan;
pub mod ranges;

pub use options::{Flags, Options};

use ::plan::{Metric, Plan};
use k8s_openapi::api::core::v1::Node;
use objects::cidr::Cidr;
use objects::meta;
use ranges::{Done, Ranges};
use runtime::{Caches, Change, Controller, Key, Moment, Watches};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The control loop for the ranges of nodes.
#[derive(Clone, Debug)]
pub struct NodeIpamController {
    ranges: Arc<Mutex<Ranges>>,
}

/// What it looks at when it decides about one node.
#[derive(Clone, Debug)]
pub struct World {
    /// The node as the cache holds it.
    pub node: Arc<Node>,
    /// What it is to get.
    pub share: Share,
}

/// What a node is to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Share {
    /// Nothing: it has ranges, or is on its way out.
    Nothing,
    /// These ranges, which are kept for it.
    Ranges(Vec<Cidr>),
    /// A range, but all of them are taken.
    NoneLeft,
}

impl NodeIpamController {
    /// A controller that knows of no node yet.
    pub fn new(options: Options) -> Self {
        Self {
            ranges: Arc::new(Mutex::new(Ranges::new(&options))),
        }
    }

    fn ranges(&self) -> MutexGuard<'_, Ranges> {
        lock(&self.ranges)
    }
}

impl Controller for NodeIpamController {
    const NAME: &'static str = "node-ipam-controller";
    const SOURCE: &'static str = "cidrAllocator";
    const QUEUE: &'static str = "cidrallocator_node";
    const METRICS: &'static [&'static Metric] = metrics::METRICS;

    type Object = Node;
    type World = World;

    fn matters(node: &Node) -> bool {
        is_wanting(node)
    }

    fn listen(&self, watches: &Watches<'_>) {
        let (ranges, metrics) = (self.ranges.clone(), watches.metrics());
        metrics.record(&metrics::measure(&lock(&ranges).usage()));
        watches.on::<Node>(move |change, queue, caches| {
            // Whatever was handed out since the last change shows in this one or will in another.
            let (is_freed, usage) = {
                let mut ranges = lock(&ranges);
                (see(&mut ranges, change), ranges.usage())
            };
            if usage.iter().any(|usage| usage.done != Done::default()) {
                metrics.record(&metrics::measure(&usage));
            }
            if !is_freed {
                return;
            }
            // Something came free that others may wait for.
            for node in caches.of::<Node>().all() {
                if is_wanting(&node) {
                    queue.add(Key::of(&node.metadata));
                }
            }
        });
    }

    async fn observe(&self, _: &Caches, node: Arc<Node>, _: Moment) -> World {
        let share = if is_wanting(&node) {
            let share = self.ranges().reserve(meta::name(&node.metadata));
            share.map_or(Share::NoneLeft, Share::Ranges)
        } else {
            Share::Nothing
        };
        World { node, share }
    }

    fn plan(world: &World) -> Plan {
        plan::plan(world)
    }

    /// A turn that began before the node went may have kept ranges for it afterwards.
    fn gone(&self, _: &Caches, key: &Key) -> Plan {
        self.ranges().forget(&key.name);
        Plan::none()
    }
}

/// Keeps the books of what nodes have. Whether something came free.
fn see(ranges: &mut Ranges, change: &Change<Node>) -> bool {
    let node = change.latest();
    let name = meta::name(&node.metadata);
    if change.new.is_none() {
        return ranges.forget(name);
    }
    let has = pod_cidrs(node);
    if has.is_empty() {
        return false;
    }
    let read: Vec<Option<Cidr>> = has.iter().map(|text| text.parse().ok()).collect();
    let strange = ranges.hold(name, &read);
    let old = change.old.as_deref().map(pod_cidrs);
    if strange && old.is_none_or(<[String]>::is_empty) {
        tracing::warn!(node = name, podCIDRs = ?has, "the node has ranges that are not of --cluster-cidr");
    }
    false
}

/// Whether a node has to get ranges.
fn is_wanting(node: &Node) -> bool {
    pod_cidrs(node).is_empty() && !meta::is_deleting(&node.metadata)
}

fn pod_cidrs(node: &Node) -> &[String] {
    let spec = node.spec.as_ref();
    spec.and_then(|spec| spec.pod_cidrs.as_deref())
        .unwrap_or_default()
}

fn lock(ranges: &Mutex<Ranges>) -> MutexGuard<'_, Ranges> {
    ranges.lock().unwrap_or_else(PoisonError::into_inner)
}
