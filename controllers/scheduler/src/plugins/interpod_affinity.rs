//! InterPodAffinity: pods that want to be near other pods, or away from them.
//!
//! Upstream: `framework/plugins/interpodaffinity/{plugin,filtering,scoring}.go`. The match and mismatch label keys of a
//! term are in its selector already: the API server puts them there when the pod is created (KEP-3633).

mod tracked;

use crate::domains::Domains;
use crate::plugin::{
    Check, Events, Filter, Happening, Normalise, Prepared, Score, Scorer, Verdict,
};
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;
use crate::terms::{Term, Terms};
use crate::tracker::Tracked;
use ahash::AHashMap;
use objects::meta;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// Rejects nodes where a required term of the pod, or of a pod that is there, does not hold; prefers those where
/// preferred ones do.
pub struct InterPodAffinity {
    /// How much the required affinity of pods that are there to the pod counts in scores (`hardPodAffinityWeight`).
    pub hard_weight: i64,
    /// Whether a pod without preferred terms is not compared with the terms of others
    /// (`ignorePreferredTermsOfExistingPods`).
    pub ignore_others: bool,
}

impl Default for InterPodAffinity {
    fn default() -> Self {
        Self {
            hard_weight: 1,
            ignore_others: false,
        }
    }
}

const NAME: &str = "InterPodAffinity";
const AFFINITY: u64 = 1;
const ANTI: u64 = 1 << 1;
const OTHERS: u64 = 1 << 2;

/// Counts by the domains of one label.
struct Tally {
    of: Arc<Domains>,
    counts: RefCell<Vec<i64>>,
}

impl Tally {
    fn of(key: &str, all: &Snapshot) -> Self {
        let of = all.domains(key);
        let counts = RefCell::new(vec![0; of.len()]);
        Self { of, counts }
    }

    /// Adds to the domain of this node; whether it is in one.
    fn add(&self, slot: u32, more: i64) -> bool {
        let domain = self.of.at(slot);
        if let Some(domain) = domain {
            self.counts.borrow_mut()[domain] += more;
        }
        domain.is_some()
    }

    /// None if the node has no such label.
    fn at(&self, slot: u32) -> Option<i64> {
        self.of.at(slot).map(|domain| self.counts.borrow()[domain])
    }
}

/// What was counted for a pod (filtering.go `preFilterState`).
struct State<'a> {
    pod: &'a PodInfo,
    all: &'a Snapshot,
    /// By required term: the pods that all demands mean, and those that the refusal means.
    demands: Vec<Tally>,
    refuses: Vec<Tally>,
    /// How often a pod that all demands mean is in a domain.
    met: Cell<i64>,
    /// By label: the pods that refuse to be beside this one.
    refused: RefCell<AHashMap<Box<str>, Tally>>,
    itself: bool,
}

impl<'a> State<'a> {
    fn of(pod: &'a PodInfo, all: &'a Snapshot) -> Self {
        let terms = terms(pod);
        let tally = |term: &Term| Tally::of(&term.key, all);
        let state = Self {
            pod,
            all,
            demands: terms.map_or(Vec::new(), |terms| {
                terms.demands.iter().map(tally).collect()
            }),
            refuses: terms.map_or(Vec::new(), |terms| {
                terms.refuses.iter().map(tally).collect()
            }),
            met: Cell::new(0),
            refused: RefCell::default(),
            itself: terms.is_some_and(|terms| terms.demands_all(&pod.like, all)),
        };
        if let Some(terms) = terms {
            // All demands mean a pod, or none counts: those that the first may mean are enough.
            for cohort in terms
                .demands
                .first()
                .into_iter()
                .flat_map(|first| all.cohorts().meant_by(first))
            {
                if terms.demands_all(&cohort.like.like, all) {
                    for (slot, count) in &cohort.on {
                        state.demand(*slot, i64::from(count.all));
                    }
                }
            }
            for (term, tally) in terms.refuses.iter().zip(&state.refuses) {
                for cohort in all.cohorts().meant_by(term) {
                    if term.means(&cohort.like.like, all) {
                        for (slot, count) in &cohort.on {
                            tally.add(*slot, i64::from(count.all));
                        }
                    }
                }
            }
        }
        for cohort in all.cohorts().refusing() {
            state.refuse(&cohort.like, |tally| {
                for (slot, count) in &cohort.on {
                    tally.add(*slot, i64::from(count.all));
                }
            });
        }
        state
    }

