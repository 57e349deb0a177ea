//! The manifests that the tests begin with, and questions that several of them ask.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

/// An image that hollow nodes run.
pub(crate) const IMAGE: &str = "registry.k8s.io/pause:3.10";
/// An image that hollow nodes cannot pull.
pub(crate) const UNPULLABLE: &str = "registry.k8s.io/pause:404";

/// A template of pods with the label `app`.
pub(crate) fn template(app: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": app } },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{ "name": "main", "image": IMAGE }],
        },
    })
}

/// A pod with the label `app`.
pub(crate) fn pod(name: &str, app: &str) -> Value {
    let mut pod = template(app);
    pod["metadata"]["name"] = name.into();
    pod
}

/// A ReplicaSet that selects its name as label `app`.
pub(crate) fn replica_set(name: &str, replicas: i32) -> Value {
    json!({
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": template(name),
        },
    })
}

/// A Deployment that selects its name as label `app`.
pub(crate) fn deployment(name: &str, replicas: i32) -> Value {
    replica_set(name, replicas)
}

/// A merge patch that begins a rollout: the template gets this image.
pub(crate) fn image(image: &str) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": [{ "name": "main", "image": image }] } } } })
}

/// A merge patch that begins a rollout which can succeed: the template gets another annotation.
pub(crate) fn version(version: &str) -> Value {
    json!({ "spec": { "template": { "metadata": { "annotations": { "version": version } } } } })
}

/// A merge patch of `spec`.
pub(crate) fn spec(fields: Value) -> Value {
    json!({ "spec": fields })
}

/// Whether all of it is rolled out, as `kubectl rollout status` sees it, and nothing else is there.
pub(crate) fn is_complete(deployment: &Deployment) -> bool {
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|s| s.replicas)
        .unwrap_or(1);
    let status = deployment.status.clone().unwrap_or_default();
    status.observed_generation == deployment.metadata.generation
        && status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
}

/// Whether it has as many pods as it wants, all ready, and says so.
pub(crate) fn is_ready(rs: &ReplicaSet) -> bool {
    let wanted = rs.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    let status = rs.status.clone().unwrap_or_default();
    status.observed_generation == rs.metadata.generation
        && status.replicas == wanted
        && status.ready_replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
}

/// Pods that are there to stay.
pub(crate) fn living(pods: &[Pod]) -> Vec<&Pod> {
    let is_living = |pod: &&Pod| pod.metadata.deletion_timestamp.is_none();
    pods.iter().filter(is_living).collect()
}

/// The condition of this type: status, reason and message.
pub(crate) fn condition(deployment: &Deployment, kind: &str) -> Option<(String, String, String)> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|c| c.type_ == kind)?;
    Some((
        found.status.clone(),
        found.reason.clone().unwrap_or_default(),
        found.message.clone().unwrap_or_default(),
    ))
}

/// The revision of a ReplicaSet or a Deployment.
pub(crate) fn revision(object: &impl ResourceExt) -> String {
    let revision = object
        .annotations()
        .get("deployment.kubernetes.io/revision");
    revision.cloned().unwrap_or_default()
}

/// The UID of an object that the server has answered with.
pub(crate) fn uid(object: &impl ResourceExt) -> String {
    object.uid().unwrap_or_default()
}
