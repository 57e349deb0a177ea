//! How long an explanation takes on 1,000 and on 5,000 nodes with 20 pods each, the copy of the cluster included.
//!
//! `cargo bench -p scheduler --bench explain`
#![allow(clippy::print_stdout, missing_docs)]

use k8s_openapi::api::core::v1::{Node, Pod};
use scheduler::cluster::Cluster;
use scheduler::explain::explain;
use scheduler::plugins::Table;
use scheduler::pods::PodInfo;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

fn node(index: usize) -> Node {
    let taints = match index.is_multiple_of(10) {
        true => json!([{ "key": "gpu", "value": "yes", "effect": "NoSchedule" }]),
        false => json!([]),
    };
    let value = json!({
        "metadata": { "name": format!("n{index}"), "labels": { "kubernetes.io/hostname": format!("n{index}"),
            "topology.kubernetes.io/zone": format!("z{}", index % 3), "disk": if index.is_multiple_of(2) { "ssd" } else { "hdd" } } },
        "spec": { "taints": taints },
        "status": { "allocatable": { "cpu": "4", "memory": "16Gi", "pods": "110" } },
    });
    serde_json::from_value(value).expect("a valid node")
}

fn pod(name: &str, spec: &Value) -> Arc<PodInfo> {
    let value = json!({
        "metadata": { "name": name, "namespace": "ns", "uid": name, "labels": { "app": "a" } },
        "spec": spec,
    });
    let pod: Pod = serde_json::from_value(value).expect("a valid pod");
    Arc::new(PodInfo::of(&pod))
}

fn main() {
    let asking = |cpu: &str| json!([{ "name": "c", "resources": { "requests": { "cpu": cpu, "memory": "100Mi" } } }]);
    let selector = json!({ "matchLabels": { "app": "a" } });
    let cases = [
        ("cpu", json!({ "containers": asking("1") })),
        (
            "nodeSelector",
            json!({ "containers": asking("100m"), "nodeSelector": { "disk": "tape" } }),
        ),
        (
            "topology spread",
            json!({ "containers": asking("1"), "topologySpreadConstraints": [{ "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector }] }),
        ),
        (
            "anti-affinity",
            json!({ "containers": asking("100m"), "affinity": { "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                { "topologyKey": "kubernetes.io/hostname", "labelSelector": selector }] } } }),
        ),
    ];
    let table = Table::default();
    for nodes in [1000, 5000] {
        let mut all = Cluster::default();
        for index in 0..nodes {
            all.put_node(Arc::new(node(index)));
            for of in 0..20 {
                let spec = json!({ "containers": asking("180m") });
                all.put_pod(pod(&format!("p{index}-{of}"), &spec), &format!("n{index}"));
            }
        }
        for (name, spec) in &cases {
            let waiting = pod("new", spec);
            let began = Instant::now();
            let answer = explain(&table, &waiting, all.clone());
            let took = began.elapsed();
            println!("{nodes} nodes, {name}: {took:?}");
            if nodes == 1000 {
                println!("{}", answer.text("ns/new"));
            }
        }
    }
}
