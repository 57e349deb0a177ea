//! The pods that wait for a node, each in one place. Takes the time, reads no clock.
//!
//! Upstream: `pkg/scheduler/backend/queue/scheduling_queue.go`. A pod is
//! 1. *active*: it is tried next, by priority, then by how long it waits;
//! 2. *backing off*: it is tried after a while, or before that if nothing else is to do and neither an error nor room
//!    that is somebody else's sent it here;
//! 3. *unschedulable*: it waits for a change that can matter to the filters that rejected it, at most five minutes;
//! 4. *gated*: it waits for its gates to be taken away;
//! 5. *in flight*: it is being decided about or bound.
//!
//! Pods that are alike and unschedulable wait together: what one of them was rejected for, all would be. If a change can
//! help them, one is tried; if it gets a node, the next, and so on. Of a thousand that wait, a pod that leaves costs two
//! attempts and not a thousand.
//!
//! Changes while a pod is in flight are not lost: when it comes back and one of those it waits for has happened
//! since it went, it does not wait for the next.

use crate::decide::{Prospect, Wait};
use crate::plugin::Events;
use crate::plugins::is_gated;
use crate::pods::PodInfo;
use crate::signature::Signature;
use ahash::{AHashMap, AHashSet};
use jiff::{SignedDuration, Timestamp};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

mod incoming;

use incoming::{Incoming, Why};

/// How long pods wait after failed attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first one; it doubles with each further one.
    pub initial: SignedDuration,
    /// The longest.
    pub max: SignedDuration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial: SignedDuration::from_secs(1),
            max: SignedDuration::from_secs(10),
        }
    }
}

/// How long a pod waits for a change before it is tried again without one.
pub const FLUSH: SignedDuration = SignedDuration::from_mins(5);

/// The waiting pods.
#[derive(Default)]
pub struct Queue {
    pods: AHashMap<Arc<str>, Entry>,
    active: BTreeSet<Turn>,
    backoff: BTreeSet<(Timestamp, Turn)>,
    /// Unschedulable pods, those that are alike together.
    parked: AHashMap<Party, Parked>,
    /// The same by what they wait for, so that a change that matters to none of them costs nothing.
    by_wakes: AHashMap<Events, AHashSet<Party>>,
    flush: BTreeSet<(Timestamp, Arc<str>)>,
    gated: usize,
    in_flight: usize,
    /// Counts changes; for each kind the number of the last one.
    change: u64,
    last: [u64; Events::KINDS],
    /// Breaks ties of equal times by the order of arrival.
    arrivals: u64,
    times: Backoff,
    incoming: Incoming,
}

/// What the active queue is ordered by (upstream: PrioritySort).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    priority: Reverse<i32>,
    since: Timestamp,
    arrival: u64,
    uid: Arc<str>,
}

/// Who waits together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Party {
    Alike(Signature),
    /// The same with room promised to each of them: each waits for its own, and all for any other.
    Promised(Signature),
    Alone(Arc<str>),
}

impl Party {
    fn of(alike: Signature, promised: bool) -> Self {
        match promised {
            true => Self::Promised(alike),
            false => Self::Alike(alike),
        }
    }
}

/// Pods that wait for the same.
struct Parked {
    wait: Wait,
    pods: BTreeSet<Turn>,
}

struct Entry {
    info: Arc<PodInfo>,
    /// None only while it moves.
    place: Option<Place>,
    since: Timestamp,
    arrival: u64,
    /// Attempts that failed.
    attempts: u32,
    last_failure: Timestamp,
    /// Whether it is tried, or on its way to that, as it has waited too long for a change.
    late: bool,
    /// Those that it waits with, or has last waited with.
    alike: Option<Signature>,
    /// Whether room is made for it.
    promised: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Active,
    Backoff {
        until: Timestamp,
        /// Whether it is tried before that if nothing else is to do.
        hurries: bool,
    },
    Parked {
        wait: Wait,
        flush: Timestamp,
    },
    Gated,
    /// With the number of the last change before it went.
    InFlight {
        at: u64,
    },
}

/// How many pods are where, by upstream's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// To be tried next.
    pub active: usize,
    /// To be tried after a while.
    pub backoff: usize,
    /// Waiting for a change.
    pub unschedulable: usize,
    /// Waiting for their gates.
    pub gated: usize,
    /// Being decided about or bound.
    pub in_flight: usize,
}

