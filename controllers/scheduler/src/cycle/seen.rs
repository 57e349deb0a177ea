//! What the watches show of everything that decisions are made from, and which pods it wakes.
//!
//! Upstream: `pkg/scheduler/eventhandlers.go`.

use super::{Cycle, table_of};
use crate::cluster::Cluster;
use crate::decide::{Prospect, Wait, prospect};
use crate::node::Node;
use crate::owners::{Owners, Selects};
use crate::plugin::{Events, Happening};
use crate::pods::PodInfo;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    self as api, Namespace, PersistentVolume, PersistentVolumeClaim, Pod,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::{
    CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment,
};
use objects::volume::volume_phase;
use objects::{meta, pod};
use runtime::{Change, Watched};
use std::sync::Arc;

impl Cycle {
    /// A node as the watch shows it.
    pub fn node(&mut self, of: Arc<api::Node>, now: Timestamp) {
        let mut node = Node::from(&*of);
        if self.looks.whole {
            node = node.whole(of);
        }
        let node = Arc::new(node);
        let name = meta::name(&node.metadata);
        let old = self.cluster.snapshot().node(name).cloned();
        let events = self.cluster.place_node(node.clone());
        let slot = self.cluster.snapshot().slot(name);
        let happening = Happening::Node {
            old: old.as_deref(),
            new: Some(&node),
        };
        self.wake(events, slot, &happening, now);
        if !events.is_empty() {
            self.look_elsewhere(slot, now);
        }
    }

    /// A node that is gone.
    pub fn node_gone(&mut self, name: &str, now: Timestamp) {
        let old = self.cluster.snapshot().node(name).cloned();
        let slot = self.cluster.snapshot().slot(name);
        let events = self.cluster.remove_node(name);
        let happening = Happening::Node {
            old: old.as_deref(),
            new: None,
        };
        self.wake(events, None, &happening, now);
        self.look_elsewhere(slot, now);
    }

