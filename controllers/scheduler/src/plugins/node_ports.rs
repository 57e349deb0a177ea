//! NodePorts: host ports that another pod has taken.
//!
//! Upstream: `framework/plugins/nodeports/node_ports.go`.

use crate::plugin::{Check, Events, Filter, Prepared, Verdict};
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;

/// Rejects nodes where one of the pod's host ports is in use.
pub struct NodePorts;

impl Filter for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn wakes(&self) -> Events {
        Events::POD_DELETE | Events::NODE_ADD
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot) -> Prepared<'a> {
        if pod.ports.is_empty() {
            return Prepared::Skip;
        }
        Prepared::Check(Check {
            reasons: vec!["node(s) didn't have free ports for the requested pod ports".into()],
            only: None,
            suppose: None,
            judge: Box::new(|node, _| {
                let taken = pod
                    .ports
                    .iter()
                    .any(|port| node.ports.iter().any(|used| port.conflicts(used)));
                Verdict {
                    reasons: u64::from(taken),
                    resolvable: true,
                }
            }),
        })
    }
}
