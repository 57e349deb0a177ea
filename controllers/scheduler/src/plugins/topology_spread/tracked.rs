//! The same in numbers that are kept from one decision to the next.

use super::constraints::{Constraint, HARD, Inclusion, SOFT, constraints};
use super::{NOBODY, TopologySpread, weight};
use crate::cohorts::Cohort;
use crate::domains::Domains;
use crate::node::Node;
use crate::plugin::Normalise;
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;
use crate::tracker::{Counter, Spot, Tracked, Tracker};
use objects::{Selector, node};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What both kinds of constraints need.
struct Counted {
    pod: Arc<PodInfo>,
    constraints: Vec<Constraint>,
    /// Whether the constraints are the default ones, and what selects the pods that belong together then.
    is_default: bool,
    owners: Option<Selector>,
}

impl Counted {
    /// None if a selector cannot be understood.
    fn of(plugin: &TopologySpread, pod: &Arc<PodInfo>, all: &Snapshot, kind: &str) -> Option<Self> {
        let is_default = own(pod) == 0
            && plugin
                .defaults
                .iter()
                .any(|each| each.when_unsatisfiable == kind);
        Some(Self {
            pod: pod.clone(),
            constraints: constraints(plugin, pod, all, kind).ok()?,
            is_default,
            owners: all.owners().selector_of(pod).filter(|_| is_default),
        })
    }

    fn domains(&self, all: &Snapshot) -> Vec<Arc<Domains>> {
        let keys = self.constraints.iter().map(|each| &each.key);
        keys.map(|key| all.domains(key)).collect()
    }

    fn concerns<'a>(&self, all: &'a Snapshot) -> Vec<&'a Cohort> {
        if self.constraints.is_empty() {
            return Vec::new();
        }
        let namespace = self.pod.namespace();
        all.cohorts().within(namespace).collect()
    }

    fn weigh(&self, other: &PodInfo) -> Vec<(usize, i64)> {
        let each = self.constraints.iter().enumerate();
        let counts = each.filter(|(_, constraint)| constraint.counts(other, &self.pod));
        counts.map(|(index, _)| (index, 1)).collect()
    }

    fn is_still_so(&self, all: &Snapshot) -> bool {
        !self.is_default || self.owners == all.owners().selector_of(&self.pod)
    }
}

/// How many constraints the pod has itself.
fn own(pod: &PodInfo) -> usize {
    let own = pod.spec().topology_spread_constraints.as_ref();
    own.map_or(0, Vec::len)
}

/// By slot, whether there is a node for which this holds.
fn included(all: &Snapshot, holds: impl Fn(u32, &Node) -> bool) -> Vec<bool> {
    let mut included = vec![false; all.slots.len()];
    for (info, node) in all.nodes() {
        included[info.slot as usize] = holds(info.slot, node);
    }
    included
}

struct Hard {
    counted: Counted,
    /// By constraint, whether the pod itself counts.
    itself: Vec<i64>,
}

/// None for a pod that no node will do for, as its constraints cannot be understood.
pub(super) fn hard(plugin: &TopologySpread, pod: &Arc<PodInfo>, all: &Snapshot) -> Option<Tracked> {
    let counted = Counted::of(plugin, pod, all, HARD)?;
    let (domains, inclusion) = (counted.domains(all), Inclusion::of(pod));
    let has_all = |slot: u32| domains.iter().all(|of| of.at(slot).is_some());
    let counters = counted.constraints.iter().map(|constraint| {
        let included = included(all, |slot, node| {
            has_all(slot) && inclusion.holds(constraint, node)
        });
        let counter = Counter::of(&constraint.key, all).living();
        counter.including(included).ranked()
    });
    let selves = counted.constraints.iter();
    let itself = selves.map(|constraint| i64::from(constraint.selects(pod)));
    Some(Tracked {
        counters: counters.collect(),
        tracker: Box::new(Hard {
            itself: itself.collect(),
            counted,
        }),
    })
}

