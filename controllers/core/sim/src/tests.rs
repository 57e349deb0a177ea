//! Each semantic once, through a client.

#![allow(clippy::unwrap_used, clippy::panic)]

mod custom;
mod deletion;
mod faults;
mod lists;
mod patches;
mod subresources;
mod watches;
mod writes;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Refusal, Sim};

pub(crate) fn from<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn pod(name: &str) -> Pod {
    from(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": "default", "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "c", "image": "nginx:1.27" }] },
    }))
}

fn config_map(name: &str) -> ConfigMap {
    from(json!({ "metadata": { "name": name }, "data": { "a": "1" } }))
}

fn template(label: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": label } },
        "spec": { "containers": [{ "name": "c", "image": "nginx" }] },
    })
}

fn replica_set(name: &str, label: &str) -> ReplicaSet {
    from(json!({
        "metadata": { "name": name, "namespace": "default" },
        "spec": { "selector": { "matchLabels": { "app": "web" } }, "template": template(label) },
    }))
}

fn deployment(name: &str) -> Deployment {
    from(json!({
        "metadata": { "name": name },
        "spec": { "selector": { "matchLabels": { "app": "web" } }, "template": template("web") },
    }))
}

fn service(name: &str) -> Service {
    from(json!({
        "metadata": { "name": name },
        "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80 }] },
    }))
}

fn api<K>(client: &Client) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    Api::namespaced(client.clone(), "default")
}

fn raw<K: serde::Serialize>(object: &K) -> Value {
    serde_json::to_value(object).unwrap()
}

/// The code and the reason of a refusal.
fn refused<T: std::fmt::Debug>(answer: kube::Result<T>) -> (u16, String) {
    match answer.unwrap_err() {
        kube::Error::Api(status) => (status.code, status.reason.clone()),
        other => panic!("not refused: {other:?}"),
    }
}

fn code(code: u16, reason: &str) -> (u16, String) {
    (code, reason.to_owned())
}

fn sim() -> (Sim, Client) {
    let sim = Sim::new();
    let client = sim.client();
    (sim, client)
}

#[tokio::test(start_paused = true)]
async fn the_clock_is_tokios() {
    let sim = Sim::new();
    let began = sim.now();
    tokio::time::advance(std::time::Duration::from_hours(1)).await;
    assert_eq!(began.to_string(), "2026-01-01T00:00:00Z");
    assert_eq!(sim.now().to_string(), "2026-01-01T01:00:00Z");
}

#[tokio::test(start_paused = true)]
async fn a_check_sees_every_state_on_the_way() {
    let sim = Sim::new();
    let most = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = std::sync::Arc::clone(&most);
    sim.on_write(move |state, write| {
        assert_eq!(state.revision(), write.revision);
        seen.fetch_max(
            state.list::<Pod>(None).len(),
            std::sync::atomic::Ordering::Relaxed,
        );
    });
    sim.create(pod("a"));
    sim.create(pod("b"));
    sim.delete::<Pod>("default", "a");
    assert_eq!(most.load(std::sync::atomic::Ordering::Relaxed), 2);
    let verbs: Vec<(&str, bool)> = sim
        .history()
        .iter()
        .map(|w| (w.name.as_str(), w.gone))
        .map(|(n, g)| (if n == "a" { "a" } else { "b" }, g))
        .collect();
    assert_eq!(
        verbs,
        [("a", false), ("b", false), ("a", false), ("a", true)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_direct_create_is_a_value() {
    let sim = Sim::new();
    let refusal: Refusal = sim.try_create(replica_set("r", "other")).unwrap_err();
    assert_eq!(refusal.code, 422);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_pods_are_listed_in_milliseconds() {
    let (sim, client) = sim();
    for n in 0..1000 {
        sim.create(pod(&format!("p{n}")));
    }
    let began = std::time::Instant::now();
    let bytes = client
        .request_text(http::Request::get("/api/v1/pods").body(Vec::new()).unwrap())
        .await
        .unwrap();
    assert!(bytes.len() > 500_000);
    // Unoptimised and beside other work it is some 5 ms.
    assert!(began.elapsed().as_millis() < 200, "{:?}", began.elapsed());
}