impl Queue {
    /// An empty one, where pods wait so long.
    pub fn new(times: Backoff) -> Self {
        Self {
            times,
            ..Self::default()
        }
    }

    /// A pod that has to be given a node, new or changed. One in flight stays there and is seen as it is now when
    /// it comes back.
    pub fn put(&mut self, info: Arc<PodInfo>, now: Timestamp) {
        let uid = info.uid.clone();
        let Some(entry) = self.pods.get(&uid) else {
            self.arrivals += 1;
            let entry = Entry {
                info,
                place: None,
                since: now,
                arrival: self.arrivals,
                attempts: 0,
                last_failure: now,
                late: false,
                alike: None,
                promised: false,
            };
            self.pods.insert(uid.clone(), entry);
            return self.enqueue(&uid, now, Why::New);
        };
        let changed = asks_otherwise(&entry.info, &info);
        let differs = changed && entry.info.signature() != info.signature();
        let place = self.leave(&uid);
        let mut left = None;
        if let Some(entry) = self.pods.get_mut(&uid) {
            entry.info = info;
            if differs {
                left = Some(entry.party());
                entry.alike = None;
            }
        }
        if let Some(left) = left.filter(|_| is_due(place)) {
            self.call(&left);
        }
        match place {
            Some(Place::Parked { wait, .. }) if changed && wait.wakes.meets(Events::POD_UPDATE) => {
                self.enqueue(&uid, now, Why::Changed);
            }
            Some(place @ (Place::Parked { .. } | Place::Backoff { .. })) => {
                self.enter(&uid, place, Why::Nothing);
            }
            Some(place @ Place::InFlight { .. }) => {
                self.enter(&uid, place, Why::Nothing);
                if changed {
                    self.count_change(Events::POD_UPDATE);
                }
            }
            Some(Place::Active) => self.enqueue(&uid, now, Why::Nothing),
            Some(Place::Gated) | None => self.enqueue(&uid, now, Why::Changed),
        }
    }

    /// A pod that needs no node any more: it is gone, is going, or has one.
    pub fn remove(&mut self, uid: &str) {
        let place = self.leave(uid);
        let entry = self.pods.remove(uid);
        // It was to be tried for those that are like it.
        if let Some(entry) = entry.filter(|_| is_due(place)) {
            self.call(&entry.party());
        }
    }

    /// A pod got a node or room is made for it: one that is like it is tried as well, if any waits; of those whom room is
    /// `promised`, or of the others.
    pub fn follow(&mut self, alike: Signature, promised: bool) {
        self.call(&Party::of(alike, promised));
    }

    /// One of those who wait together is tried, if any waits.
    fn call(&mut self, party: &Party) {
        let Some(parked) = self.parked.get(party) else {
            return;
        };
        let Some(uid) = parked.pods.first().map(|turn| turn.uid.clone()) else {
            return;
        };
        let until = self.pods.get(&uid).map(|entry| entry.ready_at(self.times));
        if let Some(until) = until {
            self.leave(&uid);
            let place = Place::Backoff {
                until,
                hurries: true,
            };
            self.enter(&uid, place, Why::Called);
        }
    }

    /// Room is made for a pod, so that it waits for that beside what those wait for that are like it; or no more.
    pub fn promise(&mut self, uid: &str, promised: bool) {
        if self
            .pods
            .get(uid)
            .is_none_or(|entry| entry.promised == promised)
        {
            return;
        }
        let place = self.leave(uid);
        if let Some(entry) = self.pods.get_mut(uid) {
            entry.promised = promised;
        }
        if let Some(place) = place {
            self.enter(uid, place, Why::Nothing);
        }
    }

    /// The next pod to try; it is in flight until [`Queue::remove`], [`Queue::reject`] or [`Queue::fail`].
    pub fn pop(&mut self, now: Timestamp) -> Option<Arc<PodInfo>> {
        self.tick(now);
        let (uid, why) = match self.active.first() {
            Some(turn) => (turn.uid.clone(), Why::Nothing),
            None => {
                let mut resting = self.backoff.iter().map(|(_, turn)| &turn.uid);
                let uid = resting.find(|uid| self.hurries(uid))?;
                (uid.clone(), Why::Hurried)
            }
        };
        self.leave(&uid);
        self.enter(&uid, Place::InFlight { at: self.change }, why);
        self.pods.get(&uid).map(|entry| entry.info.clone())
    }

