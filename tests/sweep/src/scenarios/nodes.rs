//! Nodes that are lost and come back, and taints.

use super::pod;
use crate::nodes::{KUBELET, SILENT};
use crate::scenario::{ALL_AROUND, Act, Bounds, Part, Scenario, Step, after};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};
use sim::{Sim, State};
use std::time::Duration;

const LOST: &str = "node.kubernetes.io/unreachable";

/// A node with a kubelet, of a zone.
fn node(name: &str, zone: &str) -> Value {
    json!({
        "kind": "Node",
        "metadata": { "name": name, "labels": {
            KUBELET: "true", "topology.kubernetes.io/zone": zone,
            "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        } },
    })
}

/// A pod on a node that tolerates a taint for so many seconds.
fn on(node: &str, name: &str, key: &str, seconds: Option<i64>) -> Value {
    let mut pod = pod(name, name);
    let mut toleration = json!({ "key": key, "operator": "Exists", "effect": "NoExecute" });
    if let Some(seconds) = seconds {
        toleration["tolerationSeconds"] = seconds.into();
    }
    pod["spec"]["nodeName"] = node.into();
    pod["spec"]["tolerations"] = json!([toleration]);
    pod
}

fn cut(name: &'static str, silent: bool) -> Act {
    let silent = if silent { json!("true") } else { Value::Null };
    let patch = json!({ "metadata": { "annotations": { SILENT: silent } } });
    Act::Merge("Node", name, patch)
}

fn taint(name: &'static str, taints: Value) -> Act {
    Act::Merge("Node", name, json!({ "spec": { "taints": taints } }))
}

/// A step as soon as something has come about, which takes a minute or more.
fn later(when: fn(&State) -> bool, act: Act) -> Step {
    Step {
        after: Duration::from_mins(2),
        when: Some(when),
        act,
    }
}

fn going(state: &State, name: &str) -> bool {
    let pod = state.get::<Pod>("default", name);
    pod.is_none_or(|pod| ::objects::meta::is_deleting(&pod.metadata))
}

fn stays(sim: &Sim, name: &str) -> bool {
    sim.read(|state| !going(state, name)) && sim.read(|state| super::ready(state, name) == 1)
}

fn all_well(sim: &Sim) -> bool {
    let nodes = sim.list::<Node>(None);
    nodes
        .iter()
        .all(|node| ::objects::node::is_ready(node) && ::objects::node::taints(node).is_empty())
}

fn scenario(
    name: &'static str,
    parts: &'static [Part],
    begin: Vec<Value>,
    steps: Vec<Step>,
    end: fn(&Sim) -> bool,
) -> Scenario {
    Scenario {
        name,
        parts,
        around: ALL_AROUND,
        begin,
        steps,
        bounds: Bounds::default(),
        end,
    }
}

pub(super) fn all() -> Vec<Scenario> {
    let both = &[Part::NodeLifecycle, Part::TaintEviction];
    vec![
        scenario(
            "a node is lost and comes back",
            both,
            vec![
                node("node-1", "a"),
                node("node-2", "a"),
                on("node-1", "waits", LOST, Some(900)),
                on("node-1", "goes", LOST, Some(20)),
                on("node-2", "other", LOST, Some(0)),
            ],
            vec![
                after(5, cut("node-1", true)),
                later(|state| going(state, "goes"), cut("node-1", false)),
            ],
            |sim| {
                let gone = sim.get::<Pod>("default", "goes").is_none();
                gone && stays(sim, "waits") && stays(sim, "other") && all_well(sim)
            },
        ),
        scenario(
            "all zones are lost and come back",
            both,
            vec![
                node("node-1", "a"),
                node("node-2", "b"),
                on("node-1", "one", LOST, Some(60)),
                on("node-2", "two", LOST, Some(60)),
            ],
            vec![
                after(5, cut("node-1", true)),
                after(0, cut("node-2", true)),
                after(120, cut("node-1", false)),
                after(5, cut("node-2", false)),
            ],
            |sim| stays(sim, "one") && stays(sim, "two") && all_well(sim),
        ),
        scenario(
            "a node is cordoned, tainted and drained by its taint",
            both,
            vec![
                node("node-1", "a"),
                node("node-2", "a"),
                on("node-1", "never", "k", None),
                on("node-1", "late", "k", Some(120)),
                on("node-1", "soon", "k", Some(3)),
                on("node-1", "now", "x", None),
            ],
            vec![
                after(
                    3,
                    Act::Merge(
                        "Node",
                        "node-1",
                        json!({ "spec": { "unschedulable": true } }),
                    ),
                ),
                after(
                    3,
                    taint("node-1", json!([{ "key": "k", "effect": "NoExecute" }])),
                ),
                Step {
                    after: Duration::from_secs(1),
                    when: Some(|state| going(state, "soon")),
                    act: taint("node-1", json!([])),
                },
                after(
                    1,
                    Act::Merge(
                        "Node",
                        "node-1",
                        json!({ "spec": { "unschedulable": null } }),
                    ),
                ),
            ],
            |sim| {
                let gone = ["soon", "now"];
                let gone = gone
                    .iter()
                    .all(|name| sim.get::<Pod>("default", name).is_none());
                gone && stays(sim, "never") && stays(sim, "late") && all_well(sim)
            },
        ),
    ]
}
