//! DaemonSets: nodes, revisions, updates with and without surge.

use super::{pod, ready, ready_of, story, template};
use crate::scenario::{Act, Bounds, Part, Scenario, Step, after, once};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use serde_json::{Value, json};
use sim::Sim;

fn set(spec: &Value) -> Value {
    let mut set = json!({
        "kind": "DaemonSet",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "selector": { "matchLabels": { "app": "web" } },
            "template": template("web", "v1"),
        },
    });
    for (key, value) in spec.as_object().into_iter().flatten() {
        set["spec"][key] = value.clone();
    }
    set
}

fn node(name: &str) -> Value {
    json!({ "kind": "Node", "metadata": { "name": name } })
}

fn taint(name: &'static str, effect: &str) -> Act {
    let taints = json!([{ "key": "k", "effect": effect }]);
    Act::Merge("Node", name, json!({ "spec": { "taints": taints } }))
}

fn image(image: &str) -> Act {
    let containers = json!([{ "name": "main", "image": image }]);
    let spec = json!({ "template": { "spec": { "containers": containers } } });
    Act::Merge("DaemonSet", "web", json!({ "spec": spec }))
}

fn is(sim: &Sim, pods: usize, image: &str, revisions: usize) -> bool {
    let status = sim
        .get::<DaemonSet>("default", "web")
        .and_then(|set| set.status);
    sim.read(|state| ready(state, "web") == pods && ready_of(state, image) >= pods)
        && sim.list::<ControllerRevision>(Some("default")).len() == revisions
        && status.is_some_and(|s| {
            s.number_available == Some(pods as i32)
                && s.updated_number_scheduled == Some(pods as i32)
        })
}

fn scenario(name: &'static str, nodes: &[&str], begin: Vec<Value>, steps: Vec<Step>) -> Scenario {
    let mut all: Vec<Value> = nodes.iter().map(|name| node(name)).collect();
    all.extend(begin);
    story(name, &[Part::DaemonSet], all, steps)
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            bounds: Bounds {
                unavailable: Some(1),
                // Who sees late that it goes back has replaced one pod more.
                slack: 2,
                ..Bounds::default()
            },
            end: |sim| is(sim, 2, "v1", 2),
            ..scenario(
                "daemonset updates and goes back",
                &["node-1", "node-2"],
                vec![set(&json!({}))],
                vec![
                    after(20, image("v2")),
                    once(|state| ready_of(state, "v2") > 0, image("v1")),
                ],
            )
        },
        Scenario {
            bounds: Bounds {
                surge: Some(1),
                unavailable: Some(0),
                ..Bounds::default()
            },
            end: |sim| is(sim, 2, "v2", 1),
            ..scenario(
                "daemonset surges",
                &["node-1", "node-2"],
                vec![set(&json!({
                    "minReadySeconds": 5,
                    "revisionHistoryLimit": 0,
                    "updateStrategy": {
                        "type": "RollingUpdate",
                        "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 },
                    },
                }))],
                vec![after(30, image("v2"))],
            )
        },
        Scenario {
            end: |sim| is(sim, 1, "v1", 1),
            ..scenario(
                "daemonset adopts, releases, replaces and follows nodes",
                &["node-1"],
                vec![
                    orphan(),
                    set(&json!({ "updateStrategy": { "type": "OnDelete" } })),
                ],
                vec![
                    after(
                        10,
                        Act::MergePod("web", json!({ "metadata": { "labels": { "app": "lab" } } })),
                    ),
                    after(
                        10,
                        Act::MergePod("web", json!({ "status": { "phase": "Failed" } })),
                    ),
                    after(10, Act::Create(node("node-2"))),
                    after(10, taint("node-1", "NoExecute")),
                ],
            )
        },
    ]
}

/// A pod on the first node that matches.
fn orphan() -> Value {
    let mut orphan = pod("web-1", "web");
    orphan["spec"]["nodeName"] = "node-1".into();
    orphan
}
