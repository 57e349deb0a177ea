//! Namespaces, the scheduler, the node agent.

use super::{bystander, pod};
use crate::scenario::{ALL_AROUND, Act, Bounds, Part, Scenario, Surroundings, after};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ServiceAccount};
use serde_json::{Value, json};

fn node(name: &str, cpu: &str) -> Value {
    let has = json!({ "cpu": cpu, "memory": "64Gi", "pods": "110" });
    json!({
        "kind": "Node",
        "metadata": { "name": name },
        "status": {
            "capacity": has, "allocatable": has,
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

fn wants(name: &str, cpu: &str) -> Value {
    let mut pod = pod(name, "web");
    pod["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": cpu } });
    pod
}

fn on(name: &str, node: &str) -> Value {
    let mut pod = pod(name, "web");
    pod["spec"]["nodeName"] = node.into();
    pod
}

/// A pod that wants so many cores, with a priority.
fn important(name: &str, cpu: &str, priority: i32) -> Value {
    let mut pod = wants(name, cpu);
    pod["spec"]["priority"] = priority.into();
    pod
}

pub(super) fn all() -> Vec<Scenario> {
    let nodes = ["node-1", "node-2", "node-3"].map(|name| node(name, "8"));
    let many = (1..=20).map(|n| wants(&format!("web-{n}"), "1"));
    vec![
        Scenario {
            name: "namespace is furnished",
            parts: &[Part::ServiceAccount, Part::RootCa],
            around: ALL_AROUND,
            begin: vec![bystander()],
            steps: vec![
                after(
                    2,
                    Act::Create(json!({ "kind": "Namespace", "metadata": { "name": "team" } })),
                ),
                after(20, Act::Delete("ServiceAccount", "default")),
                after(
                    20,
                    Act::Merge(
                        "ConfigMap",
                        "kube-root-ca.crt",
                        json!({ "data": { "ca.crt": "x" } }),
                    ),
                ),
                after(20, Act::Delete("ConfigMap", "kube-root-ca.crt")),
            ],
            bounds: Bounds::default(),
            end: |sim| {
                sim.list::<ServiceAccount>(None).len() == 5
                    && sim.list::<ConfigMap>(None).len() == 5
                    && sim
                        .get::<ConfigMap>("default", "kube-root-ca.crt")
                        .is_some_and(|c| {
                            c.data
                                .is_some_and(|d| d.get("ca.crt").map(String::as_str) == Some("PEM"))
                        })
            },
        },
        Scenario {
            name: "scheduler",
            parts: &[Part::Scheduler],
            around: Surroundings {
                binds: false,
                runs: true,
            },
            begin: nodes.into_iter().chain(many).collect(),
            steps: vec![
                after(5, Act::Create(wants("web-50", "12"))),
                after(30, Act::Create(node("node-4", "16"))),
                after(5, Act::Delete("Pod", "web-3")),
                after(5, Act::Create(wants("web-51", "4"))),
            ],
            bounds: Bounds::default(),
            end: |sim| {
                let pods = sim.list::<Pod>(Some("default"));
                pods.len() == 21 && pods.iter().all(|p| objects::pod::node_name(p).is_some())
            },
        },
        Scenario {
            name: "preemption",
            parts: &[Part::Scheduler],
            around: Surroundings {
                binds: false,
                runs: true,
            },
            begin: vec![
                node("node-0", "4"),
                important("least", "2", 1),
                important("less", "2", 2),
            ],
            steps: vec![
                after(10, Act::Create(important("more", "2", 5))),
                after(30, Act::Create(important("most", "2", 9))),
                after(30, Act::Create(important("late", "2", 5))),
            ],
            bounds: Bounds::default(),
            end: |sim| {
                let mut there: Vec<String> = sim
                    .list::<Pod>(Some("default"))
                    .iter()
                    .filter(|pod| objects::pod::node_name(pod).is_some())
                    .map(|pod| objects::meta::name(&pod.metadata).to_owned())
                    .collect();
                there.sort();
                // Who is as important as those that are there waits.
                there == ["more", "most"] && sim.list::<Pod>(Some("default")).len() == 3
            },
        },
        Scenario {
            name: "kubelet",
            parts: &[Part::Kubelet],
            around: Surroundings {
                binds: false,
                runs: false,
            },
            begin: vec![on("web-1", "node-0"), on("web-2", "node-0")],
            steps: vec![
                after(5, Act::Create(on("web-3", "node-0"))),
                after(20, Act::Delete("Pod", "web-1")),
                after(10, Act::Create(on("web-4", "node-0"))),
            ],
            bounds: Bounds::default(),
            end: |sim| {
                let pods = sim.list::<Pod>(Some("default"));
                pods.len() == 3 && pods.iter().all(objects::pod::is_ready)
            },
        },
    ]
}
