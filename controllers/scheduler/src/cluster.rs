//! Keeps the snapshot up to date: what the watches show, and what was decided and not yet shown.
//!
//! A pod that was given a node is *assumed* there at once, so that the next decision counts with it. The watch
//! confirms it; if the binding fails, it is forgotten (upstream: `pkg/scheduler/backend/cache/cache.go`). Each method
//! says what changed, in the words that filters wait for.

use crate::budgets::Budgets;
use crate::changes::Change;
use crate::node::Node;
use crate::owners::Owners;
use crate::plugin::Events;
use crate::pods::{CpuMemory, PodInfo};
use crate::snapshot::{NodeInfo, Snapshot, has_effect};
use crate::storage::Storage;
use ahash::AHashMap;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use objects::{meta, taints};
use std::sync::Arc;

/// The snapshot and the pods that are counted in it.
#[derive(Clone, Default)]
pub struct Cluster {
    snapshot: Snapshot,
    pods: AHashMap<Arc<str>, Counted>,
    free: Vec<u32>,
}

/// A pod that is counted on a node.
#[derive(Clone)]
struct Counted {
    slot: u32,
    info: Arc<PodInfo>,
    assumed: bool,
}

impl Cluster {
    /// What decisions are made from.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Claims, volumes and their classes, to be changed.
    pub fn storage_mut(&mut self) -> &mut Storage {
        &mut self.snapshot.storage
    }

    /// Services and controllers, to be changed.
    pub fn owners_mut(&mut self) -> &mut Owners {
        &mut self.snapshot.owners
    }

    /// A namespace as the watch shows it; true if it is new or has other labels.
    pub fn put_namespace(&mut self, namespace: Arc<Namespace>) -> bool {
        let name = meta::name(&namespace.metadata).to_owned();
        let labels = namespace.metadata.labels.clone();
        let old = self.snapshot.namespaces.insert(name, namespace);
        let changed = old.is_none_or(|old| old.metadata.labels != labels);
        self.snapshot.changes.epochs.namespaces += u64::from(changed);
        changed
    }

    /// A namespace that is gone.
    pub fn remove_namespace(&mut self, name: &str) {
        self.snapshot.namespaces.remove(name);
        self.snapshot.changes.epochs.namespaces += 1;
    }

    /// The pod as it is counted on some node.
    pub fn counted(&self, uid: &str) -> Option<&Arc<PodInfo>> {
        self.pods.get(uid).map(|counted| &counted.info)
    }

    /// The pods that are counted on nodes, in no order.
    pub(crate) fn pods(&self) -> impl Iterator<Item = &Arc<PodInfo>> {
        self.pods.values().map(|counted| &counted.info)
    }

    /// Whether this pod is counted on some node, assumed or seen.
    pub fn holds(&self, uid: &str) -> bool {
        self.pods.contains_key(uid)
    }

    /// How many pods are counted on nodes, and how many of those no watch has shown there yet.
    pub fn sizes(&self) -> (usize, usize) {
        let assumed = self.pods.values().filter(|counted| counted.assumed);
        (self.pods.len(), assumed.count())
    }

    /// The slot of the node that this pod is counted on.
    pub fn slot_of_pod(&self, uid: &str) -> Option<u32> {
        self.pods.get(uid).map(|counted| counted.slot)
    }

    /// Whether this pod is counted on a node where no watch has shown it yet.
    pub fn is_assumed(&self, uid: &str) -> bool {
        self.pods.get(uid).is_some_and(|counted| counted.assumed)
    }

    /// Whether this pod is counted just so already: the watch shows many changes of status, and few of what matters
    /// here.
    pub fn is_known(&self, pod: &Pod) -> bool {
        let Some(counted) = self.pods.get(meta::uid(&pod.metadata)) else {
            return false;
        };
        !counted.assumed && counted.info.decides_like(pod)
    }

