#![allow(clippy::unwrap_used)]

use super::*;
use crate::testing::{at, rfc};

fn options() -> Options {
    Options {
        count: 4,
        arch: "amd64".to_owned(),
        ..Options::default()
    }
}

fn registered(index: usize) -> Node {
    let mut node = registration(&options(), index, Some(Cidr::of_node(index as u32)), at(0));
    node.metadata.uid = Some("n1".to_owned());
    node.metadata.resource_version = Some("7".to_owned());
    node
}

/// What is planned for a node at a second after its registration, one line a write.
fn planned(node: &Node, foreign: bool, seconds: i64) -> String {
    let options = options();
    plan(World {
        node,
        options: &options,
        foreign,
        address: Ipv4Addr::new(172, 16, 0, 9),
        cidr: Some(Cidr::of_node(9)),
        written: None,
        now: at(seconds),
    })
    .to_string()
}

#[test]
fn a_node_registers_ready_and_complete() {
    let node = serde_json::to_value(registered(1)).unwrap();
    for (path, expected) in [
        ("/metadata/name", json!("node-1")),
        ("/metadata/labels/kubernetes.io~1hostname", json!("node-1")),
        ("/metadata/labels/kubernetes.io~1os", json!("linux")),
        ("/metadata/labels/kubernetes.io~1arch", json!("amd64")),
        (
            "/metadata/labels/topology.kubernetes.io~1zone",
            json!("zone-b"),
        ),
        ("/spec/podCIDR", json!("10.244.1.0/24")),
        ("/status/capacity/cpu", json!("32")),
        ("/status/allocatable/memory", json!("256Gi")),
        ("/status/allocatable/pods", json!("110")),
        ("/status/addresses/0/address", json!("172.16.0.2")),
        ("/status/nodeInfo/kubeletVersion", json!("v1.36.3")),
        ("/status/conditions/3/type", json!("Ready")),
        ("/status/conditions/3/status", json!("True")),
        ("/status/conditions/3/reason", json!("KubeletReady")),
    ] {
        assert_eq!(node.pointer(path), Some(&expected), "{path}");
    }
    let zone = |index| node::zone(&registered(index)).unwrap().to_owned();
    assert_eq!([zone(0), zone(2), zone(3)], ["zone-a", "zone-c", "zone-a"]);
}

#[test]
fn nothing_is_written_while_nothing_changes_until_the_heartbeat() {
    assert_eq!(planned(&registered(0), false, 299), "");
    let beat = planned(&registered(0), false, 300);
    assert!(beat.starts_with("patch node/node-0/status"), "{beat}");
    assert!(beat.ends_with("(heartbeat)"), "{beat}");
    assert!(beat.contains(&rfc(300)) && beat.contains(&rfc(0)), "{beat}");
    assert!(!beat.contains("capacity"), "{beat}");
}

#[test]
fn the_taint_of_admission_goes_once_ready_and_others_stay() {
    let mut node = registered(0);
    node.spec.as_mut().unwrap().taints = serde_json::from_value(json!([
        { "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" },
        { "key": "mine", "effect": "NoSchedule" },
    ]))
    .unwrap();
    assert_eq!(
        planned(&node, false, 1),
        "patch node/node-0 {\"metadata\":{\"resourceVersion\":\"7\",\"uid\":\"n1\"},\
         \"spec\":{\"taints\":[{\"effect\":\"NoSchedule\",\"key\":\"mine\"}]}} (it is ready)"
    );
    let conditions = node.status.as_mut().unwrap().conditions.as_mut().unwrap();
    conditions[3].status = "Unknown".to_owned();
    let first = planned(&node, false, 1);
    assert!(
        first.starts_with("patch node/node-0/status") && !first.contains("taints"),
        "{first}"
    );
}

#[test]
fn allocatable_follows_the_capacity_that_others_give() {
    let mut node = registered(0);
    let status = node.status.as_mut().unwrap();
    let gpu = k8s_openapi::apimachinery::pkg::api::resource::Quantity("5".to_owned());
    status
        .capacity
        .as_mut()
        .unwrap()
        .insert("example.com/new".to_owned(), gpu.clone());
    status
        .allocatable
        .as_mut()
        .unwrap()
        .insert("example.com/old".to_owned(), gpu);
    let text = planned(&node, false, 1);
    let expected = "\"allocatable\":{\"example.com/new\":\"5\",\"example.com/old\":null}";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_node_of_kwok_is_completed_and_not_overruled() {
    let node: Node = serde_json::from_value(json!({
        "metadata": { "name": "kwok-0", "uid": "k", "annotations": { "kwok.x-k8s.io/node": "fake" } },
        "status": { "capacity": { "cpu": "1k", "pods": "1M" }, "allocatable": { "cpu": "500" },
                    "nodeInfo": { "kubeletVersion": "fake", "architecture": "", "bootID": "",
                        "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "",
                        "machineID": "", "operatingSystem": "", "osImage": "", "systemUUID": "" } },
    }))
    .unwrap();
    assert!(is_kwok(&node) && !is_kwok(&registered(0)));
    let text = planned(&node, true, 1);
    for part in [
        "\"podCIDR\":\"10.244.9.0/24\"",
        "\"Ready\"",
        "172.16.0.9",
        "\"memory\":\"256Gi\"",
        "\"pods\":\"1M\"",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    for part in ["\"cpu\"", "nodeInfo", "daemonEndpoints"] {
        assert!(!text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_lease_is_made_then_replaced() {
    let node = registered(0);
    let made = serde_json::to_value(lease(&node, None, at(0))).unwrap();
    assert_eq!(made["metadata"]["namespace"], "kube-node-lease");
    assert_eq!(made["metadata"]["ownerReferences"][0]["uid"], "n1");
    assert_eq!(made["metadata"].get("resourceVersion"), None);
    assert_eq!(made["spec"]["holderIdentity"], "node-0");
    assert_eq!(made["spec"]["leaseDurationSeconds"], 40);
    let renewed = serde_json::to_value(lease(&node, Some(12), at(10))).unwrap();
    assert_eq!(renewed["metadata"]["resourceVersion"], "12");
    assert_ne!(made["spec"]["renewTime"], renewed["spec"]["renewTime"]);
}
