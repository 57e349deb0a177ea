#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use runtime::{Clock, Options, Runtime};
use serde_json::{Value, json};
use sim::Sim;

const ACTOR: &str = "endpoints";

#[test]
fn endpoints_that_hold_an_election_are_nobodys_leftovers() {
    for (annotation, expected) in [("some/other", true), (LEADER_ANNOTATION, false)] {
        let endpoints = Endpoints {
            metadata: ObjectMeta {
                annotations: Some([(annotation.to_owned(), String::new())].into()),
                ..ObjectMeta::default()
            },
            subsets: None,
        };
        assert_eq!(is_leftover(&endpoints), expected, "{annotation}");
    }
}

async fn start(sim: &Sim) -> Runtime {
    let clock = sim.clone();
    let clock = Clock::new(move || clock.now());
    let options = Options {
        clock,
        seed: Some(1),
        ..Options::default()
    };
    let runtime = Runtime::new(sim.client_for(ACTOR), options);
    runtime.run(EndpointsController::default(), 2);
    runtime.start().await;
    runtime
}

async fn rest() {
    tokio::time::sleep(Duration::from_secs(5)).await;
}

fn service(name: &str, selector: Value) -> Service {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "selector": selector, "clusterIP": "10.96.0.1", "ipFamilies": ["IPv4"],
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 8080}],
        },
    }))
    .unwrap()
}

fn web() -> Value {
    json!({"app": "web"})
}

fn pod(number: usize) -> Pod {
    let ip = format!("10.0.{}.{}", number / 250, number % 250);
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("web-{number}"), "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]},
        "status": {"podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": "True"}]},
    }))
    .unwrap()
}

/// Endpoints as somebody else makes them.
fn custom(name: &str, annotations: Value) -> Endpoints {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": name, "namespace": "shop", "annotations": annotations},
        "subsets": [{"addresses": [{"ip": "8.8.8.8"}], "ports": [{"port": 53, "protocol": "TCP"}]}],
    }))
    .unwrap()
}

fn addresses(sim: &Sim, name: &str) -> Option<usize> {
    let endpoints = sim.get::<Endpoints>("shop", name)?;
    let subsets = endpoints.subsets.iter().flatten();
    Some(
        subsets
            .map(|subset| subset.addresses.as_ref().map_or(0, Vec::len))
            .sum(),
    )
}

#[tokio::test(start_paused = true)]
async fn endpoints_follow_their_service_and_strangers_are_left_alone() {
    let sim = Sim::new();
    sim.create(service("front", web()));
    sim.create(service("outside", json!({})));
    sim.create(custom("outside", json!({})));
    sim.create(custom("leftover", json!({})));
    sim.create(custom("election", json!({LEADER_ANNOTATION: "{}"})));
    sim.create(pod(1));
    let _runtime = start(&sim).await;
    rest().await;
    assert_eq!(addresses(&sim, "front"), Some(1));
    assert_eq!(
        addresses(&sim, "outside"),
        Some(1),
        "no selector: its owner's"
    );
    assert_eq!(
        addresses(&sim, "leftover"),
        None,
        "its Service went while nobody looked"
    );
    assert_eq!(
        addresses(&sim, "election"),
        Some(1),
        "no Service, and none needed"
    );

    sim.create(custom("early", json!({})));
    sim.update_with::<Endpoints>("shop", "early", |endpoints| {
        endpoints.metadata.labels = Some([("x".to_owned(), "y".to_owned())].into());
    });
    rest().await;
    assert_eq!(addresses(&sim, "early"), Some(1), "made before its Service");

    sim.create(pod(2));
    rest().await;
    sim.update_with::<Endpoints>("shop", "front", |endpoints| {
        endpoints.subsets = None;
        endpoints.metadata.labels = None;
    });
    rest().await;
    assert_eq!(addresses(&sim, "front"), Some(2), "somebody emptied it");
    sim.delete::<Endpoints>("shop", "front");
    rest().await;
    assert_eq!(addresses(&sim, "front"), Some(2), "somebody deleted it");

    let writes = sim.writes(ACTOR);
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(
        sim.writes(ACTOR),
        writes,
        "nothing is written while nothing changes"
    );

    sim.delete::<Service>("shop", "front");
    rest().await;
    assert_eq!(addresses(&sim, "front"), None, "it goes with its Service");
}

#[tokio::test(start_paused = true)]
async fn a_rollout_of_many_pods_is_gathered_into_few_writes() {
    let sim = Sim::new();
    sim.create(service("front", web()));
    let _runtime = start(&sim).await;
    rest().await;
    let before = sim.writes(ACTOR);
    for number in 0..200 {
        sim.create(pod(number));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    rest().await;
    assert_eq!(addresses(&sim, "front"), Some(200));
    let writes = sim.writes(ACTOR) - before;
    assert!(
        writes <= 4,
        "a second of changes, one write each 500 ms: {writes}"
    );
}
