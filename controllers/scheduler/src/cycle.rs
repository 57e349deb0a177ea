//! One scheduler's whole state, and what it does next. No I/O, no clock: the shell in `lib.rs` tells it what the
//! watches show and what became of bindings, and carries out what [`Cycle::next`] says.
//!
//! Upstream: `pkg/scheduler/{eventhandlers,schedule_one}.go`.

use crate::cluster::Cluster;
use crate::config::Profile;
use crate::decide::{Decision, Wait, goes_on_waiting};
use crate::diagnosis::{Diagnosis, PluginSet};
use crate::engine::Engine;
use crate::extender::Question;
use crate::metrics::Sizes;
use crate::owners::{Owners, Selects};
use crate::plugin::{Events, Happening};
use crate::plugins::Table;
use crate::pods::{Looks, PodInfo};
use crate::preempt::{Preemption, Room, candidates, choose};
use crate::queue::{Backoff, Counts, Queue};
use crate::storage::{Storage, Work};
use ahash::AHashMap;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass, VolumeAttachment};
use objects::volume::volume_phase;
use objects::{meta, pod};
use runtime::{Change, Watched};
use std::collections::BTreeMap;
use std::sync::Arc;

mod asking;

use asking::Asking;

/// The state of a scheduler.
pub struct Cycle {
    profiles: Arc<[Profile]>,
    cluster: Cluster,
    looks: Looks,
    engine: Engine,
    queue: Queue,
    asking: Asking,
    /// What was last written into the status of a waiting pod, as the watch may be behind.
    told: AHashMap<Arc<str>, Told>,
    /// When a waiting pod was first tried, and how often since.
    tries: AHashMap<Arc<str>, Tries>,
}

/// How a pod fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// When it was tried for the first time.
    pub first: Timestamp,
    /// How often it was tried.
    pub count: u32,
}

/// What the status of a waiting pod says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    message: Arc<str>,
    nominated: Option<Arc<str>>,
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
        /// What has to be done about its volumes before.
        work: Work,
    },
    /// Tell that there is no node for the pod. It waits already.
    Nobody {
        /// The pod.
        info: Arc<PodInfo>,
        /// Why, in upstream's words.
        message: Arc<str>,
        /// The node on which room is made for it.
        nominated: Option<Arc<str>>,
        /// Whether the status has to be written, because it says something else so far.
        changed: bool,
        /// The room to be made from now on. Say [`Cycle::kept`] if that fails.
        room: Option<Room>,
    },
    /// Ask the extenders, and give [`Cycle::answered`] their answer.
    Ask(Question),
    /// Tell that something went wrong about the pod. It is tried again after a while.
    Failed {
        /// The pod.
        info: Arc<PodInfo>,
        /// What went wrong.
        message: Arc<str>,
        /// Whether the status has to be written, because it says something else so far.
        changed: bool,
    },
    /// Nothing, until something changes or this time has come.
    Idle(Option<Timestamp>),
}

impl Cycle {
    /// A scheduler for the pods of these profiles, knowing of nothing yet.
    pub fn new(profiles: impl Into<Arc<[Profile]>>, times: Backoff) -> Self {
        Self {
            profiles: profiles.into(),
            cluster: Cluster::default(),
            looks: Looks::default(),
            engine: Engine::default(),
            queue: Queue::new(times),
            asking: Asking::default(),
            told: AHashMap::new(),
            tries: AHashMap::new(),
        }
    }

    /// Keeping the objects of pods, if somebody is to be shown them.
    #[must_use]
    pub fn keeping(mut self, whole: bool) -> Self {
        self.looks.whole = whole;
        self
    }

    /// A node as the watch shows it.
    pub fn node(&mut self, node: Arc<Node>, now: Timestamp) {
        let name = meta::name(&node.metadata);
        let old = self.cluster.snapshot().node(name).cloned();
        let events = self.cluster.put_node(node.clone());
        let slot = self.cluster.snapshot().slot(name);
        let happening = Happening::Node {
            old: old.as_deref(),
            new: Some(&node),
        };
        self.wake(events, slot, &happening, now);
    }

