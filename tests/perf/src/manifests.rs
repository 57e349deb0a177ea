//! The objects that workloads are made of.

use serde_json::{Value, json};

/// Where all of them are, if nothing else is said.
pub(crate) const NAMESPACE: &str = "default";

pub(crate) const NODES: &str = "/api/v1/nodes";
pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";
pub(crate) const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub(crate) const SERVICES: &str = "/api/v1/namespaces/default/services";
pub(crate) const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
pub(crate) const STATEFUL_SETS: &str = "/apis/apps/v1/namespaces/default/statefulsets";
pub(crate) const DAEMON_SETS: &str = "/apis/apps/v1/namespaces/default/daemonsets";
pub(crate) const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
pub(crate) const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
pub(crate) const AUTOSCALERS: &str =
    "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";

/// The label `app` of all that is measured.
pub(crate) const APP: &str = "perf";
/// Selects them.
pub(crate) const ALL: &str = "app=perf";

/// A workload named `name` whose pods have the labels `app` and `name`; `spec` is the rest of its spec.
pub(crate) fn workload(name: &str, app: &str, spec: Value) -> Value {
    let labels = json!({"app": app, "name": name});
    let mut workload = json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": template(labels)},
    });
    if let (Some(whole), Value::Object(rest)) = (workload["spec"].as_object_mut(), spec) {
        whole.extend(rest);
    }
    workload
}

pub(crate) fn deployment(name: &str, app: &str, replicas: usize) -> Value {
    workload(name, app, json!({"replicas": replicas}))
}

/// A pod of one container that asks for little.
pub(crate) fn template(labels: Value) -> Value {
    json!({
        "metadata": {"labels": labels},
        "spec": {"containers": [{
            "name": "app",
            "image": "registry.k8s.io/pause:3.10",
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        }]},
    })
}

/// A Service for the workload of the same name.
pub(crate) fn service(name: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {"selector": {"name": name}, "ports": [{"port": 80}]},
    })
}
