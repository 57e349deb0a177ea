//! What the watches tell the cycle.

use crate::cycle::Cycle;
use crate::metrics::Event;
use crate::shell::Shell;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{
    Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, ReplicationController, Service,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::{
    CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment,
};
use objects::meta;
use runtime::{Change, News, Part, Watched};
use std::sync::Arc;

/// What is read of a node, where nobody else reads more.
const NODE: Part<'_> = Part::Only(&[
    (
        "metadata",
        Part::But(&[
            ("annotations", Part::Nothing),
            ("managedFields", Part::Nothing),
        ]),
    ),
    (
        "spec",
        Part::Only(&[("taints", Part::All), ("unschedulable", Part::All)]),
    ),
    (
        "status",
        Part::Only(&[
            ("allocatable", Part::All),
            ("declaredFeatures", Part::All),
            ("images", Part::All),
        ]),
    ),
]);

impl Shell {
    /// Asks for the watches; gives the kinds.
    pub(crate) fn watch(self: &Arc<Self>) -> Vec<&'static str> {
        let caches = self.runtime.caches();
        let (nodes, pods) = (Arc::downgrade(self), Arc::downgrade(self));
        caches.hear::<Node>(Some(NODE), move |news| {
            if let Some(shell) = nodes.upgrade() {
                shell.node(&news);
            }
        });
        caches.hear::<Pod>(None, move |news| {
            if let Some(shell) = pods.upgrade() {
                shell.pod(&news);
            }
        });
        vec![
            "Node",
            "Pod",
            self.hear::<PersistentVolumeClaim>(Cycle::claim),
            self.hear::<PersistentVolume>(Cycle::volume),
            self.hear::<StorageClass>(Cycle::class),
            self.hear::<CSINode>(Cycle::csi_node),
            self.hear::<CSIDriver>(Cycle::csi_driver),
            self.hear::<CSIStorageCapacity>(Cycle::capacity),
            self.hear::<VolumeAttachment>(Cycle::attachment),
            self.hear::<PodDisruptionBudget>(Cycle::budget),
            self.hear::<Namespace>(Cycle::namespace),
            self.hear::<Service>(Cycle::owner),
            self.hear::<ReplicationController>(Cycle::owner),
            self.hear::<ReplicaSet>(Cycle::owner),
            self.hear::<StatefulSet>(Cycle::owner),
        ]
    }

    /// Lets the cycle know of the changes of a kind, and gives its name.
    fn hear<K: Watched>(
        self: &Arc<Self>,
        tell: fn(&mut Cycle, &Change<K>, Timestamp),
    ) -> &'static str {
        let shell = Arc::downgrade(self);
        let hear = move |change: &Change<K>| {
            if let Some(shell) = shell.upgrade() {
                let began = shell.runtime.now();
                tell(&mut shell.cycle(), change, began);
                let action = match &change.new {
                    Some(_) => add_or_update(change.old.is_some()),
                    None => "Delete",
                };
                shell.heard(K::KIND, action, began);
                shell.changed.notify_one();
                shell.moved.notify_waiters();
            }
        };
        self.runtime.caches().of::<K>().listen(Box::new(hear));
        K::KIND
    }

    fn node(&self, news: &News<'_, Node>) {
        let began = self.runtime.now();
        let action = match news {
            News::Is(node) => {
                let mut cycle = self.cycle();
                let known = cycle.cluster().snapshot().get(meta::name(&node.metadata));
                let action = add_or_update(known.is_some());
                cycle.node(Arc::clone(node), began);
                action
            }
            News::Gone(of) => {
                self.cycle().node_gone(meta::name(of), began);
                self.moved.notify_waiters();
                "Delete"
            }
        };
        self.heard("Node", action, began);
        self.changed.notify_one();
    }

    fn pod(&self, news: &News<'_, Pod>) {
        let began = self.runtime.now();
        let (is_assigned, action) = match news {
            News::Is(pod) => {
                let mut cycle = self.cycle();
                let action = add_or_update(cycle.knows(meta::uid(&pod.metadata)));
                cycle.pod(pod, began);
                (objects::pod::node_name(pod).is_some(), action)
            }
            News::Gone(of) => {
                let (mut cycle, uid) = (self.cycle(), meta::uid(of));
                let is_assigned = cycle.cluster().holds(uid);
                cycle.pod_gone(uid, began);
                self.moved.notify_waiters();
                (is_assigned, "Delete")
            }
        };
        let kind = match is_assigned {
            true => "AssignedPod",
            false => "UnscheduledPod",
        };
        self.heard(kind, action, began);
        self.changed.notify_one();
    }

    /// Counts how long it took to take note of a change, by upstream's names of events.
    fn heard(&self, kind: &'static str, action: &'static str, began: Timestamp) {
        let took = self.since(began);
        self.metrics.heard(Event(kind, action), took);
    }
}

/// What happened to an object that is there, by upstream's names.
fn add_or_update(known: bool) -> &'static str {
    match known {
        true => "Update",
        false => "Add",
    }
}
