#![allow(clippy::unwrap_used, clippy::panic)]

mod oracle;

use super::*;
use crate::cluster::Cluster;
use crate::kit::{cluster, info, merge, node, replica_set, requests};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn decided(pod: &PodInfo, cluster: &Cluster) -> Decision {
    decide(&Table::default(), pod, cluster.snapshot(), 7)
}

/// The name of the node, or the message.
fn outcome(pod: &PodInfo, cluster: &Cluster) -> String {
    match decided(pod, cluster) {
        Decision::Bind { node, .. } => node.to_string(),
        Decision::Nobody(diagnosis) => {
            let all = cluster.snapshot();
            let preemption = crate::preempt::preempt(&Table::default(), pod, all, &diagnosis, 7);
            diagnosis.message(preemption.text())
        }
    }
}

const HELPLESS: &str =
    "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
const VICTIMLESS: &str =
    "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";

/// One node `n` with `on` merged over it and a pod `old` on it; where does the pod go?
fn check(on: Value, old: Value, pod: Value, expected: &str) {
    let mut cluster = cluster([node("n", on.clone())]);
    cluster.put_pod(info("old", old), "n");
    let pod = info("new", pod);
    let tail = |text: &str, tail| format!("0/1 nodes are available: {text}. {tail}");
    let expected = match expected.split_at_checked(2) {
        Some(("U:", text)) => tail(text, HELPLESS),
        Some(("R:", text)) => tail(text, VICTIMLESS),
        _ => expected.to_owned(),
    };
    assert_eq!(
        outcome(&pod, &cluster),
        expected,
        "node {on}, pod {:?}",
        pod.like.spec
    );
}

#[test]
fn node_unschedulable() {
    let cordoned = || json!({ "spec": { "unschedulable": true } });
    let tolerant = json!({ "spec": { "tolerations": [{ "key": "node.kubernetes.io/unschedulable", "operator": "Exists" }] } });
    check(
        cordoned(),
        json!({}),
        json!({}),
        "U:1 node(s) were unschedulable",
    );
    check(cordoned(), json!({}), tolerant, "n");
}

#[test]
fn node_name() {
    check(
        json!({}),
        json!({}),
        json!({ "spec": { "nodeName": "n" } }),
        "n",
    );
    check(
        json!({}),
        json!({}),
        json!({ "spec": { "nodeName": "m" } }),
        "U:1 node(s) didn't match the requested node name",
    );
}

#[test]
fn taints() {
    let tainted = |effect: &str| json!({ "spec": { "taints": [{ "key": "k", "value": "v", "effect": effect }] } });
    let tolerates =
        |value: &str| json!({ "spec": { "tolerations": [{ "key": "k", "value": value }] } });
    for effect in ["NoSchedule", "NoExecute"] {
        check(
            tainted(effect),
            json!({}),
            json!({}),
            "U:1 node(s) had untolerated taint(s)",
        );
        check(
            tainted(effect),
            json!({}),
            tolerates("other"),
            "U:1 node(s) had untolerated taint(s)",
        );
        check(tainted(effect), json!({}), tolerates("v"), "n");
    }
    check(tainted("PreferNoSchedule"), json!({}), json!({}), "n");
}

