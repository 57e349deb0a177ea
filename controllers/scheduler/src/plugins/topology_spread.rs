//! PodTopologySpread: pods that belong together go to different zones, nodes or whatever a label of nodes says.
//!
//! Upstream: `framework/plugins/podtopologyspread/{plugin,common,filtering,scoring}.go`. A pod without constraints of its
//! own has the default ones, with what selects the pods that belong together ([`crate::owners`]).

mod constraints;
mod tracked;

use crate::domains::Domains;
use crate::node::Node;
use crate::plugin::{
    Check, Events, Filter, Happening, Normalise, Prepared, Score, Scorer, Verdict,
};
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;
use crate::tracker::Tracked;
use constraints::{Constraint, HARD, Inclusion, SOFT, by_slot, constraints};
use k8s_openapi::api::core::v1::TopologySpreadConstraint;
use objects::{meta, node};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Rejects nodes where the pod would make its domains more uneven than it allows; prefers those where they become even.
pub struct TopologySpread {
    /// The constraints of pods that have none; their selectors are not looked at.
    defaults: Vec<TopologySpreadConstraint>,
    /// Whether these are the system's: a node without the label of one counts for the others (plugin.go
    /// `systemDefaulted`).
    system: bool,
}

const NAME: &str = "PodTopologySpread";
const UNEVEN: u64 = 1;
const UNLABELLED: u64 = 1 << 1;

impl Default for TopologySpread {
    /// plugin.go `systemDefaultConstraints`.
    fn default() -> Self {
        let constraint = |key: &str, max_skew| TopologySpreadConstraint {
            topology_key: key.to_owned(),
            when_unsatisfiable: SOFT.to_owned(),
            max_skew,
            ..TopologySpreadConstraint::default()
        };
        Self {
            defaults: vec![constraint(node::HOSTNAME, 3), constraint(node::ZONE, 5)],
            system: true,
        }
    }
}

impl TopologySpread {
    /// With these constraints for pods that have none (`defaultingType: List`).
    pub fn with_defaults(defaults: Vec<TopologySpreadConstraint>) -> Self {
        Self {
            defaults,
            system: false,
        }
    }
}

/// How the pods of one hard constraint are spread.
struct Spread {
    /// By domain; nothing where no node counts.
    pods: Vec<Option<i64>>,
    domains: usize,
    /// The two domains with the fewest pods, the fewest first. Only one domain is changed by suppositions, so these are
    /// enough to know the minimum (filtering.go `criticalPaths`).
    fewest: [(usize, i64); 2],
}

const NOBODY: (usize, i64) = (usize::MAX, i32::MAX as i64);

impl Spread {
    fn of(pods: Vec<Option<i64>>) -> Self {
        let domains = pods.iter().flatten().count();
        let mut spread = Self {
            pods,
            domains,
            fewest: [NOBODY; 2],
        };
        for domain in 0..spread.pods.len() {
            if let Some(count) = spread.pods[domain] {
                spread.rank(domain, count);
            }
        }
        spread
    }

    fn rank(&mut self, domain: usize, count: i64) {
        let [first, second] = &mut self.fewest;
        if first.0 == domain {
            first.1 = count;
        } else if second.0 == domain {
            second.1 = count;
        } else if count < first.1 {
            *second = *first;
            *first = (domain, count);
        } else if count < second.1 {
            *second = (domain, count);
        }
        if first.1 > second.1 {
            std::mem::swap(first, second);
        }
    }

    fn add(&mut self, domain: usize, more: i64) {
        let count = self.pods[domain].unwrap_or(0) + more;
        self.pods[domain] = Some(count);
        self.rank(domain, count);
    }

    /// The fewest pods in any domain, 0 with less domains than there have to be.
    fn minimum(&self, min_domains: usize) -> i64 {
        if self.domains < min_domains {
            0
        } else {
            self.fewest[0].1
        }
    }
}

struct Hard {
    constraint: Constraint,
    of: Arc<Domains>,
    itself: i64,
    spread: RefCell<Spread>,
}

impl Filter for TopologySpread {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn track(&self, pod: &Arc<PodInfo>, all: &Snapshot) -> Option<Tracked> {
        tracked::hard(self, pod, all)
    }

