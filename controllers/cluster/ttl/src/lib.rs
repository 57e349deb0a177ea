//! The TTL controller: tells each kubelet in the annotation `node.alpha.kubernetes.io/ttl` for how many seconds it may
//! keep the ConfigMaps and Secrets that it has read; the more nodes there are, the longer.
//!
//! **Promises.** All nodes have the same number, that of the size of the cluster. At the borders it changes late, so
//! that a node that comes and goes does not write to all the others. When it changes, all nodes get it at once;
//! upstream waits for each to change on its own, which takes up to five minutes.
//!
//! Semantics: upstream `pkg/controller/ttl`; it has no events. Start reading at [`plan`].
#![forbid(unsafe_code)]

mod plan;

use ::plan::Plan;
use k8s_openapi::api::core::v1::Node;
use runtime::{Caches, Controller, Key, Moment, Watches};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The annotation that the kubelet reads.
pub const ANNOTATION: &str = "node.alpha.kubernetes.io/ttl";

/// The control loop for the annotation.
#[derive(Clone, Debug, Default)]
pub struct TtlController {
    /// The step of the last turn: where two fit, it stays.
    step: Arc<AtomicUsize>,
}

/// What it looks at when it decides about one node.
#[derive(Clone, Debug)]
pub struct World {
    /// The node as the cache holds it.
    pub node: Arc<Node>,
    /// The number of seconds that is right for the size of the cluster.
    pub seconds: u32,
}

impl Controller for TtlController {
    const NAME: &'static str = "ttl-controller";
    const QUEUE: &'static str = "ttlcontroller";

    type Object = Node;
    type World = World;

    fn matters(node: &Node) -> bool {
        // Most of what changes about a node is its status.
        plan::written(node).is_none()
    }

    fn listen(&self, watches: &Watches<'_>) {
        let step = self.step.clone();
        watches.on::<Node>(move |change, queue, caches| {
            let nodes = caches.of::<Node>();
            let old = step.load(Ordering::Acquire);
            let new = plan::step(old, nodes.len());
            step.store(new, Ordering::Release);
            // The nodes are counted as they are listed: who has another number is looked at again.
            if change
                .new
                .as_ref()
                .is_some_and(|node| plan::written(node) != Some(plan::seconds(new)))
            {
                queue.add(Key::of(&change.latest().metadata));
            }
            if old != new {
                for node in nodes.all() {
                    queue.add(Key::of(&node.metadata));
                }
            }
        });
    }

    async fn observe(&self, _: &Caches, node: Arc<Node>, _: Moment) -> World {
        let seconds = plan::seconds(self.step.load(Ordering::Acquire));
        World { node, seconds }
    }

    fn plan(world: &World) -> Plan {
        plan::plan(world)
    }
}