#[test]
fn node_affinity() {
    const REJECTED: &str = "U:1 node(s) didn't match Pod's node affinity/selector";
    let labelled = || json!({ "metadata": { "labels": { "disk": "ssd", "cores": "8" } } });
    let required = |terms: Value| {
        json!({ "spec": { "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } } } } })
    };
    let expression = |key: &str, operator: &str, values: Value| {
        required(
            json!([{ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] }]),
        )
    };
    let field = |name: &str| {
        required(
            json!([{ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": [name] }] }]),
        )
    };
    check(
        labelled(),
        json!({}),
        json!({ "spec": { "nodeSelector": { "disk": "ssd" } } }),
        "n",
    );
    check(
        labelled(),
        json!({}),
        json!({ "spec": { "nodeSelector": { "disk": "hdd" } } }),
        REJECTED,
    );
    check(
        labelled(),
        json!({}),
        expression("disk", "In", json!(["hdd", "ssd"])),
        "n",
    );
    check(
        labelled(),
        json!({}),
        expression("disk", "NotIn", json!(["ssd"])),
        REJECTED,
    );
    check(
        labelled(),
        json!({}),
        expression("cores", "Gt", json!(["4"])),
        "n",
    );
    check(
        labelled(),
        json!({}),
        expression("cores", "Gt", json!(["8"])),
        REJECTED,
    );
    check(
        labelled(),
        json!({}),
        expression("tape", "Exists", json!([])),
        REJECTED,
    );
    check(labelled(), json!({}), required(json!([])), REJECTED);
    check(labelled(), json!({}), field("n"), "n");
    check(
        labelled(),
        json!({}),
        field("m"),
        "U:1 node(s) didn't satisfy plugin(s) [NodeAffinity]",
    );
    let both = json!([{ "matchFields": [
        { "key": "metadata.name", "operator": "In", "values": ["n"] },
        { "key": "metadata.name", "operator": "In", "values": ["m"] } ] }]);
    check(
        labelled(),
        json!({}),
        required(both),
        "U:pod affinity terms conflict",
    );
}

#[test]
fn node_ports() {
    const REJECTED: &str = "R:1 node(s) didn't have free ports for the requested pod ports";
    let port = |ip: &str, protocol: &str, port: i32| {
        json!({ "spec": { "containers": [{ "name": "c", "ports": [
            { "containerPort": 1, "hostPort": port, "hostIP": ip, "protocol": protocol }] }] } })
    };
    check(
        json!({}),
        port("", "TCP", 80),
        port("", "TCP", 80),
        REJECTED,
    );
    check(
        json!({}),
        port("", "TCP", 80),
        port("10.0.0.1", "TCP", 80),
        REJECTED,
    );
    check(
        json!({}),
        port("10.0.0.1", "TCP", 80),
        port("10.0.0.1", "TCP", 80),
        REJECTED,
    );
    check(
        json!({}),
        port("10.0.0.2", "TCP", 80),
        port("10.0.0.1", "TCP", 80),
        "n",
    );
    check(json!({}), port("", "UDP", 80), port("", "TCP", 80), "n");
    check(json!({}), port("", "TCP", 81), port("", "TCP", 80), "n");
}

#[test]
fn resources_fit() {
    let cpu = |cpu: &str| requests(json!({ "cpu": cpu }));
    check(json!({}), cpu("1"), cpu("3"), "n");
    check(json!({}), cpu("1"), cpu("3001m"), "R:1 Insufficient cpu");
    check(json!({}), json!({}), cpu("4001m"), "U:1 Insufficient cpu");
    check(json!({}), cpu("4"), json!({}), "n");
    let much = || {
        requests(
            json!({ "cpu": "5", "memory": "9Gi", "ephemeral-storage": "11Gi", "x.io/gpu": "1" }),
        )
    };
    let all = "U:1 Insufficient cpu, 1 Insufficient ephemeral-storage, 1 Insufficient memory, 1 Insufficient x.io/gpu";
    check(json!({}), json!({}), much(), all);
    let full = json!({ "status": { "allocatable": { "pods": "1" } } });
    check(full.clone(), json!({}), json!({}), "R:1 Too many pods");
    check(
        full,
        cpu("4"),
        cpu("1"),
        "R:1 Insufficient cpu, 1 Too many pods",
    );
    let gpus = json!({ "status": { "allocatable": { "x.io/gpu": "2" } } });
    let gpu = |count: &str| requests(json!({ "x.io/gpu": count }));
    check(gpus.clone(), gpu("1"), gpu("1"), "n");
    check(
        gpus.clone(),
        gpu("1"),
        gpu("2"),
        "R:1 Insufficient x.io/gpu",
    );
    check(gpus, gpu("1"), gpu("0"), "n");

    let container = |name: &str, cpu: &str| json!({ "name": name, "resources": { "requests": { "cpu": cpu } } });
    let mut sidecar = container("s", "1");
    sidecar["restartPolicy"] = json!("Always");
    let starting = json!({ "spec": { "initContainers": [container("i", "5")] } });
    check(json!({}), json!({}), starting, "U:1 Insufficient cpu");
    let beside = |main: &str| json!({ "spec": { "initContainers": [sidecar.clone(), container("i", "2")], "containers": [container("c", main)] } });
    check(json!({}), json!({}), beside("3"), "n");
    check(
        json!({}),
        json!({}),
        beside("3500m"),
        "U:1 Insufficient cpu",
    );
    let mut overhead = cpu("3");
    merge(
        &mut overhead,
        json!({ "spec": { "overhead": { "cpu": "1500m" } } }),
    );
    check(json!({}), json!({}), overhead, "U:1 Insufficient cpu");
}

#[test]
fn messages_read_as_upstreams() {
    let pod = info("new", requests(json!({ "cpu": "3" })));
    assert_eq!(
        outcome(&pod, &cluster([])),
        "no nodes available to schedule pods"
    );

    let tainted = json!({ "spec": { "taints": [{ "key": "k", "effect": "NoSchedule" }] } });
    let mut three = cluster([
        node("a", json!({})),
        node("b", tainted.clone()),
        node("c", tainted),
    ]);
    three.put_pod(info("old", requests(json!({ "cpu": "2" }))), "a");
    assert_eq!(
        outcome(&pod, &three),
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). \
         preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, \
         2 Preemption is not helpful for scheduling."
    );
    let mut never = requests(json!({ "cpu": "3" }));
    merge(
        &mut never,
        json!({ "spec": { "preemptionPolicy": "Never" } }),
    );
    assert_eq!(
        outcome(&info("new", never), &three),
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). \
         preemption: not eligible due to preemptionPolicy=Never."
    );

    // Sorted as texts: 10 stands before 2.
    let mut many = cluster((0..12).map(|i| {
        node(
            &format!("n{i}"),
            json!({ "spec": { "unschedulable": i > 1 } }),
        )
    }));
    many.put_pod(info("x", requests(json!({ "cpu": "2" }))), "n0");
    many.put_pod(info("y", requests(json!({ "cpu": "2" }))), "n1");
    let text = outcome(&pod, &many);
    assert!(
        text.starts_with(
            "0/12 nodes are available: 10 node(s) were unschedulable, 2 Insufficient cpu. "
        ),
        "{text}"
    );
}

#[test]
fn the_emptiest_node_wins() {
    let mut two = cluster([node("a", json!({})), node("b", json!({}))]);
    two.put_pod(
        info("old", requests(json!({ "cpu": "1", "memory": "1Gi" }))),
        "a",
    );
    assert_eq!(
        outcome(&info("new", requests(json!({ "cpu": "1" }))), &two),
        "b"
    );
}

#[test]
fn a_discouraging_taint_outweighs_emptiness() {
    let discouraging =
        json!({ "spec": { "taints": [{ "key": "k", "effect": "PreferNoSchedule" }] } });
    let mut two = cluster([node("a", json!({})), node("b", discouraging)]);
    two.put_pod(
        info("old", requests(json!({ "cpu": "2", "memory": "4Gi" }))),
        "a",
    );
    assert_eq!(outcome(&info("new", json!({})), &two), "a");
}

#[test]
fn preferred_affinity_outweighs_emptiness() {
    let mut two = cluster([
        node("a", json!({ "metadata": { "labels": { "disk": "ssd" } } })),
        node("b", json!({})),
    ]);
    two.put_pod(
        info("old", requests(json!({ "cpu": "2", "memory": "4Gi" }))),
        "a",
    );
    let wish = json!({ "spec": { "affinity": { "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [
        { "weight": 1, "preference": { "matchExpressions": [{ "key": "disk", "operator": "Exists" }] } }] } } } });
    assert_eq!(outcome(&info("new", wish), &two), "a");
}

#[test]
fn pods_of_one_controller_spread() {
    let owned = |uid: &str| {
        json!({ "metadata": { "labels": { "app": uid }, "ownerReferences": [
            { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": uid, "uid": uid, "controller": true }] } })
    };
    let zone =
        |zone: &str| json!({ "metadata": { "labels": { "topology.kubernetes.io/zone": zone } } });
    let mut four = cluster([
        node("a1", zone("a")),
        node("a2", zone("a")),
        node("b1", zone("b")),
        node("b2", zone("b")),
    ]);
    four.owners_mut().put(&replica_set("rs"));
    let mut used = Vec::new();
    for i in 0..8 {
        let pod = info(&format!("p{i}"), owned("rs"));
        let Decision::Bind { node, .. } = decided(&pod, &four) else {
            panic!("there is room")
        };
        four.assume(pod, &node);
        used.push(node.to_string());
    }
    for half in used.chunks(4) {
        let mut half = half.to_vec();
        half.sort();
        assert_eq!(half, ["a1", "a2", "b1", "b2"], "{used:?}");
    }
}

#[test]
fn the_lot_falls_on_every_equal_node_and_only_by_the_seed() {
    let ten = cluster((0..10).map(|i| node(&format!("n{i}"), json!({}))));
    let pod = info("new", json!({}));
    let mut counts = BTreeMap::new();
    for seed in 0..2000 {
        let decision = decide(&Table::default(), &pod, ten.snapshot(), seed);
        assert_eq!(
            decision,
            decide(&Table::default(), &pod, ten.snapshot(), seed)
        );
        let Decision::Bind { node, .. } = decision else {
            panic!("there is room")
        };
        *counts.entry(node).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 10);
    assert!(
        counts.values().all(|count| (130..270).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn a_part_of_the_nodes_is_enough_if_somebody_says_so() {
    for (nodes, percentage, expected) in [
        (5000, None, 5000),
        (5000, Some(10), 500),
        (5000, Some(100), 5000),
        (500, Some(10), 100),
        (50, Some(10), 50),
    ] {
        let table = Table {
            percentage,
            ..Table::default()
        };
        assert_eq!(table.enough(nodes), expected, "{nodes} {percentage:?}");
    }
    let many = cluster((0..300).map(|i| node(&format!("n{i:03}"), json!({}))));
    let table = Table {
        percentage: Some(1),
        ..Table::default()
    };
    // The best one is outside of the part that is looked at, mostly; and the part is another each time.
    let mut used = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let decision = decide(&table, &info("new", json!({})), many.snapshot(), seed);
        let Decision::Bind { node, .. } = decision else {
            panic!("there is room")
        };
        used.insert(node);
    }
    assert!(used.len() > 30, "{}", used.len());
}
