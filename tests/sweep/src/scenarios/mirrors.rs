//! Endpoints of Services without selector, beside the controllers of those that have one.

use super::bystander;
use crate::scenario::{ALL_AROUND, Act, Bounds, Part, Scenario, after};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};
use sim::Sim;

fn service() -> Value {
    json!({
        "kind": "Service",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": { "ports": [{ "port": 80, "targetPort": 8080 }] },
    })
}

fn subset(ips: &[&str], port: u16) -> Value {
    let addresses: Vec<_> = ips.iter().map(|ip| json!({ "ip": ip })).collect();
    json!({ "addresses": addresses, "ports": [{ "port": port }] })
}

fn endpoints(subsets: Value) -> Value {
    json!({
        "kind": "Endpoints",
        "metadata": { "name": "web", "namespace": "default", "labels": { "team": "a" }, "annotations": { "a": "b" } },
        "subsets": subsets,
    })
}

/// The addresses that are mirrored, and how many slices there are.
fn holds(sim: &Sim, ips: &[&str], slices: usize) -> bool {
    let all = sim.list::<EndpointSlice>(Some("default"));
    let mut found: Vec<String> = all
        .iter()
        .flat_map(|slice| slice.endpoints.iter().flatten())
        .flat_map(|endpoint| endpoint.addresses.clone())
        .collect();
    found.sort();
    found == ips && all.len() == slices
}

fn scenario(name: &'static str) -> Scenario {
    Scenario {
        name,
        parts: &[Part::EndpointSlice, Part::Endpoints, Part::Mirroring],
        around: ALL_AROUND,
        begin: vec![
            bystander(),
            service(),
            endpoints(json!([subset(&["10.9.0.1", "2001:db8::1"], 80)])),
        ],
        steps: Vec::new(),
        bounds: Bounds {
            slack: 1,
            ..Bounds::default()
        },
        end: |_| true,
    }
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            steps: vec![
                after(
                    5,
                    Act::Merge(
                        "Endpoints",
                        "web",
                        json!({ "subsets": [subset(&["10.9.0.1"], 80), subset(&["10.9.0.2"], 443)] }),
                    ),
                ),
                after(
                    5,
                    Act::Merge(
                        "Endpoints",
                        "web",
                        json!({ "subsets": [subset(&["10.9.0.3"], 8080)] }),
                    ),
                ),
            ],
            end: |sim| holds(sim, &["10.9.0.3"], 1),
            ..scenario("endpoints are mirrored")
        },
        Scenario {
            steps: vec![
                after(5, Act::Delete("Endpoints", "web")),
                after(
                    5,
                    Act::Create(endpoints(json!([subset(&["10.9.0.4"], 80)]))),
                ),
                // From now on the Service chooses its endpoints itself, and there are none.
                after(
                    5,
                    Act::Merge(
                        "Service",
                        "web",
                        json!({ "spec": { "selector": { "app": "nobody" } } }),
                    ),
                ),
            ],
            end: |sim| holds(sim, &[], 1),
            ..scenario("mirrored endpoints are made again")
        },
    ]
}
