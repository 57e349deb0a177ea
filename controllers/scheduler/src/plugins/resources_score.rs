//! How full a node would be, as a score: what NodeResourcesFit's strategies and NodeResourcesBalancedAllocation share.
//!
//! Upstream: `framework/plugins/noderesources/{resource_allocation,least_allocated,most_allocated,
//! requested_to_capacity_ratio}.go`.

use crate::pods::PodInfo;
use crate::snapshot::NodeInfo;

/// A resource, and how much it counts beside others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weighted {
    /// Its name.
    pub name: String,
    /// From 1 to 100.
    pub weight: i64,
}

/// CPU and memory, alike.
pub(crate) fn usual() -> Vec<Weighted> {
    let alike = |name: &str| Weighted {
        name: name.to_owned(),
        weight: 1,
    };
    vec![alike("cpu"), alike("memory")]
}

/// Which nodes are better.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Those with the most left.
    #[default]
    LeastAllocated,
    /// Those with the least left.
    MostAllocated,
    /// By a broken line: points of utilisation in percent and score up to 100, in rising order.
    RequestedToCapacityRatio(Vec<(i64, i64)>),
}

impl Strategy {
    /// The score of one resource; the node has some of it.
    fn score(&self, requested: i64, capacity: i64) -> i64 {
        let part = |amount: i64| amount.saturating_mul(100) / capacity;
        match self {
            Self::LeastAllocated if requested > capacity => 0,
            Self::LeastAllocated => part(capacity - requested),
            Self::MostAllocated => part(requested.min(capacity)),
            Self::RequestedToCapacityRatio(line) if requested > capacity => on(line, 100),
            Self::RequestedToCapacityRatio(line) => on(line, part(requested)),
        }
    }

    /// The score of a node with the pod on it.
    pub(crate) fn of(&self, pod: &PodInfo, node: &NodeInfo, resources: &[Weighted]) -> i64 {
        let is_ratio = matches!(self, Self::RequestedToCapacityRatio(_));
        let (mut sum, mut weights) = (0, 0);
        for Weighted { name, weight } in resources {
            let Some((requested, capacity)) = with_pod(pod, node, name) else {
                continue;
            };
            let score = self.score(requested, capacity);
            // What scores nothing does not pull the others down there.
            if score > 0 || !is_ratio {
                sum += score * weight;
                weights += weight;
            }
        }
        match weights {
            0 => 0,
            _ if is_ratio => (sum as f64 / weights as f64).round() as i64,
            _ => sum / weights,
        }
    }
}

/// The value of a broken line at a point.
fn on(line: &[(i64, i64)], at: i64) -> i64 {
    let Some(next) = line.iter().position(|(utilisation, _)| at <= *utilisation) else {
        return line.last().map_or(0, |(_, score)| *score);
    };
    let (right, above) = line[next];
    match next.checked_sub(1).map(|last| line[last]) {
        None => above,
        Some((left, below)) => below + (above - below) * (at - left) / (right - left),
    }
}

/// What there is of a resource; the number of pods is none that scores know.
fn capacity(node: &NodeInfo, name: &str) -> i64 {
    match name {
        "pods" => 0,
        name => node.allocatable.get(name),
    }
}

/// What would be requested of a resource, as scores count it, and what there is. None if the node has none of it, or it is
/// a special one that the pod does not ask for.
fn with_pod(pod: &PodInfo, node: &NodeInfo, name: &str) -> Option<(i64, i64)> {
    let capacity = capacity(node, name);
    let (wanted, taken) = match name {
        "cpu" => (pod.nonzero.milli_cpu, node.nonzero.milli_cpu),
        "memory" => (pod.nonzero.memory, node.nonzero.memory),
        name => (pod.requests.get(name), node.requested.get(name)),
    };
    let is_special = !matches!(name, "cpu" | "memory" | "ephemeral-storage");
    let matters = capacity != 0 && !(is_special && wanted == 0);
    matters.then_some((taken + wanted, capacity))
}

/// The parts of each resource that are in use without the pod and with it, at most 1.
pub(crate) fn parts(pod: &PodInfo, node: &NodeInfo, resources: &[Weighted]) -> Vec<(f64, f64)> {
    let part = |used: i64, of: i64| (used as f64 / of as f64).min(1.0);
    let each = resources.iter().filter_map(|Weighted { name, .. }| {
        let (wanted, taken) = (pod.requests.get(name), node.requested.get(name));
        let capacity = capacity(node, name);
        let is_special = !matches!(&**name, "cpu" | "memory" | "ephemeral-storage");
        let matters = capacity != 0 && !(is_special && wanted == 0);
        matters.then(|| (part(taken, capacity), part(taken + wanted, capacity)))
    });
    each.collect()
}

/// Whether the pod requests any of these.
pub(crate) fn wants_any(pod: &PodInfo, resources: &[Weighted]) -> bool {
    resources
        .iter()
        .any(|Weighted { name, .. }| pod.requests.get(name) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::{cluster, info, node, requests};
    use serde_json::json;

    /// A node of 4 cores and 8 GiB, of which 1 core and 4 GiB are taken; the pod takes a core and 1 GiB more.
    fn check(strategy: &Strategy, weights: &[(&str, i64)], expected: i64) {
        let mut all = cluster([node(
            "n",
            json!({ "status": { "allocatable": { "x.io/gpu": "4" } } }),
        )]);
        let old = requests(json!({ "cpu": "1", "memory": "4Gi", "x.io/gpu": "1" }));
        all.put_pod(info("old", old), "n");
        let pod = info(
            "new",
            requests(json!({ "cpu": "1", "memory": "1Gi", "x.io/gpu": "2" })),
        );
        let resources: Vec<Weighted> = weights
            .iter()
            .map(|(name, weight)| Weighted {
                name: (*name).to_owned(),
                weight: *weight,
            })
            .collect();
        let (at, _) = all.snapshot().get("n").expect("the node is there");
        assert_eq!(
            strategy.of(&pod, at, &resources),
            expected,
            "{strategy:?} {weights:?}"
        );
    }

    #[test]
    fn strategies_weigh_resources() {
        let line = |points: &[(i64, i64)]| Strategy::RequestedToCapacityRatio(points.to_vec());
        check(&Strategy::LeastAllocated, &[("cpu", 1), ("memory", 1)], 43);
        check(&Strategy::LeastAllocated, &[("cpu", 3), ("memory", 1)], 46);
        check(&Strategy::LeastAllocated, &[("x.io/gpu", 1)], 25);
        check(
            &Strategy::LeastAllocated,
            &[("x.io/absent", 5), ("cpu", 1)],
            50,
        );
        check(&Strategy::MostAllocated, &[("cpu", 1), ("memory", 1)], 56);
        check(&Strategy::MostAllocated, &[("cpu", 1), ("x.io/gpu", 3)], 68);
        check(
            &line(&[(0, 0), (100, 100)]),
            &[("cpu", 1), ("memory", 1)],
            56,
        );
        check(
            &line(&[(0, 100), (100, 0)]),
            &[("cpu", 1), ("memory", 1)],
            44,
        );
        check(
            &line(&[(60, 0), (100, 100)]),
            &[("cpu", 1), ("x.io/gpu", 1)],
            37,
        );
        check(
            &line(&[(0, 0), (50, 80), (100, 100)]),
            &[("x.io/gpu", 1)],
            90,
        );
    }
}
