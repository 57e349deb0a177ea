//! The whole agent against an API server in memory, in virtual time.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::{Agent, Options};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use runtime::Runtime;
use serde_json::{Value, json};
use sim::Sim;
use std::time::Duration;

const ACTOR: &str = "kubelet";

/// A running agent; it ends when this is dropped.
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
    async fn new(sim: &Sim, options: Options) -> Self {
        let clock = sim.clone();
        let clock = runtime::Clock::new(move || clock.now());
        let settings = runtime::Options {
            clock,
            ..runtime::Options::default()
        };
        let runtime = Runtime::new(sim.client_for(ACTOR), settings);
        runtime.spawn("kubelet", Agent::new(&runtime, options).run());
        let world = Self {
            sim: sim.clone(),
            runtime,
        };
        world.pass(1).await;
        world
    }

    async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    fn pod(&self, name: &str) -> Pod {
        self.sim.get("shop", name).unwrap()
    }

    /// The agent's writes of one kind since `revision`: `Patch a/status`. A deletion is stored in two steps.
    fn writes(&self, kind: &str, revision: u64) -> Vec<String> {
        let history = self.sim.history().into_iter();
        let mut writes: Vec<String> = history
            .filter(|w| w.revision > revision && w.kind == kind && w.actor.as_ref() == ACTOR)
            .map(|w| format!("{:?} {}/{}", w.verb, w.name, w.subresource))
            .collect();
        if kind == "Pod" {
            writes.dedup_by(|one, before| one == before && one.starts_with("Delete"));
        }
        writes
    }
}

fn options(count: usize) -> Options {
    Options {
        count,
        ..Options::default()
    }
}

fn pod(name: &str, node: &str, annotations: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "shop", "annotations": annotations },
        "spec": { "nodeName": node, "containers": [{ "name": "main", "image": "nginx:1.27" }] },
    }))
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn nodes_come_up_and_then_only_leases_are_written() {
    let sim = Sim::new();
    let world = World::new(&sim, options(20)).await;
    let nodes = sim.list::<Node>(None);
    assert_eq!(nodes.len(), 20);
    assert!(nodes.iter().all(objects::node::is_ready));
    assert!(
        nodes
            .iter()
            .all(|node| objects::node::taints(node).is_empty())
    );
    assert_eq!(sim.list::<Lease>(Some("kube-node-lease")).len(), 20);
    world.pass(20).await;
    let quiet = sim.revision();
    world.pass(100).await;
    assert_eq!(world.writes("Node", quiet), Vec::<String>::new());
    let renewals = world.writes("Lease", quiet).len();
    assert!((195..=205).contains(&renewals), "{renewals}");
}

