//! One scheduler's whole state, and what it does next. No I/O, no clock: the shell in `lib.rs` tells it what the
//! watches show and what became of bindings, and carries out what [`Cycle::next`] says.
//!
//! Upstream: `pkg/scheduler/{eventhandlers,schedule_one}.go`.

use crate::cluster::Cluster;
use crate::config::Profile;
use crate::decide::{Decision, Wait};
use crate::diagnosis::{Diagnosis, PluginSet};
use crate::engine::Engine;
use crate::extender::Question;
use crate::meter::{Meter, Point, Status, Stopwatch};
use crate::metrics::Sizes;
use crate::node::Node;
use crate::plugin::{Events, Happening};
use crate::plugins::Table;
use crate::pods::{Looks, PodInfo};
use crate::preempt::{Preemption, Room, candidates, choose};
use crate::queue::{Backoff, Counts, Queue};
use crate::storage::{Storage, Work};
use ahash::AHashMap;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use std::collections::BTreeMap;
use std::sync::Arc;

mod asking;
mod seen;

use asking::Asking;

/// The state of a scheduler.
pub struct Cycle {
    profiles: Arc<[Profile]>,
    cluster: Cluster,
    looks: Looks,
    engine: Engine,
    queue: Queue,
    meter: Meter,
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
    /// Whether it had waited too long for a change when it was tried for the last time.
    pub late: bool,
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
        let profiles: Arc<[Profile]> = profiles.into();
        Self {
            meter: Meter::new(profiles.iter().map(|profile| &profile.table)),
            profiles,
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

    /// With a stopwatch, by which some runs of plugins are timed.
    #[must_use]
    pub fn timing(mut self, stopwatch: Stopwatch) -> Self {
        self.meter = self.meter.timing(stopwatch);
        self
    }

    /// What counts and times the runs of plugins.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The pod of this name: one that waits for a node, or is on one.
    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<Arc<PodInfo>> {
        let mut all = self.each();
        let found = all.find(|info| *info.name == *name && info.namespace() == namespace);
        found.cloned()
    }

    /// The pods that wait for a node here, and all that are on one.
    pub(crate) fn pods(&self) -> Vec<Arc<PodInfo>> {
        self.each().cloned().collect()
    }

    fn each(&self) -> impl Iterator<Item = &Arc<PodInfo>> {
        self.queue.pods().chain(self.cluster.pods())
    }

    /// Whether this pod waits for a node, or is on one.
    pub(crate) fn knows(&self, uid: &str) -> bool {
        self.queue.get(uid).is_some() || self.cluster.holds(uid)
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
                late: false,
            };
            let tries = self.tries.entry(info.uid.clone()).or_insert(none);
            tries.count += 1;
            tries.late = self.queue.was_late(&info.uid);
            if self.asking.is_about(&info) {
                return self.ask(info, false, seed, now);
            }
            let (table, all) = (&self.profiles[profile].table, self.cluster.snapshot());
            let meter = &self.meter;
            return match self.engine.decide(profile, table, &info, all, seed, meter) {
                Decision::Bind { node, .. } => self.place(info, node, now),
                Decision::Nobody(diagnosis) => self.nobody(info, diagnosis, seed, now),
            };
        }
        Next::Idle(self.queue.next_time())
    }

    /// Gives a pod this node.
    fn place(&mut self, info: Arc<PodInfo>, node: Arc<str>, now: Timestamp) -> Next {
        let work = self.work(&info, &node);
        self.cluster.storage_mut().promise(&work, &node);
        let promised = self.slot_promised(&info);
        self.cluster.nominate(&info, None);
        self.cluster.assume(info.clone(), &node);
        self.follow(&info, false);
        // The room that was made for it elsewhere is anybody's, and what it found may be there for others too.
        if promised.is_some() && promised != self.cluster.slot_of_pod(&info.uid) {
            self.wake(Events::POD_DELETE, promised, &Happening::Other, now);
            self.follow(&info, true);
        }
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
        let (meter, mut lap) = (&self.meter, self.meter.lap());
        let look = |table| candidates(table, &info, all, &diagnosis, seed, meter);
        let preemption = match table.map(look) {
            Some(Ok(candidates)) if self.asking.preempts(&info) => {
                let question = asking::about_victims(info, &candidates);
                return self.asking.begin(question, Some(diagnosis));
            }
            Some(Ok(candidates)) => Some(choose(&info, candidates)),
            Some(Err(nowhere)) => Some(nowhere),
            None => None,
        };
        let status = match &preemption {
            Some(Preemption::Room(_)) => Some(Status::Success),
            Some(_) => Some(Status::Unschedulable),
            None => None,
        };
        if let Some(status) = status {
            lap.end(Point::PostFilter, status, || "DefaultPreemption");
        }
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
        let table = table_of(&self.profiles, &info);
        let wait = table.map_or_else(Wait::default, |table| diagnosis.wait(table));
        let text = preemption.as_ref().map_or("", Preemption::text);
        let message: Arc<str> = diagnosis.message(text).into();
        let is_signed = table.is_some_and(Table::is_signed) && !self.asking.is_about(&info);
        let alike = info.signature().filter(|_| is_signed);
        self.queue.reject(&info.uid, wait, alike, now);
        let room = match preemption {
            Some(Preemption::Room(room)) => {
                self.make(&room, &info);
                self.queue.promise(&info.uid, true);
                self.follow(&info, false);
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

    /// What was possible for a pod may be possible for those that are like it, with room promised to them or not.
    fn follow(&mut self, info: &PodInfo, promised: bool) {
        if let Some(alike) = info.signature() {
            self.queue.follow(alike, promised);
        }
    }

    /// Takes note that room is going to be made.
    fn make(&mut self, room: &Room, info: &Arc<PodInfo>) {
        let victims = room.victims.iter().map(|victim| victim.uid.clone());
        self.cluster.evict(victims, true);
        for other in &room.displaced {
            self.cluster.nominate(other, None);
            self.queue.promise(&other.uid, false);
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

    fn slot_promised(&self, info: &PodInfo) -> Option<u32> {
        let node = self.cluster.snapshot().nominated(&info.uid);
        node.map(|node| node.slot)
    }

    /// A pod needs the room no more that was made for it; others may.
    fn unnominate(&mut self, info: &Arc<PodInfo>, now: Timestamp) {
        let slot = self.slot_promised(info);
        if self.cluster.nominate(info, None) {
            self.queue.promise(&info.uid, false);
            self.wake(Events::POD_DELETE, slot, &Happening::Other, now);
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
            runs: self.meter.runs(
                self.profiles
                    .iter()
                    .map(|profile| (&*profile.name, &profile.table)),
            ),
        }
    }

    /// How many pods wait where.
    pub fn counts(&self) -> Counts {
        self.queue.counts()
    }

    fn forget(&mut self, uid: &str, now: Timestamp) {
        self.leaves(uid, now, Cluster::forget);
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
            .and_then(|(claims, node)| storage.place(&claims.waiting, node).ok());
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
        .unwrap_or(crate::DEFAULT_SCHEDULER)
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
