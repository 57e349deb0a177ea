//! The same in numbers that are kept from one decision to the next.

use super::{InterPodAffinity, terms};
use crate::cohorts::Cohort;
use crate::plugin::Normalise;
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;
use crate::terms::{Term, Terms};
use crate::tracker::{Counter, Spot, Tracked, Tracker};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The filter: a counter for each demand, for each refusal, and for each label by which others refuse the pod.
struct Required {
    pod: Arc<PodInfo>,
    /// The labels by which others refuse it.
    refused: Vec<Box<str>>,
    itself: bool,
}

impl Required {
    fn demands(&self) -> &[Term] {
        terms(&self.pod).map_or(&[], |terms| &terms.demands)
    }

    fn refuses(&self) -> &[Term] {
        terms(&self.pod).map_or(&[], |terms| &terms.refuses)
    }
}

/// The terms of another pod that refuse this one.
fn refusals<'a>(
    other: &'a PodInfo,
    pod: &'a PodInfo,
    all: &'a Snapshot,
) -> impl Iterator<Item = &'a Term> {
    let refuses = terms(other).into_iter().flat_map(|terms| &terms.refuses);
    refuses.filter(|term| term.means(&pod.like, all))
}

/// None for a pod that no node will do for, as its terms cannot be understood.
pub(super) fn required(pod: &Arc<PodInfo>, all: &Snapshot) -> Option<Tracked> {
    let own = terms(pod);
    if own.is_some_and(|own| own.wrong.is_some()) {
        return None;
    }
    let refusing = all.cohorts().refusing();
    let keys = refusing.flat_map(|cohort| refusals(&cohort.like, pod, all));
    let keys: BTreeSet<Box<str>> = keys.map(|term| term.key.clone()).collect();
    let tracker = Required {
        pod: pod.clone(),
        refused: keys.into_iter().collect(),
        itself: own.is_some_and(|own| own.demands_all(&pod.like, all)),
    };
    let own = tracker.demands().iter().chain(tracker.refuses());
    let keys = own.map(|term| &term.key).chain(&tracker.refused);
    Some(Tracked {
        counters: keys.map(|key| Counter::of(key, all)).collect(),
        tracker: Box::new(tracker),
    })
}

/// The cohorts that one of the terms may mean, and these; each once.
fn once<'a>(
    terms: &[&Term],
    others: impl Iterator<Item = &'a Cohort>,
    all: &'a Snapshot,
) -> Vec<&'a Cohort> {
    let mut found: Vec<&Cohort> = others.collect();
    for term in terms {
        if term.looks_everywhere() {
            found.extend(all.cohorts().everywhere());
        } else {
            let named = term.namespaces.iter();
            found.extend(named.flat_map(|name| all.cohorts().within(name)));
        }
    }
    found.sort_unstable_by_key(|cohort| cohort.mark.birth);
    found.dedup_by_key(|cohort| cohort.mark.birth);
    found
}

impl Tracker for Required {
    fn concerns<'a>(&self, all: &'a Snapshot) -> Vec<&'a Cohort> {
        let own = self.demands().iter().chain(self.refuses());
        once(&own.collect::<Vec<_>>(), all.cohorts().refusing(), all)
    }

    fn weigh(&self, other: &PodInfo, all: &Snapshot) -> Option<Vec<(usize, i64)>> {
        let (demands, refuses) = (self.demands().len(), self.refuses());
        let mut weights = Vec::new();
        if terms(&self.pod).is_some_and(|own| own.demands_all(&other.like, all)) {
            weights.extend((0..demands).map(|counter| (counter, 1)));
        }
        for (index, term) in refuses.iter().enumerate() {
            if term.means(&other.like, all) {
                weights.push((demands + index, 1));
            }
        }
        for term in refusals(other, &self.pod, all) {
            let known = self.refused.iter().position(|key| *key == term.key);
            weights.push((demands + refuses.len() + known?, 1));
        }
        Some(weights)
    }

    fn admits(&self, at: &Spot<'_>) -> bool {
        let (demands, apart) = (self.demands().len(), self.refuses().len());
        let mut near = true;
        for counter in 0..demands {
            match at.count(counter) {
                None => return false,
                Some(count) => near &= count > 0,
            }
        }
        let met: i64 = (0..demands).map(|each| at.counter(each).total()).sum();
        let is_first = met == 0 && self.itself;
        let is_there = |counter| at.count(counter).is_some_and(|count| count > 0);
        (near || is_first) && !(demands..demands + apart + self.refused.len()).any(is_there)
    }
}