    /// Whether nobody has a wish that matters.
    fn is_idle(&self) -> bool {
        self.demands.is_empty() && self.refuses.is_empty() && self.refused.borrow().is_empty()
    }

    /// Pods that all demands mean come to a node. Pods on a node that is gone are near nothing.
    fn demand(&self, slot: u32, more: i64) {
        if self.all.at(slot).is_some() {
            let near = self.demands.iter().filter(|tally| tally.add(slot, more));
            self.met.set(self.met.get() + more * near.count() as i64);
        }
    }

    /// Lets the terms of another pod that refuse this one count.
    fn refuse(&self, other: &PodInfo, add: impl Fn(&Tally)) {
        let refusals = terms(other).into_iter().flat_map(|terms| &terms.refuses);
        for term in refusals.filter(|term| term.means(&self.pod.like, self.all)) {
            let mut refused = self.refused.borrow_mut();
            let tally = refused.entry(term.key.clone());
            add(tally.or_insert_with(|| Tally::of(&term.key, self.all)));
        }
    }

    fn suppose(&self, other: &PodInfo, slot: u32, more: i64) {
        if let Some(terms) = terms(self.pod) {
            if terms.demands_all(&other.like, self.all) {
                self.demand(slot, more);
            }
            for (term, tally) in terms.refuses.iter().zip(&self.refuses) {
                if term.means(&other.like, self.all) {
                    tally.add(slot, more);
                }
            }
        }
        self.refuse(other, |tally| {
            tally.add(slot, more);
        });
    }

    fn judge(&self, slot: u32) -> Verdict {
        let mut near = true;
        for tally in &self.demands {
            match tally.at(slot) {
                None => return unresolvable(),
                Some(count) => near &= count > 0,
            }
        }
        // The first of pods that want to be near each other may be anywhere, or none would ever run.
        let is_first = self.met.get() == 0 && self.itself;
        if !near && !is_first {
            return unresolvable();
        }
        let is_there = |tally: &Tally| tally.at(slot).is_some_and(|count| count > 0);
        let reasons = if self.refuses.iter().any(is_there) {
            ANTI
        } else if self.refused.borrow().values().any(is_there) {
            OTHERS
        } else {
            return Verdict::FITS;
        };
        Verdict {
            reasons,
            resolvable: true,
        }
    }
}

fn unresolvable() -> Verdict {
    Verdict {
        reasons: AFFINITY,
        resolvable: false,
    }
}

fn terms(pod: &PodInfo) -> Option<&Terms> {
    pod.terms.as_ref()
}