    /// A pod in flight for which there is no node; it waits for one of these changes. The same has to be true of all
    /// pods that are `alike`: they wait for that from now on.
    pub fn reject(&mut self, uid: &str, wait: Wait, alike: Option<Signature>, now: Timestamp) {
        let Some(at) = self.land(uid, now) else {
            return;
        };
        if let Some(entry) = self.pods.get_mut(uid) {
            entry.alike = alike;
            let party = entry.party();
            self.lengthen(&party, wait);
        }
        if wait.wakes.kinds().any(|kind| self.last[kind] > at) {
            self.enqueue(uid, now, Why::Failed);
        } else {
            let flush = later(now, FLUSH);
            self.enter(uid, Place::Parked { wait, flush }, Why::Failed);
        }
    }

    /// A pod in flight with which something went wrong that no change will mend; it is tried again after a while.
    pub fn fail(&mut self, uid: &str, now: Timestamp) {
        if self.land(uid, now).is_some() {
            let until = self
                .pods
                .get(uid)
                .map_or(now, |entry| entry.ready_at(self.times));
            let place = Place::Backoff {
                until,
                hurries: false,
            };
            self.enter(uid, place, Why::Failed);
        }
    }

    /// A pod in flight of which nothing came is tried again at once.
    pub fn again(&mut self, uid: &str) {
        let place = self.pods.get(uid).and_then(|entry| entry.place);
        if matches!(place, Some(Place::InFlight { .. })) {
            self.leave(uid);
            self.enter(uid, Place::Active, Why::Called);
        }
    }

    /// A pod that waits for changes is tried again without one.
    pub fn retry(&mut self, uid: &str, now: Timestamp) {
        let entry = self.pods.get(uid);
        if entry.is_some_and(Entry::is_parked) {
            self.leave(uid);
            self.enqueue(uid, now, Why::Called);
        }
    }

    /// A pod that waits for changes is tried again after its back-off, as what was to be done about it was not.
    pub fn delay(&mut self, uid: &str) {
        let times = self.times;
        let Some(entry) = self.pods.get(uid) else {
            return;
        };
        if entry.is_parked() {
            let until = entry.ready_at(times);
            self.leave(uid);
            let place = Place::Backoff {
                until,
                hurries: false,
            };
            self.enter(uid, place, Why::Called);
        }
    }

    /// Something happened in the cluster: pods that wait for it are tried again, after their back-off, if it helps them,
    /// as `prospect` knows from what they wait for. Of those that wait together one is asked, and each of those whom room
    /// is `promised` where it happened.
    pub fn wake(
        &mut self,
        events: Events,
        promised: &[Arc<PodInfo>],
        now: Timestamp,
        mut prospect: impl FnMut(&PodInfo, Wait) -> Prospect,
    ) {
        if events.is_empty() {
            return;
        }
        self.count_change(events);
        for info in promised {
            self.look(&info.uid, events, now, &mut prospect);
        }
        let waiting = self.by_wakes.iter();
        let waiting = waiting.filter(|(wakes, _)| wakes.meets(events));
        let parties: Vec<Party> = waiting.flat_map(|(_, parties)| parties).cloned().collect();
        for party in parties {
            let parked = self.parked.get(&party);
            if let Some(first) = parked.and_then(|parked| parked.pods.first()) {
                self.look(&first.uid.clone(), events, now, &mut prospect);
            }
        }
    }

    /// Whether what happened helps this pod, if it waits for that.
    fn look(
        &mut self,
        uid: &str,
        events: Events,
        now: Timestamp,
        prospect: &mut impl FnMut(&PodInfo, Wait) -> Prospect,
    ) {
        let Some(entry) = self.pods.get(uid) else {
            return;
        };
        let party = entry.party();
        let Some(Parked { wait, .. }) = self.parked.get(&party).filter(|_| entry.is_parked())
        else {
            return;
        };
        let wait = *wait;
        if !wait.wakes.meets(events) {
            return;
        }
        match prospect(&entry.info, wait) {
            Prospect::Fits => {
                self.leave(uid);
                self.enqueue(uid, now, Why::Happened(events));
            }
            // Of a thousand victims each would send all who wait to see that its room is not theirs. Whom room is promised
            // is tried as soon as that is there, and told then.
            Prospect::Taken(_) if !entry.promised => {
                let until = later(entry.last_failure, self.times.max);
                self.leave(uid);
                let place = Place::Backoff {
                    until,
                    hurries: false,
                };
                self.enter(uid, place, Why::Happened(events));
            }
            Prospect::Taken(more) | Prospect::Waits(more) => self.lengthen(&party, wait.and(more)),
        }
    }

