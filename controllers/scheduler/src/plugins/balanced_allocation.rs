//! NodeResourcesBalancedAllocation: CPU and memory should run out together.
//!
//! Upstream: `framework/plugins/noderesources/balanced_allocation.go`. Computed in floating point as there, so that
//! scores come out the same.

use crate::plugin::{Normalise, Score, Scorer};
use crate::snapshot::{CpuMemory, NodeInfo, PodInfo, Snapshot};
use k8s_openapi::api::core::v1::Node;

/// Prefers nodes whose balance the pod betters. Has no wish for pods that request neither.
pub struct BalancedAllocation;

impl Score for BalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot, _: &[u32]) -> Option<Scorer<'a>> {
        let wanted = CpuMemory {
            milli_cpu: pod.requests.milli_cpu,
            memory: pod.requests.memory,
        };
        if wanted == CpuMemory::default() {
            return None;
        }
        Some(Scorer {
            normalise: Normalise::AsIs,
            score: Box::new(move |info: &NodeInfo, _: &Node| {
                50 + (50 + balance(info, wanted) - balance(info, CpuMemory::default())) / 2
            }),
        })
    }
}

/// 100 less the standard deviation of the used fractions in percent, with `more` on top of what is used.
fn balance(node: &NodeInfo, more: CpuMemory) -> i64 {
    let (offered, taken) = (&node.allocatable, &node.requested);
    if offered.milli_cpu == 0 || offered.memory == 0 {
        return 100;
    }
    let fraction = |used: i64, of: i64| (used as f64 / of as f64).min(1.0);
    let cpu = fraction(taken.milli_cpu + more.milli_cpu, offered.milli_cpu);
    let memory = fraction(taken.memory + more.memory, offered.memory);
    ((1.0 - ((cpu - memory) / 2.0).abs()) * 100.0) as i64
}