    fn wakes(&self) -> Events {
        let pods = Events::POD_ADD | Events::POD_LABEL | Events::POD_DELETE | Events::POD_UPDATE;
        let nodes = Events::NODE_ADD | Events::NODE_DELETE | Events::NODE_LABEL;
        pods | nodes | Events::NODE_TAINT
    }

    fn is_local(&self) -> bool {
        false
    }

    /// plugin.go `isSchedulableAfterPodChange` and `isSchedulableAfterNodeChange`.
    fn is_helped(&self, pod: &PodInfo, by: &Happening<'_>, all: &Snapshot) -> bool {
        let Ok(constraints) = constraints(self, pod, all, HARD) else {
            return false;
        };
        let mut each = constraints.iter();
        match by {
            Happening::Pod { old, new } => {
                let [old, new] = [old, new].map(|other| {
                    other.filter(|other| {
                        other.like.metadata.namespace == pod.like.metadata.namespace
                    })
                });
                let selects = |constraint: &Constraint, other: Option<&PodInfo>| {
                    other.is_some_and(|other| constraint.selects(other) && !other.leaving)
                };
                each.any(|constraint| selects(constraint, old) != selects(constraint, new))
            }
            Happening::Node { old, new } => {
                let value = |of: Option<&Node>, key: &str| {
                    of.and_then(|node| meta::label(&node.metadata, key).map(str::to_owned))
                };
                let has_all = |of: Option<&Node>| {
                    constraints
                        .iter()
                        .all(|each| value(of, &each.key).is_some())
                };
                let (before, after) = (has_all(*old), has_all(*new));
                let mut moved =
                    || each.any(|each| value(*old, &each.key) != value(*new, &each.key));
                let tainted = || old.map(|node| &node.taints) != new.map(|node| &node.taints);
                before != after || after && (moved() || tainted())
            }
            Happening::Other => true,
        }
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, all: &'a Snapshot) -> Prepared<'a> {
        let hard = match self.hard(pod, all) {
            Ok(hard) if hard.is_empty() => return Prepared::Skip,
            Ok(hard) => hard,
            Err(error) => {
                let text = format!("obtaining pod's hard topology spread constraints: {error}");
                return Prepared::Never(text.into());
            }
        };
        let inclusion = Inclusion::of(pod);
        let hard = Rc::new(hard);
        let supposed = hard.clone();
        Prepared::Check(Check {
            reasons: vec![
                "node(s) didn't match pod topology spread constraints".into(),
                "node(s) didn't match pod topology spread constraints (missing required label)"
                    .into(),
            ],
            only: None,
            judge: Box::new(move |info, _| {
                for each in hard.iter() {
                    let Some(domain) = each.of.at(info.slot) else {
                        return Verdict {
                            reasons: UNLABELLED,
                            resolvable: false,
                        };
                    };
                    let spread = each.spread.borrow();
                    let here = spread.pods[domain].unwrap_or(0) + each.itself;
                    let minimum = spread.minimum(each.constraint.min_domains);
                    if here - minimum > each.constraint.max_skew {
                        return Verdict {
                            reasons: UNEVEN,
                            resolvable: true,
                        };
                    }
                }
                Verdict::FITS
            }),
            suppose: Some(Box::new(move |other, info, more| {
                let domains = supposed.iter().map(|each| each.of.at(info.slot));
                let domains: Option<Vec<usize>> = domains.collect();
                let (Some(domains), Some(node)) = (domains, info.node.as_deref()) else {
                    return;
                };
                for (each, domain) in supposed.iter().zip(domains) {
                    let counts = each.constraint.counts(other, pod) && !other.leaving;
                    if counts && inclusion.holds(&each.constraint, node) {
                        each.spread.borrow_mut().add(domain, more);
                    }
                }
            })),
        })
    }
}

impl TopologySpread {
    /// filtering.go `calPreFilterState`
    fn hard(
        &self,
        pod: &PodInfo,
        all: &Snapshot,
    ) -> Result<Vec<Hard>, objects::selector::SelectorError> {
        let constraints = constraints(self, pod, all, HARD)?;
        let domains: Vec<Arc<Domains>> = constraints.iter().map(|c| all.domains(&c.key)).collect();
        let inclusion = Inclusion::of(pod);
        let mut pods: Vec<Vec<Option<i64>>> =
            domains.iter().map(|of| vec![None; of.len()]).collect();
        let counted: Vec<_> = constraints
            .iter()
            .map(|constraint| by_slot(constraint.counted(pod, all)))
            .collect();
        if constraints.is_empty() {
            return Ok(Vec::new());
        }
        for (info, node) in all.nodes() {
            if domains.iter().any(|of| of.at(info.slot).is_none()) {
                continue;
            }
            for (index, constraint) in constraints.iter().enumerate() {
                if let Some(domain) = domains[index].at(info.slot)
                    && inclusion.holds(constraint, node)
                {
                    let here = counted[index].get(&info.slot).copied().unwrap_or(0);
                    *pods[index][domain].get_or_insert(0) += here;
                }
            }
        }
        let parts = constraints.into_iter().zip(domains).zip(pods);
        let hard = parts.map(|((constraint, of), pods)| Hard {
            itself: i64::from(constraint.selects(pod)),
            constraint,
            of,
            spread: RefCell::new(Spread::of(pods)),
        });
        Ok(hard.collect())
    }
}

/// What a soft constraint counts.
struct Soft {
    of: Arc<Domains>,
    /// By slot for the label that each node has for itself, otherwise by domain.
    pods: Vec<i64>,
    each_node: bool,
    weight: f64,
    tolerance: f64,
}

impl Score for TopologySpread {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn track(&self, pod: &Arc<PodInfo>, all: &Snapshot) -> Option<Tracked> {
        tracked::soft(self, pod, all)
    }