impl Tracker for Hard {
    fn concerns<'a>(&self, all: &'a Snapshot) -> Vec<&'a Cohort> {
        self.counted.concerns(all)
    }

    fn weigh(&self, other: &PodInfo, _: &Snapshot) -> Option<Vec<(usize, i64)>> {
        Some(self.counted.weigh(other))
    }

    fn is_still_so(&self, all: &Snapshot) -> bool {
        self.counted.is_still_so(all)
    }

    fn admits(&self, at: &Spot<'_>) -> bool {
        let mut each = self.counted.constraints.iter().enumerate();
        each.all(|(index, constraint)| {
            let Some(here) = at.count(index) else {
                return false;
            };
            let (domains, fewest) = at.counter(index).fewest();
            let minimum = if domains < constraint.min_domains {
                0
            } else {
                fewest.unwrap_or(NOBODY.1)
            };
            here + self.itself[index] - minimum <= constraint.max_skew
        })
    }
}

struct Soft {
    counted: Counted,
    /// Whether a node has to have the labels of all constraints.
    needs_all: bool,
    each_node: Vec<bool>,
}

/// None for a pod that no node will do for, as its constraints cannot be understood.
pub(super) fn soft(plugin: &TopologySpread, pod: &Arc<PodInfo>, all: &Snapshot) -> Option<Tracked> {
    let counted = Counted::of(plugin, pod, all, SOFT)?;
    let (domains, inclusion) = (counted.domains(all), Inclusion::of(pod));
    let needs_all = !plugin.system || own(pod) > 0;
    let has_all = |slot: u32| !needs_all || domains.iter().all(|of| of.at(slot).is_some());
    let each_node = counted.constraints.iter();
    let each_node: Vec<bool> = each_node.map(|each| *each.key == *node::HOSTNAME).collect();
    let counters = counted.constraints.iter().zip(&each_node);
    let counters = counters.map(|(constraint, each_node)| {
        let counter = Counter::of(&constraint.key, all).living();
        if *each_node {
            return counter.by_slot(all);
        }
        let included = included(all, |slot, node| {
            has_all(slot) && inclusion.holds(constraint, node)
        });
        counter.including(included).by_name()
    });
    Some(Tracked {
        counters: counters.collect(),
        tracker: Box::new(Soft {
            counted,
            needs_all,
            each_node,
        }),
    })
}

impl Soft {
    fn has_all(&self, at: &Spot<'_>) -> bool {
        let mut each = 0..self.each_node.len();
        !self.needs_all || each.all(|counter| at.count(counter).is_some())
    }

    /// How many domains of a constraint there are to choose from; nodes without the label are one.
    fn domains(&self, counter: usize, groups: &[Spot<'_>]) -> usize {
        let compared = groups.iter().filter(|group| self.has_all(group));
        if self.each_node[counter] {
            return compared.map(|group| group.nodes).sum();
        }
        let names: BTreeSet<Option<usize>> = compared.map(|group| group.domain(counter)).collect();
        names.len()
    }
}

impl Tracker for Soft {
    fn concerns<'a>(&self, all: &'a Snapshot) -> Vec<&'a Cohort> {
        self.counted.concerns(all)
    }

    fn weigh(&self, other: &PodInfo, _: &Snapshot) -> Option<Vec<(usize, i64)>> {
        Some(self.counted.weigh(other))
    }

    fn is_still_so(&self, all: &Snapshot) -> bool {
        self.counted.is_still_so(all)
    }

    fn scores(&self, groups: &[Spot<'_>]) -> Option<(Normalise, Vec<i64>)> {
        if self.counted.constraints.is_empty() {
            return None;
        }
        let each = self.counted.constraints.iter().enumerate();
        let terms: Vec<(f64, f64)> = each
            .map(|(index, constraint)| {
                let tolerance = (constraint.max_skew - 1) as f64;
                (weight(self.domains(index, groups)), tolerance)
            })
            .collect();
        let scores = groups.iter().map(|group| {
            if !self.has_all(group) {
                return -1;
            }
            let mut score = 0.0;
            for (counter, (weight, tolerance)) in terms.iter().enumerate() {
                if let Some(count) = group.count(counter) {
                    score += count as f64 * weight + tolerance;
                }
            }
            score.round() as i64
        });
        Some((Normalise::Spread, scores.collect()))
    }
}