impl Filter for InterPodAffinity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn track(&self, pod: &Arc<PodInfo>, all: &Snapshot) -> Option<Tracked> {
        tracked::required(pod, all)
    }

    fn wakes(&self) -> Events {
        let pods = Events::POD_ADD | Events::POD_LABEL | Events::POD_DELETE | Events::POD_UPDATE;
        pods | Events::NODE_ADD | Events::NODE_LABEL | Events::NAMESPACE
    }

    fn is_local(&self) -> bool {
        false
    }

    /// plugin.go `isSchedulableAfterPodChange` and `isSchedulableAfterNodeChange`
    fn is_helped(&self, pod: &PodInfo, by: &Happening<'_>, all: &Snapshot) -> bool {
        let own = terms(pod);
        match by {
            Happening::Pod { old, new } => {
                let near = |other: Option<&PodInfo>| {
                    let demanded =
                        |other: &&PodInfo| own.is_some_and(|own| own.demands_all(&other.like, all));
                    other.as_ref().is_some_and(demanded)
                };
                let apart = |other: Option<&PodInfo>| {
                    other.is_some_and(|other| {
                        let mut refuses = own.into_iter().flat_map(|own| &own.refuses);
                        let mut refused = terms(other).into_iter().flat_map(|terms| &terms.refuses);
                        refuses.any(|term| term.means(&other.like, all))
                            || refused.any(|term| term.means(&pod.like, all))
                    })
                };
                // One less that is wanted may make this pod the first of its kind.
                near(*old) != near(*new) || apart(*old) && !apart(*new)
            }
            Happening::Node { old, new } => {
                let moved = |term: &Term| {
                    let [before, after] = [old, new]
                        .map(|node| node.and_then(|node| meta::label(&node.metadata, &term.key)));
                    before != after
                };
                let is_new = old.is_none() && new.is_some();
                own.is_none_or(|own| {
                    own.demands.iter().any(moved)
                        || own.refuses.iter().any(|term| is_new || moved(term))
                        || own.demands.is_empty()
                })
            }
            Happening::Other => true,
        }
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, all: &'a Snapshot) -> Prepared<'a> {
        if let Some(wrong) = terms(pod).and_then(|terms| terms.wrong.clone()) {
            return Prepared::Never(wrong.into());
        }
        let state = Rc::new(State::of(pod, all));
        if state.is_idle() {
            return Prepared::Skip;
        }
        let supposed = state.clone();
        Prepared::Check(Check {
            reasons: vec![
                "node(s) didn't match pod affinity rules".into(),
                "node(s) didn't match pod anti-affinity rules".into(),
                "node(s) didn't satisfy existing pods anti-affinity rules".into(),
            ],
            only: None,
            judge: Box::new(move |info, _| state.judge(info.slot)),
            suppose: Some(Box::new(move |other, info, more| {
                supposed.suppose(other, info.slot, more);
            })),
        })
    }
}

impl Score for InterPodAffinity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn track(&self, pod: &Arc<PodInfo>, all: &Snapshot) -> Option<Tracked> {
        Some(tracked::preferred(self, pod, all))
    }

    /// scoring.go `PreScore`, `processExistingPod`
    fn prepare<'a>(&'a self, pod: &'a PodInfo, all: &'a Snapshot, _: &[u32]) -> Option<Scorer<'a>> {
        let prefers = terms(pod).map_or(&[][..], |terms| &terms.prefers);
        if self.ignore_others && prefers.is_empty() {
            return None;
        }
        let mut tallies: AHashMap<&str, Tally> = AHashMap::new();
        let mut add = |key: &'a str, cohort: &'a crate::cohorts::Cohort, weight: i64| {
            let tally = tallies.entry(key).or_insert_with(|| Tally::of(key, all));
            for (slot, count) in &cohort.on {
                if all.at(*slot).is_some() {
                    tally.add(*slot, weight * i64::from(count.all));
                }
            }
        };
        for (term, weight) in prefers {
            for cohort in all.cohorts().meant_by(term) {
                if term.means(&cohort.like.like, all) {
                    add(&term.key, cohort, *weight);
                }
            }
        }
        for cohort in all.cohorts().wishing() {
            let Some(theirs) = terms(&cohort.like) else {
                continue;
            };
            let hard = theirs.demands.iter().map(|term| (term, self.hard_weight));
            let soft = theirs.prefers.iter().map(|(term, weight)| (term, *weight));
            for (term, weight) in hard.filter(|_| self.hard_weight > 0).chain(soft) {
                if term.means(&pod.like, all) {
                    add(&term.key, cohort, weight);
                }
            }
        }
        if tallies.is_empty() {
            return None;
        }
        let tallies: Vec<Tally> = tallies.into_values().collect();
        Some(Scorer {
            normalise: Normalise::Range,
            score: Box::new(move |info, _| {
                let here = tallies.iter().filter_map(|tally| tally.at(info.slot));
                here.sum()
            }),
        })
    }
}

#[cfg(test)]
mod tests;
