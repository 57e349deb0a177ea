//! The cluster as a decision sees it: nodes with what is left on them.
//!
//! There is one snapshot; [`crate::cluster`] keeps it up to date, change by change, and a decision borrows it.
//! Nothing is copied for a pod (upstream: `pkg/scheduler/backend/cache/snapshot.go`, `framework/types.go`).

use crate::budgets::Budgets;
use crate::changes::{Change, Changes};
use crate::cohorts::Cohorts;
use crate::domains::{Domains, Known};
use crate::node::Node;
use crate::owners::Owners;
use crate::pods::{CpuMemory, HostPort, PodInfo};
use crate::ranks::Ranks;
use crate::storage::Storage;
use ahash::{AHashMap, AHashSet};
use k8s_openapi::api::core::v1::Namespace;
use objects::Resources;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A node with what is reserved on it.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// The node's name.
    pub name: Arc<str>,
    /// None while pods name a node that was not seen yet, or is gone already.
    pub node: Option<Arc<Node>>,
    /// Its place in [`Snapshot::slots`], the same as long as it exists.
    pub slot: u32,
    /// What the node offers to pods.
    pub allocatable: Resources,
    /// The sum of what its pods reserve; `pods` is their number.
    pub requested: Resources,
    /// The same by priority.
    pub(crate) ranks: Ranks,
    /// The sum of what its pods count with in scores.
    pub nonzero: CpuMemory,
    /// The host ports in use.
    pub ports: Vec<HostPort>,
    /// The pods on it, assumed ones too.
    pub pods: Vec<Arc<PodInfo>>,
    /// Whether it is cordoned.
    pub unschedulable: bool,
    /// Whether it has a taint that can keep pods away.
    pub keeps_away: bool,
    /// Whether it has a `PreferNoSchedule` taint.
    pub discourages: bool,
    /// The pods that others make room for here, and that are not on a node yet.
    pub nominees: Vec<Arc<PodInfo>>,
    /// The snapshot's generation at its last change.
    pub generation: u64,
}

impl NodeInfo {
    /// Counts a pod.
    pub(crate) fn add(&mut self, info: &Arc<PodInfo>) {
        self.requested += &info.requests;
        self.ranks.add(info);
        self.nonzero.milli_cpu += info.nonzero.milli_cpu;
        self.nonzero.memory += info.nonzero.memory;
        self.ports.extend(info.ports.iter().cloned());
        self.pods.push(info.clone());
    }

    /// The nominees whose places `pod` must leave to them.
    pub(crate) fn nominees_before<'a>(
        &'a self,
        pod: &'a PodInfo,
    ) -> impl Iterator<Item = &'a Arc<PodInfo>> {
        let nominees = self.nominees.iter();
        nominees.filter(|other| other.priority >= pod.priority && other.uid != pod.uid)
    }

    /// Counts a pod no more that was counted.
    pub(crate) fn remove(&mut self, info: &PodInfo) {
        self.requested -= &info.requests;
        self.ranks.remove(info);
        self.requested.extended.retain(|_, amount| *amount != 0);
        self.nonzero.milli_cpu -= info.nonzero.milli_cpu;
        self.nonzero.memory -= info.nonzero.memory;
        for port in &info.ports {
            if let Some(at) = self.ports.iter().position(|used| used == port) {
                self.ports.swap_remove(at);
            }
        }
        if let Some(at) = self.pods.iter().position(|pod| pod.uid == info.uid) {
            self.pods.swap_remove(at);
        }
    }
}

