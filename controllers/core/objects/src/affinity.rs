//! Which nodes a pod asks for: `nodeSelector` and node affinity.
//!
//! Only the name and the labels of a node matter, so its metadata are all that is asked for.
//!
//! Upstream: `component-helpers/scheduling/corev1/nodeaffinity/nodeaffinity.go`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::meta;
use crate::selector::{valid_key, valid_value};

/// Whether the node is one that the pod demands: its `nodeSelector` and its required node affinity both hold.
///
/// Who asks about many nodes makes a [`Required`] once.
pub fn node_matches(spec: &PodSpec, node: &ObjectMeta) -> bool {
    Required::of(spec).matches(node)
}

/// The sum of the weights of the preferred terms that the node matches.
pub fn preferred_node_score(spec: &PodSpec, node: &ObjectMeta) -> i64 {
    let affinity = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref());
    let preferred = affinity.and_then(|node| {
        node.preferred_during_scheduling_ignored_during_execution
            .as_deref()
    });
    preferred
        .unwrap_or_default()
        .iter()
        .filter(|term| is_usable(&term.preference) && term_matches(&term.preference, node))
        .map(|term| i64::from(term.weight))
        .sum()
}

/// What a pod demands of its node, checked once.
#[derive(Clone, Debug)]
pub struct Required<'a> {
    labels: Option<&'a BTreeMap<String, String>>,
    /// `None`: no required affinity. One term is enough; no usable term matches no node.
    terms: Option<Vec<&'a NodeSelectorTerm>>,
}

impl<'a> Required<'a> {
    /// What this pod demands. Empty and malformed terms match nothing and are left out.
    pub fn of(spec: &'a PodSpec) -> Self {
        let affinity = spec
            .affinity
            .as_ref()
            .and_then(|affinity| affinity.node_affinity.as_ref());
        let required = affinity.and_then(|node| {
            node.required_during_scheduling_ignored_during_execution
                .as_ref()
        });
        Self {
            labels: spec.node_selector.as_ref(),
            terms: required.map(|required| {
                required
                    .node_selector_terms
                    .iter()
                    .filter(|term| is_usable(term))
                    .collect()
            }),
        }
    }

    /// Whether the node fulfils it.
    pub fn matches(&self, node: &ObjectMeta) -> bool {
        let has = |(key, value): (&String, &String)| meta::label(node, key) == Some(value);
        self.labels.is_none_or(|labels| labels.iter().all(has))
            && self
                .terms
                .as_ref()
                .is_none_or(|terms| terms.iter().any(|term| term_matches(term, node)))
    }

    /// The nodes named by `metadata.name In [x]`, if every term names some: no other node can match. The scheduler
    /// then looks at these only.
    pub fn node_names(&self) -> Option<Vec<&'a str>> {
        let mut names = Vec::new();
        for term in self.terms.as_ref()? {
            let mut named = term
                .match_fields
                .iter()
                .flatten()
                .filter(|field| field.key == NAME && field.operator == "In")
                .flat_map(|field| field.values.iter().flatten().map(String::as_str));
            let first = named.next()?;
            // Two different names in one term: nothing matches, so this term adds no node.
            if named.all(|name| name == first) && !names.contains(&first) {
                names.push(first);
            }
        }
        Some(names)
    }
}

/// Whether a node matches one node selector term: all its expressions on labels and all its fields. An empty term
/// matches nothing.
pub fn node_selector_term_matches(term: &NodeSelectorTerm, node: &ObjectMeta) -> bool {
    is_usable(term) && term_matches(term, node)
}

const NAME: &str = "metadata.name";

/// Not empty, and every requirement is well formed.
fn is_usable(term: &NodeSelectorTerm) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    !(expressions.is_empty() && fields.is_empty())
        && expressions.iter().all(is_well_formed)
        && fields.iter().all(|field| {
            matches!(field.operator.as_str(), "In" | "NotIn") && values(field).len() == 1
        })
}

fn is_well_formed(requirement: &NodeSelectorRequirement) -> bool {
    let values = values(requirement);
    let count = match requirement.operator.as_str() {
        "In" | "NotIn" => !values.is_empty(),
        "Exists" | "DoesNotExist" => values.is_empty(),
        "Gt" | "Lt" => matches!(values, [number] if number.parse::<i64>().is_ok()),
        _ => false,
    };
    count && valid_key(&requirement.key) && values.iter().all(|value| valid_value(value))
}

fn term_matches(term: &NodeSelectorTerm, node: &ObjectMeta) -> bool {
    let labels = |requirement: &NodeSelectorRequirement| {
        holds(requirement, meta::label(node, &requirement.key))
    };
    // Fields are compared as text; an unknown field reads as empty. A nameless node has no fields to compare.
    let name = meta::name(node);
    let fields = |requirement: &NodeSelectorRequirement| {
        name.is_empty()
            || holds(
                requirement,
                Some(if requirement.key == NAME { name } else { "" }),
            )
    };
    term.match_expressions.iter().flatten().all(labels)
        && term.match_fields.iter().flatten().all(fields)
}

fn holds(requirement: &NodeSelectorRequirement, actual: Option<&str>) -> bool {
    let is_listed = |actual: &str| values(requirement).iter().any(|value| value == actual);
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let pair = || number(actual).zip(number(values(requirement).first().map(String::as_str)));
    match requirement.operator.as_str() {
        "In" => actual.is_some_and(is_listed),
        "NotIn" => !actual.is_some_and(is_listed),
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => pair().is_some_and(|(actual, wanted)| actual > wanted),
        "Lt" => pair().is_some_and(|(actual, wanted)| actual < wanted),
        _ => false,
    }
}

fn values(requirement: &NodeSelectorRequirement) -> &[String] {
    requirement.values.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests;