    /// A node that is gone.
    pub fn node_gone(&mut self, name: &str, now: Timestamp) {
        let old = self.cluster.snapshot().node(name).cloned();
        let events = self.cluster.remove_node(name);
        let happening = Happening::Node {
            old: old.as_deref(),
            new: None,
        };
        self.wake(events, None, &happening, now);
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
            let wish = wish.is_some();
            let uid = info.uid.clone();
            self.queue.put(info, now);
            if wish {
                self.queue.single_out(&uid);
            }
        }
    }

    /// The pod of this name: one that waits for a node, or is on one.
    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<Arc<PodInfo>> {
        let mut all = self.queue.pods().chain(self.cluster.pods());
        let found = all.find(|info| *info.name == *name && info.namespace() == namespace);
        found.cloned()
    }

    /// The pods that wait for a node here, and all that are on one.
    pub(crate) fn pods(&self) -> Vec<Arc<PodInfo>> {
        self.queue
            .pods()
            .chain(self.cluster.pods())
            .cloned()
            .collect()
    }

    /// Whether this pod waits for a node, or is on one.
    pub(crate) fn knows(&self, uid: &str) -> bool {
        self.queue.get(uid).is_some() || self.cluster.holds(uid)
    }

    /// A pod that is gone.
    pub fn pod_gone(&mut self, uid: &str, now: Timestamp) {
        if let Some(info) = self.queue.get(uid).cloned() {
            self.unnominate(&info, now);
        }
        self.dequeue(uid);
        self.leaves(uid, now, Cluster::remove_pod);
    }

    /// Takes a pod off its node in this way, and wakes who waited for that.
    fn leaves(&mut self, uid: &str, now: Timestamp, way: fn(&mut Cluster, &str) -> Events) {
        let slot = self.cluster.slot_of_pod(uid);
        let old = self.cluster.counted(uid).cloned();
        let events = way(&mut self.cluster, uid);
        let happening = Happening::Pod {
            old: old.as_deref(),
            new: None,
        };
        self.wake(events, slot, &happening, now);
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

    /// What decisions are made from, to be copied for those who try something out.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The node of this name.
    pub fn node_named(&self, name: &str) -> Option<&Node> {
        self.cluster.snapshot().get(name).map(|(_, node)| node)
    }

    /// Claims, volumes and classes.
    pub fn storage(&self) -> &Storage {
        self.cluster.snapshot().storage()
    }

    /// Takes a pod and decides. `seed` draws the lot among equally good nodes.
    pub fn next(&mut self, now: Timestamp, seed: u64) -> Next {
        while let Some(info) = self.take(now) {
            if self.cluster.holds(&info.uid) {
                self.dequeue(&info.uid);
                continue;
            }
            let Some(profile) = profile_of(&self.profiles, &info) else {
                self.dequeue(&info.uid);
                continue;
            };
            let none = Tries {
                first: now,
                count: 0,
            };
            self.tries.entry(info.uid.clone()).or_insert(none).count += 1;
            if self.asking.is_about(&info) {
                return self.ask(info, false, seed, now);
            }
            let (table, all) = (&self.profiles[profile].table, self.cluster.snapshot());
            return match self.engine.decide(profile, table, &info, all, seed) {
                Decision::Bind { node, .. } => self.place(info, node),
                Decision::Nobody(diagnosis) => self.nobody(info, diagnosis, seed, now),
            };
        }
        Next::Idle(self.queue.next_time())
    }

    /// Gives a pod this node.
    fn place(&mut self, info: Arc<PodInfo>, node: Arc<str>) -> Next {
        let work = self.work(&info, &node);
        self.cluster.storage_mut().promise(&work, &node);
        self.cluster.nominate(&info, None);
        self.cluster.assume(info.clone(), &node);
        self.follow(&info);
        Next::Bind { info, node, work }
    }

    /// No node will do: others have to leave, or the pod waits.
    fn nobody(
        &mut self,
        info: Arc<PodInfo>,
        diagnosis: Diagnosis,
        seed: u64,
        now: Timestamp,
    ) -> Next {
        let all = self.cluster.snapshot();
        let table = table_of(&self.profiles, &info).filter(|table| table.preempts);
        let preemption = match table.map(|table| candidates(table, &info, all, &diagnosis, seed)) {
            Some(Ok(candidates)) if self.asking.preempts(&info) => {
                let question = asking::about_victims(info, &candidates);
                return self.asking.begin(question, Some(diagnosis));
            }
            Some(Ok(candidates)) => Some(choose(&info, candidates)),
            Some(Err(nowhere)) => Some(nowhere),
            None => None,
        };
        self.park(info, &diagnosis, preemption, now)
    }

    /// A pod waits that has no node, until room is made if there is somebody to make it.
    fn park(
        &mut self,
        info: Arc<PodInfo>,
        diagnosis: &Diagnosis,
        preemption: Option<Preemption>,
        now: Timestamp,
    ) -> Next {
        let all = self.cluster.snapshot();
        let table = table_of(&self.profiles, &info);
        let wait = table.map_or_else(Wait::default, |table| diagnosis.wait(table));
        let text = preemption.as_ref().map_or("", Preemption::text);
        let message: Arc<str> = diagnosis.message(text).into();
        // Who has a place in view waits for that place.
        let has_place = all.nominated(&info.uid).is_some();
        let is_signed = table.is_some_and(Table::is_signed) && !self.asking.is_about(&info);
        let alike = info.signature().filter(|_| is_signed && !has_place);
        self.queue.reject(&info.uid, wait, alike, now);
        let room = match preemption {
            Some(Preemption::Room(room)) => {
                self.make(&room, &info);
                self.queue.single_out(&info.uid);
                self.follow(&info);
                Some(room)
            }
            Some(Preemption::Helpless(_)) => {
                self.unnominate(&info, now);
                None
            }
            _ => None,
        };
        let nominated = self.cluster.snapshot().nominated(&info.uid);
        let told = Told {
            message: message.clone(),
            nominated: nominated.map(|node| node.name.clone()),
        };
        let changed = match self.told.get(&info.uid) {
            Some(old) => *old != told,
            None => {
                info.nominated() != told.nominated.as_deref() || !crate::bind::says(&info, &message)
            }
        };
        let nominated = told.nominated.clone();
        if changed {
            self.told.insert(info.uid.clone(), told);
        }
        Next::Nobody {
            info,
            message,
            nominated,
            changed,
            room,
        }
    }

    /// What was possible for a pod may be possible for those that are like it.
    fn follow(&mut self, info: &PodInfo) {
        if let Some(alike) = info.signature() {
            self.queue.follow(alike);
        }
    }

    /// Takes note that room is going to be made.
    fn make(&mut self, room: &Room, info: &Arc<PodInfo>) {
        let victims = room.victims.iter().map(|victim| victim.uid.clone());
        self.cluster.evict(victims, true);
        for other in &room.displaced {
            self.cluster.nominate(other, None);
            self.told.remove(&other.uid);
        }
        self.cluster.nominate(info, Some(&room.node));
    }

    /// Room was not made, or not wholly: the pod is tried again.
    pub fn kept(&mut self, uid: &str, room: &Room, now: Timestamp) {
        let victims = room.victims.iter().map(|victim| victim.uid.clone());
        self.cluster.evict(victims, false);
        self.queue.retry(uid, now);
    }

    /// A pod needs the room no more that was made for it; others may.
    fn unnominate(&mut self, info: &Arc<PodInfo>, now: Timestamp) {
        let slot = self
            .cluster
            .snapshot()
            .nominated(&info.uid)
            .map(|node| node.slot);
        if self.cluster.nominate(info, None) {
            self.wake(Events::POD_DELETE, slot, &Happening::Other, now);
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

    /// The API server has bound the pod, or says that it needs no node any more. The watch will show where it is.
    pub fn bound(&mut self, uid: &str) {
        self.dequeue(uid);
    }

    /// What was to be done about a pod's volumes was not, or not wholly.
    pub fn take_back(&mut self, work: &Work) {
        self.cluster.storage_mut().take_back(work);
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

    /// The condition could not be written; the next attempt writes it whatever it says, which is soon if that may help.
    pub fn untold(&mut self, uid: &str, soon: bool) {
        self.told.remove(uid);
        if soon {
            self.queue.delay(uid);
        }
    }

    /// How a waiting pod, or one that is being bound, has fared.
    pub fn tries(&self, uid: &str) -> Option<Tries> {
        self.tries.get(uid).copied()
    }

    /// How much there is of what.
    pub fn sizes(&self) -> Sizes {
        let (pods, assumed) = self.cluster.sizes();
        let mut unschedulable = BTreeMap::new();
        for (info, wait) in self.queue.waiting() {
            let Some(table) = table_of(&self.profiles, info) else {
                continue;
            };
            let filters = table.filters.iter().enumerate();
            let rejecting = filters.filter(|(index, _)| wait.rejected_by.contains(*index));
            let asked = wait.rejected_by.contains(PluginSet::EXTENDER);
            let names = rejecting.map(|(_, filter)| filter.name());
            for name in names.chain(asked.then_some("Extender")) {
                let of = (name, scheduler_of(&info.like).to_owned());
                *unschedulable.entry(of).or_default() += 1;
            }
        }
        Sizes {
            nodes: self.cluster.snapshot().len(),
            pods,
            assumed,
            unschedulable,
            incoming: self.queue.incoming().collect(),
        }
    }

    /// How many pods wait where.
    pub fn counts(&self) -> Counts {
        self.queue.counts()
    }

    fn forget(&mut self, uid: &str, now: Timestamp) {
        self.leaves(uid, now, Cluster::forget);
    }

    /// Wakes the pods that wait for these changes, of the node in this slot if there is one. Those who go on waiting
    /// wait from now on for what keeps them from this node too: a new node that has the right label has a taint until
    /// it is ready.
    fn wake(
        &mut self,
        events: Events,
        slot: Option<u32>,
        happening: &Happening<'_>,
        now: Timestamp,
    ) {
        let (profiles, all) = (&self.profiles, self.cluster.snapshot());
        self.queue.wake(events, now, |info, wait| {
            let table = table_of(profiles, info)?;
            goes_on_waiting(table, info, wait, (events, happening), all, slot)
        });
    }

    /// Wakes the pods that a change of claims, volumes or classes concerns, if they need not wait for another one.
    fn wake_storage(&mut self, now: Timestamp, concerns: impl Fn(&PodInfo) -> bool) {
        let storage = self.cluster.snapshot().storage();
        self.queue.wake(Events::STORAGE, now, |info, _| {
            let goes = !info.claims.is_empty() && concerns(info) && storage.claims_of(info).is_ok();
            (!goes).then(Wait::default)
        });
    }

    /// What has to be done about the volumes of a pod that goes to this node.
    fn work(&self, info: &PodInfo, node: &str) -> Work {
        let all = self.cluster.snapshot();
        let storage = all.storage();
        let claims = storage.claims_of(info).ok();
        let node = all.get(node).map(|(_, node)| node);
        // The filter has just found it so.
        let work = claims
            .zip(node)
            .and_then(|(claims, node)| storage.place(&claims.waiting, node));
        work.unwrap_or_default()
    }

    fn dequeue(&mut self, uid: &str) {
        if let Some(info) = self.queue.get(uid).cloned() {
            self.cluster.nominate(&info, None);
        }
        self.queue.remove(uid);
        self.told.remove(uid);
        self.tries.remove(uid);
    }

    fn is_ours(&self, pod: &Pod) -> bool {
        let name = scheduler_of(pod);
        self.profiles.iter().any(|profile| profile.name == name)
    }
}

/// The name of the scheduler that a pod is for.
pub(crate) fn scheduler_of(pod: &Pod) -> &str {
    let spec = pod.spec.as_ref();
    let name = spec.and_then(|spec| spec.scheduler_name.as_deref());
    name.filter(|name| !name.is_empty())
        .unwrap_or(crate::DEFAULT)
}

/// The plugins for a pod.
pub(crate) fn table_of<'a>(profiles: &'a [Profile], info: &PodInfo) -> Option<&'a Table> {
    Some(&profiles[profile_of(profiles, info)?].table)
}

fn profile_of(profiles: &[Profile], info: &PodInfo) -> Option<usize> {
    let name = scheduler_of(&info.like);
    profiles.iter().position(|profile| profile.name == name)
}

#[cfg(test)]
mod tests;
