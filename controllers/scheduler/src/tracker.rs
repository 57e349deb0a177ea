//! How a plugin that looks at more than one node says what it counts, so that the numbers can be kept from one decision
//! to the next and changed only where a pod came or left.
//!
//! What upstream computes anew for each pod in PreFilter and PreScore is counted here by the domains of a label once for
//! all pods of a class ([`crate::engine`]).

use crate::cohorts::{Cohort, Count};
use crate::domains::Domains;
use crate::plugin::Normalise;
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a plugin has to say about the pods of a class, as far as it looks at more than one node.
pub struct Tracked {
    /// What it counts.
    pub counters: Vec<Counter>,
    /// What follows from the numbers.
    pub tracker: Box<dyn Tracker>,
}

impl Tracked {
    /// For a plugin that has nothing to say about pods with a signature.
    pub fn nothing() -> Self {
        Self {
            counters: Vec::new(),
            tracker: Box::new(Nothing),
        }
    }
}

struct Nothing;

impl Tracker for Nothing {
    fn concerns<'a>(&self, _: &'a Snapshot) -> Vec<&'a Cohort> {
        Vec::new()
    }

    fn weigh(&self, _: &PodInfo, _: &Snapshot) -> Option<Vec<(usize, i64)>> {
        Some(Vec::new())
    }
}

/// Says what follows from numbers that somebody else keeps.
pub trait Tracker: Send + Sync {
    /// The pods on nodes that may be counted, as the cluster is.
    fn concerns<'a>(&self, all: &'a Snapshot) -> Vec<&'a Cohort>;

    /// How much a pod on a node counts for, by counter; none if it would take a counter that is not there.
    fn weigh(&self, other: &PodInfo, all: &Snapshot) -> Option<Vec<(usize, i64)>>;

    /// Whether it would be the same if it were made now. Asked when controllers or Services select other pods.
    fn is_still_so(&self, _all: &Snapshot) -> bool {
        true
    }

    /// For a filter: whether the pod can be on the nodes of a group.
    fn admits(&self, _at: &Spot<'_>) -> bool {
        true
    }

    /// For a score: the raw scores of the groups that passed all filters, and how they become 0–100; none if all are
    /// alike.
    fn scores(&self, _groups: &[Spot<'_>]) -> Option<(Normalise, Vec<i64>)> {
        None
    }
}

/// Numbers of pods by the domains of a label.
pub struct Counter {
    key: Box<str>,
    of: Arc<Domains>,
    /// Whether each node that has the label counts for itself.
    by_slot: bool,
    /// Whether nodes of different domains are told from each other although their numbers are the same.
    by_name: bool,
    counts: Vec<i64>,
    total: i64,
    /// Whether pods that are being deleted do not count.
    living: bool,
    /// The slots of the nodes whose pods count; none for all.
    included: Option<Vec<bool>>,
    /// By number, how many of the domains that any of them is in have it.
    ranks: Option<BTreeMap<i64, usize>>,
    is_ranked: Vec<bool>,
}

/// What a group's key says of a node that is in no domain.
const NOWHERE: i64 = i64::MIN;

impl Counter {
    /// For the domains of this label; all pods of all nodes count.
    pub fn of(key: &str, all: &Snapshot) -> Self {
        let of = all.domains(key);
        Self {
            key: key.into(),
            counts: vec![0; of.len()],
            of,
            by_slot: false,
            by_name: false,
            total: 0,
            living: false,
            included: None,
            ranks: None,
            is_ranked: Vec::new(),
        }
    }

    /// Pods that are being deleted do not count.
    #[must_use]
    pub fn living(mut self) -> Self {
        self.living = true;
        self
    }

    /// Each node that has the label counts for itself, whatever its value.
    #[must_use]
    pub fn by_slot(mut self, all: &Snapshot) -> Self {
        self.by_slot = true;
        self.counts = vec![0; all.slots.len()];
        self
    }

    /// It matters how many domains there are, so [`Spot::domain`] can be asked.
    #[must_use]
    pub fn by_name(mut self) -> Self {
        self.by_name = true;
        self
    }

    /// Only pods on nodes in these slots count.
    #[must_use]
    pub fn including(mut self, included: Vec<bool>) -> Self {
        self.included = Some(included);
        self
    }

