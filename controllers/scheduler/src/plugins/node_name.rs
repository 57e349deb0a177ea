//! NodeName: a pod that names its node.
//!
//! Upstream: `framework/plugins/nodename/node_name.go`.

use crate::plugin::{Check, Events, Filter, Prepared, Scope, Verdict};
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;

/// Rejects all nodes but the named one.
pub struct NodeName;

impl Filter for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn scope(&self) -> Scope {
        Scope::Node
    }

    fn wakes(&self) -> Events {
        Events::NODE_ADD
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot) -> Prepared<'a> {
        let Some(wanted) = pod.node_name() else {
            return Prepared::Skip;
        };
        Prepared::Check(Check {
            reasons: vec!["node(s) didn't match the requested node name".into()],
            only: None,
            suppose: None,
            judge: Box::new(move |node, _| Verdict::unless(*node.name != *wanted)),
        })
    }
}