    /// Lets those who wait together wait for this from now on.
    fn lengthen(&mut self, party: &Party, wait: Wait) {
        let Some(parked) = self.parked.get_mut(party) else {
            return;
        };
        let old = std::mem::replace(&mut parked.wait, wait);
        if old.wakes != wait.wakes {
            self.unlist(party, old.wakes);
            self.by_wakes
                .entry(wait.wakes)
                .or_default()
                .insert(party.clone());
        }
    }

    fn unlist(&mut self, party: &Party, wakes: Events) {
        if let Some(parties) = self.by_wakes.get_mut(&wakes) {
            parties.remove(party);
            if parties.is_empty() {
                self.by_wakes.remove(&wakes);
            }
        }
    }

    /// When there may be something to do without anything happening.
    pub fn next_time(&self) -> Option<Timestamp> {
        let backoff = self.backoff.first().map(|(until, _)| *until);
        let flush = self.flush.first().map(|(until, _)| *until);
        backoff.into_iter().chain(flush).min()
    }

    /// All of them, in no order.
    pub(crate) fn pods(&self) -> impl Iterator<Item = &Arc<PodInfo>> {
        self.pods.values().map(|entry| &entry.info)
    }

    /// The pod as it was last put, wherever it waits.
    pub fn get(&self, uid: &str) -> Option<&Arc<PodInfo>> {
        self.pods.get(uid).map(|entry| &entry.info)
    }

    /// Whether a pod is tried since it has waited too long for a change: what could help it happened unnoticed, if it gets
    /// a node then.
    pub fn was_late(&self, uid: &str) -> bool {
        self.pods.get(uid).is_some_and(|entry| entry.late)
    }

    /// The pods that wait for a change, and who rejected them.
    pub fn waiting(&self) -> impl Iterator<Item = (&Arc<PodInfo>, Wait)> {
        self.pods.values().filter_map(|entry| match entry.place {
            Some(Place::Parked { wait, .. }) => Some((&entry.info, wait)),
            _ => None,
        })
    }

    /// How many pods are where.
    pub fn counts(&self) -> Counts {
        Counts {
            active: self.active.len(),
            backoff: self.backoff.len(),
            unschedulable: self.flush.len(),
            gated: self.gated,
            in_flight: self.in_flight,
        }
    }

    /// How often pods came to which queue by what: its name, the event's, how often.
    pub fn incoming(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        self.incoming.each()
    }

    /// Moves what has waited long enough.
    fn tick(&mut self, now: Timestamp) {
        while let Some((until, turn)) = self.backoff.first()
            && *until <= now
        {
            let uid = turn.uid.clone();
            self.leave(&uid);
            self.enter(&uid, Place::Active, Why::Rested);
        }
        while let Some((until, uid)) = self.flush.first()
            && *until <= now
        {
            let uid = uid.clone();
            self.leave(&uid);
            if let Some(entry) = self.pods.get_mut(&uid) {
                entry.late = true;
            }
            self.enqueue(&uid, now, Why::Late);
        }
    }

    /// Puts a pod that is nowhere to where it is tried again.
    fn enqueue(&mut self, uid: &str, now: Timestamp, why: Why) {
        let Some(entry) = self.pods.get(uid) else {
            return;
        };
        let until = entry.ready_at(self.times);
        let place = if entry.attempts == 0 || until <= now {
            Place::Active
        } else {
            Place::Backoff {
                until,
                hurries: true,
            }
        };
        self.enter(uid, place, why);
    }

    /// Takes a pod out of flight after a failed attempt: the number of the last change before it went.
    fn land(&mut self, uid: &str, now: Timestamp) -> Option<u64> {
        let Some(Place::InFlight { at }) = self.pods.get(uid)?.place else {
            return None;
        };
        self.leave(uid);
        let entry = self.pods.get_mut(uid)?;
        entry.attempts += 1;
        entry.last_failure = now;
        entry.late = false;
        // Among its equals it goes to the end.
        entry.since = now;
        Some(at)
    }

