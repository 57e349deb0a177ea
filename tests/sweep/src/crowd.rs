//! Ten thousand pods that nobody owns match one selector: what a mistaken label can do to a namespace.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::harness::ACTOR;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use objects::meta;
use replicaset::ReplicaSetController;
use runtime::{Clock, Options, Runtime};
use serde_json::{Value, json};
use sim::Sim;
use std::time::Duration;

const CROWD: usize = 10_000;
const WANTED: usize = 3;

fn pod(name: &str, app: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "default", "labels": { "app": app } },
        "spec": { "containers": [{ "name": "main", "image": "i" }] },
    })
}

#[test]
fn ten_thousand_orphans_are_adopted_once_and_all_but_the_wanted_deleted_once() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let paused = builder.enable_time().start_paused(true).build().unwrap();
    paused.block_on(async {
        let sim = Sim::new();
        for n in 0..CROWD {
            sim.create::<Pod>(serde_json::from_value(pod(&format!("orphan-{n}"), "web")).unwrap());
        }
        let bystander =
            sim.create::<Pod>(serde_json::from_value(pod("bystander", "other")).unwrap());
        let clock = sim.clone();
        let options = Options {
            clock: Clock::new(move || clock.now()),
            ..Options::default()
        };
        let runtime = Runtime::new(sim.client_for(ACTOR), options);
        runtime.run(ReplicaSetController, 2);
        runtime.start().await;
        let set = json!({
            "metadata": { "name": "web", "namespace": "default" },
            "spec": {
                "replicas": WANTED,
                "selector": { "matchLabels": { "app": "web" } },
                "template": { "metadata": { "labels": { "app": "web" } },
                    "spec": { "containers": [{ "name": "main", "image": "i" }] } },
            },
        });
        let set = sim.create::<ReplicaSet>(serde_json::from_value(set).unwrap());
        let mut waited = 0;
        let pods = loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let pods = sim.list::<Pod>(Some("default"));
            let there = pods
                .iter()
                .filter(|pod| pod.metadata.deletion_timestamp.is_none());
            if there.count() == WANTED + 1 || waited > 600 {
                break pods;
            }
            waited += 1;
        };
        let uid = meta::uid(&set.metadata);
        let owned = pods
            .iter()
            .filter(|pod| meta::is_controlled_by(&pod.metadata, uid));
        assert_eq!(
            owned
                .filter(|pod| !meta::is_deleting(&pod.metadata))
                .count(),
            WANTED
        );
        let untouched = sim.get::<Pod>("default", "bystander").unwrap();
        assert_eq!(untouched, bystander);
        // Each is adopted by one write and deleted by one; the rest are statuses and events.
        let (least, writes) = (2 * CROWD - WANTED, sim.writes(ACTOR) as usize);
        assert!((least..least + 200).contains(&writes), "{writes} writes");
    });
}
