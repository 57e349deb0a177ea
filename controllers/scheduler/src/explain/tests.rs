#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::kit::{bound_to, claim, class, cluster, info, merge, node, pod, requests, uses, volume};
use crate::plugins::Table;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};

/// What is said of a pod, among these nodes and these pods on them.
struct World {
    nodes: Vec<Arc<Node>>,
    pods: Vec<(Arc<PodInfo>, &'static str)>,
}

fn world(nodes: impl IntoIterator<Item = Arc<Node>>) -> World {
    World {
        nodes: nodes.into_iter().collect(),
        pods: Vec::new(),
    }
}

impl World {
    fn on(mut self, node: &'static str, name: &str, more: Value) -> Self {
        self.pods.push((info(name, more), node));
        self
    }

    fn cluster(self) -> Cluster {
        let mut all = cluster(self.nodes);
        for (info, node) in self.pods {
            all.put_pod(info, node);
        }
        all
    }

    fn explain(self, more: Value) -> Answer {
        explain(&Table::default(), &info("new", more), self.cluster())
    }

    fn obstacles(self, more: Value) -> Obstacles {
        match self.explain(more) {
            Answer::Pending(obstacles) => obstacles,
            other => panic!("{other:?}"),
        }
    }

    /// The changes, the smallest first.
    fn changes(self, more: Value) -> Vec<String> {
        let changes = self.obstacles(more).changes;
        changes.iter().map(ToString::to_string).collect()
    }
}

fn merged(mut one: Value, other: Value) -> Value {
    merge(&mut one, other);
    one
}

fn cpu(amount: &str) -> Value {
    requests(json!({ "cpu": amount }))
}

fn labelled(name: &str, labels: Value) -> Arc<Node> {
    node(name, json!({ "metadata": { "labels": labels } }))
}

fn labels(labels: Value) -> Value {
    json!({ "metadata": { "labels": labels } })
}

#[test]
fn a_request_that_is_a_little_too_much_is_lowered_by_that() {
    let world = world([
        node("small", json!({})),
        node(
            "big",
            json!({ "status": { "allocatable": { "cpu": "8" } } }),
        ),
    ])
    .on("small", "a", cpu("1"))
    .on("big", "b", cpu("6500m"));
    let found = world.obstacles(cpu("3500m"));
    let miss = found.nearest.unwrap();
    assert_eq!(miss.node, "small");
    assert_eq!(
        miss.gaps[0].text,
        "500m cpu too few: asks for 3500m, 3 of 4 are free"
    );
    let changes: Vec<String> = found.changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        changes,
        [
            "lower the cpu request of container c by 500m to 3 → small",
            "let small offer 4500m cpu in place of 4 → small",
            "raise the priority from 0 to 1, then ns/a leaves small → small",
            "add a node like small → another-node",
            "delete the pod ns/a on small → small",
        ]
    );
}

#[test]
fn each_plugin_counts_the_nodes_that_it_alone_rejects() {
    let tainted =
        json!({ "spec": { "taints": [{ "key": "gpu", "value": "yes", "effect": "NoSchedule" }] } });
    let world = world([
        node("plain", json!({})),
        node("tainted", tainted.clone()),
        node("both", tainted),
    ])
    .on("plain", "a", cpu("4"))
    .on("both", "b", cpu("4"));
    let found = world.obstacles(cpu("1"));
    let counts: Vec<_> = found
        .plugins
        .iter()
        .map(|each| (each.plugin, each.nodes, each.alone))
        .collect();
    assert_eq!(
        counts,
        [("TaintToleration", 2, 1), ("NodeResourcesFit", 2, 1)]
    );
    assert_eq!(found.nearest.unwrap().node, "tainted");
    assert_eq!(
        found.changes[0].to_string(),
        "tolerate the taint gpu=yes:NoSchedule → tainted"
    );
    assert_eq!(
        found.message,
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). preemption: 0/3 nodes are \
         available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
    );
}

#[test]
fn a_cordoned_node_is_uncordoned_and_its_taint_goes_with_that() {
    let cordoned = json!({ "spec": { "unschedulable": true, "taints": [
        { "key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule" }] } });
    let changes = world([node("n", cordoned)]).changes(json!({}));
    assert_eq!(changes[0], "uncordon n → n");
}

