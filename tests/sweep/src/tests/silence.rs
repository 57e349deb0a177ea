//! Many nodes, and servers that are away: who is called silent, and which pods go. Each test is a story of minutes.

use crate::harness::ACTOR;
use crate::nodes::{KUBELET, Kubelets, SILENT};
use ::objects::{meta, node as nodes, pod as pods};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use nodelifecycle::NodeLifecycleController;
use runtime::{Clock, Options, Runtime};
use serde_json::json;
use sim::{Sim, Verb, Write};
use std::time::Duration;
use tainteviction::TaintEvictionController;
use tokio::time::sleep;

const LOST: &str = "node.kubernetes.io/unreachable";

/// A cluster of nodes in zones, with a pod on each, and the controllers.
struct Cluster {
    sim: Sim,
    kubelets: Kubelets,
    process: Option<Runtime>,
    /// The kubelets reach the server.
    connected: bool,
    /// So many writes brought the cluster about.
    before: usize,
}

impl Cluster {
    /// So many nodes in each of these zones. Their pods tolerate to be lost for some seconds.
    fn new(zones: &[(&str, usize)], seconds: i64) -> Self {
        let sim = Sim::new();
        for (zone, size) in zones {
            for n in 0..*size {
                let name = format!("{zone}-{n}");
                let node = json!({ "metadata": { "name": name, "labels": {
                    KUBELET: "true", "topology.kubernetes.io/zone": zone,
                } } });
                sim.create::<Node>(serde_json::from_value(node).unwrap());
                let toleration = json!({
                    "key": LOST, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds,
                });
                let pod = json!({
                    "metadata": { "name": name },
                    "spec": { "nodeName": name, "containers": [{ "name": "main", "image": "v1" }], "tolerations": [toleration] },
                    "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
                });
                sim.create::<Pod>(serde_json::from_value(pod).unwrap());
            }
        }
        let mut cluster = Self {
            sim,
            kubelets: Kubelets::default(),
            process: None,
            connected: true,
            before: 0,
        };
        cluster.step();
        cluster.start();
        cluster
    }

    fn start(&mut self) {
        let clock = self.sim.clone();
        let options = Options {
            clock: Clock::new(move || clock.now()),
            ..Options::default()
        };
        let runtime = Runtime::new(self.sim.client_for(ACTOR), options);
        runtime.run(NodeLifecycleController::new(&runtime), 4);
        runtime.run(TaintEvictionController::new(&runtime), 4);
        let starting = runtime.clone();
        runtime.spawn("start", async move { starting.start().await });
        self.process = Some(runtime);
    }

    fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    fn step(&mut self) {
        if self.connected {
            let now = self.sim.now();
            self.kubelets.step(&self.sim, now);
        }
    }

    async fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            sleep(Duration::from_secs(1)).await;
            self.step();
        }
    }

    /// All nodes are well; the story begins.
    async fn settle(&mut self) {
        self.pass(60).await;
        self.before = self.sim.history().len();
    }

    /// The server goes, or comes back, for everybody.
    fn be_away(&mut self, away: bool) {
        self.sim.be_away(ACTOR, away);
        self.connected = !away;
    }

    /// Cuts nodes of a zone off, or lets them back.
    fn cut(&self, zone: &str, which: impl IntoIterator<Item = usize>, silent: bool) {
        for n in which {
            self.sim
                .update_with::<Node>("", &format!("{zone}-{n}"), |node| {
                    let annotations = node.metadata.annotations.get_or_insert_default();
                    match silent {
                        true => annotations.insert(SILENT.to_owned(), "true".to_owned()),
                        false => annotations.remove(SILENT),
                    };
                });
        }
    }

    /// What the controllers wrote, but for events.
    fn writes(&self) -> Vec<Write> {
        let mut history = self.sim.history().split_off(self.before);
        history.retain(|w| w.actor.as_ref() == ACTOR && w.kind != "Event");
        history
    }

    /// The names of the pods that the controllers deleted, in order.
    fn deleted(&self) -> Vec<String> {
        let writes = self.writes().into_iter();
        let deletes = writes.filter(|w| w.kind == "Pod" && w.verb == Verb::Delete);
        deletes.map(|w| w.name.clone()).collect()
    }

    /// The nodes that are to lose their pods.
    fn tainted(&self) -> Vec<String> {
        let mut all = self.sim.list::<Node>(None);
        all.retain(|n| nodes::taints(n).iter().any(|t| t.effect == "NoExecute"));
        all.iter()
            .map(|n| meta::name(&n.metadata).to_owned())
            .collect()
    }

    fn unknown(&self) -> usize {
        let all = self.sim.list::<Node>(None);
        let unknown = |node: &&Node| {
            nodes::condition(node, "Ready").is_some_and(|ready| ready.status == "Unknown")
        };
        all.iter().filter(unknown).count()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill();
    }
}