    /// scoring.go `PreScore`
    fn prepare<'a>(
        &'a self,
        pod: &'a PodInfo,
        all: &'a Snapshot,
        feasible: &[u32],
    ) -> Option<Scorer<'a>> {
        // What cannot be understood, the filter has rejected.
        let constraints = constraints(self, pod, all, SOFT).ok()?;
        if constraints.is_empty() {
            return None;
        }
        let own = pod.spec().topology_spread_constraints.as_ref();
        let needs_all = !self.system || own.is_some_and(|own| !own.is_empty());
        let domains: Vec<Arc<Domains>> = constraints.iter().map(|c| all.domains(&c.key)).collect();
        let has_all = {
            let domains = domains.clone();
            move |slot: u32| !needs_all || domains.iter().all(|of| of.at(slot).is_some())
        };
        let compared = feasible.iter().filter(|slot| has_all(**slot)).count();
        let inclusion = Inclusion::of(pod);
        let mut soft = Vec::with_capacity(constraints.len());
        for (constraint, of) in constraints.iter().zip(&domains) {
            let each_node = *constraint.key == *node::HOSTNAME;
            let counted = by_slot(constraint.counted(pod, all));
            let (mut pods, size);
            if each_node {
                pods = vec![0; all.slots.len()];
                size = compared;
                for (slot, count) in counted {
                    pods[slot as usize] = count;
                }
            } else {
                // The last stands for nodes without the label, which are a domain of their own in the weight.
                let mut seen = vec![false; of.len() + 1];
                for slot in feasible.iter().filter(|slot| has_all(**slot)) {
                    seen[of.at(*slot).unwrap_or(of.len())] = true;
                }
                size = seen.iter().filter(|seen| **seen).count();
                pods = vec![0; of.len()];
                for (slot, count) in counted {
                    if let Some(domain) = of.at(slot)
                        && let Some((_, node)) = all.at(slot)
                        && has_all(slot)
                        && inclusion.holds(constraint, node)
                    {
                        pods[domain] += count;
                    }
                }
            }
            soft.push(Soft {
                of: of.clone(),
                pods,
                each_node,
                weight: weight(size),
                tolerance: (constraint.max_skew - 1) as f64,
            });
        }
        Some(Scorer {
            normalise: Normalise::Spread,
            score: Box::new(move |info, _| {
                if !has_all(info.slot) {
                    return -1;
                }
                let mut score = 0.0;
                for each in &soft {
                    if let Some(domain) = each.of.at(info.slot) {
                        let at = if each.each_node {
                            info.slot as usize
                        } else {
                            domain
                        };
                        score += each.pods[at] as f64 * each.weight + each.tolerance;
                    }
                }
                score.round() as i64
            }),
        })
    }
}

/// scoring.go `topologyNormalizingWeight`: pods weigh more where there are more domains to choose from.
fn weight(domains: usize) -> f64 {
    (domains as f64 + 2.0).ln()
}

#[cfg(test)]
mod tests;