    /// Takes over what the status of a pod that [`Self::is_known`] says now.
    pub fn renew(&mut self, pod: &Arc<Pod>) {
        let Some(counted) = self.pods.get_mut(meta::uid(&pod.metadata)) else {
            return;
        };
        let old = counted.info.clone();
        let Some(new) = old.renewed(pod).map(Arc::new) else {
            return;
        };
        counted.info = new.clone();
        let pods = &mut self.snapshot.slots[counted.slot as usize].pods;
        if let Some(held) = pods.iter_mut().find(|held| Arc::ptr_eq(held, &old)) {
            *held = new;
        }
    }

    /// A node as the watch shows it.
    pub fn put_node(&mut self, node: impl Into<Node>) -> Events {
        self.place_node(Arc::new(node.into()))
    }

    pub(crate) fn place_node(&mut self, node: Arc<Node>) -> Events {
        let slot = self.slot_of(meta::name(&node.metadata));
        let old = self.snapshot.slots[slot as usize].node.clone();
        let has_other_images = old.as_deref().is_none_or(|old| old.images != node.images);
        if has_other_images {
            if let Some(old) = &old {
                self.list_images(old, slot, false);
            }
            self.list_images(&node, slot, true);
        }
        let new = NodeInfo {
            allocatable: node.allocatable.clone(),
            unschedulable: node.unschedulable,
            keeps_away: has_effect(&node, taints::keeps_away),
            discourages: has_effect(&node, |effect| effect == "PreferNoSchedule"),
            ..blank(slot, "".into())
        };
        let snapshot = &mut self.snapshot;
        let info = &mut snapshot.slots[slot as usize];
        let events = match &info.node {
            None => Events::NODE_ADD,
            Some(old) => {
                let relabelled = old.metadata.labels != node.metadata.labels;
                let retainted =
                    old.taints != node.taints || info.unschedulable != new.unschedulable;
                let resized = info.allocatable != new.allocatable;
                [
                    (relabelled, Events::NODE_LABEL),
                    (retainted, Events::NODE_TAINT),
                    (resized, Events::NODE_ALLOCATABLE),
                    (old.features != node.features, Events::NODE_FEATURE),
                ]
                .into_iter()
                .filter(|(changed, _)| *changed)
                .fold(Events::NONE, |events, (_, event)| events | event)
            }
        };
        if events.meets(Events::NODE_ADD | Events::NODE_LABEL) {
            snapshot.domains.forget();
        }
        let epochs = &mut snapshot.changes.epochs;
        let widely = Events::NODE_ADD | Events::NODE_LABEL | Events::NODE_TAINT;
        epochs.nodes += u64::from(events.meets(widely));
        epochs.images += u64::from(has_other_images || events.meets(Events::NODE_ADD));
        snapshot.len += usize::from(info.node.is_none());
        snapshot.discouraging += usize::from(new.discourages);
        snapshot.discouraging -= usize::from(info.node.is_some() && info.discourages);
        snapshot.generation += u64::from(!events.is_empty());
        *info = NodeInfo {
            name: info.name.clone(),
            node: Some(node),
            requested: std::mem::take(&mut info.requested),
            ranks: std::mem::take(&mut info.ranks),
            nonzero: info.nonzero,
            ports: std::mem::take(&mut info.ports),
            pods: std::mem::take(&mut info.pods),
            nominees: std::mem::take(&mut info.nominees),
            generation: snapshot.generation,
            ..new
        };
        if !events.is_empty() || has_other_images {
            snapshot.changed(Change { slot, pod: None });
        }
        events
    }

    /// A node that is gone. The pods that were on it stay counted until they are gone too: a node of the same name
    /// may come back before that.
    pub fn remove_node(&mut self, name: &str) -> Events {
        let Some(slot) = self.snapshot.by_name.get(name).copied() else {
            return Events::NONE;
        };
        let info = &mut self.snapshot.slots[slot as usize];
        if let Some(node) = info.node.take() {
            self.snapshot.len -= 1;
            self.snapshot.discouraging -= usize::from(info.discourages);
            self.snapshot.generation += 1;
            self.list_images(&node, slot, false);
            self.snapshot.domains.forget();
            self.snapshot.changes.epochs.nodes += 1;
            self.snapshot.changes.epochs.images += 1;
            self.snapshot.changed(Change { slot, pod: None });
        }
        self.release(slot);
        Events::NODE_DELETE
    }

