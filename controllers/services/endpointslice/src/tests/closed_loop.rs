//! The controller on an API server in memory: what wakes it, and how often it writes.

use crate::*;
use runtime::{Clock, Options, Runtime};
use serde_json::{Value, json};
use sim::Sim;

const ACTOR: &str = "slices";

async fn start(sim: &Sim) -> Runtime {
    let clock = sim.clone();
    let clock = Clock::new(move || clock.now());
    let options = Options {
        clock,
        seed: Some(1),
        ..Options::default()
    };
    let runtime = Runtime::new(sim.client_for(ACTOR), options);
    runtime.run(EndpointSliceController::default(), 2);
    runtime.start().await;
    runtime
}

async fn rest() {
    tokio::time::sleep(Duration::from_secs(5)).await;
}

fn node(name: &str, zone: &str) -> Node {
    let meta = json!({"name": name, "labels": {"topology.kubernetes.io/zone": zone}});
    serde_json::from_value(json!({"apiVersion": "v1", "kind": "Node", "metadata": meta})).unwrap()
}

fn service(name: &str) -> Service {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "selector": {"app": "web"}, "clusterIP": "10.96.0.1", "ipFamilies": ["IPv4"],
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 8080}],
        },
    }))
    .unwrap()
}

fn pod(number: usize, ready: bool) -> Pod {
    let ip = format!("10.0.{}.{}", number / 250, number % 250);
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("web-{number}"), "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]},
        "status": {"podIP": ip, "podIPs": [{"ip": ip}], "conditions": [conditions(ready)]},
    }))
    .unwrap()
}

fn conditions(ready: bool) -> Value {
    json!({"type": "Ready", "status": if ready { "True" } else { "False" }})
}

/// Endpoints, and how many of them are ready.
fn endpoints(sim: &Sim) -> (usize, usize) {
    let slices = sim.list::<EndpointSlice>(Some("shop"));
    let endpoints = slices
        .iter()
        .flat_map(|slice| slice.endpoints.iter().flatten());
    let ready = endpoints.map(|endpoint| endpoint.conditions.as_ref().and_then(|is| is.ready));
    let ready: Vec<_> = ready.collect();
    (
        ready.len(),
        ready.iter().filter(|is| **is == Some(true)).count(),
    )
}

#[tokio::test(start_paused = true)]
async fn slices_follow_pods_nodes_and_strangers() {
    let sim = Sim::new();
    sim.create(service("front"));
    sim.create(pod(1, true));
    let _runtime = start(&sim).await;
    rest().await;
    assert_eq!(endpoints(&sim), (0, 0), "the pod's node is unknown");

    sim.create(node("n1", "a"));
    rest().await;
    assert_eq!(endpoints(&sim), (1, 1), "the node appeared");

    sim.update_with::<Node>("", "n1", |node| {
        *node.metadata.labels.as_mut().unwrap() = BTreeMap::new();
    });
    rest().await;
    let slice = sim.list::<EndpointSlice>(Some("shop")).remove(0);
    assert_eq!(
        slice.endpoints.as_ref().unwrap()[0].zone,
        None,
        "the node left its zone"
    );

    sim.create(pod(2, true));
    rest().await;
    sim.update_with::<Pod>("shop", "web-2", |pod| {
        let conditions = serde_json::from_value(json!([conditions(false)])).unwrap();
        pod.status.as_mut().unwrap().conditions = conditions;
    });
    rest().await;
    assert_eq!(endpoints(&sim), (2, 1), "a pod is not ready any more");

    sim.update_with::<Pod>("shop", "web-1", |pod| pod.metadata.labels = None);
    rest().await;
    assert_eq!(endpoints(&sim), (1, 0), "a pod lost its label");

    let name = slice.metadata.name.unwrap();
    let edit = |change: fn(&mut EndpointSlice)| {
        sim.update_with::<EndpointSlice>("shop", &name, change);
    };
    edit(|slice| slice.endpoints = Some(Vec::new()));
    rest().await;
    assert_eq!(endpoints(&sim), (1, 0), "somebody emptied the slice");
    edit(|slice| {
        let labels = slice.metadata.labels.as_mut().unwrap();
        labels.insert(SERVICE_NAME_LABEL.into(), "stolen".into());
    });
    rest().await;
    assert_eq!(endpoints(&sim), (1, 0), "somebody stole the slice");
    edit(|slice| slice.metadata.labels = None);
    rest().await;
    let slices = sim.list::<EndpointSlice>(Some("shop"));
    let ours = slices
        .iter()
        .filter(|slice| services_of(&slice.metadata).eq(["front"]));
    assert_eq!(ours.count(), 1, "a slice that is nobody's is replaced");
    sim.delete::<EndpointSlice>("shop", &name);

    let writes = sim.writes(ACTOR);
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(
        sim.writes(ACTOR),
        writes,
        "nothing is written while nothing changes"
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_that_comes_back_gets_slices_of_its_own() {
    let sim = Sim::new();
    sim.create(node("n1", "a"));
    sim.create(service("front"));
    sim.create(pod(1, true));
    let _runtime = start(&sim).await;
    rest().await;
    sim.delete::<Service>("shop", "front");
    let new = sim.create(service("front"));
    rest().await;
    let slices = sim.list::<EndpointSlice>(Some("shop"));
    assert_eq!(slices.len(), 1);
    let uid = meta::uid(&new.metadata);
    assert!(
        slices
            .iter()
            .all(|slice| meta::is_controlled_by(&slice.metadata, uid))
    );
    assert_eq!(endpoints(&sim), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_rollout_of_many_pods_is_gathered_into_few_writes() {
    let sim = Sim::new();
    sim.create(node("n1", "a"));
    sim.create(service("front"));
    let _runtime = start(&sim).await;
    rest().await;
    let before = sim.writes(ACTOR);
    for number in 0..200 {
        sim.create(pod(number, true));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    rest().await;
    assert_eq!(endpoints(&sim), (200, 200));
    // A second of changes, a round each 100 ms, of one slice or two.
    let writes = sim.writes(ACTOR) - before;
    assert!(writes <= 2 * 11, "{writes} writes");
}

#[tokio::test(start_paused = true)]
async fn gauges_say_what_there_is_now() {
    let sim = Sim::new();
    let near = |name: &str| {
        let mut near = service(name);
        let spec = near.spec.as_mut().unwrap();
        spec.traffic_distribution = Some("PreferClose".to_owned());
        near
    };
    sim.create(service("front"));
    sim.create(near("back"));
    sim.create(node("n1", "a"));
    sim.create(pod(1, true));
    let runtime = start(&sim).await;
    rest().await;
    let shown = |line: &str| {
        let text = runtime.metrics().encode();
        let line = format!("endpoint_slice_controller_{line}");
        assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
    };
    let near = r#"services_count_by_traffic_distribution{traffic_distribution="PreferClose"} 1"#;
    shown("endpoints_desired 2");
    shown("num_endpoint_slices 2");
    shown("desired_endpoint_slices 2");
    shown(r#"changes{operation="create"} 2"#);
    shown(near);

    sim.delete::<Service>("shop", "back");
    rest().await;
    shown("endpoints_desired 1");
    shown("num_endpoint_slices 1");
    shown("desired_endpoint_slices 1");
    assert!(!runtime.metrics().encode().contains(near));
}
