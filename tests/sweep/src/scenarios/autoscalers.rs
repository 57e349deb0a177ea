//! Autoscalers: up and down at a rate, before nonsense, without a target.

use super::{story, template};
use crate::scenario::{Act, Part, Scenario, Step, after};
use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::{Value, json};
use sim::Sim;

/// A workload that nobody runs: only its scale matters.
fn set(replicas: i32) -> Value {
    json!({
        "kind": "StatefulSet",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": replicas, "serviceName": "web",
            "selector": { "matchLabels": { "app": "web" } },
            "template": template("web", "v1"),
        },
    })
}

/// One pod for each ten of `queue`; one more and two less in half a minute.
fn autoscaler() -> Value {
    let rules = |pods: i32| {
        json!({
            "stabilizationWindowSeconds": 0, "selectPolicy": "Max",
            "policies": [{ "type": "Pods", "value": pods, "periodSeconds": 30 }],
        })
    };
    json!({
        "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web" },
            "minReplicas": 1, "maxReplicas": 4,
            "metrics": [{ "type": "External", "external": {
                "metric": { "name": "queue" },
                "target": { "type": "AverageValue", "averageValue": "10" },
            }}],
            "behavior": { "scaleUp": rules(1), "scaleDown": rules(2) },
        },
    })
}

fn load(queue: &str) -> Value {
    json!({
        "kind": "ConfigMap", "metadata": { "name": "load", "namespace": "default" },
        "data": { "queue": queue },
    })
}

fn becomes(queue: &str) -> Act {
    Act::Merge("ConfigMap", "load", json!({ "data": { "queue": queue } }))
}

fn scenario(name: &'static str, begin: Vec<Value>, steps: Vec<Step>) -> Scenario {
    let mut all = vec![autoscaler()];
    all.extend(begin);
    story(name, &[Part::Autoscaler], all, steps)
}

fn is(sim: &Sim, replicas: i32) -> bool {
    let web = sim.get::<StatefulSet>("default", "web");
    web.and_then(|web| web.spec?.replicas) == Some(replicas)
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            end: |sim| is(sim, 3),
            ..scenario("autoscaler up", vec![set(1), load("30")], vec![])
        },
        Scenario {
            end: |sim| is(sim, 1),
            ..scenario(
                "autoscaler down",
                vec![set(4), load("40")],
                vec![after(20, becomes("8"))],
            )
        },
        Scenario {
            end: |sim| is(sim, 2),
            ..scenario(
                "autoscaler meets nonsense",
                vec![set(2), load("NaN")],
                vec![after(20, becomes("-7")), after(20, becomes("20"))],
            )
        },
        Scenario {
            end: |sim| is(sim, 2),
            ..scenario(
                "autoscaler before its target",
                vec![load("20")],
                vec![after(20, Act::Create(set(1)))],
            )
        },
    ]
}
