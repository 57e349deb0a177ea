//! What is left when an owner goes, by each way of going.

use super::{bystander, template};
use crate::scenario::{ALL_AROUND, Act, Bounds, Part, Scenario, Step, once};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use sim::{Sim, State};

fn web() -> Value {
    json!({
        "kind": "Deployment",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": "web" } },
            "template": template("web", "v1"),
        },
    })
}

/// Deployments, sets and pods that there are.
fn left(sim: &Sim) -> [usize; 3] {
    [
        sim.list::<Deployment>(None).len(),
        sim.list::<ReplicaSet>(None).len(),
        sim.list::<Pod>(None).len(),
    ]
}

fn is_up(state: &State) -> bool {
    super::ready(state, "web") == 2
}

fn is_free(state: &State) -> bool {
    state.list::<Deployment>(None).is_empty()
}

fn goes(policy: &'static str) -> Step {
    once(is_up, Act::DeleteAs("Deployment", "web", policy))
}

fn scenario(name: &'static str, steps: Vec<Step>) -> Scenario {
    Scenario {
        name,
        parts: &[Part::Deployment, Part::ReplicaSet, Part::GarbageCollector],
        around: ALL_AROUND,
        begin: vec![bystander(), web()],
        steps,
        bounds: Bounds::default(),
        end: |sim| left(sim) == [0, 0, 1],
    }
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        scenario("garbage in the background", vec![goes("Background")]),
        Scenario {
            bounds: Bounds {
                // Who does not see that the set goes makes its pods anew, as fast as they go.
                slack: 10,
                ..Bounds::default()
            },
            ..scenario("garbage in the foreground", vec![goes("Foreground")])
        },
        Scenario {
            end: |sim| left(sim) == [0, 1, 3],
            ..scenario("garbage that stays", vec![goes("Orphan")])
        },
        Scenario {
            end: |sim| left(sim) == [1, 1, 3],
            ..scenario(
                "garbage that is taken again",
                vec![goes("Orphan"), once(is_free, Act::Create(web()))],
            )
        },
    ]
}
