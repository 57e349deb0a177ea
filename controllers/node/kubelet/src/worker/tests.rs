#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::testing::{at, pod};
use json_patch::merge;
use k8s_openapi::api::coordination::v1::Lease;
use plan::{Done, Failure, Reference, Verb};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An API server of two kinds, which carries out plans at once.
#[derive(Default)]
struct Server {
    pods: BTreeMap<String, Value>,
    nodes: BTreeMap<String, Value>,
    claims: BTreeMap<String, Value>,
    notes: Vec<&'static str>,
    leases: BTreeMap<String, u64>,
    version: u64,
    log: Vec<String>,
}

impl View for Server {
    fn pod(&self, key: &Key) -> Option<Arc<Pod>> {
        let pod = self.pods.get(key.name.as_ref())?;
        Some(Arc::new(serde_json::from_value(pod.clone()).unwrap()))
    }

    fn node(&self, name: &str) -> Option<Arc<Node>> {
        let node = self.nodes.get(name)?;
        Some(Arc::new(serde_json::from_value(node.clone()).unwrap()))
    }

    fn pods_on(&self, node: &str) -> Vec<Arc<Pod>> {
        let on = |pod: &&Value| pod["spec"]["nodeName"] == node;
        let pods = self.pods.values().filter(on);
        pods.map(|pod| Arc::new(serde_json::from_value(pod.clone()).unwrap()))
            .collect()
    }

    fn claim(&self, _: &str, name: &str) -> Option<Arc<PersistentVolumeClaim>> {
        let claim = self.claims.get(name)?;
        Some(Arc::new(serde_json::from_value(claim.clone()).unwrap()))
    }

    fn volume(&self, name: &str) -> Option<Arc<PersistentVolume>> {
        let of = json!({ "claimRef": { "name": name, "namespace": "shop" } });
        let volume = json!({ "metadata": { "name": name }, "spec": of });
        Some(Arc::new(serde_json::from_value(volume).unwrap()))
    }
}

