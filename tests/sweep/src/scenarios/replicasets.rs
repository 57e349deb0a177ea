//! ReplicaSets: scaled, adopting, releasing, refused.

use super::{bystander, pod, ready, template, web_is};
use crate::scenario::{ALL_AROUND, Act, Bounds, Part, Scenario, Step, after, once};
use serde_json::{Value, json};

fn set(replicas: i32) -> Value {
    json!({
        "kind": "ReplicaSet",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": template("web", "v1"),
        },
    })
}

fn scale(replicas: i32) -> Act {
    Act::Merge(
        "ReplicaSet",
        "web",
        json!({ "spec": { "replicas": replicas } }),
    )
}

pub(super) fn scenario(name: &'static str, begin: Vec<Value>, steps: Vec<Step>) -> Scenario {
    let mut all = vec![bystander()];
    all.extend(begin);
    Scenario {
        name,
        parts: &[Part::ReplicaSet],
        around: ALL_AROUND,
        begin: all,
        steps,
        bounds: Bounds {
            surge: Some(0),
            ..Bounds::default()
        },
        end: |_| true,
    }
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            end: |sim| web_is(sim, 5, "v1"),
            ..scenario("replicaset up", vec![set(0)], vec![after(2, scale(5))])
        },
        Scenario {
            bounds: Bounds {
                surge: Some(0),
                unavailable: Some(0),
                ..Bounds::default()
            },
            end: |sim| web_is(sim, 2, "v1"),
            ..scenario("replicaset down", vec![set(5)], vec![after(30, scale(2))])
        },
        Scenario {
            end: |sim| web_is(sim, 3, "v1"),
            ..scenario(
                "replicaset adopts orphans",
                vec![pod("web-1", "web"), pod("web-2", "web")],
                vec![after(5, Act::Create(set(3)))],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 3, "v1"),
            ..scenario(
                "replicaset releases",
                vec![set(3)],
                vec![
                    after(
                        30,
                        Act::MergePod(
                            "web",
                            json!({ "metadata": { "labels": { "app": "debug" } } }),
                        ),
                    ),
                    after(
                        30,
                        Act::MergePod(
                            "debug",
                            json!({ "metadata": { "labels": { "app": "web" } } }),
                        ),
                    ),
                ],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 4, "v1"),
            ..scenario(
                "replicaset loses pods",
                vec![set(4)],
                vec![
                    after(30, Act::DeletePods("web", 2)),
                    after(30, Act::DeletePods("web", 4)),
                ],
            )
        },
        Scenario {
            bounds: Bounds {
                surge: Some(0),
                slack: 3,
                ..Bounds::default()
            },
            end: |sim| web_is(sim, 5, "v1"),
            ..scenario(
                "replicaset loses pods while scaling",
                vec![set(2)],
                vec![
                    after(30, scale(5)),
                    once(|s| ready(s, "web") >= 2, Act::DeletePods("web", 2)),
                    after(1, scale(3)),
                    after(1, scale(5)),
                ],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 4, "v1"),
            ..scenario(
                "replicaset meets a quota",
                vec![set(1)],
                vec![
                    after(10, Act::Refuse("Pod", "exceeded quota: pods")),
                    after(1, scale(4)),
                    after(20, Act::Accept("Pod")),
                ],
            )
        },
        Scenario {
            end: |sim| sim.read(|s| ready(s, "web") == 0),
            ..scenario(
                "replicaset is deleted",
                vec![set(3)],
                vec![after(30, Act::Delete("ReplicaSet", "web"))],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 2, "v1"),
            ..scenario(
                "replicaset is made again",
                vec![set(3)],
                vec![
                    after(30, Act::Delete("ReplicaSet", "web")),
                    after(3, Act::Create(set(2))),
                ],
            )
        },
    ]
}