    /// A living pod as the watch shows it on a node. It need not be the node that was assumed.
    pub fn put_pod(&mut self, info: Arc<PodInfo>, on: &str) -> Events {
        let old = self
            .pods
            .get(&info.uid)
            .map(|counted| (counted.info.clone(), counted.assumed));
        let mut events = Events::NONE;
        match old {
            None => events |= Events::POD_ADD,
            Some((old, assumed)) => {
                if assumed {
                    events |= Events::POD_ADD;
                }
                if old.like.metadata.labels != info.like.metadata.labels
                    || is_leaving(&old) != is_leaving(&info)
                {
                    events |= Events::POD_LABEL;
                }
                if old.requests != info.requests || old.ports != info.ports {
                    events |= Events::POD_DELETE;
                }
                self.uncount(&info.uid);
            }
        }
        self.count(info, on, false);
        events
    }

    /// A pod that has left its node: it is gone, or has ended.
    pub fn remove_pod(&mut self, uid: &str) -> Events {
        self.snapshot.evicted.remove(uid);
        if self.uncount(uid) {
            Events::POD_DELETE
        } else {
            Events::NONE
        }
    }

    /// A pod that was just given this node.
    pub fn assume(&mut self, info: Arc<PodInfo>, on: &str) {
        self.uncount(&info.uid);
        self.count(info, on, true);
    }

    /// Other pods make room for this one on a node, or no more; true if that is new.
    pub fn nominate(&mut self, info: &Arc<PodInfo>, on: Option<&str>) -> bool {
        let old = self.snapshot.nominated.remove(&info.uid);
        if let Some(slot) = old {
            let nominees = &mut self.snapshot.slots[slot as usize].nominees;
            let at = nominees.iter().position(|nominee| nominee.uid == info.uid);
            let was = at.map(|at| nominees.remove(at));
            if let Some(was) = was {
                self.count_nominee(&was, false);
            }
            self.snapshot.changed(Change { slot, pod: None });
        }
        let new = on.map(|on| self.slot_of(on));
        if let Some(slot) = new {
            let nominees = &mut self.snapshot.slots[slot as usize].nominees;
            nominees.push(info.clone());
            self.snapshot.nominated.insert(info.uid.clone(), slot);
            self.count_nominee(info, true);
            self.snapshot.changed(Change { slot, pod: None });
        }
        if let Some(slot) = old.filter(|_| old != new) {
            self.release(slot);
        }
        old != new
    }

    fn count_nominee(&mut self, info: &PodInfo, more: bool) {
        let nominees = &mut self.snapshot.nominees;
        let same = nominees.priorities.entry(info.priority).or_default();
        if more {
            *same += 1;
            nominees.wishing += usize::from(info.terms.is_some());
        } else {
            *same -= 1;
            nominees.wishing -= usize::from(info.terms.is_some());
            if *same == 0 {
                nominees.priorities.remove(&info.priority);
            }
        }
    }

    /// Pods that are going to be made to leave, or are not after all.
    pub fn evict(&mut self, uids: impl Iterator<Item = Arc<str>>, leave: bool) {
        for uid in uids {
            if leave {
                self.snapshot.evicted.insert(uid);
            } else {
                self.snapshot.evicted.remove(&uid);
            }
        }
    }

    /// Disruption budgets, to be changed.
    pub fn budgets_mut(&mut self) -> &mut Budgets {
        &mut self.snapshot.budgets
    }

    /// Takes an assumption back. What a watch has shown in the meantime stays.
    pub fn forget(&mut self, uid: &str) -> Events {
        if self.is_assumed(uid) {
            self.remove_pod(uid)
        } else {
            Events::NONE
        }
    }

