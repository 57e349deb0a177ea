//! What a plugin is.
//!
//! A plugin prepares once a pod and answers once a node. What upstream's PreFilter and PreScore put into a
//! `CycleState`, the closure that answers has captured, typed. A plugin with nothing to say about a pod says so
//! when it prepares and is not asked again (upstream's `Skip`).

use crate::node::Node;
use crate::pods::PodInfo;
use crate::snapshot::{NodeInfo, Snapshot};
use crate::tracker::Tracked;
use serde_json::Value;
use std::borrow::Cow;
use std::ops::{BitOr, BitOrAssign};
use std::sync::Arc;

/// A plugin of somebody's own: a line in the table of a program that is built on this library ([`crate::program`]). It is
/// on where a configuration switches it on.
#[derive(Clone, Copy)]
pub struct Own {
    /// Its name in configurations.
    pub name: &'static str,
    /// Makes its filter, if it has one, from its arguments there: an object, empty without any. What is wrong with them is
    /// said as `field: what`.
    pub filter: Option<Make<dyn Filter>>,
    /// The same of its score.
    pub score: Option<Make<dyn Score>>,
}

/// Makes a part of a plugin from its arguments.
pub type Make<T> = fn(&Value) -> Result<Box<T>, String>;

/// Says which nodes a pod can be on.
pub trait Filter: Send + Sync {
    /// Upstream's name of the plugin.
    fn name(&self) -> &'static str;

    /// Which changes of the cluster can make it take back a rejection (upstream: `EventsToRegister`).
    fn wakes(&self) -> Events;

    /// What of a node it looks at, so that preemption need not try what a sum can tell.
    fn scope(&self) -> Scope {
        Scope::Pods
    }

    /// Whether what it says about a node depends on that node only. If all filters are so, a change of one node
    /// wakes only the pods that can be on it now (upstream: `QueueingHintFn`).
    fn is_local(&self) -> bool {
        true
    }

    /// Whether it reads nothing of a pod that its [`crate::signature`] is not made from. Otherwise pods are decided about
    /// one by one, however alike they are (upstream: `SignPlugin`).
    fn is_signed(&self) -> bool {
        false
    }

    /// What a filter that is not local counts for pods like this one; none if that cannot be said once for all. The pod
    /// has a signature.
    fn track(&self, _pod: &Arc<PodInfo>, _all: &Snapshot) -> Option<Tracked> {
        None
    }

    /// Whether something that happened can make it take back a rejection of this pod, as far as it can be said without
    /// a decision (upstream: `QueueingHintFn`). Asked only of filters that are not local.
    fn is_helped(&self, _pod: &PodInfo, _by: &Happening<'_>, _all: &Snapshot) -> bool {
        true
    }

    /// Looks at the pod.
    fn prepare<'a>(&'a self, pod: &'a PodInfo, all: &'a Snapshot) -> Prepared<'a>;
}

/// What of a node a filter looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Not at its pods.
    Node,
    /// At what it offers and at the sum of what its pods reserve; more reserved is never better.
    Sums,
    /// At its pods, or further.
    Pods,
}

/// What happened, as filters that look at more than one node want to know it.
#[derive(Clone, Copy, Debug)]
pub enum Happening<'a> {
    /// A pod on a node came, changed or left.
    Pod {
        /// As it was.
        old: Option<&'a PodInfo>,
        /// As it is.
        new: Option<&'a PodInfo>,
    },
    /// A node came, changed or left.
    Node {
        /// As it was.
        old: Option<&'a Node>,
        /// As it is.
        new: Option<&'a Node>,
    },
    /// Anything else.
    Other,
}

