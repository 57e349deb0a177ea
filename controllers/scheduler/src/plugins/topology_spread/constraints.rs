//! The constraints of a pod: its own, or the default ones with what selects the pods that belong together.

use super::TopologySpread;
use crate::cohorts::Cohort;
use crate::node::Node;
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;
use ahash::AHashMap;
use k8s_openapi::api::core::v1::TopologySpreadConstraint;
use objects::affinity::Required;
use objects::selector::SelectorError;
use objects::{Selector, taints};

/// A constraint with its selector parsed and its options resolved.
#[derive(Debug)]
pub(super) struct Constraint {
    pub(super) key: Box<str>,
    pub(super) max_skew: i64,
    pub(super) min_domains: usize,
    /// None selects nothing.
    selector: Option<Selector>,
    honours_affinity: bool,
    pub(super) honours_taints: bool,
}

/// When a constraint holds.
pub(super) const HARD: &str = "DoNotSchedule";
pub(super) const SOFT: &str = "ScheduleAnyway";

impl Constraint {
    /// What the pod says itself.
    fn of(given: &TopologySpreadConstraint, pod: &PodInfo) -> Result<Self, SelectorError> {
        let labels = pod.like.metadata.labels.as_ref();
        let selector = given.label_selector.as_ref();
        let mut selector = selector.map(Selector::parse).transpose()?;
        let keys = given.match_label_keys.iter().flatten();
        let own = keys.filter_map(|key| labels?.get_key_value(key));
        let own = own.map(|(key, value)| (key.clone(), value.clone()));
        let own = Selector::from_labels(&own.collect());
        selector = selector.map(|selector| own.and(selector));
        let is = |policy: Option<&String>, default: bool| {
            policy.map_or(default, |policy| policy == "Honor")
        };
        Ok(Self {
            key: given.topology_key.as_str().into(),
            max_skew: i64::from(given.max_skew),
            min_domains: usize::try_from(given.min_domains.unwrap_or(1)).unwrap_or(1),
            selector,
            honours_affinity: is(given.node_affinity_policy.as_ref(), true),
            honours_taints: is(given.node_taints_policy.as_ref(), false),
        })
    }

    /// Whether the pod's labels are among the selected.
    pub(super) fn selects(&self, pod: &PodInfo) -> bool {
        let labels = pod.like.metadata.labels.as_ref();
        self.selector
            .as_ref()
            .is_some_and(|selector| selector.matches(labels))
    }

    /// Whether a pod on a node counts: it is selected, of the same namespace, and stays.
    pub(super) fn counts(&self, other: &PodInfo, pod: &PodInfo) -> bool {
        let (of, by) = (&other.like.metadata, &pod.like.metadata);
        of.namespace == by.namespace && !self.is_for_all() && self.selects(other)
    }

    /// An empty selector counts no pod, as upstream has it (`countPodsMatchSelector`).
    fn is_for_all(&self) -> bool {
        self.selector.as_ref().is_some_and(Selector::is_empty)
    }

    /// The pods on nodes that count.
    pub(super) fn counted<'s>(
        &'s self,
        pod: &PodInfo,
        all: &'s Snapshot,
    ) -> impl Iterator<Item = &'s Cohort> {
        let selector = self.selector.as_ref().filter(|_| !self.is_for_all());
        let namespace = pod.namespace();
        let of = move |selector| all.cohorts().selected(namespace, selector);
        selector
            .into_iter()
            .flat_map(of)
            .collect::<Vec<_>>()
            .into_iter()
    }
}

/// The pod's constraints of a kind, and whether they are the system's default ones, for which a node need not have all
/// labels.
///
/// # Errors
/// A selector cannot be understood.
pub(super) fn constraints(
    plugin: &TopologySpread,
    pod: &PodInfo,
    all: &Snapshot,
    kind: &str,
) -> Result<Vec<Constraint>, SelectorError> {
    let own = pod.spec().topology_spread_constraints.as_deref();
    let own = own.unwrap_or_default();
    let is_default = own.is_empty();
    let given = if is_default {
        &plugin.defaults[..]
    } else {
        own
    };
    let mut wanted = given
        .iter()
        .filter(|given| given.when_unsatisfiable == kind)
        .peekable();
    if wanted.peek().is_none() {
        return Ok(Vec::new());
    }
    if !is_default {
        return wanted.map(|given| Constraint::of(given, pod)).collect();
    }
    let Some(selector) = all.owners().selector_of(pod) else {
        return Ok(Vec::new());
    };
    wanted
        .map(|given| {
            let mut constraint = Constraint::of(given, pod)?;
            constraint.selector = Some(selector.clone());
            Ok(constraint)
        })
        .collect()
}

/// Which nodes a constraint is about, as far as the pod says.
pub(super) struct Inclusion<'a> {
    required: Required<'a>,
    demands_nodes: bool,
    pod: &'a PodInfo,
}

impl<'a> Inclusion<'a> {
    pub(super) fn of(pod: &'a PodInfo) -> Self {
        let spec = pod.spec();
        let affinity = spec.affinity.as_ref();
        let nodes = affinity.and_then(|affinity| affinity.node_affinity.as_ref());
        let demands_nodes = nodes.is_some()
            || spec
                .node_selector
                .as_ref()
                .is_some_and(|selector| !selector.is_empty());
        Self {
            required: Required::of(spec),
            demands_nodes,
            pod,
        }
    }

    /// Whether the pods on this node count for the constraint.
    pub(super) fn holds(&self, constraint: &Constraint, node: &Node) -> bool {
        let tolerations = self.pod.spec().tolerations.as_deref().unwrap_or_default();
        let untolerated =
            || taints::find_untolerated(&node.taints, tolerations, taints::keeps_away).is_some();
        let matches = || !self.demands_nodes || self.required.matches(&node.metadata);
        (!constraint.honours_affinity || matches())
            && (!constraint.honours_taints || !untolerated())
    }
}

/// Sums a number up by slot.
pub(super) fn by_slot<'a>(cohorts: impl Iterator<Item = &'a Cohort>) -> AHashMap<u32, i64> {
    let mut sums = AHashMap::new();
    for cohort in cohorts {
        for (slot, count) in &cohort.on {
            *sums.entry(*slot).or_default() += i64::from(count.living);
        }
    }
    sums
}