#[test]
fn a_selector_is_dropped_or_a_node_is_labelled() {
    let selecting = json!({ "spec": { "nodeSelector": { "disk": "ssd", "pool": "blue" } } });
    let nodes = || {
        [
            labelled("near", json!({ "disk": "hdd", "pool": "blue" })),
            labelled("far", json!({ "disk": "hdd" })),
        ]
    };
    let found = world(nodes()).obstacles(selecting.clone());
    let miss = found.nearest.unwrap();
    assert_eq!(
        (miss.node.as_str(), miss.gaps[0].text.as_str()),
        ("near", "disk has to be ssd, and it has hdd")
    );
    let changes: Vec<String> = found.changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        changes,
        [
            "label near with disk=ssd → near",
            "drop disk: ssd from the nodeSelector → near"
        ]
    );
    // That a node is in a zone is not a matter of labels.
    let zone = json!({ "spec": { "nodeSelector": { "topology.kubernetes.io/zone": "z" } } });
    assert_eq!(
        world(nodes()).changes(zone),
        ["drop topology.kubernetes.io/zone: z from the nodeSelector → far"]
    );
}

#[test]
fn an_expression_of_the_affinity_is_dropped() {
    let expressions = json!([
        { "key": "disk", "operator": "In", "values": ["ssd"] },
        { "key": "pool", "operator": "Exists" },
    ]);
    let affinity = json!({ "spec": { "affinity": { "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{ "matchExpressions": expressions }] } } } } });
    let changes = world([labelled("n", json!({ "pool": "x" }))]).changes(affinity);
    assert_eq!(
        changes,
        [
            "label n with disk=ssd → n",
            "drop disk In [ssd] from the required node affinity → n",
            "drop the required node affinity → n"
        ]
    );
}

#[test]
fn a_taken_host_port_is_told_with_who_holds_it() {
    let port = json!({ "spec": { "containers": [
        { "name": "c", "image": "i", "ports": [{ "containerPort": 80, "hostPort": 80 }] }] } });
    let found = world([node("n", json!({}))])
        .on("n", "other", port.clone())
        .obstacles(port);
    assert_eq!(
        found.nearest.unwrap().gaps[0].text,
        "port 80 is taken by ns/other"
    );
    let changes: Vec<String> = found.changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        changes,
        [
            "drop the host port 80 → n",
            "delete the pod ns/other on n → n",
            "raise the priority from 0 to 1, then ns/other leaves n → n",
            "add a node like n → another-node",
        ]
    );
}

#[test]
fn the_least_skew_that_would_do_is_found() {
    let zone = |name: &str, zone: &str| labelled(name, json!({ "zone": zone }));
    let spread = merged(
        labels(json!({ "app": "a" })),
        json!({ "spec": { "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "zone",
            "whenUnsatisfiable": "DoNotSchedule", "labelSelector": { "matchLabels": { "app": "a" } } }] } }),
    );
    // Zone two is full, and zone one has three of them.
    let world = world([zone("one", "1"), zone("two", "2")])
        .on("one", "a1", labels(json!({ "app": "a" })))
        .on("one", "a2", labels(json!({ "app": "a" })))
        .on("one", "a3", labels(json!({ "app": "a" })))
        .on("two", "big", cpu("4"));
    let changes = world.changes(merged(spread, cpu("2")));
    assert!(
        changes.contains(&"raise maxSkew over zone from 1 to 4 → one".to_owned()),
        "{changes:?}"
    );
}

#[test]
fn a_term_about_other_pods_is_dropped_or_one_of_them_goes() {
    let alone = merged(
        labels(json!({ "app": "a" })),
        json!({ "spec": { "affinity": { "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
            { "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "app": "a" } } }] } } } }),
    );
    let world = world([node("n", json!({}))]).on("n", "a1", labels(json!({ "app": "a" })));
    let changes = world.changes(alone);
    assert_eq!(
        changes[0],
        "drop required term 1 of podAntiAffinity (kubernetes.io/hostname) → n"
    );
    assert!(changes.contains(&"delete the pod ns/a1 on n → n".to_owned()));
}

#[test]
fn a_more_important_pod_would_have_room_made_for_it() {
    let prior = |priority: i32| json!({ "spec": { "priority": priority } });
    let full = || {
        world([node("n", json!({}))])
            .on("n", "a", merged(cpu("2"), prior(7)))
            .on("n", "b", merged(cpu("2"), prior(9)))
    };
    let told = |changes: Vec<String>| {
        let mut told = changes.into_iter();
        told.find(|change| change.contains("leaves"))
    };
    assert_eq!(
        told(full().changes(cpu("1"))).as_deref(),
        Some("raise the priority from 0 to 8, then ns/a leaves n → n")
    );
    let never = json!({ "spec": { "priority": 8, "preemptionPolicy": "Never" } });
    assert_eq!(
        told(full().changes(merged(cpu("1"), never))).as_deref(),
        Some("let it preempt (preemptionPolicy), then ns/a leaves n → n")
    );
    // It is important enough, and waits for nothing else.
    let found = full().obstacles(merged(cpu("1"), prior(8)));
    assert_eq!(
        found.room,
        Some(Coming {
            node: "n".to_owned(),
            victims: vec!["ns/a".to_owned()]
        })
    );
}

#[test]
fn a_claim_is_bound_unless_its_volume_is_elsewhere() {
    let with = |claims: &[Arc<k8s_openapi::api::core::v1::PersistentVolumeClaim>]| {
        let mut all = cluster([
            node("n", json!({})),
            node("m", json!({ "spec": { "unschedulable": true } })),
        ]);
        let storage = all.storage_mut();
        storage.put_class(class(json!({ "volumeBindingMode": "Immediate" })));
        storage.put_volume(volume("disk", "m", json!({})));
        for claim in claims {
            storage.put_claim(claim.clone());
        }
        match explain(&Table::default(), &info("new", uses(&["data"])), all) {
            Answer::Pending(found) => found
                .changes
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    let bind = "bind the claim data to a volume that can be used there → n";
    assert_eq!(with(&[])[0], bind);
    assert_eq!(with(&[claim("data", json!({}))])[0], bind);
    assert_eq!(
        with(&[claim("data", bound_to("disk"))])[0],
        "uncordon m → m"
    );
}

#[test]
fn what_no_single_change_mends_takes_several() {
    let tainted = json!({ "spec": { "taints": [{ "key": "gpu", "effect": "NoSchedule" }] } });
    let found = world([node("n", tainted)])
        .on("n", "a", cpu("2"))
        .obstacles(cpu("3"));
    assert_eq!(
        found.changes[0].to_string(),
        "tolerate the taint gpu:NoSchedule; lower the cpu request of container c by 1 to 2 → n"
    );
    assert!(
        Answer::Pending(found)
            .text("ns/new")
            .contains("No single change lets it run; these together do (tried):")
    );
}

#[test]
fn nothing_is_told_that_was_not_tried() {
    // Whatever is changed about its request, the node has no place for one more pod.
    let crowded = node("n", json!({ "status": { "allocatable": { "pods": "0" } } }));
    let changes = world([crowded]).changes(cpu("1"));
    assert_eq!(changes, ["let n offer 1 pods in place of 0 → n"]);
}

#[test]
fn what_waits_for_no_node_is_told_plainly() {
    let said = |more: Value| {
        standing(&pod("web", more), &["default-scheduler"]).map(|said| said.text("ns/web"))
    };
    let deleting = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } });
    assert_eq!(
        said(deleting).unwrap(),
        "Pod ns/web is being deleted: it is given no node any more.\n"
    );
    assert_eq!(
        said(json!({ "spec": { "nodeName": "n" } })).unwrap(),
        "Pod ns/web is scheduled: it is on n.\n"
    );
    assert_eq!(
        said(json!({ "status": { "phase": "Failed" } })).unwrap(),
        "Pod ns/web has ended (Failed).\n"
    );
    assert_eq!(
        said(json!({ "spec": { "schedulingGates": [{ "name": "a/b" }] } })).unwrap(),
        "Pod ns/web is gated: nobody gives it a node before its gates are taken away (a/b).\n"
    );
    assert_eq!(
        said(json!({ "spec": { "schedulerName": "other" } })).unwrap(),
        "Pod ns/web is for the scheduler other, whose plugins are not known here; known is default-scheduler.\n"
    );
    assert_eq!(said(json!({})), None);
    let fits = world([node("n", json!({}))]).explain(json!({}));
    assert!(matches!(fits, Answer::Fits { node } if node == "n"));
    let none = world([]).explain(json!({}));
    assert_eq!(
        none.text("ns/new"),
        "Pod ns/new is pending: there are no nodes.\n"
    );
}

#[test]
fn changes_are_tried_on_a_copy_that_is_as_before_afterwards() {
    let mut all = world([
        node("n", json!({})),
        node("m", json!({ "spec": { "unschedulable": true } })),
    ])
    .on("n", "a", cpu("3"))
    .cluster();
    let before = format!("{:?}", all.snapshot().nodes().collect::<Vec<_>>());
    let pod = info("new", cpu("2"));
    let mut trial = Trial {
        table: &Table::default(),
        info: &pod,
        all: &mut all,
        found: Vec::new(),
    };
    let survey = Survey::of(trial.table, trial.info, trial.all.snapshot()).distances();
    remedies::single(&mut trial, &survey);
    assert!(trial.found.len() > 3);
    let generation = |text: &str| {
        let parts = text.split("generation: ");
        let rest = parts.map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()));
        rest.collect::<String>()
    };
    let after = format!("{:?}", all.snapshot().nodes().collect::<Vec<_>>());
    assert_eq!(generation(&after), generation(&before));
}
