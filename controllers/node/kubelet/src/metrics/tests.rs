#![allow(clippy::unwrap_used)]

use super::{Question, World};
use crate::Profiles;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};
use std::sync::Arc;

fn pod(name: &str, phase: &str) -> Arc<Pod> {
    let pod = json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": name, "labels": {"app": "web"},
            "annotations": {"hollow.corten.dev/cpu-shared": "1", "hollow.corten.dev/memory": "1Gi"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "r-1", "controller": true}],
        },
        "spec": {"nodeName": "node-0", "containers": [{"name": "c"}]},
        "status": {"phase": phase},
    });
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn ask(path: &str, query: &str) -> Result<Value, (u16, String)> {
    let profiles = Profiles::default();
    let node = |name: &str| {
        let node = json!({"metadata": {"name": name, "labels": {"zone": name}}});
        Arc::<Node>::new(serde_json::from_value(node).unwrap())
    };
    let world = World {
        profiles: &profiles,
        nodes: vec![node("node-1"), node("node-0")],
        pods: vec![
            pod("b", "Running"),
            pod("a", "Running"),
            pod("z", "Pending"),
        ],
        now: "2026-01-01T12:00:00.5Z".parse().unwrap(),
    };
    world.answer(&Question::parse(path, query)?)
}

const ROOT: &str = "/apis/metrics.k8s.io/v1beta1";

#[test]
fn running_pods_are_measured_and_share_their_load() {
    let list = ask(
        &format!("{ROOT}/namespaces/shop/pods"),
        "labelSelector=app%3Dweb",
    )
    .unwrap();
    assert_eq!(list["kind"], "PodMetricsList");
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items[0]["metadata"]["name"], "a");
    assert_eq!(items[0]["timestamp"], "2026-01-01T12:00:00Z");
    assert_eq!(
        items[0]["containers"],
        json!([{"name": "c", "usage": {"cpu": "500m", "memory": "1Gi"}}])
    );
}

#[test]
fn a_node_uses_what_its_pods_use_and_something_itself() {
    let list = ask(&format!("{ROOT}/nodes"), "").unwrap();
    let usage: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| &i["usage"])
        .collect();
    assert_eq!(
        usage,
        [
            &json!({"cpu": "1050m", "memory": "2560Mi"}),
            &json!({"cpu": "50m", "memory": "512Mi"}),
        ]
    );
    let one = ask(&format!("{ROOT}/nodes/node-1"), "").unwrap();
    assert_eq!(one["kind"], "NodeMetrics");
}

#[test]
fn selectors_and_names_choose() {
    let count = |path: &str, query: &str| {
        ask(path, query).map(|list| list["items"].as_array().map_or(1, Vec::len))
    };
    assert_eq!(count(&format!("{ROOT}/pods"), ""), Ok(2));
    assert_eq!(
        count(&format!("{ROOT}/pods"), "labelSelector=app%21%3Dweb"),
        Ok(0)
    );
    assert_eq!(
        count(&format!("{ROOT}/nodes"), "labelSelector=zone%3Dnode-0"),
        Ok(1)
    );
    assert_eq!(count(&format!("{ROOT}/namespaces/shop/pods/a"), ""), Ok(1));
    assert_eq!(count(&format!("{ROOT}/namespaces/yard/pods"), ""), Ok(0));
}

#[test]
fn what_is_not_there_is_told() {
    for (path, query, code) in [
        ("/apis/metrics.k8s.io/v2", "", 404),
        ("/apis/metrics.k8s.io/v1beta1/looms", "", 404),
        (
            "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods/z",
            "",
            404,
        ),
        ("/apis/metrics.k8s.io/v1beta1/nodes/node-7", "", 404),
        (
            "/apis/metrics.k8s.io/v1beta1/pods",
            "labelSelector=%3D",
            400,
        ),
    ] {
        assert_eq!(
            ask(path, query).map_err(|(code, _)| code),
            Err(code),
            "{path}"
        );
    }
}

#[test]
fn the_api_server_finds_two_resources() {
    let list = ask(ROOT, "").unwrap();
    let names: Vec<_> = list["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["name"])
        .collect();
    assert_eq!(names, ["nodes", "pods"]);
    assert_eq!(ask("/apis/metrics.k8s.io", "").unwrap()["kind"], "APIGroup");
}
