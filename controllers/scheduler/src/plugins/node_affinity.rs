//! NodeAffinity: `nodeSelector` and node affinity.
//!
//! Upstream: `framework/plugins/nodeaffinity/node_affinity.go`.

use crate::plugin::{Check, Events, Filter, Normalise, Prepared, Score, Scorer, Verdict};
use crate::snapshot::{PodInfo, Snapshot};
use objects::affinity::{Required, preferred_node_score};

/// Rejects nodes that the pod's selector or required affinity does not match; prefers those that its preferred
/// affinity matches.
pub struct NodeAffinity;

const NAME: &str = "NodeAffinity";

impl Filter for NodeAffinity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wakes(&self) -> Events {
        Events::NODE_ADD | Events::NODE_LABEL | Events::POD_UPDATE
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot) -> Prepared<'a> {
        let spec = pod.spec();
        let affinity = spec
            .affinity
            .as_ref()
            .and_then(|affinity| affinity.node_affinity.as_ref());
        let required = affinity.and_then(|node| {
            node.required_during_scheduling_ignored_during_execution
                .as_ref()
        });
        if spec
            .node_selector
            .as_ref()
            .is_none_or(std::collections::BTreeMap::is_empty)
            && required.is_none()
        {
            return Prepared::Skip;
        }
        let terms = required
            .iter()
            .flat_map(|required| &required.node_selector_terms);
        let names_nodes = terms
            .flat_map(|term| &term.match_fields)
            .any(|fields| !fields.is_empty());
        let required = Required::of(spec);
        // Without a term that names a node, nothing is narrowed down; each node says for itself that it does not match.
        let only = required
            .node_names()
            .filter(|names| !names.is_empty() || names_nodes);
        if only.as_ref().is_some_and(Vec::is_empty) {
            return Prepared::Never("pod affinity terms conflict".into());
        }
        Prepared::Check(Check {
            reasons: vec!["node(s) didn't match Pod's node affinity/selector".into()],
            only,
            suppose: None,
            judge: Box::new(move |_, node| Verdict::unless(!required.matches(node))),
        })
    }
}

impl Score for NodeAffinity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot, _: &[u32]) -> Option<Scorer<'a>> {
        let affinity = pod.spec().affinity.as_ref()?.node_affinity.as_ref()?;
        let preferred = affinity
            .preferred_during_scheduling_ignored_during_execution
            .as_ref()?;
        if preferred.is_empty() {
            return None;
        }
        Some(Scorer {
            normalise: Normalise::Most,
            score: Box::new(|_, node| preferred_node_score(pod.spec(), node)),
        })
    }
}