#[tokio::test(start_paused = true)]
async fn a_pod_lives_and_ends() {
    let sim = Sim::new();
    let world = World::new(&sim, options(1)).await;
    let before = sim.revision();
    sim.create(pod("a", "node-0", json!({})));
    world.pass(1).await;
    let status = world.pod("a").status.unwrap();
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert!(objects::pod::is_ready(&world.pod("a")));
    assert_eq!(status.pod_ip.as_deref(), Some("10.244.0.2"));
    assert_eq!(world.writes("Pod", before), ["Patch a/status"]);
    sim.delete::<Pod>("shop", "a");
    world.pass(1).await;
    assert!(sim.get::<Pod>("shop", "a").is_none());
    assert_eq!(
        world.writes("Pod", before),
        ["Patch a/status", "Patch a/status", "Delete a/"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cut_off_says_nothing_until_it_is_back() {
    let sim = Sim::new();
    let world = World::new(&sim, options(2)).await;
    let ends = json!({ "hollow.corten.dev/run-for": "90s" });
    for (name, annotations) in [("stays", json!({})), ("goes", json!({})), ("ends", ends)] {
        sim.create(pod(name, "node-0", annotations));
    }
    world.pass(20).await;
    let cut = |silent: bool| {
        sim.update_with::<Node>("", "node-0", |node| {
            let annotations = node.metadata.annotations.get_or_insert_default();
            annotations.insert("hollow.corten.dev/silent".into(), silent.to_string());
        });
    };
    cut(true);
    world.pass(1).await;
    let before = sim.revision();
    sim.update_with::<Pod>("shop", "stays", |pod| {
        let conditions = pod.status.as_mut().unwrap().conditions.as_mut().unwrap();
        let ready = conditions.iter_mut().find(|c| c.type_ == "Ready").unwrap();
        ready.status = "False".into();
    });
    sim.delete::<Pod>("shop", "goes");
    sim.create(pod("comes", "node-0", json!({})));
    world.pass(600).await;
    assert_eq!(world.writes("Pod", before), Vec::<String>::new());
    let of = |name: &str, writes: Vec<String>| writes.iter().any(|w| w.contains(name));
    assert!(!of("node-0", world.writes("Lease", before)));
    assert!(!of("node-0", world.writes("Node", before)));
    assert!(of("node-1", world.writes("Lease", before)));

    cut(false);
    world.pass(2).await;
    assert!(of("node-0", world.writes("Lease", before)));
    assert!(objects::pod::is_ready(&world.pod("stays")));
    assert!(objects::pod::is_ready(&world.pod("comes")));
    assert!(sim.get::<Pod>("shop", "goes").is_none());
    assert!(objects::pod::restarts(&world.pod("ends")) > 0);
    let quiet = sim.revision();
    world.pass(50).await;
    let renewals = world.writes("Lease", quiet).len();
    assert!((9..=11).contains(&renewals), "{renewals}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_goes_on_in_the_next_process() {
    let sim = Sim::new();
    let world = World::new(&sim, options(2)).await;
    let crashing = json!({ "hollow.corten.dev/run-for": "1s", "hollow.corten.dev/exit-code": "1" });
    sim.create(pod("a", "node-0", json!({})));
    sim.create(pod("b", "node-0", crashing));
    world.pass(5).await;
    let (a, b) = (world.pod("a"), world.pod("b"));
    assert_eq!(objects::pod::restarts(&b), 1);
    drop(world);

    let before = sim.revision();
    sim.create(pod("0-new", "node-0", json!({})));
    let world = World::new(&sim, options(2)).await;
    assert_eq!((world.pod("a"), world.pod("b")), (a, b));
    assert_eq!(world.writes("Pod", before), ["Patch 0-new/status"]);
    let ip = |name: &str| world.pod(name).status.unwrap().pod_ip.unwrap();
    assert!(ip("0-new") != ip("a") && ip("0-new") != ip("b"));
    world.pass(10).await;
    assert_eq!(objects::pod::restarts(&world.pod("b")), 2);
    assert_eq!(objects::pod::restarts(&world.pod("a")), 0);
}

#[tokio::test(start_paused = true)]
async fn many_nodes_and_pods_cost_one_write_a_pod() {
    let sim = Sim::new();
    let world = World::new(&sim, options(100)).await;
    let before = sim.revision();
    for n in 0..500 {
        sim.create(pod(
            &format!("p{n}"),
            &format!("node-{}", n % 100),
            json!({}),
        ));
    }
    world.pass(2).await;
    let pods = sim.list::<Pod>(Some("shop"));
    assert!(pods.iter().all(objects::pod::is_ready));
    assert_eq!(world.writes("Pod", before).len(), 500);
    let ips = pods
        .iter()
        .filter_map(|p| p.status.as_ref()?.pod_ip.clone());
    assert_eq!(ips.collect::<std::collections::BTreeSet<_>>().len(), 500);
}

#[tokio::test(start_paused = true)]
async fn a_script_finds_again_what_another_pod_left_on_the_node() {
    let sim = Sim::new();
    let world = World::new(&sim, options(2)).await;
    let once =
        "if [[ -r /data/foo-$INDEX ]]\nthen\n exit 0\nelse\n touch /data/foo-$INDEX\n exit 42\nfi";
    let job = |name: &str, node: &str| -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": "shop", "annotations": { "index": "7" } },
            "spec": {
                "nodeName": node, "restartPolicy": "Never",
                "containers": [{
                    "name": "c", "image": "busybox", "command": ["/bin/sh", "-c"], "args": [once],
                    "env": [{ "name": "INDEX", "valueFrom": { "fieldRef": { "fieldPath": "metadata.annotations['index']" } } }],
                    "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
                }],
                "volumes": [{ "name": "data", "hostPath": { "path": "/tmp/e2e", "type": "DirectoryOrCreate" } }],
            },
        }))
        .unwrap()
    };
    let mut ends = Vec::new();
    for (name, node) in [("a", "node-0"), ("b", "node-0"), ("c", "node-1")] {
        sim.create(job(name, node));
        world.pass(1).await;
        let status = world.pod(name).status.unwrap();
        let ended = status.container_statuses.unwrap()[0]
            .state
            .clone()
            .unwrap()
            .terminated
            .unwrap();
        ends.push(format!("{} {}", status.phase.unwrap(), ended.exit_code));
    }
    assert_eq!(ends, ["Failed 42", "Succeeded 0", "Failed 42"]);
}

#[tokio::test(start_paused = true)]
async fn a_container_leaves_a_message_and_its_probe_lets_it_wait() {
    let sim = Sim::new();
    let world = World::new(&sim, options(1)).await;
    let mut told = pod("a", "node-0", json!({}));
    let spec = told.spec.as_mut().unwrap();
    spec.restart_policy = Some("Never".to_owned());
    spec.containers[0].command = Some(
        ["sh", "-c", "echo -n DONE > /dev/termination-log; exit 3"]
            .map(str::to_owned)
            .to_vec(),
    );
    let mut slow = pod("b", "node-0", json!({}));
    let main = &mut slow.spec.as_mut().unwrap().containers[0];
    main.command = Some(
        ["sh", "-c", "sleep 5; touch /tmp/ready; sleep 600"]
            .map(str::to_owned)
            .to_vec(),
    );
    main.readiness_probe = serde_json::from_value(
        json!({"exec": {"command": ["cat", "/tmp/ready"]}, "periodSeconds": 2}),
    )
    .unwrap();
    sim.create(told);
    sim.create(slow);
    world.pass(1).await;
    let ended = world.pod("a").status.unwrap().container_statuses.unwrap()[0]
        .state
        .clone();
    let ended = ended.unwrap().terminated.unwrap();
    assert_eq!(
        (ended.exit_code, ended.message.as_deref()),
        (3, Some("DONE"))
    );
    assert!(!objects::pod::is_ready(&world.pod("b")));
    world.pass(7).await;
    assert!(objects::pod::is_ready(&world.pod("b")));
}
