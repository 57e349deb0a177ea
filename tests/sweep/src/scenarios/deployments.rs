//! Deployments with their ReplicaSets in one process.

use super::{bystander, ready_of, template, web_is};
use crate::kubelet::BAD_IMAGE;
use crate::scenario::{ALL_AROUND, Act, Bounds, Part, Scenario, Step, after, once};
use serde_json::{Value, json};

fn deployment(replicas: i32, strategy: Value) -> Value {
    json!({
        "kind": "Deployment",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "strategy": strategy,
            "template": template("web", "v1"),
        },
    })
}

fn rolling(surge: i32, unavailable: i32) -> Value {
    let rolling = json!({ "maxSurge": surge, "maxUnavailable": unavailable });
    json!({ "type": "RollingUpdate", "rollingUpdate": rolling })
}

fn change(spec: Value) -> Act {
    Act::Merge("Deployment", "web", json!({ "spec": spec }))
}

fn image(image: &str) -> Act {
    change(json!({ "template": template("web", image) }))
}

fn scenario(name: &'static str, deployment: Value, bounds: Bounds, steps: Vec<Step>) -> Scenario {
    Scenario {
        name,
        parts: &[Part::Deployment, Part::ReplicaSet],
        around: ALL_AROUND,
        begin: vec![bystander(), deployment],
        steps,
        bounds,
        end: |_| true,
    }
}

fn within(surge: usize, unavailable: usize) -> Bounds {
    Bounds {
        surge: Some(surge),
        unavailable: Some(unavailable),
        ..Bounds::default()
    }
}

pub(super) fn all() -> Vec<Scenario> {
    let recreate = json!({ "type": "Recreate" });
    let failed = json!({
        "kind": "Pod",
        "status": { "phase": "Failed" },
    });
    vec![
        Scenario {
            end: |sim| web_is(sim, 4, "v2"),
            ..scenario(
                "deployment rolls out",
                deployment(4, rolling(1, 1)),
                within(1, 1),
                vec![after(30, image("v2"))],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 3, "v3"),
            ..scenario(
                "deployment rolls over",
                deployment(3, rolling(1, 0)),
                Bounds {
                    slack: 3,
                    ..within(1, 0)
                },
                vec![
                    after(30, image("v2")),
                    once(|s| ready_of(s, "v2") >= 1, image("v3")),
                ],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 3, "v2"),
            ..scenario(
                "deployment recreates",
                deployment(3, recreate.clone()),
                Bounds {
                    surge: Some(0),
                    recreate: true,
                    ..Bounds::default()
                },
                vec![after(30, image("v2"))],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 2, "v2"),
            ..scenario(
                "deployment recreates beside a failed pod (U6)",
                deployment(2, recreate),
                Bounds {
                    surge: Some(0),
                    recreate: true,
                    ..Bounds::default()
                },
                vec![
                    after(
                        30,
                        Act::MergePod("web", json!({ "status": failed["status"] })),
                    ),
                    after(30, image("v2")),
                ],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 3, "v3"),
            ..scenario(
                "deployment is paused and resumed",
                deployment(3, rolling(1, 0)),
                within(1, 0),
                vec![
                    after(30, change(json!({ "paused": true }))),
                    after(5, image("v2")),
                    after(60, image("v3")),
                    after(60, change(json!({ "paused": null }))),
                ],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 3, "v1"),
            ..scenario(
                "deployment is undone",
                deployment(3, rolling(1, 0)),
                within(1, 0),
                vec![after(30, image("v2")), after(150, Act::Undo("web", "1"))],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 3, "v1"),
            ..scenario(
                "deployment is undone half-way",
                deployment(3, rolling(1, 0)),
                within(1, 0),
                vec![
                    after(30, image(BAD_IMAGE)),
                    after(150, Act::Undo("web", "1")),
                ],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 6, "v2"),
            ..scenario(
                "deployment is scaled while it rolls (U4)",
                deployment(4, rolling(0, 1)),
                Bounds {
                    slack: 3,
                    ..within(0, 1)
                },
                vec![
                    after(30, image("v2")),
                    once(|s| ready_of(s, "v2") >= 1, change(json!({ "replicas": 6 }))),
                ],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 6, "v1"),
            ..scenario(
                "deployment is scaled",
                deployment(3, rolling(1, 0)),
                within(1, 0),
                vec![after(30, change(json!({ "replicas": 6 })))],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 1, "v4"),
            ..scenario(
                "deployment cleans up its history",
                {
                    let mut deployment = deployment(1, rolling(1, 0));
                    deployment["spec"]["revisionHistoryLimit"] = 1.into();
                    deployment
                },
                within(1, 0),
                vec![
                    after(30, image("v2")),
                    after(120, image("v3")),
                    after(120, image("v4")),
                ],
            )
        },
    ]
}
