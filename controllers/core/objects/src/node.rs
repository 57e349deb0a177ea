//! Questions about nodes.
//!
//! Upstream: `pkg/api/v1/node/util.go`, `component-helpers/node/topology/helpers.go`.

use k8s_openapi::api::core::v1::{Node, NodeCondition, Taint};

pub use crate::resources::allocatable;
use crate::{conditions, meta};

/// The label that names a node's zone.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// The label that names a node's region.
pub const REGION: &str = "topology.kubernetes.io/region";
/// The label that names the node itself.
pub const HOSTNAME: &str = "kubernetes.io/hostname";

const OLD_ZONE: &str = "failure-domain.beta.kubernetes.io/zone";

/// The condition of this type.
pub fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    conditions::find(node.status.as_ref()?.conditions.as_deref(), kind)
}

/// Whether the condition `Ready` is `True`.
pub fn is_ready(node: &Node) -> bool {
    condition(node, "Ready").is_some_and(|ready| ready.status == "True")
}

/// The zone, from today's label or the one before v1.17.
pub fn zone(node: &Node) -> Option<&str> {
    [ZONE, OLD_ZONE]
        .into_iter()
        .filter_map(|key| meta::label(&node.metadata, key))
        .find(|zone| !zone.is_empty())
}

/// Whether the node is cordoned.
pub fn is_unschedulable(node: &Node) -> bool {
    node.spec
        .as_ref()
        .and_then(|spec| spec.unschedulable)
        .unwrap_or(false)
}

/// The node's taints.
pub fn taints(node: &Node) -> &[Taint] {
    node.spec
        .as_ref()
        .and_then(|spec| spec.taints.as_deref())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::NodeStatus;

    use super::*;

    #[test]
    fn only_true_is_ready() {
        for (status, expected) in [("True", true), ("False", false), ("Unknown", false)] {
            let ready = NodeCondition {
                type_: "Ready".to_owned(),
                status: status.to_owned(),
                ..NodeCondition::default()
            };
            let status = NodeStatus {
                conditions: Some(vec![ready]),
                ..NodeStatus::default()
            };
            assert_eq!(
                is_ready(&Node {
                    status: Some(status),
                    ..Node::default()
                }),
                expected
            );
        }
        assert!(!is_ready(&Node::default()));
    }

    #[test]
    fn todays_zone_label_wins() {
        let node = |labels: &[(&str, &str)]| {
            let mut node = Node::default();
            node.metadata.labels = Some(
                labels
                    .iter()
                    .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                    .collect(),
            );
            node
        };
        assert_eq!(zone(&node(&[(ZONE, "a"), (OLD_ZONE, "b")])), Some("a"));
        assert_eq!(zone(&node(&[(OLD_ZONE, "b")])), Some("b"));
        assert_eq!(zone(&node(&[(ZONE, "")])), None);
        assert_eq!(zone(&Node::default()), None);
    }
}