/// What a filter has to say about a pod, before any node is looked at.
pub enum Prepared<'a> {
    /// Every node will do.
    Skip,
    /// No node will do, for this reason.
    Never(Cow<'static, str>),
    /// It has to be asked for each node.
    Check(Check<'a>),
}

/// Answers for a node.
pub type Judge<'a, T> = Box<dyn Fn(&NodeInfo, &Node) -> T + 'a>;

/// A filter that looked at a pod.
pub struct Check<'a> {
    /// The texts that the bits of [`Verdict::reasons`] stand for.
    pub reasons: Vec<Cow<'static, str>>,
    /// If there, only the nodes of these names can pass; the others are not asked about.
    pub only: Option<Vec<&'a str>>,
    /// Judges a node. Called in the hot loop: it should not allocate.
    pub judge: Judge<'a, Verdict>,
    /// Supposes for the further answers that another pod came to a node or left it; what was supposed can be taken
    /// back. None for filters that look at one node only: they are shown the node as it would be (upstream:
    /// `PreFilterExtensions`).
    pub suppose: Option<Suppose<'a>>,
}

/// Supposes that a pod came to (1) or left (-1) a node.
pub type Suppose<'a> = Box<dyn Fn(&PodInfo, &NodeInfo, i64) + 'a>;

impl<'a> Check<'a> {
    /// A filter that looks at one node only.
    pub fn local(
        reasons: Vec<Cow<'static, str>>,
        judge: impl Fn(&NodeInfo, &Node) -> Verdict + 'a,
    ) -> Self {
        Self {
            reasons,
            only: None,
            judge: Box::new(judge),
            suppose: None,
        }
    }
}

/// What a filter says about a pod on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// A bit for each reason against it; none: the pod can be there.
    pub reasons: u64,
    /// Whether the node may do once other pods have left it. Upstream calls the opposite
    /// `UnschedulableAndUnresolvable`.
    pub resolvable: bool,
}

impl Verdict {
    /// The pod can be there.
    pub const FITS: Self = Self {
        reasons: 0,
        resolvable: true,
    };

    /// The first reason if `rejects`, and no pod's leaving would change that.
    pub fn unless(rejects: bool) -> Self {
        Self {
            reasons: u64::from(rejects),
            resolvable: !rejects,
        }
    }
}

/// Says which of the nodes that passed is better.
pub trait Score: Send + Sync {
    /// Upstream's name of the plugin.
    fn name(&self) -> &'static str;

    /// Whether it reads nothing of a pod that its [`crate::signature`] is not made from.
    fn is_signed(&self) -> bool {
        false
    }

    /// If the raw score of a node depends on that node only: how it becomes 0–100.
    fn local(&self) -> Option<Normalise> {
        None
    }

    /// For a local score: a number that is another one when raw scores may be others of nodes that did not change. Asked
    /// when nodes came or went, or have other images.
    fn stamp(&self, _pod: &PodInfo, _all: &Snapshot) -> u64 {
        0
    }

    /// For one that is not local: what it counts for pods like this one; none if that cannot be said once for all.
    fn track(&self, _pod: &Arc<PodInfo>, _all: &Snapshot) -> Option<Tracked> {
        None
    }

    /// Looks at the pod and at the slots of the nodes that passed; none: all nodes are alike to it.
    fn prepare<'a>(
        &'a self,
        pod: &'a PodInfo,
        all: &'a Snapshot,
        feasible: &[u32],
    ) -> Option<Scorer<'a>>;
}

/// A score that looked at a pod.
pub struct Scorer<'a> {
    /// How raw scores become 0–100.
    pub normalise: Normalise,
    /// The raw score of a node. Called in the hot loop: it should not allocate.
    pub score: Judge<'a, i64>,
}

/// How the raw scores of all nodes become 0–100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalise {
    /// They are that already.
    AsIs,
    /// The highest becomes 100 (`helper/normalize_score.go`).
    Most,
    /// The highest becomes 0; if all are 0, all become 100.
    Least,
    /// 100·(max + min − score)/max; below 0 is nothing to compare with and becomes 0
    /// (`podtopologyspread/scoring.go`).
    Spread,
    /// From the lowest, which becomes 0, to the highest, which becomes 100 (`interpodaffinity/scoring.go`).
    Range,
}

