//! What a process leaves alone: other namespaces than those that it is kept to, and what the guard makes to be looked at.

use crate::harness::ACTOR;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use replicaset::ReplicaSetController;
use runtime::guard::PROBE;
use runtime::{Clock, Options, Runtime};
use serde_json::json;
use sim::Sim;
use std::time::Duration;

/// How many pods there are of a ReplicaSet of two in each namespace, by a process that is kept to these.
async fn pods(kept_to: &[&str], label: &str) -> [usize; 2] {
    let sim = Sim::new();
    for namespace in ["a", "b"] {
        let set = json!({
            "metadata": { "name": "web", "namespace": namespace, "labels": { label: "x" } },
            "spec": {
                "replicas": 2,
                "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web" } },
                    "spec": { "containers": [{ "name": "main", "image": "v1" }] },
                },
            },
        });
        sim.create::<ReplicaSet>(serde_json::from_value(set).unwrap());
    }
    let clock = sim.clone();
    let options = Options {
        clock: Clock::new(move || clock.now()),
        namespaces: kept_to.iter().map(|name| (*name).to_owned()).collect(),
        ..Options::default()
    };
    let process = Runtime::new(sim.client_for(ACTOR), options);
    process.run(ReplicaSetController, 2);
    process.start().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    process.kill();
    let status = |namespace: &str| {
        let set = sim.get::<ReplicaSet>(namespace, "web").unwrap();
        set.status.and_then(|status| status.observed_generation)
    };
    let count = |namespace: &str| {
        let pods = sim.list::<Pod>(Some(namespace)).len();
        assert_eq!(status(namespace).is_some(), pods > 0, "{namespace}");
        pods
    };
    [count("a"), count("b")]
}

#[tokio::test(start_paused = true)]
async fn a_process_works_in_the_namespaces_that_it_is_kept_to_and_leaves_probes_alone() {
    assert_eq!(pods(&[], "usual").await, [2, 2]);
    assert_eq!(pods(&["b"], "usual").await, [0, 2]);
    assert_eq!(pods(&["b", "a"], "usual").await, [2, 2]);
    assert_eq!(pods(&[], PROBE).await, [0, 0]);
}
