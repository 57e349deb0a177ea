//! What the tests of this crate build their objects from.
#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

/// Seconds after the beginning of all tests.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + seconds).unwrap()
}

/// `at` as the API writes it.
pub(crate) fn rfc(seconds: i64) -> String {
    at(seconds).to_string()
}

/// The pod `shop/web` on `node-0` with `spec` and `annotations` merged in.
pub(crate) fn pod(spec: Value, annotations: Value) -> Pod {
    let mut pod = json!({
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "u1", "generation": 1,
            "resourceVersion": "1", "annotations": annotations,
        },
        "spec": {
            "nodeName": "node-0",
            "restartPolicy": "Always",
            "containers": [{ "name": "main", "image": "nginx:1.27" }],
        },
        "status": { "phase": "Pending" },
    });
    for (key, value) in spec.as_object().unwrap() {
        pod["spec"][key] = value.clone();
    }
    serde_json::from_value(pod).unwrap()
}

/// A node of 2 cores and 4 pods.
pub(crate) fn node() -> Node {
    serde_json::from_value(json!({
        "metadata": { "name": "node-0", "labels": { "disk": "ssd" } },
        "status": { "allocatable": { "cpu": "2", "memory": "4Gi", "pods": "4", "example.com/gpu": "1" } },
    }))
    .unwrap()
}
