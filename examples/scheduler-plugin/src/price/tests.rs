#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::TABLE;
use k8s_openapi::api::core::v1::{self as api, Pod};
use scheduler::cluster::Cluster;
use scheduler::config::Config;
use scheduler::decide::{Decision, decide};
use scheduler::engine::Engine;
use scheduler::meter::Meter;
use scheduler::plugins::Table;
use serde_json::json;
use std::sync::Arc;

fn table() -> Table {
    let mut config = Config::read_with(include_str!("../../config.yaml"), &TABLE).unwrap();
    config.profiles.remove(0).table
}

fn labels(price: Option<&str>) -> Value {
    price.map_or(json!({}), |price| json!({ LABEL: price }))
}

/// Nodes with these prices, each named after its own.
fn cluster(prices: &[Option<&str>]) -> Cluster {
    let mut cluster = Cluster::default();
    for price in prices {
        let name = price.unwrap_or("unpriced");
        let node: api::Node = serde_json::from_value(json!({
            "metadata": { "name": name, "labels": labels(*price) },
            "status": { "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "10" } },
        }))
        .unwrap();
        cluster.put_node(&node);
    }
    cluster
}

fn pod(name: &str, most: Option<&str>) -> Arc<PodInfo> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "ns", "uid": name, "labels": labels(most) },
        "spec": { "containers": [{ "name": "c", "resources": { "requests": { "cpu": "1" } } }] },
    }))
    .unwrap();
    Arc::new(PodInfo::of(&pod))
}

fn place(decision: Decision) -> String {
    match decision {
        Decision::Bind { node, .. } => node.to_string(),
        Decision::Nobody(diagnosis) => diagnosis.message(""),
    }
}

#[test]
fn pods_go_to_the_cheapest_node_and_to_none_that_is_too_expensive() {
    let (all, table) = (cluster(&[Some("40"), None, Some("7"), Some("9")]), table());
    let place = |most| place(decide(&table, &pod("a", most), all.snapshot(), 0));
    assert_eq!(place(None), "7");
    assert_eq!(place(Some("8")), "7");
    let none = "0/4 nodes are available: 4 node(s) were too expensive.";
    assert_eq!(place(Some("6")), none);
}

#[test]
fn many_that_are_alike_are_decided_about_as_each_would_be() {
    let (mut all, table) = (cluster(&[Some("40"), Some("8"), Some("7"), None]), table());
    let (mut engine, meter) = (Engine::default(), Meter::default());
    for index in 0..14 {
        let pod = pod(&format!("p{index}"), Some("50"));
        let decided = place(engine.decide(0, &table, &pod, all.snapshot(), 0, &meter));
        assert_eq!(decided, place(decide(&table, &pod, all.snapshot(), 0)));
        if all.snapshot().get(&decided).is_some() {
            all.assume(pod, &decided);
        }
    }
    let on = |name: &str| all.snapshot().get(name).map(|(node, _)| node.pods.len());
    assert_eq!(["7", "8", "40", "unpriced"].map(on), [4, 4, 4, 0].map(Some));
}

#[test]
fn what_is_wrong_with_its_arguments_is_named() {
    let text = include_str!("../../config.yaml").replace("100", "free");
    let said = Config::read_with(&text, &TABLE).unwrap_err();
    assert_eq!(
        said,
        "profiles[0].pluginConfig[0].args.unpriced: is not a number of cents"
    );
    let said = Config::read(include_str!("../../config.yaml")).unwrap_err();
    assert_eq!(
        said,
        "profiles[0].pluginConfig[0].name: \"Price\" is no plugin with arguments"
    );
}
