//! One scheduler's whole state, and what it does next. No I/O, no clock: the shell in `lib.rs` tells it what the
//! watches show and what became of bindings, and carries out what [`Cycle::next`] says.
//!
//! Upstream: `pkg/scheduler/{eventhandlers,schedule_one}.go`.

use crate::cluster::Cluster;
use crate::decide::{Decision, decide, obstacle};
use crate::plugin::Events;
use crate::plugins::Table;
use crate::queue::{Counts, Queue};
use crate::snapshot::PodInfo;
use ahash::AHashMap;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use objects::{meta, pod};
use std::sync::Arc;

/// The state of a scheduler.
pub struct Cycle {
    name: String,
    table: Table,
    cluster: Cluster,
    queue: Queue,
    /// What was last written into the condition of a waiting pod, as the watch may be behind.
    told: AHashMap<Arc<str>, Arc<str>>,
}

/// What to do next.
#[derive(Clone, Debug)]
pub enum Next {
    /// Bind the pod, which counts on the node already, and say what became of it: [`Cycle::bound`] or
    /// [`Cycle::unbound`].
    Bind {
        /// The pod.
        info: Arc<PodInfo>,
        /// The node's name.
        node: Arc<str>,
    },
    /// Tell that there is no node for the pod. It waits already.
    Nobody {
        /// The pod.
        info: Arc<PodInfo>,
        /// Why, in upstream's words.
        message: Arc<str>,
        /// Whether the condition has to be written, because it says something else so far.
        changed: bool,
    },
    /// Nothing, until something changes or this time has come.
    Idle(Option<Timestamp>),
}

impl Cycle {
    /// A scheduler for the pods with this `spec.schedulerName`, knowing of nothing yet.
    pub fn new(name: impl Into<String>, table: Table) -> Self {
        Self {
            name: name.into(),
            table,
            cluster: Cluster::default(),
            queue: Queue::default(),
            told: AHashMap::new(),
        }
    }

    /// A node as the watch shows it.
    pub fn node(&mut self, node: Arc<Node>, now: Timestamp) {
        let name = node.metadata.name.clone().unwrap_or_default();
        let events = self.cluster.put_node(node);
        let slot = self
            .cluster
            .snapshot()
            .get(&name)
            .map(|(info, _)| info.slot);
        self.wake(events, slot, now);
    }

    /// A node that is gone.
    pub fn node_gone(&mut self, name: &str) {
        self.cluster.remove_node(name);
    }

    /// A pod as the watch shows it.
    pub fn pod(&mut self, pod: &Arc<Pod>, now: Timestamp) {
        let uid = meta::uid(&pod.metadata);
        if pod::is_terminal(pod) {
            return self.pod_gone(uid, now);
        }
        if let Some(node) = pod::node_name(pod) {
            self.dequeue(uid);
            if self.cluster.is_known(pod) {
                return self.cluster.renew(pod);
            }
            let events = self
                .cluster
                .put_pod(Arc::new(PodInfo::of(pod.clone())), node);
            return self.wake(events, self.cluster.slot_of_pod(uid), now);
        }
        if meta::is_deleting(&pod.metadata) || !self.is_ours(pod) {
            return self.dequeue(uid);
        }
        // What is counted and not in the queue has been bound: this is from before that.
        if self.queue.get(uid).is_some() || !self.cluster.holds(uid) {
            self.queue.put(Arc::new(PodInfo::of(pod.clone())), now);
        }
    }

    /// A pod that is gone.
    pub fn pod_gone(&mut self, uid: &str, now: Timestamp) {
        self.dequeue(uid);
        let slot = self.cluster.slot_of_pod(uid);
        let events = self.cluster.remove_pod(uid);
        self.wake(events, slot, now);
    }

    /// Takes a pod and decides. `seed` draws the lot among equally good nodes.
    pub fn next(&mut self, now: Timestamp, seed: u64) -> Next {
        while let Some(info) = self.queue.pop(now) {
            if self.cluster.holds(&info.uid) {
                self.dequeue(&info.uid);
                continue;
            }
            return match decide(&self.table, &info, self.cluster.snapshot(), seed) {
                Decision::Bind { node, .. } => {
                    self.cluster.assume(info.clone(), &node);
                    Next::Bind { info, node }
                }
                Decision::Nobody(diagnosis) => {
                    let message: Arc<str> = diagnosis.message(&info).into();
                    self.queue
                        .reject(&info.uid, diagnosis.wakes(&self.table), now);
                    let changed = match self.told.get(&info.uid) {
                        Some(told) => *told != message,
                        None => !crate::bind::says(&info.pod, &message),
                    };
                    if changed {
                        self.told.insert(info.uid.clone(), message.clone());
                    }
                    Next::Nobody {
                        info,
                        message,
                        changed,
                    }
                }
            };
        }
        Next::Idle(self.queue.next_time())
    }

    /// The API server has bound the pod, or says that it needs no node any more. The watch will show where it is.
    pub fn bound(&mut self, uid: &str) {
        self.dequeue(uid);
    }

    /// The pod was not bound: its place is free again, and it is tried again after a while.
    pub fn unbound(&mut self, uid: &str, now: Timestamp) {
        self.queue.fail(uid, now);
        self.forget(uid, now);
    }

    /// The pod turned out to be on another node, or gone: its place is free again, and it is not tried again.
    pub fn lost(&mut self, uid: &str, now: Timestamp) {
        self.dequeue(uid);
        self.forget(uid, now);
    }

    /// The condition could not be written; the next attempt writes it whatever it says.
    pub fn untold(&mut self, uid: &str) {
        self.told.remove(uid);
    }

    /// How many pods wait where.
    pub fn counts(&self) -> Counts {
        self.queue.counts()
    }

    fn forget(&mut self, uid: &str, now: Timestamp) {
        let slot = self.cluster.slot_of_pod(uid);
        let events = self.cluster.forget(uid);
        self.wake(events, slot, now);
    }

    /// Wakes the pods that wait for these changes of the node in this slot and may be on it now: of a thousand pods
    /// that wait for room, one that leaves wakes those that its room is enough for. The others wait from now on for
    /// what keeps them from this node too: a new node that has the right label has a taint until it is ready.
    fn wake(&mut self, events: Events, slot: Option<u32>, now: Timestamp) {
        let (table, all) = (&self.table, self.cluster.snapshot());
        self.queue.wake(events, now, |info| {
            slot.and_then(|slot| obstacle(table, info, all, slot))
        });
    }

    fn dequeue(&mut self, uid: &str) {
        self.queue.remove(uid);
        self.told.remove(uid);
    }

    fn is_ours(&self, pod: &Pod) -> bool {
        let name = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.scheduler_name.as_deref());
        name.filter(|name| !name.is_empty())
            .unwrap_or("default-scheduler")
            == self.name
    }
}

#[cfg(test)]
mod tests;