    /// A node is not what it was when room was promised to pods there: they are tried again, as it may be of no use.
    fn look_elsewhere(&mut self, slot: Option<u32>, now: Timestamp) {
        let slots = &self.cluster.snapshot().slots;
        let node = slot.and_then(|slot| slots.get(slot as usize));
        for info in node.into_iter().flat_map(|node| &node.nominees) {
            self.queue.retry(&info.uid, now);
        }
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
            let counted = self.cluster.counted(uid).cloned();
            let was = self.cluster.slot_of_pod(uid);
            let old = counted.clone().filter(|_| !self.cluster.is_assumed(uid));
            let new = Arc::new(self.looks.info(pod));
            let events = self.cluster.put_pod(new.clone(), node);
            let happening = Happening::Pod {
                old: old.as_deref(),
                new: Some(&new),
            };
            let slot = self.cluster.slot_of_pod(uid);
            self.wake(events, slot, &happening, now);
            // Another scheduler has bound it elsewhere: the place that it was given here is free.
            if was.is_some() && was != slot {
                let happening = Happening::Pod {
                    old: counted.as_deref(),
                    new: None,
                };
                self.wake(Events::POD_DELETE, was, &happening, now);
            }
            return;
        }
        if meta::is_deleting(&pod.metadata) || !self.is_ours(pod) {
            if let Some(info) = self.queue.get(uid).cloned() {
                self.unnominate(&info, now);
            }
            return self.dequeue(uid);
        }
        // What is counted and not in the queue has been bound: this is from before that.
        let known = self.queue.get(uid).cloned();
        if known.is_some() || !self.cluster.holds(uid) {
            let info = Arc::new(self.looks.info(pod));
            let wish = info.nominated();
            let before = known.as_ref().map(|known| known.nominated());
            if before != Some(wish) && (before.is_some() || wish.is_some()) {
                self.cluster.nominate(&info, wish);
            }
            let is_promised = self.cluster.snapshot().nominated(uid).is_some();
            self.queue.put(info, now);
            self.queue.promise(uid, is_promised);
        }
    }

    /// A pod that is gone.
    pub fn pod_gone(&mut self, uid: &str, now: Timestamp) {
        if let Some(info) = self.queue.get(uid).cloned() {
            self.unnominate(&info, now);
        }
        self.dequeue(uid);
        self.leaves(uid, now, Cluster::remove_pod);
    }

    /// A namespace as the watch shows it.
    pub fn namespace(&mut self, change: &Change<Namespace>, now: Timestamp) {
        match &change.new {
            None => {
                let name = meta::name(&change.latest().metadata);
                self.cluster.remove_namespace(name);
            }
            Some(namespace) => {
                if self.cluster.put_namespace(namespace.clone()) {
                    self.wake(Events::NAMESPACE, None, &Happening::Other, now);
                }
            }
        }
    }

    /// A Service or controller as the watch shows it.
    pub fn owner<K: Selects + Watched>(&mut self, change: &Change<K>, _: Timestamp) {
        let owners: &mut Owners = self.cluster.owners_mut();
        match &change.new {
            Some(object) => owners.put(&**object),
            None => owners.remove(&**change.latest()),
        }
    }

    /// A claim as the watch shows it.
    pub fn claim(&mut self, change: &Change<PersistentVolumeClaim>, now: Timestamp) {
        let storage = self.cluster.storage_mut();
        match &change.new {
            Some(claim) => storage.put_claim(claim.clone()),
            None => storage.remove_claim(change.latest()),
        }
        let of = &change.latest().metadata;
        let (namespace, name) = (meta::namespace(of), meta::name(of));
        self.wake_storage(now, |info| {
            info.namespace() == namespace && info.claims.iter().any(|used| used.claim == name)
        });
    }

    /// A volume as the watch shows it.
    pub fn volume(&mut self, change: &Change<PersistentVolume>, now: Timestamp) {
        let storage = self.cluster.storage_mut();
        match &change.new {
            Some(volume) => storage.put_volume(volume.clone()),
            None => storage.remove_volume(meta::name(&change.latest().metadata)),
        }
        // That it becomes somebody's does not help anybody else.
        let helps = |volume: &PersistentVolume| {
            let affinity = volume.spec.as_ref().map(|spec| spec.node_affinity.clone());
            (volume_phase(volume) == "Available", affinity)
        };
        let old = change.old.as_deref().map(helps);
        let new = change.new.as_deref().map(helps);
        if new.is_some() && old != new {
            self.wake_storage(now, |_| true);
        }
    }

    /// A class of volumes as the watch shows it.
    pub fn class(&mut self, change: &Change<StorageClass>, now: Timestamp) {
        let storage = self.cluster.storage_mut();
        match &change.new {
            Some(class) => storage.put_class(class.clone()),
            None => storage.remove_class(meta::name(&change.latest().metadata)),
        }
        self.wake_storage(now, |_| true);
    }

    /// What a node's drivers say of it.
    pub fn csi_node(&mut self, change: &Change<CSINode>, now: Timestamp) {
        let storage = self.cluster.storage_mut();
        match &change.new {
            Some(node) => storage.put_csi_node(node),
            None => storage.remove_csi_node(meta::name(&change.latest().metadata)),
        }
        if change.new.is_some() {
            self.wake_storage(now, |_| true);
        }
    }

    /// A driver of volumes as the watch shows it.
    pub fn csi_driver(&mut self, change: &Change<CSIDriver>, now: Timestamp) {
        let space = self.cluster.storage_mut().space_mut();
        let helps = match &change.new {
            Some(driver) => space.put_driver(driver),
            None => space.remove_driver(meta::name(&change.latest().metadata)),
        };
        if helps {
            self.wake_storage(now, |_| true);
        }
    }

    /// What a driver tells of its space.
    pub fn capacity(&mut self, change: &Change<CSIStorageCapacity>, now: Timestamp) {
        let space = self.cluster.storage_mut().space_mut();
        let helps = match &change.new {
            Some(capacity) => space.put(capacity),
            None => {
                space.remove(change.latest());
                false
            }
        };
        if helps {
            self.wake_storage(now, |_| true);
        }
    }

    /// A volume is attached to a node, or no more.
    pub fn attachment(&mut self, change: &Change<VolumeAttachment>, now: Timestamp) {
        let storage = self.cluster.storage_mut();
        if let Some(attachment) = &change.new {
            storage.put_attachment(attachment.clone());
        } else {
            storage.remove_attachment(change.latest());
            self.wake_storage(now, |_| true);
        }
    }

    /// A disruption budget as the watch shows it.
    pub fn budget(&mut self, change: &Change<PodDisruptionBudget>, _: Timestamp) {
        let budgets = self.cluster.budgets_mut();
        match &change.new {
            Some(budget) => budgets.put(budget),
            None => budgets.remove(change.latest()),
        }
    }

    /// Takes a pod off its node in this way, and wakes who waited for that.
    pub(super) fn leaves(
        &mut self,
        uid: &str,
        now: Timestamp,
        way: fn(&mut Cluster, &str) -> Events,
    ) {
        let slot = self.cluster.slot_of_pod(uid);
        let old = self.cluster.counted(uid).cloned();
        let events = way(&mut self.cluster, uid);
        let happening = Happening::Pod {
            old: old.as_deref(),
            new: None,
        };
        self.wake(events, slot, &happening, now);
    }

    /// Wakes the pods that wait for these changes, of the node in this slot if there is one. Those who go on waiting
    /// wait from now on for what keeps them from this node too: a new node that has the right label has a taint until
    /// it is ready.
    pub(super) fn wake(
        &mut self,
        events: Events,
        slot: Option<u32>,
        happening: &Happening<'_>,
        now: Timestamp,
    ) {
        let (profiles, all, meter) = (&self.profiles, self.cluster.snapshot(), &self.meter);
        let promised = slot.and_then(|slot| all.slots.get(slot as usize));
        let promised = promised.map_or(&[][..], |node| &node.nominees);
        self.queue.wake(events, promised, now, |info, wait| {
            match table_of(profiles, info) {
                Some(table) => {
                    let what = (events, happening);
                    prospect(table, info, wait, what, all, slot, meter)
                }
                None => Prospect::Fits,
            }
        });
    }

    /// Wakes the pods that a change of claims, volumes or classes concerns, if they need not wait for another one.
    fn wake_storage(&mut self, now: Timestamp, concerns: impl Fn(&PodInfo) -> bool) {
        let storage = self.cluster.snapshot().storage();
        self.queue.wake(Events::STORAGE, &[], now, |info, _| {
            match !info.claims.is_empty() && concerns(info) && storage.claims_of(info).is_ok() {
                true => Prospect::Fits,
                false => Prospect::Waits(Wait::default()),
            }
        });
    }
}
