//! NodeAffinity: `nodeSelector` and node affinity.
//!
//! Upstream: `framework/plugins/nodeaffinity/node_affinity.go`.

use crate::plugin::{Check, Events, Filter, Normalise, Prepared, Scope, Score, Scorer, Verdict};
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;
use k8s_openapi::api::core::v1::{NodeSelector, PodSpec};
use objects::affinity::{Required, preferred_node_score};

/// Rejects nodes that the pod's selector or required affinity does not match; prefers those that its preferred
/// affinity matches. Another affinity can be added to that of all pods.
#[derive(Default)]
pub struct NodeAffinity {
    /// A spec with no more than the added affinity.
    added: PodSpec,
}

impl NodeAffinity {
    /// With this affinity besides that of each pod (`addedAffinity`).
    pub fn adding(affinity: k8s_openapi::api::core::v1::NodeAffinity) -> Self {
        let mut added = PodSpec::default();
        added.affinity.get_or_insert_default().node_affinity = Some(affinity);
        Self { added }
    }
}

const UNMATCHED: u64 = 1;
const UNENFORCED: u64 = 1 << 1;

const NAME: &str = "NodeAffinity";

impl Filter for NodeAffinity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn scope(&self) -> Scope {
        Scope::Node
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
        let is_added = required_of(&self.added).is_some();
        if spec
            .node_selector
            .as_ref()
            .is_none_or(std::collections::BTreeMap::is_empty)
            && required.is_none()
            && !is_added
        {
            return Prepared::Skip;
        }
        let terms = required
            .iter()
            .flat_map(|required| &required.node_selector_terms);
        let names_nodes = terms
            .flat_map(|term| &term.match_fields)
            .any(|fields| !fields.is_empty());
        let (required, added) = (Required::of(spec), Required::of(&self.added));
        // Without a term that names a node, nothing is narrowed down; each node says for itself that it does not match.
        let only = required
            .node_names()
            .filter(|names| !names.is_empty() || names_nodes);
        if only.as_ref().is_some_and(Vec::is_empty) {
            return Prepared::Never("pod affinity terms conflict".into());
        }
        Prepared::Check(Check {
            reasons: vec![
                "node(s) didn't match Pod's node affinity/selector".into(),
                "node(s) didn't match scheduler-enforced node affinity".into(),
            ],
            only,
            suppose: None,
            judge: Box::new(move |_, node| {
                let reasons = if is_added && !added.matches(&node.metadata) {
                    UNENFORCED
                } else if required.matches(&node.metadata) {
                    return Verdict::FITS;
                } else {
                    UNMATCHED
                };
                Verdict {
                    reasons,
                    resolvable: false,
                }
            }),
        })
    }
}

impl Score for NodeAffinity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn local(&self) -> Option<Normalise> {
        Some(Normalise::Most)
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot, _: &[u32]) -> Option<Scorer<'a>> {
        let (own, added) = (pod.spec(), &self.added);
        if !prefers(own) && !prefers(added) {
            return None;
        }
        Some(Scorer {
            normalise: Normalise::Most,
            score: Box::new(move |_, node| {
                preferred_node_score(own, &node.metadata)
                    + preferred_node_score(added, &node.metadata)
            }),
        })
    }
}

fn required_of(spec: &PodSpec) -> Option<&NodeSelector> {
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = &affinity.required_during_scheduling_ignored_during_execution;
    required.as_ref()
}

fn prefers(spec: &PodSpec) -> bool {
    let affinity = spec.affinity.as_ref();
    let affinity = affinity.and_then(|affinity| affinity.node_affinity.as_ref());
    let preferred = affinity.and_then(|affinity| {
        affinity
            .preferred_during_scheduling_ignored_during_execution
            .as_ref()
    });
    preferred.is_some_and(|preferred| !preferred.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::kit::{cluster, info, node, passing, scores, verdicts};
    use serde_json::json;

    #[test]
    fn an_added_affinity_holds_besides_that_of_the_pod() {
        let labelled = |name: &str, pool: &str, disk: &str| {
            node(
                name,
                json!({ "metadata": { "labels": { "pool": pool, "disk": disk } } }),
            )
        };
        let all = cluster([
            labelled("a", "blue", "ssd"),
            labelled("b", "blue", "hdd"),
            labelled("c", "red", "ssd"),
        ]);
        let term = |key: &str, value: &str| json!({ "matchExpressions": [{ "key": key, "operator": "In", "values": [value] }] });
        let affinity = serde_json::from_value(json!({
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [term("pool", "blue")] },
            "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 1, "preference": term("disk", "hdd") }],
        }));
        let plugin = NodeAffinity::adding(affinity.unwrap());
        let plain = info("plain", json!({}));
        assert_eq!(passing(&plugin, &plain, all.snapshot()), "a b");
        let fast = info(
            "fast",
            json!({ "spec": { "nodeSelector": { "disk": "ssd" } } }),
        );
        assert_eq!(passing(&plugin, &fast, all.snapshot()), "a");
        let said = verdicts(&plugin, &fast, all.snapshot());
        assert_eq!(
            said["b"],
            "!node(s) didn't match Pod's node affinity/selector"
        );
        assert_eq!(
            said["c"],
            "!node(s) didn't match scheduler-enforced node affinity"
        );
        assert_eq!(
            scores(&plugin, &plain, all.snapshot(), &["a", "b"]),
            Some(vec![0, 100])
        );
        assert_eq!(
            scores(
                &NodeAffinity::default(),
                &plain,
                all.snapshot(),
                &["a", "b"]
            ),
            None
        );
    }
}
