//! The scenarios.

mod autoscalers;
mod cluster;
mod cronjobs;
mod daemonsets;
mod deployments;
mod disruptions;
mod garbage;
mod housekeeping;
mod jobs;
mod mirrors;
mod namespaces;
mod nodes;
mod quotas;
mod replicasets;
mod replication;
mod services;
mod statefulsets;
mod volumes;

use crate::scenario::{ALL_AROUND, Bounds, Part, Scenario, Step};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use sim::{Sim, State};

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut all = replicasets::all();
    all.extend(replication::all());
    all.extend(cronjobs::all());
    all.extend(deployments::all());
    all.extend(daemonsets::all());
    all.extend(jobs::all());
    all.extend(disruptions::all());
    all.extend(garbage::all());
    all.extend(autoscalers::all());
    all.extend(services::all());
    all.extend(statefulsets::all());
    all.extend(mirrors::all());
    all.extend(cluster::all());
    all.extend(housekeeping::all());
    all.extend(quotas::all());
    all.extend(namespaces::all());
    all.extend(nodes::all());
    all.extend(volumes::all());
    all
}

/// A template of pods with an image.
fn template(app: &str, image: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": app } },
        "spec": { "containers": [{ "name": "main", "image": image }] },
    })
}

/// A pod of an app.
fn pod(name: &str, app: &str) -> Value {
    let mut pod = template(app, "v1");
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = name.into();
    pod["metadata"]["namespace"] = "default".into();
    pod
}

/// The ReplicaSet `web`, of the app of this name.
fn replica_set(replicas: u32) -> Value {
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

/// A story that begins with `begin`, and a bystander. Nothing bounds what happens on its way or how it ends.
fn story(
    name: &'static str,
    parts: &'static [Part],
    begin: Vec<Value>,
    steps: Vec<Step>,
) -> Scenario {
    let mut all = vec![bystander()];
    all.extend(begin);
    Scenario {
        name,
        parts,
        around: ALL_AROUND,
        begin: all,
        steps,
        bounds: Bounds::default(),
        end: |_| true,
    }
}

/// A pod that is nobody's business.
fn bystander() -> Value {
    let mut pod = pod("other-1", "other");
    pod["metadata"]["labels"]["bystander"] = "true".into();
    pod
}

/// How many pods an app has that can be served from.
fn ready(state: &State, app: &str) -> usize {
    let pods = state.list::<Pod>(Some("default"));
    let ours = pods.iter().filter(|pod| {
        ::objects::meta::label(&pod.metadata, "app") == Some(app)
            && ::objects::pod::is_ready(pod)
            && ::objects::pod::is_active(pod)
    });
    ours.count()
}

/// How many ready pods an app has with this image.
fn ready_of(state: &State, image: &str) -> usize {
    let pods = state.list::<Pod>(Some("default"));
    let ours = pods.iter().filter(|pod| {
        let first = pod.spec.as_ref().and_then(|s| s.containers.first());
        first.and_then(|c| c.image.as_deref()) == Some(image)
            && ::objects::pod::is_ready(pod)
            && ::objects::pod::is_active(pod)
    });
    ours.count()
}

fn web_is(sim: &Sim, count: usize, image: &str) -> bool {
    sim.read(|state| ready(state, "web") == count && ready_of(state, image) >= count)
}
