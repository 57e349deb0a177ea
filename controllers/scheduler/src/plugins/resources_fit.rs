//! NodeResourcesFit: is there enough left, and where is the most.
//!
//! Upstream: `framework/plugins/noderesources/fit.go`.

use crate::plugin::{Check, Events, Filter, Normalise, Prepared, Scope, Score, Scorer, Verdict};
use crate::plugins::resources_score::{Strategy, Weighted, usual};
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;
use objects::Resources;
use std::borrow::Cow;

/// Rejects nodes with too little left of a resource; prefers those with the most CPU and memory left, if not told
/// otherwise.
pub struct ResourcesFit {
    /// Special resources that the filter does not look at.
    pub ignored: Vec<String>,
    /// The same, by what stands before the slash.
    pub ignored_groups: Vec<String>,
    /// Which nodes are better.
    pub strategy: Strategy,
    /// By which resources.
    pub resources: Vec<Weighted>,
}

impl Default for ResourcesFit {
    fn default() -> Self {
        Self {
            ignored: Vec::new(),
            ignored_groups: Vec::new(),
            strategy: Strategy::default(),
            resources: usual(),
        }
    }
}

impl ResourcesFit {
    fn ignores(&self, name: &str) -> bool {
        let group = name.split_once('/').map(|(group, _)| group);
        self.ignored.iter().any(|ignored| ignored == name)
            || group.is_some_and(|group| self.ignored_groups.iter().any(|other| other == group))
    }
}

const NAME: &str = "NodeResourcesFit";
/// Extended resources that have a reason of their own; those beyond share the last one.
const NAMED: usize = 59;

impl Filter for ResourcesFit {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn scope(&self) -> Scope {
        Scope::Sums
    }

    fn wakes(&self) -> Events {
        Events::POD_DELETE | Events::NODE_ADD | Events::NODE_ALLOCATABLE | Events::POD_UPDATE
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot) -> Prepared<'a> {
        let mut reasons: Vec<Cow<'static, str>> = vec![
            "Too many pods".into(),
            "Insufficient cpu".into(),
            "Insufficient memory".into(),
            "Insufficient ephemeral-storage".into(),
        ];
        let wanted = &pod.requests;
        let extended: Vec<(&str, i64)> = wanted
            .extended
            .iter()
            .filter(|(name, amount)| **amount > 0 && !self.ignores(name))
            .map(|(name, amount)| (&**name, *amount))
            .collect();
        reasons.extend(
            extended
                .iter()
                .take(NAMED + 1)
                .map(|(name, _)| format!("Insufficient {name}").into()),
        );
        Prepared::Check(Check {
            reasons,
            only: None,
            suppose: None,
            judge: Box::new(move |node, _| {
                judge(wanted, &extended, &node.allocatable, &node.requested)
            }),
        })
    }
}

/// fit.go `fitsRequest`. A node is out of question for good if it would be too small when empty.
fn judge(
    wanted: &Resources,
    extended: &[(&str, i64)],
    offered: &Resources,
    taken: &Resources,
) -> Verdict {
    let mut verdict = Verdict {
        reasons: u64::from(taken.pods + 1 > offered.pods),
        resolvable: true,
    };
    let mut compare = |bit: usize, wanted: i64, offered: i64, taken: i64| {
        if wanted > 0 && wanted > offered - taken {
            verdict.reasons |= 1 << bit;
            verdict.resolvable &= wanted <= offered;
        }
    };
    compare(1, wanted.milli_cpu, offered.milli_cpu, taken.milli_cpu);
    compare(2, wanted.memory, offered.memory, taken.memory);
    compare(3, wanted.ephemeral, offered.ephemeral, taken.ephemeral);
    for (index, (name, amount)) in extended.iter().enumerate() {
        let of = |resources: &Resources| resources.extended.get(*name).copied().unwrap_or(0);
        compare(4 + index.min(NAMED), *amount, of(offered), of(taken));
    }
    verdict
}

impl Score for ResourcesFit {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn local(&self) -> Option<Normalise> {
        Some(Normalise::AsIs)
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot, _: &[u32]) -> Option<Scorer<'a>> {
        // By far the most common one goes without looking for names.
        if self.strategy == Strategy::LeastAllocated && self.resources == usual() {
            return Some(least_allocated(pod));
        }
        Some(Scorer {
            normalise: Normalise::AsIs,
            score: Box::new(|node, _| self.strategy.of(pod, node, &self.resources)),
        })
    }
}

fn least_allocated(pod: &PodInfo) -> Scorer<'_> {
    let wanted = pod.nonzero;
    Scorer {
        normalise: Normalise::AsIs,
        score: Box::new(move |node, _| {
            let cpu = left(
                node.nonzero.milli_cpu + wanted.milli_cpu,
                node.allocatable.milli_cpu,
            );
            let memory = left(node.nonzero.memory + wanted.memory, node.allocatable.memory);
            match (cpu, memory) {
                (Some(cpu), Some(memory)) => i64::midpoint(cpu, memory),
                (one, other) => one.or(other).unwrap_or(0),
            }
        }),
    }
}

/// What would be left in percent, rounded down; none of a resource that the node does not have.
fn left(requested: i64, capacity: i64) -> Option<i64> {
    match capacity {
        0 => None,
        _ if requested > capacity => Some(0),
        _ => Some((capacity - requested).saturating_mul(100) / capacity),
    }
}