/// All nodes. Read only; [`crate::cluster::Cluster`] changes it.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(crate) slots: Vec<NodeInfo>,
    pub(crate) by_name: AHashMap<Arc<str>, u32>,
    /// How many slots hold a node that exists.
    pub(crate) len: usize,
    /// How many of those have a `PreferNoSchedule` taint.
    pub(crate) discouraging: usize,
    pub(crate) generation: u64,
    pub(crate) cohorts: Cohorts,
    pub(crate) domains: Known,
    pub(crate) owners: Owners,
    pub(crate) budgets: Budgets,
    /// By priority, how many pods are on nodes.
    pub(crate) priorities: BTreeMap<i32, u32>,
    /// By image name, the slots of the nodes that have it, and its bytes there.
    pub(crate) images: AHashMap<Box<str>, AHashMap<u32, i64>>,
    /// By `namespace/name`, how many pods on nodes use a claim.
    pub(crate) users: AHashMap<String, i64>,
    /// The UIDs of pods that are being made to leave, and may not show it yet.
    pub(crate) evicted: AHashSet<Arc<str>>,
    /// By UID, the slot in which a pod is nominated.
    pub(crate) nominated: AHashMap<Arc<str>, u32>,
    /// How many of them have which priority, and how many have wishes about other pods.
    pub(crate) nominees: Nominees,
    /// What changed of nodes and of the pods on them.
    pub(crate) changes: Changes,
    /// By name.
    pub(crate) namespaces: AHashMap<String, Arc<Namespace>>,
    /// Claims, volumes and their classes.
    pub(crate) storage: Storage,
}

/// The nominated pods, summed up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nominees {
    /// By priority, how many.
    pub(crate) priorities: BTreeMap<i32, u32>,
    /// How many have wishes about other pods.
    pub(crate) wishing: usize,
}

impl Snapshot {
    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is no node.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All nodes with the object they are made from.
    pub fn nodes(&self) -> impl Iterator<Item = (&NodeInfo, &Node)> {
        self.slots
            .iter()
            .filter_map(|info| Some((info, info.node.as_deref()?)))
    }

    /// The node of this name.
    pub fn get(&self, name: &str) -> Option<(&NodeInfo, &Node)> {
        let info = &self.slots[*self.by_name.get(name)? as usize];
        Some((info, info.node.as_deref()?))
    }

    /// The pods that are on nodes, by how they look to others.
    pub fn cohorts(&self) -> &Cohorts {
        &self.cohorts
    }

    /// Which nodes are near each other by this label.
    pub fn domains(&self, key: &str) -> Arc<Domains> {
        self.domains.get(self, key)
    }

    /// The Services and controllers that pods belong to.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// How many pods on nodes use a claim, by its name and not as one made for them.
    pub fn users(&self, namespace: &str, claim: &str) -> i64 {
        let key = format!("{namespace}/{claim}");
        self.users.get(&key).copied().unwrap_or(0)
    }

    /// The labels of a namespace, none as well if it is not known.
    pub fn namespace_labels(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.namespaces.get(name)?.metadata.labels.as_ref()
    }

    /// Takes note that something changed about a node or its pods.
    pub(crate) fn changed(&mut self, change: Change) {
        let slots = self.slots.len();
        self.changes.push(change, slots);
    }

    /// The node that other pods make room on for this one.
    pub fn nominated(&self, uid: &str) -> Option<&NodeInfo> {
        let slot = self.nominated.get(uid)?;
        self.slots.get(*slot as usize)
    }

    /// The object of the node of this name.
    pub fn node(&self, name: &str) -> Option<&Arc<Node>> {
        self.slots[self.slot(name)? as usize].node.as_ref()
    }

    /// The slot of the node of this name.
    pub fn slot(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// Claims, volumes and their classes.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The node in a slot, if there is one.
    pub fn at(&self, slot: u32) -> Option<(&NodeInfo, &Node)> {
        let info = self.slots.get(slot as usize)?;
        Some((info, info.node.as_deref()?))
    }
}

/// The taints of a node, of the effects that the scheduler looks at.
pub(crate) fn has_effect(of: &Node, effect: impl Fn(&str) -> bool) -> bool {
    of.taints.iter().any(|taint| effect(&taint.effect))
}
