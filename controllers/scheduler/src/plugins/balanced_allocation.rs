//! NodeResourcesBalancedAllocation: CPU and memory should run out together.
//!
//! Upstream: `framework/plugins/noderesources/balanced_allocation.go`. Computed in floating point as there, so that
//! scores come out the same.

use crate::node::Node;
use crate::plugin::{Normalise, Score, Scorer};
use crate::plugins::resources_score::{Weighted, parts, usual, wants_any};
use crate::pods::{CpuMemory, PodInfo};
use crate::snapshot::{NodeInfo, Snapshot};

/// Prefers nodes whose balance the pod betters. Has no wish for pods that request none of the resources.
pub struct BalancedAllocation {
    /// What should run out together; weights do not matter.
    pub resources: Vec<Weighted>,
}

impl Default for BalancedAllocation {
    fn default() -> Self {
        Self { resources: usual() }
    }
}

impl Score for BalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn local(&self) -> Option<Normalise> {
        Some(Normalise::AsIs)
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot, _: &[u32]) -> Option<Scorer<'a>> {
        if !wants_any(pod, &self.resources) {
            return None;
        }
        if self.resources != usual() {
            return Some(Scorer {
                normalise: Normalise::AsIs,
                score: Box::new(|info, _| {
                    let parts = parts(pod, info, &self.resources);
                    let without = evenness(parts.iter().map(|(without, _)| *without));
                    let with = evenness(parts.iter().map(|(_, with)| *with));
                    50 + (50 + with - without) / 2
                }),
            });
        }
        // By far the most common ones go without looking for names.
        let wanted = CpuMemory {
            milli_cpu: pod.requests.milli_cpu,
            memory: pod.requests.memory,
        };
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

/// The same of any number of parts.
fn evenness(parts: impl ExactSizeIterator<Item = f64> + Clone) -> i64 {
    let count = parts.len() as f64;
    if parts.len() < 2 {
        return 100;
    }
    let mean = parts.clone().sum::<f64>() / count;
    let squares: f64 = parts.map(|part| (part - mean) * (part - mean)).sum();
    ((1.0 - (squares / count).sqrt()) * 100.0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::{cluster, info, node, requests, scores};
    use serde_json::json;

    #[test]
    fn special_resources_can_be_balanced_too() {
        let gpu = |name: &str, gpus: &str| {
            node(
                name,
                json!({ "status": { "allocatable": { "x.io/gpu": gpus } } }),
            )
        };
        let all = cluster([gpu("a", "2"), gpu("b", "4"), node("c", json!({}))]);
        let names = ["cpu", "memory", "x.io/gpu"];
        let resources = names.map(|name| Weighted {
            name: name.to_owned(),
            weight: 1,
        });
        let plugin = BalancedAllocation {
            resources: resources.into(),
        };
        let pod = info(
            "new",
            requests(json!({ "cpu": "2", "memory": "4Gi", "x.io/gpu": "2" })),
        );
        assert_eq!(
            scores(&plugin, &pod, all.snapshot(), &["a", "b", "c"]),
            Some(vec![63, 75, 75])
        );
        let pod = info("new", json!({}));
        assert_eq!(scores(&plugin, &pod, all.snapshot(), &["a"]), None);
    }
}