impl Server {
    fn carry_out(&mut self, plan: &Plan) -> Outcome {
        let mut outcome = Outcome::default();
        self.notes.extend(plan.notes.iter().map(|note| note.reason));
        for action in plan.actions() {
            self.version += 1;
            let kind = action.on.kind.kind;
            let name = action.on.name.clone();
            self.log
                .push(format!("{} {}", action.verb.name(), action.on));
            let objects = match kind {
                "Node" => Some(&mut self.nodes),
                "Pod" => Some(&mut self.pods),
                _ => None,
            };
            let known = self.leases.get(&name).copied();
            let refused = match (objects, &action.verb) {
                (Some(objects), Verb::Create(object)) => {
                    let mut object: Value = serde_json::from_str(object.json()).unwrap();
                    object["metadata"]["uid"] = json!(format!("uid-{name}"));
                    object["metadata"]["creationTimestamp"] = json!(crate::testing::rfc(0));
                    object["spec"]["taints"] =
                        json!([{ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" }]);
                    objects.insert(name, object);
                    None
                }
                (Some(objects), Verb::Patch(_, body)) => {
                    merge(objects.get_mut(&name).unwrap(), body);
                    None
                }
                (Some(objects), Verb::Delete { grace, .. }) => {
                    assert_eq!(*grace, Some(0));
                    objects.remove(&name);
                    None
                }
                (None, Verb::Create(_)) if known.is_some() => Some(Cause::AlreadyExists),
                (None, Verb::Patch(..)) if known.is_none() => Some(Cause::NotFound),
                (None, Verb::Replace(lease)) => {
                    let lease = lease.read::<Lease>().unwrap();
                    let version = lease.metadata.resource_version;
                    let fits = version == known.map(|v| v.to_string());
                    (!fits).then_some(Cause::Conflict)
                }
                _ => None,
            };
            if kind == "Lease" && refused.is_none() {
                self.leases.insert(action.on.name.clone(), self.version);
            }
            match refused {
                None => outcome.done.push(Done {
                    on: action.on.clone(),
                    verb: action.verb.name(),
                    version: Some(self.version),
                }),
                Some(cause) => outcome.failures.push(Failure {
                    on: action.on.clone(),
                    verb: action.verb.name(),
                    cause,
                    message: String::new(),
                }),
            }
        }
        outcome
    }

    fn add(&mut self, name: &str, mut pod: Value) {
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["uid"] = json!(format!("uid-{name}"));
        self.pods.insert(name.to_owned(), pod);
    }

    fn ip(&self, name: &str) -> &str {
        self.pods[name]["status"]["podIP"].as_str().unwrap()
    }

    fn all(&self) -> Vec<Item> {
        let nodes = self
            .nodes
            .keys()
            .map(|name| Item::Node(name.as_str().into()));
        let pods = self
            .pods
            .keys()
            .map(|name| Item::Pod(Key::new("shop", name)));
        nodes.chain(pods).collect()
    }
}

/// Lets the worker look at everything until it is content, then at what is due, up to `seconds`.
fn settle(worker: &mut Worker, server: &mut Server, seconds: i64) {
    let now = at(seconds);
    for _ in 0..20 {
        let mut items = worker.unregistered(server);
        items.extend(server.all());
        items.extend(worker.due(now));
        let mut busy = false;
        while !items.is_empty() {
            Worker::sort(&mut items, server);
            for item in std::mem::take(&mut items) {
                let (plan, more) = worker.look(&item, server, now);
                items.extend(more);
                if !plan.is_empty() {
                    busy = true;
                    let outcome = server.carry_out(&plan);
                    worker.done(&item, &outcome, now);
                }
            }
        }
        if !busy {
            return;
        }
    }
    panic!("it does not come to rest: {:?}", server.log);
}

fn plain() -> Value {
    serde_json::to_value(pod(json!({}), json!({}))).unwrap()
}

fn worker(count: usize) -> Worker {
    Worker::new(Options {
        count,
        pods: 3,
        ..Options::default()
    })
}

#[test]
fn a_node_is_registered_leased_and_made_schedulable() {
    let (mut worker, mut server) = (worker(1), Server::default());
    settle(&mut worker, &mut server, 0);
    server.log.sort();
    assert_eq!(
        server.log,
        [
            "create lease/node-0",
            "create node/node-0",
            "patch node/node-0"
        ]
    );
    assert_eq!(server.nodes["node-0"]["spec"].get("taints"), None);
    server.log.clear();
    for second in 1..=60 {
        settle(&mut worker, &mut server, second);
    }
    assert!(
        server.log.iter().all(|line| line == "update lease/node-0"),
        "{:?}",
        server.log
    );
    assert!((6..=7).contains(&server.log.len()), "{:?}", server.log);
}

#[test]
fn leases_are_spread_over_the_interval() {
    let (mut worker, mut server) = (worker(100), Server::default());
    settle(&mut worker, &mut server, 0);
    for second in 1..=20 {
        settle(&mut worker, &mut server, second);
    }
    for second in 21..=30 {
        server.log.clear();
        settle(&mut worker, &mut server, second);
        assert!(
            (8..=12).contains(&server.log.len()),
            "{second}: {:?}",
            server.log.len()
        );
    }
}

#[test]
fn a_pod_costs_one_write_and_its_end_two() {
    let (mut worker, mut server) = (worker(1), Server::default());
    settle(&mut worker, &mut server, 0);
    server.log.clear();
    server.add("a", plain());
    settle(&mut worker, &mut server, 1);
    assert_eq!(server.log, ["patch pod/a"]);
    assert_eq!(server.pods["a"]["status"]["phase"], "Running");
    let mut pod = server.pods["a"].clone();
    pod["metadata"]["deletionTimestamp"] = json!(crate::testing::rfc(32));
    pod["metadata"]["deletionGracePeriodSeconds"] = json!(30);
    server.add("a", pod);
    settle(&mut worker, &mut server, 2);
    assert_eq!(server.log, ["patch pod/a", "patch pod/a", "delete pod/a"]);
    assert_eq!(worker.len(), (1, 1));
    let gone = Item::Pod(Key::new("shop", "a"));
    worker.look(&gone, &server, at(2));
    assert_eq!(worker.len(), (1, 0));
}

#[test]
fn a_full_node_refuses_and_has_room_again() {
    let (mut worker, mut server) = (worker(1), Server::default());
    for name in ["a", "b", "c", "d"] {
        server.add(name, plain());
    }
    settle(&mut worker, &mut server, 0);
    let phases = |server: &Server| -> Vec<String> {
        let pods = server.pods.values();
        pods.map(|pod| pod["status"]["phase"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(phases(&server), ["Running", "Running", "Running", "Failed"]);
    assert_eq!(server.pods["d"]["status"]["reason"], "OutOfpods");
    assert_eq!(
        server.pods["d"]["status"]["message"],
        "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3"
    );
    server.pods.remove("a");
    worker.look(&Item::Pod(Key::new("shop", "a")), &server, at(1));
    server.add("e", plain());
    settle(&mut worker, &mut server, 1);
    assert_eq!(phases(&server), ["Running", "Running", "Failed", "Running"]);
}

#[test]
fn a_pod_has_the_room_of_one_that_ended_while_its_plan_is_on_its_way() {
    let (mut worker, mut server) = (worker(1), Server::default());
    for name in ["a", "b", "c"] {
        server.add(name, plain());
    }
    settle(&mut worker, &mut server, 0);
    let metadata = &mut server.pods.get_mut("a").unwrap()["metadata"];
    metadata["deletionTimestamp"] = json!(crate::testing::rfc(32));
    metadata["deletionGracePeriodSeconds"] = json!(30);
    let ends = Item::Pod(Key::new("shop", "a"));
    let (plan, _) = worker.look(&ends, &server, at(2));
    assert_eq!(plan.actions().count(), 2, "{plan}");
    // The first of the two was seen by us and by the scheduler, the second is on its way.
    server.pods.get_mut("a").unwrap()["status"]["phase"] = json!("Succeeded");
    server.add("d", plain());
    let bound = Item::Pod(Key::new("shop", "d"));
    let (plan, _) = worker.look(&bound, &server, at(2));
    server.carry_out(&plan);
    assert_eq!(server.pods["d"]["status"]["phase"], "Running");
}

#[test]
fn a_new_process_goes_on_where_the_old_one_stopped() {
    let mut server = Server::default();
    let crashing = json!({
        "hollow.corten.dev/run-for": "1s",
        "hollow.corten.dev/exit-code": "1",
    });
    server.add("b", plain());
    server.add("c", serde_json::to_value(pod(json!({}), crashing)).unwrap());
    let mut first = worker(2);
    for second in 0..=14 {
        settle(&mut first, &mut server, second);
    }
    let before = server.pods.clone();
    assert_eq!(
        before["c"]["status"]["containerStatuses"][0]["restartCount"],
        2
    );
    server.log.clear();

    let mut second = worker(2);
    // Its name is sorted before those that are there, and it must not get one of their addresses.
    server.add("a", plain());
    settle(&mut second, &mut server, 15);
    server.log.sort();
    assert_eq!(
        server.log,
        ["patch lease/node-0", "patch lease/node-1", "patch pod/a"]
    );
    assert_eq!(server.pods["b"], before["b"]);
    assert_eq!(server.pods["c"], before["c"]);
    let ips = [server.ip("a"), server.ip("b"), server.ip("c")];
    assert!(ips[0] != ips[1] && ips[0] != ips[2], "{ips:?}");
    settle(&mut second, &mut server, 33);
    assert_eq!(
        server.pods["c"]["status"]["containerStatuses"][0]["restartCount"],
        3
    );
    assert!(
        !server.log.contains(&"create lease/node-0".to_owned()),
        "{:?}",
        server.log
    );
}

#[test]
fn nodes_of_kwok_are_taken_on_with_the_pods_that_wait_there() {
    let (mut worker, mut server) = (worker(0), Server::default());
    let mut waiting = plain();
    waiting["spec"]["nodeName"] = json!("fake-1");
    server.add("a", waiting);
    settle(&mut worker, &mut server, 0);
    assert_eq!(worker.len(), (0, 0));
    for (name, annotation) in [("fake-1", "fake"), ("real-1", "no")] {
        let node = json!({ "metadata": {
            "name": name, "uid": name, "annotations": { node::KWOK: annotation },
        }});
        server.nodes.insert(name.to_owned(), node);
    }
    settle(&mut worker, &mut server, 1);
    assert_eq!(worker.len(), (1, 1));
    assert_eq!(server.pods["a"]["status"]["phase"], "Running");
    assert_eq!(
        server.nodes["fake-1"]["status"]["conditions"][3]["status"],
        "True"
    );
    assert_eq!(server.nodes["real-1"].get("status"), None);
    let on = Reference::to(&node::lease(&server.node("fake-1").unwrap(), None, at(0)));
    assert!(server.leases.contains_key(&on.name));
}

#[test]
fn a_deleted_node_stays_away() {
    let (mut worker, mut server) = (worker(1), Server::default());
    settle(&mut worker, &mut server, 0);
    server.nodes.clear();
    let (plan, more) = worker.look(&Item::Node("node-0".into()), &server, at(1));
    assert!(plan.is_empty() && more.is_empty());
    assert_eq!(worker.len(), (0, 0));
}

#[test]
fn one_plan_of_an_object_is_on_its_way_at_a_time() {
    let (mut worker, mut server) = (worker(1), Server::default());
    settle(&mut worker, &mut server, 0);
    server.add("a", plain());
    let item = Item::Pod(Key::new("shop", "a"));
    let (plan, _) = worker.look(&item, &server, at(1));
    assert_eq!(plan.len(), 1);
    assert!(worker.look(&item, &server, at(1)).0.is_empty());
    let outcome = server.carry_out(&plan);
    assert!(
        worker.done(&item, &outcome, at(1)),
        "it was asked for meanwhile"
    );
    assert!(worker.look(&item, &server, at(1)).0.is_empty());
}

#[test]
fn a_pod_is_not_started_before_its_claim_is_bound_and_then_at_once() {
    let (mut worker, mut server) = (worker(1), Server::default());
    settle(&mut worker, &mut server, 0);
    let mut pod = plain();
    pod["spec"]["volumes"] =
        json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "c" } }]);
    server.add("a", pod);
    let claim = |phase: &str| {
        json!({
            "metadata": { "name": "c", "namespace": "shop" },
            "spec": { "volumeName": "c" }, "status": { "phase": phase },
        })
    };
    server.claims.insert("c".to_owned(), claim("Pending"));
    settle(&mut worker, &mut server, 5);
    let waiting = &server.pods["a"]["status"]["containerStatuses"][0]["state"]["waiting"]["reason"];
    assert_eq!(
        (waiting, &server.pods["a"]["status"]["phase"]),
        (&json!("ContainerCreating"), &json!("Pending"))
    );
    settle(&mut worker, &mut server, 122);
    assert!(!server.notes.contains(&"FailedMount"));
    settle(&mut worker, &mut server, 124);
    settle(&mut worker, &mut server, 140);
    let warnings = server.notes.iter().filter(|note| **note == "FailedMount");
    assert_eq!(warnings.count(), 1);
    server.claims.insert("c".to_owned(), claim("Bound"));
    settle(&mut worker, &mut server, 160);
    let started =
        &server.pods["a"]["status"]["containerStatuses"][0]["state"]["running"]["startedAt"];
    assert_eq!(started, &json!(crate::testing::rfc(160)));
    // What runs goes on, whatever becomes of the claim.
    server.claims.insert("c".to_owned(), claim("Lost"));
    settle(&mut worker, &mut server, 190);
    assert_eq!(server.pods["a"]["status"]["phase"], "Running");
}

#[test]
fn a_node_that_is_given_its_range_chooses_none() {
    let mut worker = Worker::new(Options {
        own_ranges: false,
        ..worker(1).options
    });
    let mut server = Server::default();
    server.add("early", plain());
    settle(&mut worker, &mut server, 0);
    assert_eq!(server.nodes["node-0"]["spec"].get("podCIDR"), None);
    assert_eq!(server.ip("early"), "100.64.0.2", "of no node's range");
    let given = json!({ "podCIDR": "fd00::/64", "podCIDRs": ["fd00::/64", "10.130.7.0/24"] });
    merge(&mut server.nodes.get_mut("node-0").unwrap()["spec"], &given);
    server.add("late", plain());
    settle(&mut worker, &mut server, 1);
    assert_eq!(server.ip("late"), "10.130.7.2");
    assert_eq!(server.ip("early"), "100.64.0.2");
}
