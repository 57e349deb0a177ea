//! The last plans of each object, for `/debug/plans` and `corten why`.
//!
//! Bounded in three ways, so that it may always be on: plans of an object, objects, and lines of a plan.
//! A plan that says the same as the one before it takes no room of its own; it is counted.

use crate::caches::Key;
use ahash::AHashMap;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// How many plans of an object are kept.
pub const PLANS_OF_OBJECT: usize = 10;
/// How many lines of a plan are kept; the rest is told as a number.
pub const LINES_OF_PLAN: usize = 50;
/// How many objects [`Plans::default`] remembers.
pub const OBJECTS: usize = 4096;

/// The ring. Cheap to clone; all clones are the same ring.
#[derive(Clone)]
pub struct Plans(Arc<Mutex<Ring>>);

#[derive(Default)]
struct Ring {
    objects: AHashMap<Owner, History>,
    /// Which object was recorded at which turn: its first entry is the one to forget.
    turns: BTreeMap<u64, Owner>,
    turn: u64,
    limit: usize,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Owner {
    controller: &'static str,
    key: Key,
}

#[derive(Default)]
struct History {
    turn: u64,
    plans: VecDeque<Recorded>,
}

/// One plan as it was made and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// When it was made; of equal plans in a row, the first.
    pub time: Timestamp,
    /// Of equal plans in a row, when the last one was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How many equal plans in a row this is.
    pub times: u32,
    /// The plan as it prints, an action a line; none if there was nothing to do.
    pub plan: Box<[Box<str>]>,
    /// Why it was made, or what came of it: `done`, `conflict on pods "a"`.
    pub outcome: Box<str>,
}

/// What `/debug/plans/{namespace}/{name}` shows of one controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObjectPlans {
    /// Which loop made the plans.
    pub controller: &'static str,
    /// Empty for cluster-scoped objects.
    pub namespace: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
    /// Its plans, the latest first.
    pub plans: Vec<Recorded>,
}

/// A line of `/debug/plans`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Which loop made the plans.
    pub controller: &'static str,
    /// Empty for cluster-scoped objects.
    pub namespace: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
    /// When the latest plan was made.
    pub time: Timestamp,
    /// How many actions it has.
    pub actions: usize,
    /// What came of it.
    pub outcome: Box<str>,
}

impl Default for Plans {
    fn default() -> Self {
        Self::new(OBJECTS)
    }
}

impl Plans {
    /// A ring that remembers `objects` objects at most. With 0 it remembers nothing.
    pub fn new(objects: usize) -> Self {
        Self(Arc::new(Mutex::new(Ring {
            limit: objects,
            ..Ring::default()
        })))
    }

    /// Remembers a plan: `text` as it prints, an action a line, and what came of it.
    pub fn record(
        &self,
        controller: &'static str,
        key: &Key,
        time: Timestamp,
        text: &str,
        outcome: &str,
    ) {
        self.lock().record(controller, key, time, text, outcome);
    }

    /// The plans for the objects of this namespace and name, of whatever kind, a controller each.
    pub fn of(&self, namespace: &str, name: &str) -> Vec<ObjectPlans> {
        let key = Key::new(namespace, name);
        let ring = self.lock();
        let mut found: Vec<_> = ring
            .objects
            .iter()
            .filter(|(owner, _)| owner.key == key)
            .map(|(owner, history)| ObjectPlans {
                controller: owner.controller,
                namespace: owner.key.namespace.clone(),
                name: owner.key.name.clone(),
                plans: history.plans.iter().rev().cloned().collect(),
            })
            .collect();
        found.sort_by_key(|plans| plans.controller);
        found
    }

    /// All objects that have plans, the one with the latest plan first.
    pub fn all(&self) -> Vec<Summary> {
        let ring = self.lock();
        let latest = ring.turns.values().rev();
        latest
            .filter_map(|owner| {
                let last = ring.objects.get(owner)?.plans.back()?;
                Some(Summary {
                    controller: owner.controller,
                    namespace: owner.key.namespace.clone(),
                    name: owner.key.name.clone(),
                    time: last.until.unwrap_or(last.time),
                    actions: last.plan.len(),
                    outcome: last.outcome.clone(),
                })
            })
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Plans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plans({} objects)", self.lock().objects.len())
    }
}

impl Ring {
    fn record(
        &mut self,
        controller: &'static str,
        key: &Key,
        time: Timestamp,
        text: &str,
        outcome: &str,
    ) {
        if self.limit == 0 {
            return;
        }
        let owner = Owner {
            controller,
            key: key.clone(),
        };
        if !self.objects.contains_key(&owner) && self.objects.len() >= self.limit {
            self.forget_oldest();
        }
        self.turn += 1;
        let history = self.objects.entry(owner.clone()).or_default();
        self.turns.remove(&history.turn);
        history.turn = self.turn;
        self.turns.insert(self.turn, owner);
        history.push(time, lines(text), outcome);
    }