/// The score: a counter for each label of a term that the pod or another has.
struct Preferred {
    pod: Arc<PodInfo>,
    keys: Vec<Box<str>>,
    hard_weight: i64,
    /// Whether the terms of others do not count.
    alone: bool,
}

impl Preferred {
    fn own(&self) -> &[(Term, i64)] {
        terms(&self.pod).map_or(&[], |terms| &terms.prefers)
    }

    /// What the terms of another pod that mean this one count with.
    fn theirs<'a>(
        &'a self,
        other: &'a PodInfo,
        all: &'a Snapshot,
    ) -> impl Iterator<Item = (&'a Term, i64)> {
        let theirs: Option<&Terms> = terms(other).filter(|_| !self.alone);
        let hard = theirs.into_iter().flat_map(|terms| &terms.demands);
        let hard = hard.map(|term| (term, self.hard_weight));
        let soft = theirs.into_iter().flat_map(|terms| &terms.prefers);
        let soft = soft.map(|(term, weight)| (term, *weight));
        hard.filter(|(_, weight)| *weight > 0)
            .chain(soft)
            .filter(|(term, _)| term.means(&self.pod.like, all))
    }
}

pub(super) fn preferred(plugin: &InterPodAffinity, pod: &Arc<PodInfo>, all: &Snapshot) -> Tracked {
    let mut tracker = Preferred {
        pod: pod.clone(),
        keys: Vec::new(),
        hard_weight: plugin.hard_weight,
        alone: false,
    };
    tracker.alone = plugin.ignore_others && tracker.own().is_empty();
    let own = tracker.own().iter().map(|(term, _)| &term.key);
    let wishing = all.cohorts().wishing();
    let others = wishing.flat_map(|cohort| tracker.theirs(&cohort.like, all));
    let keys = own.chain(others.map(|(term, _)| &term.key));
    let keys: BTreeSet<Box<str>> = keys.cloned().collect();
    tracker.keys = keys.into_iter().collect();
    let counters = tracker.keys.iter().map(|key| Counter::of(key, all));
    Tracked {
        counters: counters.collect(),
        tracker: Box::new(tracker),
    }
}

impl Tracker for Preferred {
    fn concerns<'a>(&self, all: &'a Snapshot) -> Vec<&'a Cohort> {
        let own: Vec<&Term> = self.own().iter().map(|(term, _)| term).collect();
        let wishing = all.cohorts().wishing().filter(|_| !self.alone);
        once(&own, wishing, all)
    }

    fn weigh(&self, other: &PodInfo, all: &Snapshot) -> Option<Vec<(usize, i64)>> {
        let own = self.own().iter().map(|(term, weight)| (term, *weight));
        let own = own.filter(|(term, _)| term.means(&other.like, all));
        let each = own.chain(self.theirs(other, all));
        each.map(|(term, weight)| {
            let known = self.keys.iter().position(|key| *key == term.key);
            Some((known?, weight))
        })
        .collect()
    }

    fn scores(&self, groups: &[Spot<'_>]) -> Option<(Normalise, Vec<i64>)> {
        if self.keys.is_empty() {
            return None;
        }
        let each = groups.iter().map(|group| {
            let here = (0..self.keys.len()).filter_map(|counter| group.count(counter));
            here.sum()
        });
        Some((Normalise::Range, each.collect()))
    }
}
