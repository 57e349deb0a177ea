//! NodeUnschedulable: cordoned nodes.
//!
//! Upstream: `framework/plugins/nodeunschedulable/node_unschedulable.go`.

use crate::plugin::{Check, Events, Filter, Prepared, Scope, Verdict};
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;
use k8s_openapi::api::core::v1::Taint;
use objects::taints;

/// Rejects cordoned nodes, unless the pod tolerates the taint that goes with it.
pub struct NodeUnschedulable;

impl Filter for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn scope(&self) -> Scope {
        Scope::Node
    }

    fn wakes(&self) -> Events {
        Events::NODE_ADD | Events::NODE_TAINT | Events::POD_UPDATE
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot) -> Prepared<'a> {
        let cordoned = Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Taint::default()
        };
        if taints::tolerates(
            pod.spec().tolerations.as_deref().unwrap_or_default(),
            &cordoned,
        ) {
            return Prepared::Skip;
        }
        Prepared::Check(Check {
            reasons: vec!["node(s) were unschedulable".into()],
            only: None,
            suppose: None,
            judge: Box::new(|node, _| Verdict::unless(node.unschedulable)),
        })
    }
}