    fn forget_oldest(&mut self) {
        if let Some((_, owner)) = self.turns.pop_first() {
            self.objects.remove(&owner);
        }
    }
}

impl History {
    fn push(&mut self, time: Timestamp, plan: Box<[Box<str>]>, outcome: &str) {
        if let Some(last) = self.plans.back_mut()
            && last.plan == plan
            && *last.outcome == *outcome
        {
            last.times = last.times.saturating_add(1);
            last.until = Some(time);
            return;
        }
        if self.plans.len() == PLANS_OF_OBJECT {
            self.plans.pop_front();
        }
        self.plans.push_back(Recorded {
            time,
            until: None,
            times: 1,
            plan,
            outcome: outcome.into(),
        });
    }
}

fn lines(text: &str) -> Box<[Box<str>]> {
    let all = text.lines().filter(|line| !line.trim().is_empty());
    let more = all.clone().count().saturating_sub(LINES_OF_PLAN);
    let mut kept: Vec<Box<str>> = all.take(LINES_OF_PLAN).map(Box::from).collect();
    if more > 0 {
        kept.push(format!("… and {more} more").into());
    }
    kept.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use std::fmt::Write;

    fn at(second: i64) -> Timestamp {
        Timestamp::constant(second, 0)
    }

    #[test]
    fn the_last_ten_plans_are_kept_latest_first() {
        let plans = Plans::new(5);
        let key = Key::new("default", "web");
        for i in 0..25 {
            plans.record(
                "replicaset-controller",
                &key,
                at(i),
                &format!("create pods web-{i}"),
                "done",
            );
        }
        let of = plans.of("default", "web");
        assert_eq!(of.len(), 1);
        assert_eq!(of[0].plans.len(), PLANS_OF_OBJECT);
        assert_eq!(&*of[0].plans[0].plan[0], "create pods web-24");
        assert_eq!(&*of[0].plans[9].plan[0], "create pods web-15");
    }

    #[test]
    fn equal_plans_in_a_row_are_counted() {
        let plans = Plans::new(5);
        let key = Key::new("default", "web");
        for i in 1..=4 {
            plans.record("a", &key, at(i), "", "nothing to do");
        }
        plans.record("a", &key, at(5), "", "waits for the cache");
        let of = plans.of("default", "web").remove(0).plans;
        assert_eq!(of.len(), 2);
        assert_eq!(
            (of[1].times, of[1].time, of[1].until),
            (4, at(1), Some(at(4)))
        );
        assert!(of[1].plan.is_empty());
    }

    #[test]
    fn the_object_without_news_for_longest_is_forgotten() {
        let plans = Plans::new(2);
        let (a, b, c) = (Key::new("n", "a"), Key::new("n", "b"), Key::new("n", "c"));
        plans.record("x", &a, at(1), "1", "done");
        plans.record("x", &b, at(2), "2", "done");
        plans.record("x", &a, at(3), "3", "done");
        plans.record("x", &c, at(4), "4", "done");
        let names: Vec<_> = plans.all().iter().map(|s| s.name.to_string()).collect();
        assert_eq!(names, ["c", "a"]);
        assert!(plans.of("n", "b").is_empty());
        assert_eq!(format!("{plans:?}"), "Plans(2 objects)");
    }

    #[test]
    fn controllers_of_one_key_are_apart_and_names_do_not_mix() {
        let plans = Plans::default();
        plans.record(
            "deployment-controller",
            &Key::new("n", "a"),
            at(1),
            "scale",
            "done",
        );
        plans.record(
            "replicaset-controller",
            &Key::new("n", "a"),
            at(1),
            "create",
            "done",
        );
        plans.record(
            "replicaset-controller",
            &Key::new("m", "a"),
            at(1),
            "create",
            "done",
        );
        plans.record(
            "namespace-controller",
            &Key::new("", "a"),
            at(1),
            "create",
            "done",
        );
        let of: Vec<_> = plans.of("n", "a").iter().map(|p| p.controller).collect();
        assert_eq!(of, ["deployment-controller", "replicaset-controller"]);
        assert_eq!(plans.of("", "a").len(), 1);
    }

    #[test]
    fn long_plans_are_cut() {
        let plans = Plans::default();
        let mut text = String::new();
        for i in 0..500 {
            writeln!(text, "create pods p-{i}").unwrap();
        }
        plans.record("x", &Key::new("n", "a"), at(1), &text, "done");
        let plan = plans.of("n", "a").remove(0).plans.remove(0).plan;
        assert_eq!((plan.len(), &*plan[50]), (51, "… and 450 more"));
    }

    #[test]
    fn a_ring_of_no_objects_remembers_nothing() {
        let plans = Plans::new(0);
        plans.record("x", &Key::new("n", "a"), at(1), "create", "done");
        assert!(plans.all().is_empty());
    }
}
