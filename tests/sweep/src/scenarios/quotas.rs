//! Quotas, and pods that nobody else removes.

use super::{bystander, pod, ready, replica_set};
use crate::scenario::{ALL_AROUND, Act, Bounds, Part, Scenario, Surroundings, after};
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use serde_json::{Value, json};
use sim::Sim;

fn quota(hard: Value) -> Value {
    json!({
        "kind": "ResourceQuota",
        "metadata": { "name": "few", "namespace": "default" },
        "spec": { "hard": hard },
    })
}

fn limit(hard: Value) -> Act {
    Act::Merge("ResourceQuota", "few", json!({ "spec": { "hard": hard } }))
}

fn map(name: &str) -> Value {
    json!({ "kind": "ConfigMap", "metadata": { "name": name, "namespace": "default" } })
}

/// Whether so much of a resource is used.
fn uses(sim: &Sim, name: &str, amount: &str) -> bool {
    let quota = sim.get::<ResourceQuota>("default", "few");
    let used = quota.and_then(|q| q.status?.used);
    used.is_some_and(|used| used.get(name).is_some_and(|q| q.0 == amount))
}

fn node(name: &str, machine: &str) -> Value {
    let info = json!({
        "architecture": "", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "",
        "kubeletVersion": "", "machineID": "", "operatingSystem": "", "osImage": "", "systemUUID": machine,
    });
    json!({
        "kind": "Node",
        "metadata": { "name": name },
        "status": { "conditions": [{ "type": "Ready", "status": "True" }], "nodeInfo": info },
    })
}

fn on(name: &str, node: &str) -> Value {
    let mut pod = pod(name, "web");
    pod["spec"]["nodeName"] = node.into();
    pod
}

fn ended(name: &str, reason: &str) -> Value {
    let mut pod = on(name, "node-1");
    pod["status"] = json!({ "phase": "Failed", "reason": reason });
    pod
}

fn held(name: &str) -> Value {
    let mut pod = pod(name, "web");
    pod["metadata"]["finalizers"] = json!(["sweep/held"]);
    pod
}

fn names(sim: &Sim) -> Vec<String> {
    let pods = sim.list::<Pod>(Some("default"));
    let mut names: Vec<_> = pods.into_iter().filter_map(|p| p.metadata.name).collect();
    names.sort();
    names
}

const NOBODY: Surroundings = Surroundings {
    binds: false,
    runs: false,
};

pub(super) fn all() -> Vec<Scenario> {
    let lost = json!({
        "spec": { "taints": [{ "key": "node.kubernetes.io/out-of-service", "effect": "NoExecute" }] },
        "status": { "conditions": [{ "type": "Ready", "status": "Unknown" }] },
    });
    vec![
        Scenario {
            name: "quota holds back and lets go",
            parts: &[Part::ReplicaSet, Part::ResourceQuota],
            around: ALL_AROUND,
            begin: vec![bystander(), quota(json!({ "pods": "3" }))],
            steps: vec![
                // What is made before the quota is in force is counted, and not refused.
                after(2, Act::Create(replica_set(4))),
                after(20, Act::DeletePods("web", 1)),
                after(20, limit(json!({ "pods": "4" }))),
                after(20, Act::Delete("Pod", "other-1")),
                after(5, limit(json!({ "pods": "5", "count/configmaps": "3" }))),
                after(5, Act::Create(map("one"))),
                after(5, Act::Create(map("two"))),
                after(10, Act::Delete("ConfigMap", "one")),
                after(
                    5,
                    Act::MergePod("web", json!({ "status": { "phase": "Failed" } })),
                ),
            ],
            bounds: Bounds {
                // A refused creation is tried again, and each try may raise what is used.
                slack: 1,
                ..Bounds::default()
            },
            end: |sim| {
                sim.read(|state| ready(state, "web") == 4)
                    && uses(sim, "pods", "4")
                    && uses(sim, "count/configmaps", "1")
            },
        },
        Scenario {
            name: "podgc: nodes",
            parts: &[Part::PodGc],
            around: NOBODY,
            begin: vec![
                bystander(),
                node("node-1", "a"),
                node("node-2", "b"),
                node("node-3", "c"),
                on("web-1", "node-1"),
                on("web-2", "node-2"),
                on("web-3", "node-3"),
                on("web-4", "node-3"),
                on("web-5", "node-5"),
                held("web-6"),
            ],
            steps: vec![
                after(5, Act::Delete("Node", "node-1")),
                after(1, Act::Delete("Node", "node-2")),
                after(1, Act::Delete("Pod", "web-3")),
                after(1, Act::Delete("Pod", "web-6")),
                // The same machine again.
                after(2, Act::Create(node("node-2", "b"))),
                after(1, Act::Merge("Node", "node-3", lost)),
                after(60, Act::Create(on("web-7", "node-2"))),
                after(
                    5,
                    Act::Merge(
                        "Pod",
                        "web-6",
                        json!({ "metadata": { "finalizers": null } }),
                    ),
                ),
            ],
            bounds: Bounds::default(),
            end: |sim| names(sim) == ["other-1", "web-2", "web-4", "web-7"],
        },
        Scenario {
            name: "podgc: ended",
            parts: &[Part::PodGc],
            around: NOBODY,
            begin: vec![
                bystander(),
                node("node-1", "a"),
                on("web-1", "node-1"),
                ended("web-2", ""),
                ended("web-3", ""),
                ended("web-4", "Evicted"),
                ended("web-5", ""),
            ],
            steps: vec![after(30, Act::Create(ended("web-6", "")))],
            bounds: Bounds::default(),
            end: |sim| names(sim) == ["other-1", "web-1", "web-3", "web-5", "web-6"],
        },
    ]
}