impl Normalise {
    /// Puts the scores of all nodes on the scale.
    pub fn apply(self, scores: &mut [i64]) {
        let max = scores.iter().copied().max().unwrap_or(0);
        match self {
            Self::AsIs => {}
            Self::Most if max == 0 => {}
            Self::Least if max == 0 => scores.fill(100),
            Self::Most => scores
                .iter_mut()
                .for_each(|score| *score = 100 * *score / max),
            Self::Least => scores
                .iter_mut()
                .for_each(|score| *score = 100 - 100 * *score / max),
            Self::Spread => {
                let counting = scores.iter().copied().filter(|score| *score >= 0);
                let min = counting.min().unwrap_or(0);
                for score in scores {
                    *score = match *score {
                        ignored if ignored < 0 => 0,
                        _ if max == 0 => 100,
                        score => 100 * (max + min - score) / max,
                    };
                }
            }
            Self::Range => {
                let min = scores.iter().copied().min().unwrap_or(0);
                let span = scores.iter().copied().max().unwrap_or(0) - min;
                for score in scores {
                    // In floating point as upstream, so that it is rounded the same.
                    let part = (*score - min) as f64 / span as f64;
                    *score = if span > 0 { (100.0 * part) as i64 } else { 0 };
                }
            }
        }
    }
}

/// A set of kinds of changes of the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Events(u16);

impl Events {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// A node appeared.
    pub const NODE_ADD: Self = Self(1);
    /// A node's labels changed.
    pub const NODE_LABEL: Self = Self(1 << 1);
    /// A node's taints changed, or it was cordoned or uncordoned.
    pub const NODE_TAINT: Self = Self(1 << 2);
    /// A node offers other amounts.
    pub const NODE_ALLOCATABLE: Self = Self(1 << 3);
    /// A pod came to a node.
    pub const POD_ADD: Self = Self(1 << 4);
    /// A pod on a node changed its labels.
    pub const POD_LABEL: Self = Self(1 << 5);
    /// A pod left its node, or needs less there.
    pub const POD_DELETE: Self = Self(1 << 6);
    /// The waiting pod itself was changed.
    pub const POD_UPDATE: Self = Self(1 << 7);
    /// A claim, a volume or a class of volumes changed.
    pub const STORAGE: Self = Self(1 << 8);
    /// A node is gone.
    pub const NODE_DELETE: Self = Self(1 << 9);
    /// A namespace came, or has other labels.
    pub const NAMESPACE: Self = Self(1 << 10);
    /// A node declares other features.
    pub const NODE_FEATURE: Self = Self(1 << 11);
    /// Whatever happens.
    pub const ANY: Self = Self((1 << Self::KINDS) - 1);
    /// How many kinds there are.
    pub const KINDS: usize = 12;

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the two have something in common.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// What upstream calls each kind (`framework/events.go`), by its number.
    pub(crate) const NAMES: [&str; Self::KINDS] = [
        "NodeAdd",
        "NodeUpdateNodeLabel",
        "NodeUpdateNodeTaint",
        "NodeUpdateNodeAllocatable",
        "AssignedPodAdd",
        "AssignedPodUpdatePodLabel",
        "AssignedPodDelete",
        "UnscheduledPodUpdate",
        "PersistentVolumeClaimUpdate",
        "NodeDelete",
        "NamespaceUpdate",
        "NodeUpdateNodeDeclaredFeature",
    ];

    /// The name of the first kind that is also in the other; of none, if there is none.
    pub(crate) fn name_of(self, other: Self) -> &'static str {
        let first = Self(self.0 & other.0).kinds().next();
        first.map_or("", |kind| Self::NAMES[kind])
    }

    /// The kinds in it as numbers below [`Self::KINDS`].
    pub fn kinds(self) -> impl Iterator<Item = usize> {
        (0..Self::KINDS).filter(move |kind| self.0 >> kind & 1 == 1)
    }
}

impl BitOr for Events {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Events {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}
