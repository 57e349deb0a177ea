//! What a pod wishes about other pods, parsed once.
//!
//! Upstream: `kube-scheduler/framework/types.go` (`AffinityTerm`, `GetAffinityTerms`).

use crate::snapshot::Snapshot;
use k8s_openapi::api::core::v1::{Pod, PodAffinityTerm, WeightedPodAffinityTerm};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use objects::selector::SelectorError;
use objects::{Selector, meta};

/// The terms of a pod's affinity and anti-affinity.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Required affinity.
    pub demands: Vec<Term>,
    /// Required anti-affinity.
    pub refuses: Vec<Term>,
    /// Preferred affinity with positive weights, anti-affinity with negative ones.
    pub prefers: Vec<(Term, i64)>,
    /// Why some of it cannot be understood; it is left out then.
    pub wrong: Option<String>,
}

/// Pods, and how near.
#[derive(Clone, Debug)]
pub struct Term {
    /// The label of nodes that says which are near each other.
    pub key: Box<str>,
    /// The namespaces that are meant.
    pub namespaces: Vec<Box<str>>,
    /// None selects nothing.
    selector: Option<Selector>,
    /// Which namespaces are meant as well, by their labels.
    by_labels: Option<Selector>,
}

/// None for a selector that is not there, which selects nothing.
fn parse(selector: Option<&LabelSelector>) -> Result<Option<Selector>, SelectorError> {
    selector.map(Selector::parse).transpose()
}

impl Term {
    fn of(term: &PodAffinityTerm, namespace: &str) -> Result<Self, SelectorError> {
        let named = term.namespaces.as_deref().unwrap_or_default();
        let own = (named.is_empty() && term.namespace_selector.is_none()).then_some(namespace);
        let namespaces = named.iter().map(String::as_str).chain(own);
        Ok(Self {
            key: term.topology_key.as_str().into(),
            namespaces: namespaces.map(Into::into).collect(),
            selector: parse(term.label_selector.as_ref())?,
            by_labels: parse(term.namespace_selector.as_ref())?,
        })
    }

    /// Whether pods of namespaces that it does not name can be meant.
    pub fn looks_everywhere(&self) -> bool {
        self.by_labels.is_some()
    }

    /// The selector of the pods that are meant.
    pub(crate) fn selector(&self) -> Option<&Selector> {
        self.selector.as_ref()
    }

    /// Whether it means this pod.
    pub fn means(&self, pod: &Pod, all: &Snapshot) -> bool {
        let namespace = meta::namespace(&pod.metadata);
        let there = || self.namespaces.iter().any(|named| **named == *namespace);
        let labelled = |by: &Selector| by.matches(all.namespace_labels(namespace));
        self.selector
            .as_ref()
            .is_some_and(|selector| selector.matches(pod.metadata.labels.as_ref()))
            && (there() || self.by_labels.as_ref().is_some_and(labelled))
    }
}

impl Terms {
    /// The terms of a pod; none if it has no wish about others.
    pub fn of(pod: &Pod) -> Option<Self> {
        let affinity = pod.spec.as_ref()?.affinity.as_ref()?;
        let (near, apart) = (&affinity.pod_affinity, &affinity.pod_anti_affinity);
        let namespace = meta::namespace(&pod.metadata);
        let mut terms = Self::default();
        let wrong = &mut terms.wrong;
        let mut required = |of: Option<&Vec<PodAffinityTerm>>| -> Vec<Term> {
            let of = of.into_iter().flatten();
            let parsed = of.filter_map(|term| understood(Term::of(term, namespace), wrong));
            parsed.collect()
        };
        let near_required = near.as_ref().and_then(|near| {
            near.required_during_scheduling_ignored_during_execution
                .as_ref()
        });
        let apart_required = apart.as_ref().and_then(|apart| {
            apart
                .required_during_scheduling_ignored_during_execution
                .as_ref()
        });
        terms.demands = required(near_required);
        terms.refuses = required(apart_required);
        let mut preferred = |of: Option<&Vec<WeightedPodAffinityTerm>>, sign: i64| {
            for term in of.into_iter().flatten() {
                let parsed = Term::of(&term.pod_affinity_term, namespace);
                if let Some(parsed) = understood(parsed, wrong) {
                    terms.prefers.push((parsed, sign * i64::from(term.weight)));
                }
            }
        };
        let near_preferred = near.as_ref().and_then(|near| {
            near.preferred_during_scheduling_ignored_during_execution
                .as_ref()
        });
        let apart_preferred = apart.as_ref().and_then(|apart| {
            apart
                .preferred_during_scheduling_ignored_during_execution
                .as_ref()
        });
        preferred(near_preferred, 1);
        preferred(apart_preferred, -1);
        let nothing = terms.demands.is_empty()
            && terms.refuses.is_empty()
            && terms.prefers.is_empty()
            && terms.wrong.is_none();
        (!nothing).then_some(terms)
    }

    /// All terms.
    pub(crate) fn each(&self) -> impl Iterator<Item = &Term> {
        let preferred = self.prefers.iter().map(|(term, _)| term);
        self.demands.iter().chain(&self.refuses).chain(preferred)
    }

    /// Whether a pod is meant by all demands; false without any.
    pub fn demands_all(&self, pod: &Pod, all: &Snapshot) -> bool {
        !self.demands.is_empty() && self.demands.iter().all(|term| term.means(pod, all))
    }
}

fn understood(term: Result<Term, SelectorError>, wrong: &mut Option<String>) -> Option<Term> {
    match term {
        Ok(term) => Some(term),
        Err(error) => {
            wrong.get_or_insert(format!("parsing pod: {error}"));
            None
        }
    }
}
