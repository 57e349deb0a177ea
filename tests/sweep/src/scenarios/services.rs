//! Services: EndpointSlices and Endpoints in one process.

use super::{bystander, pod};
use crate::scenario::{ALL_AROUND, Act, Bounds, Part, Scenario, after};
use k8s_openapi::api::core::v1::Endpoints;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};
use sim::Sim;

fn service() -> Value {
    json!({
        "kind": "Service",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": 8080 }] },
    })
}

fn pods(names: std::ops::RangeInclusive<u32>) -> impl Iterator<Item = Value> {
    names.map(|n| pod(&format!("web-{n}"), "web"))
}

fn scenario(name: &'static str, begin: Vec<Value>) -> Scenario {
    let mut all = vec![
        bystander(),
        json!({
            "kind": "Node",
            "metadata": { "name": "node-1", "labels": { "topology.kubernetes.io/zone": "a" } },
        }),
    ];
    all.extend(begin);
    Scenario {
        name,
        parts: &[Part::EndpointSlice, Part::Endpoints],
        around: ALL_AROUND,
        begin: all,
        steps: Vec::new(),
        bounds: Bounds {
            slack: 1,
            ..Bounds::default()
        },
        end: |_| true,
    }
}

fn holds(sim: &Sim, count: usize) -> bool {
    let slices = sim.list::<EndpointSlice>(Some("default"));
    let sliced: usize = slices
        .iter()
        .map(|s| s.endpoints.as_ref().map_or(0, Vec::len))
        .sum();
    let listed = sim.get::<Endpoints>("default", "web").map_or(0, |e| {
        let subsets = e.subsets.unwrap_or_default();
        let addresses = subsets
            .iter()
            .map(|s| s.addresses.as_ref().map_or(0, Vec::len));
        addresses.sum()
    });
    sliced == count && listed == count
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            steps: vec![
                after(5, Act::Create(pod("web-3", "web"))),
                after(5, Act::Delete("Pod", "web-1")),
                after(1, Act::Create(pod("web-4", "web"))),
                after(
                    5,
                    Act::Merge(
                        "Pod",
                        "web-2",
                        json!({ "metadata": { "labels": { "app": "x" } } }),
                    ),
                ),
            ],
            end: |sim| holds(sim, 2),
            ..scenario("pods come and go", pods(1..=2).chain([service()]).collect())
        },
        Scenario {
            steps: vec![
                after(10, Act::Delete("Pod", "web-7")),
                after(2, Act::Delete("Pod", "web-120")),
                after(2, Act::Create(pod("web-151", "web"))),
            ],
            end: |sim| holds(sim, 149),
            ..scenario("150 endpoints", pods(1..=150).chain([service()]).collect())
        },
        Scenario {
            steps: vec![
                after(5, Act::Delete("Service", "web")),
                after(3, Act::Create(service())),
                after(
                    30,
                    Act::Merge(
                        "Service",
                        "web",
                        json!({ "spec": { "ports": [{ "port": 80, "targetPort": 9090 }] } }),
                    ),
                ),
            ],
            end: |sim| holds(sim, 2),
            ..scenario(
                "service made again",
                pods(1..=2).chain([service()]).collect(),
            )
        },
        Scenario {
            steps: vec![
                after(
                    10,
                    Act::Merge("Endpoints", "web", json!({ "subsets": null })),
                ),
                after(30, Act::Delete("Endpoints", "web")),
            ],
            end: |sim| holds(sim, 2),
            ..scenario(
                "endpoints are edited",
                pods(1..=2).chain([service()]).collect(),
            )
        },
    ]
}
