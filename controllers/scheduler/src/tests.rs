//! The whole scheduler against an API server in memory, with virtual time and lost answers.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::kit::{merge, node, pod, requests};
use k8s_openapi::api::core::v1::Event;
use serde_json::{Value, json};
use sim::{Effect, Fault, Lost, Sim};

const ACTOR: &str = "scheduler";

/// A running scheduler; it ends when this is dropped.
struct World {
    sim: Sim,
    runtime: Runtime,
}

impl Drop for World {
    fn drop(&mut self) {
        self.runtime.kill();
    }
}

impl World {
    async fn new(sim: &Sim) -> Self {
        let clock = sim.clone();
        let options = runtime::Options {
            clock: runtime::Clock::new(move || clock.now()),
            ..Default::default()
        };
        let runtime = Runtime::new(sim.client_for(ACTOR), options);
        Scheduler::new(&runtime, Options::default()).run();
        runtime.start().await;
        Self {
            sim: sim.clone(),
            runtime,
        }
    }

    /// Where the pods are after so many seconds: `web on n1` or `web nowhere`, in order.
    async fn after(&self, seconds: u64) -> Vec<String> {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let mut places: Vec<String> = self.sim.list::<Pod>(Some("ns")).iter().map(place).collect();
        places.sort();
        places
    }

    fn events(&self) -> Vec<String> {
        let events = self.sim.list::<Event>(Some("ns"));
        let line = |event: &Event| {
            format!(
                "{} {}",
                event.reason.as_deref().unwrap_or("?"),
                event.message.as_deref().unwrap_or("?")
            )
        };
        let mut lines: Vec<String> = events.iter().map(line).collect();
        lines.sort();
        lines
    }
}

fn place(pod: &Pod) -> String {
    let name = meta::name(&pod.metadata);
    objects::pod::node_name(pod).map_or_else(
        || format!("{name} nowhere"),
        |node| format!("{name} on {node}"),
    )
}

/// A pod as a client creates it, wanting so many cores.
fn wants(name: &str, cpu: &str) -> Pod {
    with(name, requests(json!({ "cpu": cpu })))
}

fn with(name: &str, mut more: Value) -> Pod {
    merge(&mut more, json!({ "metadata": { "uid": null } }));
    let mut pod = (*pod(name, more)).clone();
    pod.metadata.uid = None;
    pod
}

#[tokio::test(start_paused = true)]
async fn pods_get_nodes_and_events() {
    let sim = Sim::new();
    sim.create((*node("n1", json!({}))).clone());
    sim.create(wants("early", "1"));
    let world = World::new(&sim).await;
    sim.create(wants("late", "1"));
    sim.create(with(
        "other",
        json!({ "spec": { "schedulerName": "other" } }),
    ));
    assert_eq!(
        world.after(5).await,
        ["early on n1", "late on n1", "other nowhere"]
    );
    let scheduled = |name| format!("Scheduled Successfully assigned ns/{name} to n1");
    assert_eq!(world.events(), [scheduled("early"), scheduled("late")]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_without_a_node_says_why_once_and_is_scheduled_when_one_comes() {
    let sim = Sim::new();
    let world = World::new(&sim).await;
    sim.create((*node("n1", json!({ "spec": { "unschedulable": true } }))).clone());
    sim.create(wants("web", "1"));
    assert_eq!(world.after(5).await, ["web nowhere"]);
    let message = "0/1 nodes are available: 1 node(s) were unschedulable. \
                   preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    assert_eq!(world.events(), [format!("FailedScheduling {message}")]);
    assert!(bind::says(&sim.get::<Pod>("ns", "web").unwrap(), message));

    let writes = sim.writes(ACTOR);
    assert_eq!(world.after(250).await, ["web nowhere"]);
    assert_eq!(
        sim.writes(ACTOR),
        writes,
        "nothing changes, nothing is written"
    );

    sim.create((*node("n2", json!({}))).clone());
    assert_eq!(world.after(2).await, ["web on n2"]);
}

#[tokio::test(start_paused = true)]
async fn room_that_a_pod_leaves_is_given_to_the_next() {
    let sim = Sim::new();
    sim.create((*node("n1", json!({}))).clone());
    let world = World::new(&sim).await;
    sim.create(wants("a", "3"));
    assert_eq!(world.after(1).await, ["a on n1"]);
    sim.create(wants("b", "3"));
    assert_eq!(world.after(15).await, ["a on n1", "b nowhere"]);
    sim.delete_with::<Pod>("ns", "a", &json!({ "gracePeriodSeconds": 0 }));
    assert_eq!(world.after(2).await, ["b on n1"]);
}

#[tokio::test(start_paused = true)]
async fn whatever_becomes_of_a_binding_the_pods_that_fit_run() {
    let effects: [fn() -> Effect; 6] = [
        || Effect::FailBefore(500),
        || Effect::FailBefore(404),
        || Effect::Disconnect,
        || Effect::FailAfter(Lost::Timeout),
        || Effect::FailAfter(Lost::Connection),
        || Effect::Conflict,
    ];
    for (case, effect) in effects.iter().enumerate() {
        let sim = Sim::new();
        sim.create((*node("n1", json!({}))).clone());
        let world = World::new(&sim).await;
        sim.inject(Fault::request(
            ACTOR,
            |seen| seen.subresource == "binding",
            effect(),
        ));
        for name in ["a", "b", "c"] {
            sim.create(wants(name, "2"));
        }
        let places = world.after(60).await;
        let bound = places
            .iter()
            .filter(|place| place.ends_with("on n1"))
            .count();
        assert_eq!(
            (bound, sim.faults_waiting()),
            (2, 0),
            "case {case}: {places:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_fills_no_node_twice() {
    let sim = Sim::new();
    sim.create((*node("n1", json!({}))).clone());
    for name in ["a", "b", "c", "d", "e", "f"] {
        sim.create(wants(name, "1"));
    }
    for _ in 0..3 {
        let world = World::new(&sim).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        drop(world);
    }
    let world = World::new(&sim).await;
    let places = world.after(20).await;
    assert_eq!(
        places
            .iter()
            .filter(|place| place.ends_with("on n1"))
            .count(),
        4,
        "{places:?}"
    );
}
