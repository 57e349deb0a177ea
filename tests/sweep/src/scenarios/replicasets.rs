//! ReplicaSets: scaled, adopting, releasing, refused.

use super::{pod, ready, replica_set, story, web_is};
use crate::scenario::{Act, Bounds, Part, Scenario, Step, after, once};
use serde_json::{Value, json};

fn scale(replicas: i32) -> Act {
    Act::Merge(
        "ReplicaSet",
        "web",
        json!({ "spec": { "replicas": replicas } }),
    )
}

pub(super) fn scenario(name: &'static str, begin: Vec<Value>, steps: Vec<Step>) -> Scenario {
    Scenario {
        bounds: Bounds {
            surge: Some(0),
            ..Bounds::default()
        },
        ..story(name, &[Part::ReplicaSet], begin, steps)
    }
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            end: |sim| web_is(sim, 5, "v1"),
            ..scenario(
                "replicaset up",
                vec![replica_set(0)],
                vec![after(2, scale(5))],
            )
        },
        Scenario {
            bounds: Bounds {
                surge: Some(0),
                unavailable: Some(0),
                ..Bounds::default()
            },
            end: |sim| web_is(sim, 2, "v1"),
            ..scenario(
                "replicaset down",
                vec![replica_set(5)],
                vec![after(30, scale(2))],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 3, "v1"),
            ..scenario(
                "replicaset adopts orphans",
                vec![pod("web-1", "web"), pod("web-2", "web")],
                vec![after(5, Act::Create(replica_set(3)))],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 3, "v1"),
            ..scenario(
                "replicaset releases",
                vec![replica_set(3)],
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
                vec![replica_set(4)],
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
                vec![replica_set(2)],
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
                vec![replica_set(1)],
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
                vec![replica_set(3)],
                vec![after(30, Act::Delete("ReplicaSet", "web"))],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 2, "v1"),
            ..scenario(
                "replicaset is made again",
                vec![replica_set(3)],
                vec![
                    after(30, Act::Delete("ReplicaSet", "web")),
                    after(3, Act::Create(replica_set(2))),
                ],
            )
        },
    ]
}