fn told(result: &[String]) -> Vec<&str> {
    result.iter().map(String::as_str).collect()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_nodes_outlive_the_api_server_and_those_that_died_are_found_once() {
    let mut cluster = Cluster::new(&[("a", 400), ("b", 300), ("c", 300)], 30);
    cluster.settle().await;
    cluster.be_away(true);
    cluster.pass(180).await;
    // Three died meanwhile; of the others most come late.
    cluster.cut("a", [7, 8], true);
    cluster.cut("b", [9], true);
    cluster.sim.be_away(ACTOR, false);
    for late in 0..4 {
        cluster.pass(10).await;
        if late == 3 {
            cluster.connected = true;
        }
    }
    cluster.pass(5).await;
    assert_eq!((cluster.unknown(), cluster.deleted()), (0, vec![]));
    // What has been away for 50 s since the server is back is lost; one node a zone in 10 s.
    cluster.pass(15).await;
    assert_eq!(cluster.unknown(), 3);
    assert_eq!(cluster.tainted().len(), 2);
    cluster.pass(300).await;
    assert_eq!(told(&cluster.tainted()), ["a-7", "a-8", "b-9"]);
    let mut deleted = cluster.deleted();
    deleted.sort();
    assert_eq!(told(&deleted), ["a-7", "a-8", "b-9"]);
    assert_eq!(cluster.unknown(), 3);
    // Each was written to a few times, and nobody else was.
    let writes = cluster.writes();
    assert!(
        writes
            .iter()
            .all(|w| ["a-7", "a-8", "b-9"].contains(&w.name.as_ref()))
    );
    assert!(writes.len() <= 3 * 6, "{}", writes.len());
}

#[tokio::test(start_paused = true)]
async fn nobody_is_silent_because_the_watch_of_leases_lags() {
    let mut cluster = Cluster::new(&[("a", 30)], 0);
    cluster.settle().await;
    cluster.sim.lag_watches(ACTOR, "Lease");
    cluster.pass(600).await;
    assert_eq!(cluster.writes().len(), 0);
    // One that is silent is found all the same.
    cluster.cut("a", [3], true);
    cluster.pass(120).await;
    assert_eq!(told(&cluster.deleted()), ["a-3"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_silent_because_all_of_it_was_down() {
    let mut cluster = Cluster::new(&[("a", 3)], 0);
    cluster.settle().await;
    cluster.kill();
    cluster.connected = false;
    for down in [1, 40, 120, 3600] {
        cluster.pass(down).await;
        cluster.start();
        cluster.pass(5).await;
        cluster.connected = true;
        cluster.pass(100).await;
        assert_eq!(cluster.writes().len(), 0, "after {down} s");
        cluster.kill();
        cluster.connected = false;
    }
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_is_lost_loses_its_pods_one_node_in_ten_seconds() {
    let mut cluster = Cluster::new(&[("a", 20), ("b", 20)], 0);
    cluster.settle().await;
    cluster.cut("a", 0..20, true);
    cluster.pass(60).await;
    assert_eq!(cluster.unknown(), 20);
    let before = cluster.tainted().len();
    assert!(before <= 2, "{before}");
    cluster.pass(100).await;
    let after = cluster.tainted().len();
    assert!((9..=11).contains(&(after - before)), "{before} {after}");
    cluster.pass(130).await;
    assert_eq!(cluster.deleted().len(), 20);
    assert!(cluster.deleted().iter().all(|name| name.starts_with("a-")));
}

#[tokio::test(start_paused = true)]
async fn a_zone_of_which_most_nodes_are_lost_is_spared() {
    // Size, lost, the least and the most that are tainted after a while.
    for (size, lost, least, most) in [(20, 12, 0, 1), (100, 60, 2, 4), (20, 10, 10, 10)] {
        let mut cluster = Cluster::new(&[("a", size), ("b", 3)], 600);
        cluster.settle().await;
        cluster.cut("a", 0..lost, true);
        cluster.pass(400).await;
        assert_eq!(cluster.unknown(), lost);
        let tainted = cluster.tainted().len();
        assert!(
            (least..=most).contains(&tainted),
            "{lost} of {size}: {tainted}"
        );
        assert_eq!(cluster.deleted().len(), 0);
        cluster.cut("a", 0..lost, false);
        cluster.pass(60).await;
        assert_eq!((cluster.unknown(), cluster.tainted().len()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn no_pod_goes_while_all_zones_are_lost_nor_right_after() {
    let mut cluster = Cluster::new(&[("a", 10), ("b", 10)], 20);
    cluster.settle().await;
    for zone in ["a", "b"] {
        cluster.cut(zone, 0..10, true);
    }
    cluster.pass(600).await;
    assert_eq!((cluster.unknown(), cluster.tainted().len()), (20, 0));
    // They come back one after the other.
    for n in 0..10 {
        cluster.cut("a", [n], false);
        cluster.cut("b", [n], false);
        cluster.pass(4).await;
    }
    cluster.pass(60).await;
    assert_eq!((cluster.unknown(), cluster.tainted().len()), (0, 0));
    assert_eq!(cluster.deleted(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_pods_of_a_lost_node_are_marked_by_the_next_process_too() {
    let mut cluster = Cluster::new(&[("a", 3)], 3600);
    cluster.settle().await;
    cluster.kill();
    cluster.cut("a", [1], true);
    // It was called lost, and then the process died.
    cluster.sim.update_with::<Node>("", "a-1", |node| {
        let conditions = node.status.as_mut().unwrap().conditions.as_mut().unwrap();
        for condition in conditions {
            "Unknown".clone_into(&mut condition.status);
        }
    });
    cluster.start();
    cluster.pass(2).await;
    let ready = |name: &str| pods::is_ready(&cluster.sim.get::<Pod>("default", name).unwrap());
    assert_eq!(["a-0", "a-1", "a-2"].map(ready), [true, false, true]);
}

/// When the pod of the node `a-1`, tainted so, was deleted, in seconds after the taint; the process is down from one
/// second to another.
async fn goes_after(key: &str, down: u64, up: u64) -> i64 {
    let mut cluster = Cluster::new(&[("a", 3)], 300);
    cluster.settle().await;
    if key == LOST {
        cluster.cut("a", [1], true);
        while cluster.tainted().is_empty() {
            cluster.pass(1).await;
        }
    } else {
        let toleration = json!({ "key": key, "operator": "Exists", "tolerationSeconds": 300 });
        cluster.sim.update_with::<Pod>("default", "a-1", |pod| {
            let tolerations = pod
                .spec
                .as_mut()
                .unwrap()
                .tolerations
                .get_or_insert_default();
            tolerations.push(serde_json::from_value(toleration).unwrap());
        });
        let added = cluster.sim.now();
        cluster.sim.update_with::<Node>("", "a-1", |node| {
            let taint =
                json!({ "key": key, "effect": "NoExecute", "timeAdded": added.to_string() });
            let taints = node
                .spec
                .get_or_insert_default()
                .taints
                .get_or_insert_default();
            taints.push(serde_json::from_value(taint).unwrap());
        });
    }
    let node = cluster.sim.get::<Node>("", "a-1").unwrap();
    let mut taints = nodes::taints(&node).iter();
    let begun = taints.find(|t| t.effect == "NoExecute").unwrap();
    let begun: Timestamp = begun.time_added.as_ref().unwrap().0;
    cluster.pass(down).await;
    cluster.kill();
    cluster.pass(up - down).await;
    cluster.start();
    cluster.pass(600).await;
    let writes = cluster.writes();
    let deletes: Vec<_> = writes.iter().filter(|w| w.verb == Verb::Delete).collect();
    assert_eq!(deletes.len(), 1, "{key} {down} {up}");
    let took: SignedDuration = deletes[0].at.duration_since(begun);
    took.as_secs()
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_pod_has_goes_on_when_the_process_is_started_anew() {
    for (key, down, up, wanted) in [
        ("k", 100, 101, 300),
        ("k", 100, 290, 300),
        ("k", 100, 400, 400),
        (LOST, 100, 200, 300),
        // The node could not have said that it is back.
        (LOST, 100, 400, 415),
    ] {
        let took = goes_after(key, down, up).await;
        assert!(
            (wanted - 2..=wanted + 2).contains(&took),
            "{key} {down} {up}: {took} s"
        );
    }
}
