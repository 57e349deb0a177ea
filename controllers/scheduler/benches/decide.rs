//! How long a decision takes on a cluster of 1,000 and of 5,000 nodes, assumption included.
//!
//! `cargo bench -p scheduler`
#![allow(clippy::print_stdout, missing_docs)]

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use scheduler::cluster::Cluster;
use scheduler::decide::{Decision, decide};
use scheduler::plugins::Table;
use scheduler::snapshot::PodInfo;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

const DECISIONS: u32 = 5000;

fn node(index: usize) -> Node {
    let zone = format!("z{}", index % 3);
    let value = json!({
        "metadata": { "name": format!("n{index}"), "labels": {
            "kubernetes.io/hostname": format!("n{index}"), "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            "topology.kubernetes.io/zone": zone, "disk": if index.is_multiple_of(2) { "ssd" } else { "hdd" } } },
        "status": { "allocatable": { "cpu": "64", "memory": "256Gi", "pods": "110", "ephemeral-storage": "100Gi" } },
    });
    serde_json::from_value(value).expect("a valid node")
}

fn pod(index: u32, spec: &Value) -> Arc<PodInfo> {
    let value = json!({
        "metadata": { "name": format!("p{index}"), "namespace": "ns", "uid": format!("u{index}"),
            "labels": { "app": format!("r{}", index % 20) }, "ownerReferences": [
            { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("r{}", index % 20), "uid": format!("r{}", index % 20), "controller": true }] },
        "spec": spec,
    });
    let pod: Pod = serde_json::from_value(value).expect("a valid pod");
    Arc::new(PodInfo::of(Arc::new(pod)))
}

fn set(index: u32) -> ReplicaSet {
    let value = json!({ "metadata": { "name": format!("r{index}"), "namespace": "ns" },
        "spec": { "selector": { "matchLabels": { "app": format!("r{index}") } } } });
    serde_json::from_value(value).expect("a valid set")
}

fn main() {
    let containers =
        json!([{ "name": "c", "resources": { "requests": { "cpu": "100m", "memory": "200Mi" } } }]);
    let plain = json!({ "containers": containers });
    let selecting = json!({ "containers": containers, "nodeSelector": { "disk": "ssd" } });
    let table = Table::default();
    for nodes in [1000, 5000] {
        for (name, spec) in [("plain", &plain), ("nodeSelector", &selecting)] {
            let mut cluster = Cluster::default();
            for index in 0..nodes {
                cluster.put_node(Arc::new(node(index)));
            }
            (0..20).for_each(|index| cluster.owners_mut().put(&set(index)));
            let pods: Vec<_> = (0..DECISIONS).map(|index| pod(index, spec)).collect();
            let began = Instant::now();
            for (seed, pod) in pods.into_iter().enumerate() {
                if let Decision::Bind { node, .. } =
                    decide(&table, &pod, cluster.snapshot(), seed as u64)
                {
                    cluster.assume(pod, &node);
                }
            }
            let each = began.elapsed() / DECISIONS;
            println!("{nodes} nodes, {name}: {each:?} a decision");
        }
    }
}