    fn count(&mut self, info: Arc<PodInfo>, on: &str, assumed: bool) {
        let slot = self.slot_of(on);
        self.snapshot.generation += 1;
        let node = &mut self.snapshot.slots[slot as usize];
        node.add(&info);
        node.generation = self.snapshot.generation;
        let mark = self.snapshot.cohorts.enter(&info, slot);
        let living = i8::from(!is_leaving(&info));
        let pod = mark.map(|mark| (mark, 1, living));
        self.snapshot.changed(Change { slot, pod });
        self.count_claims(&info, 1);
        let same = self.snapshot.priorities.entry(info.priority).or_default();
        *same += 1;
        self.pods.insert(
            info.uid.clone(),
            Counted {
                slot,
                info,
                assumed,
            },
        );
    }

    fn uncount(&mut self, uid: &str) -> bool {
        let Some(Counted { slot, info, .. }) = self.pods.remove(uid) else {
            return false;
        };
        self.snapshot.generation += 1;
        let node = &mut self.snapshot.slots[slot as usize];
        node.remove(&info);
        node.generation = self.snapshot.generation;
        let mark = self.snapshot.cohorts.leave(&info, slot);
        let living = i8::from(!is_leaving(&info));
        let pod = mark.map(|mark| (mark, -1, -living));
        self.snapshot.changed(Change { slot, pod });
        self.count_claims(&info, -1);
        if let Some(same) = self.snapshot.priorities.get_mut(&info.priority) {
            *same -= 1;
            if *same == 0 {
                self.snapshot.priorities.remove(&info.priority);
            }
        }
        self.release(slot);
        true
    }

    fn count_claims(&mut self, info: &PodInfo, more: i64) {
        let namespace = info.namespace();
        for used in info.claims.iter().filter(|used| !used.ephemeral) {
            let key = format!("{namespace}/{}", used.claim);
            let users = self.snapshot.users.entry(key.clone()).or_default();
            *users += more;
            if *users == 0 {
                self.snapshot.users.remove(&key);
            }
        }
    }

    /// What images a node has, or has no more.
    fn list_images(&mut self, node: &Node, slot: u32, is_there: bool) {
        for image in &node.images {
            for name in image.names.iter().flatten() {
                if is_there {
                    let nodes = self
                        .snapshot
                        .images
                        .entry(name.as_str().into())
                        .or_default();
                    nodes.insert(slot, image.size_bytes.unwrap_or(0));
                } else if let Some(nodes) = self.snapshot.images.get_mut(name.as_str()) {
                    nodes.remove(&slot);
                    if nodes.is_empty() {
                        self.snapshot.images.remove(name.as_str());
                    }
                }
            }
        }
    }

    /// The slot of a node of this name, a new one if there is none.
    fn slot_of(&mut self, name: &str) -> u32 {
        if let Some(slot) = self.snapshot.by_name.get(name) {
            return *slot;
        }
        let name: Arc<str> = name.into();
        let slot = self.free.pop().unwrap_or(self.snapshot.slots.len() as u32);
        let blank = blank(slot, name.clone());
        match self.snapshot.slots.get_mut(slot as usize) {
            Some(free) => *free = blank,
            None => self.snapshot.slots.push(blank),
        }
        self.snapshot.by_name.insert(name, slot);
        slot
    }

    /// Frees a slot that has neither a node nor pods.
    fn release(&mut self, slot: u32) {
        let info = &self.snapshot.slots[slot as usize];
        if info.node.is_none()
            && info.pods.is_empty()
            && info.nominees.is_empty()
            && self.snapshot.by_name.remove(&info.name).is_some()
        {
            self.free.push(slot);
        }
    }
}

/// A pod that is being deleted holds its resources until it is gone, but no longer counts for spreading.
fn is_leaving(info: &PodInfo) -> bool {
    info.leaving
}

pub(crate) fn blank(slot: u32, name: Arc<str>) -> NodeInfo {
    NodeInfo {
        name,
        node: None,
        slot,
        allocatable: objects::Resources::default(),
        requested: objects::Resources::default(),
        ranks: crate::ranks::Ranks::default(),
        nonzero: CpuMemory::default(),
        ports: Vec::new(),
        pods: Vec::new(),
        nominees: Vec::new(),
        unschedulable: false,
        keeps_away: false,
        discourages: false,
        generation: 0,
    }
}