    /// Takes a pod from where it is.
    fn leave(&mut self, uid: &str) -> Option<Place> {
        let entry = self.pods.get_mut(uid)?;
        let mut place = entry.place.take()?;
        let (turn, party) = (entry.turn(), entry.party());
        match &mut place {
            Place::Active => {
                self.active.remove(&turn);
            }
            Place::Backoff { until, .. } => {
                self.backoff.remove(&(*until, turn));
            }
            Place::Parked { wait, flush } => {
                self.flush.remove(&(*flush, turn.uid.clone()));
                if let Some(parked) = self.parked.get_mut(&party) {
                    *wait = parked.wait;
                    parked.pods.remove(&turn);
                    if parked.pods.is_empty() {
                        self.parked.remove(&party);
                        self.unlist(&party, wait.wakes);
                    }
                }
            }
            Place::Gated => self.gated -= 1,
            Place::InFlight { .. } => self.in_flight -= 1,
        }
        Some(place)
    }

    /// Puts a pod that is nowhere to this place, or to the gated ones if it has gates.
    fn enter(&mut self, uid: &str, place: Place, why: Why) {
        let Some(entry) = self.pods.get_mut(uid) else {
            return;
        };
        let place = match place {
            Place::InFlight { .. } => place,
            _ if is_gated(&entry.info) => Place::Gated,
            _ => place,
        };
        entry.place = Some(place);
        self.incoming.count(place, why);
        let (turn, party) = (entry.turn(), entry.party());
        match place {
            Place::Active => {
                self.active.insert(turn);
            }
            Place::Backoff { until, .. } => {
                self.backoff.insert((until, turn));
            }
            Place::Parked { wait, flush } => {
                self.flush.insert((flush, turn.uid.clone()));
                if let Some(parked) = self.parked.get_mut(&party) {
                    parked.pods.insert(turn);
                    let both = parked.wait.and(wait);
                    self.lengthen(&party, both);
                } else {
                    let same = self.by_wakes.entry(wait.wakes).or_default();
                    same.insert(party.clone());
                    let pods = BTreeSet::from([turn]);
                    self.parked.insert(party, Parked { wait, pods });
                }
            }
            Place::Gated => self.gated += 1,
            Place::InFlight { .. } => self.in_flight += 1,
        }
    }

    fn count_change(&mut self, events: Events) {
        self.change += 1;
        events
            .kinds()
            .for_each(|kind| self.last[kind] = self.change);
    }

    fn hurries(&self, uid: &str) -> bool {
        let place = self.pods.get(uid).and_then(|entry| entry.place);
        matches!(place, Some(Place::Backoff { hurries: true, .. }))
    }
}

impl Entry {
    fn turn(&self) -> Turn {
        Turn {
            priority: Reverse(self.info.priority),
            since: self.since,
            arrival: self.arrival,
            uid: self.info.uid.clone(),
        }
    }

    fn party(&self) -> Party {
        let alone = || Party::Alone(self.info.uid.clone());
        let together = |alike| Party::of(alike, self.promised);
        self.alike.map_or_else(alone, together)
    }

    fn is_parked(&self) -> bool {
        matches!(self.place, Some(Place::Parked { .. }))
    }

    /// When its back-off ends.
    fn ready_at(&self, times: Backoff) -> Timestamp {
        let doublings = self.attempts.saturating_sub(1).min(8);
        let delay = times.initial * (1 << doublings);
        later(self.last_failure, delay.min(times.max))
    }
}

/// Whether a pod at this place is going to be tried.
fn is_due(place: Option<Place>) -> bool {
    matches!(place, Some(Place::Active | Place::Backoff { .. }))
}

fn later(now: Timestamp, delay: SignedDuration) -> Timestamp {
    now.saturating_add(delay).unwrap_or(Timestamp::MAX)
}

/// Whether anything changed that filters look at. The status is not among it: the scheduler writes there itself.
fn asks_otherwise(old: &PodInfo, new: &PodInfo) -> bool {
    !old.looks_like(new)
}

#[cfg(test)]
mod tests;
