//! ReplicationControllers: what ReplicaSets do, in one story of each kind of write.

use super::{pod, replicasets, template, web_is};
use crate::scenario::{Act, Part, Scenario, Step, after};
use serde_json::{Value, json};

fn controller(replicas: i32) -> Value {
    json!({
        "kind": "ReplicationController",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": replicas,
            "selector": { "app": "web" },
            "template": template("web", "v1"),
        },
    })
}

fn scale(replicas: i32) -> Act {
    let size = json!({ "spec": { "replicas": replicas } });
    Act::Merge("ReplicationController", "web", size)
}

fn scenario(name: &'static str, begin: Vec<Value>, steps: Vec<Step>) -> Scenario {
    Scenario {
        parts: &[Part::Replication],
        ..replicasets::scenario(name, begin, steps)
    }
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            end: |sim| web_is(sim, 1, "v1"),
            ..scenario(
                "replicationcontroller up and down",
                vec![controller(2)],
                vec![after(20, scale(3)), after(20, scale(1))],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 2, "v1"),
            ..scenario(
                "replicationcontroller adopts and releases",
                vec![pod("web-1", "web"), controller(2)],
                vec![after(
                    20,
                    Act::MergePod("web", json!({ "metadata": { "labels": { "app": "lab" } } })),
                )],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 2, "v1"),
            ..scenario(
                "replicationcontroller meets a quota",
                vec![controller(1)],
                vec![
                    after(10, Act::Refuse("Pod", "exceeded quota: pods")),
                    after(1, scale(2)),
                    after(10, Act::Accept("Pod")),
                ],
            )
        },
    ]
}
