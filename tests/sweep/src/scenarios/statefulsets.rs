//! StatefulSets: in order and in parallel, with claims, rolled out, stuck and mended.

use super::{pod, ready, ready_of, story, template, web_is};
use crate::kubelet::BAD_IMAGE;
use crate::scenario::{Act, Bounds, Part, Scenario, Step, after, once};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use serde_json::{Value, json};
use sim::State;

fn set(replicas: i32, more: &Value) -> Value {
    let mut set = json!({
        "kind": "StatefulSet",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": replicas,
            "serviceName": "web",
            "selector": { "matchLabels": { "app": "web" } },
            "template": template("web", "v1"),
        },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        set["spec"][key] = value.clone();
    }
    set
}

/// Each pod has a claim, which goes with it when it is one too many.
fn claims() -> Value {
    json!({
        "volumeClaimTemplates": [{
            "metadata": { "name": "data" },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Mi" } } },
        }],
        "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Delete", "whenScaled": "Delete" },
    })
}

fn change(spec: Value) -> Act {
    Act::Merge("StatefulSet", "web", json!({ "spec": spec }))
}

fn image(image: &str) -> Act {
    change(json!({ "template": template("web", image) }))
}

fn claims_of(state: &State) -> usize {
    state.list::<PersistentVolumeClaim>(Some("default")).len()
}

/// How many pods there are of this image, ready or not.
fn of(state: &State, image: &str) -> usize {
    let pods = state.list::<Pod>(Some("default"));
    let image_of = |pod: &Pod| pod.spec.as_ref()?.containers.first()?.image.clone();
    let ours = pods
        .iter()
        .filter(|pod| image_of(pod).as_deref() == Some(image));
    ours.count()
}

fn scenario(name: &'static str, begin: Vec<Value>, steps: Vec<Step>) -> Scenario {
    story(name, &[Part::StatefulSet], begin, steps)
}

pub(super) fn all() -> Vec<Scenario> {
    let parallel = json!({ "podManagementPolicy": "Parallel" });
    let failed = json!({ "status": { "phase": "Failed" } });
    vec![
        Scenario {
            end: |sim| web_is(sim, 1, "v1") && sim.read(claims_of) == 1,
            ..scenario(
                "statefulset up and down with claims",
                vec![set(0, &claims())],
                vec![
                    after(2, change(json!({ "replicas": 2 }))),
                    once(|s| ready(s, "web") == 2, change(json!({ "replicas": 1 }))),
                ],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 1, "v3"),
            ..scenario(
                "statefulset is stuck in a rollout and is mended",
                vec![set(1, &json!({}))],
                vec![
                    once(|s| ready(s, "web") == 1, image(BAD_IMAGE)),
                    once(|s| of(s, BAD_IMAGE) == 1, image("v3")),
                ],
            )
        },
        Scenario {
            // Blind for a while, it goes on with what it was told before.
            bounds: Bounds {
                slack: 2,
                ..Bounds::default()
            },
            end: |sim| web_is(sim, 2, "v1"),
            ..scenario(
                "statefulset goes back to where it was",
                vec![set(2, &json!({}))],
                vec![
                    once(|s| ready(s, "web") == 2, image("v2")),
                    once(|s| ready_of(s, "v2") == 1, image("v1")),
                ],
            )
        },
        Scenario {
            end: |sim| web_is(sim, 2, "v1"),
            ..scenario(
                "statefulset adopts, loses a pod and replaces one that has failed, in parallel",
                vec![pod("web-0", "web")],
                vec![
                    after(5, Act::Create(set(2, &parallel))),
                    once(|s| ready(s, "web") == 2, Act::MergePod("web", failed)),
                    after(40, Act::Delete("Pod", "web-1")),
                ],
            )
        },
        Scenario {
            end: |sim| sim.read(|s| ready(s, "web") == 0 && claims_of(s) == 0),
            ..scenario(
                "statefulset is deleted",
                vec![set(1, &claims())],
                vec![once(
                    |s| ready(s, "web") == 1,
                    Act::Delete("StatefulSet", "web"),
                )],
            )
        },
    ]
}