    /// It matters which domain with an included node has the fewest pods, so [`Self::fewest`] can be asked.
    #[must_use]
    pub fn ranked(mut self) -> Self {
        let mut is_ranked = vec![false; self.of.len()];
        for (slot, is) in self.included.iter().flatten().enumerate() {
            if let Some(domain) = self.of.at(slot as u32) {
                is_ranked[domain] |= *is;
            }
        }
        let domains = is_ranked.iter().filter(|is| **is).count();
        self.ranks = Some((domains > 0).then_some((0, domains)).into_iter().collect());
        self.is_ranked = is_ranked;
        self
    }

    /// How many domains have an included node, and how many pods are in the one with the fewest.
    pub fn fewest(&self) -> (usize, Option<i64>) {
        let ranks = self.ranks.iter().flatten();
        let domains = ranks.clone().map(|(_, domains)| domains).sum();
        (domains, ranks.map(|(count, _)| *count).next())
    }

    /// The sum over all domains.
    pub fn total(&self) -> i64 {
        self.total
    }

    /// The label.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether a group is of one domain: if there are so few that it takes longer to bring the nodes of one to another
    /// group than to look at all groups.
    pub(crate) fn is_wide(&self, nodes: usize) -> bool {
        !self.by_slot && (self.by_name || self.of.len() * self.of.len() <= 5 * nodes)
    }

    /// Pods like these came to a node, or left it. If that changes a number, the slots of the nodes that have it.
    pub(crate) fn add(&mut self, slot: u32, more: i64) -> &[u32] {
        let is_included = |of: &Vec<bool>| of.get(slot as usize).copied().unwrap_or(false);
        let Some(domain) = self.of.at(slot) else {
            return &[];
        };
        if more == 0 || !self.included.as_ref().is_none_or(is_included) {
            return &[];
        }
        let at = if self.by_slot { slot as usize } else { domain };
        let old = self.counts[at];
        self.counts[at] += more;
        self.total += more;
        if let Some(ranks) = self.ranks.as_mut().filter(|_| self.is_ranked[at]) {
            if let Some(same) = ranks.get_mut(&old) {
                *same -= 1;
                if *same == 0 {
                    ranks.remove(&old);
                }
            }
            *ranks.entry(old + more).or_default() += 1;
        }
        let slots = self.of.slots(domain);
        if self.by_slot {
            let found = slots.iter().position(|other| *other == slot);
            return found.map_or(&[], |found| &slots[found..=found]);
        }
        slots
    }

    /// How many of a cohort count.
    pub(crate) fn part(&self, of: Count) -> i64 {
        i64::from(if self.living { of.living } else { of.all })
    }

    /// The same of a change.
    pub(crate) fn share(&self, all: i8, living: i8) -> i64 {
        i64::from(if self.living { living } else { all })
    }

    /// What a group's key says of the node in a slot.
    pub(crate) fn mark(&self, slot: u32, is_wide: bool) -> i64 {
        match self.of.at(slot) {
            None => NOWHERE,
            Some(domain) if is_wide => domain as i64,
            Some(_) if self.by_slot => self.counts[slot as usize],
            Some(domain) => self.counts[domain],
        }
    }
}

/// A group of nodes that are alike to a tracker.
#[derive(Clone, Copy)]
pub struct Spot<'a> {
    /// How many nodes.
    pub nodes: usize,
    pub(crate) counters: &'a [Counter],
    pub(crate) marks: &'a [i64],
    pub(crate) wide: &'a [bool],
}

impl Spot<'_> {
    /// What is counted in the domain of these nodes; none if they are in no domain.
    pub fn count(&self, counter: usize) -> Option<i64> {
        match self.marks[counter] {
            NOWHERE => None,
            domain if self.wide[counter] => Some(self.counters[counter].counts[domain as usize]),
            count => Some(count),
        }
    }

    /// Which domain they are in, for a counter that is [`Counter::by_name`]; none if in no domain.
    pub fn domain(&self, counter: usize) -> Option<usize> {
        usize::try_from(self.marks[counter]).ok()
    }

    /// The counters.
    pub fn counter(&self, counter: usize) -> &Counter {
        &self.counters[counter]
    }
}
