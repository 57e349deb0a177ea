#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;

fn pod(value: Value) -> Pod {
    serde_json::from_value(value).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A pod with this Ready status, changed at second 100.
fn ready(status: &str) -> Pod {
    pod(json!({"status": {"conditions": [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Ready", "status": status, "lastTransitionTime": "1970-01-01T00:01:40Z"},
    ]}}))
}

#[test]
fn available_is_ready_for_long_enough() {
    for (status, min_ready, now, expected) in [
        ("True", 0, 0, true), // no waiting, no clock compared
        ("True", 10, 109, false),
        ("True", 10, 110, true),
        ("True", -1, 0, true),
        ("False", 0, 999, false),
        ("Unknown", 10, 999, false),
    ] {
        let pod = ready(status);
        assert_eq!(
            is_available(&pod, min_ready, at(now)),
            expected,
            "{status} {min_ready} {now}"
        );
    }
    assert_eq!(available_at(&ready("True"), 10), Some(at(110)));
    assert_eq!(available_at(&ready("True"), 0), Some(at(100)));
    assert_eq!(available_at(&ready("False"), 10), None);
    assert!(available_at(&ready("True"), i32::MAX).is_some());
}

#[test]
fn ready_without_a_time_is_available_only_at_once() {
    let pod = pod(json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}));
    assert!(is_ready(&pod));
    assert_eq!(ready_since(&pod), None);
    assert!(is_available(&pod, 0, at(1)));
    assert!(!is_available(&pod, 1, Timestamp::MAX));
}

#[test]
fn active_terminating_terminal() {
    for (phase, deleting, expected) in [
        ("", false, "active"),
        ("Pending", false, "active"),
        ("Running", true, "terminating"),
        ("Unknown", false, "active"),
        ("Succeeded", false, "terminal"),
        ("Failed", true, "terminal"),
    ] {
        let mut pod = pod(json!({"status": {"phase": phase}}));
        if deleting {
            pod.metadata.deletion_timestamp =
                Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(1)));
        }
        assert_eq!(is_active(&pod), expected == "active", "{phase} {deleting}");
        assert_eq!(
            is_terminating(&pod),
            expected == "terminating",
            "{phase} {deleting}"
        );
        assert_eq!(
            is_terminal(&pod),
            expected == "terminal",
            "{phase} {deleting}"
        );
    }
    assert_eq!(phase(&Pod::default()), "Pending");
}

#[test]
fn restarts_are_the_highest_of_regular_containers_and_of_sidecars() {
    let pod = pod(json!({
        "spec": {"containers": [], "initContainers": [
            {"name": "setup"}, {"name": "proxy", "restartPolicy": "Always"},
        ]},
        "status": {
            "containerStatuses": [
                {"name": "a", "restartCount": 2, "ready": true, "image": "", "imageID": ""},
                {"name": "b", "restartCount": 3, "ready": true, "image": "", "imageID": ""},
            ],
            "initContainerStatuses": [
                {"name": "setup", "restartCount": 9, "ready": true, "image": "", "imageID": ""},
                {"name": "proxy", "restartCount": 4, "ready": true, "image": "", "imageID": ""},
            ],
        },
    }));
    assert_eq!((restarts(&pod), sidecar_restarts(&pod)), (3, 4));
    assert_eq!(
        (restarts(&Pod::default()), sidecar_restarts(&Pod::default())),
        (0, 0)
    );
}

#[test]
fn deletion_costs() {
    for (text, expected) in [
        ("10", 10),
        ("-10", -10),
        ("0", 0),
        ("+10", 0),
        ("010", 0),
        ("x", 0),
        ("", 0),
        ("2147483647", i32::MAX),
        ("2147483648", 0),
    ] {
        let pod = pod(json!({"metadata": {"annotations": {DELETION_COST: text}}}));
        assert_eq!(deletion_cost(&pod), expected, "{text}");
    }
    assert_eq!(deletion_cost(&Pod::default()), 0);
}

#[test]
fn host_ports_of_containers_and_sidecars() {
    let pod = pod(json!({"spec": {
        "containers": [{"name": "a", "ports": [
            {"containerPort": 1},
            {"containerPort": 80, "hostPort": 8080},
            {"containerPort": 53, "hostPort": 53, "protocol": "UDP", "hostIP": "10.0.0.1"},
        ]}],
        "initContainers": [
            {"name": "setup", "ports": [{"containerPort": 1, "hostPort": 1}]},
            {"name": "proxy", "restartPolicy": "Always", "ports": [{"containerPort": 2, "hostPort": 2}]},
        ],
    }}));
    let expected = [
        ("0.0.0.0", "TCP", 8080),
        ("10.0.0.1", "UDP", 53),
        ("0.0.0.0", "TCP", 2),
    ];
    assert_eq!(host_ports(&pod), expected);
}

#[test]
fn host_ports_conflict_on_one_ip_or_on_all() {
    let port = ("10.0.0.1", "TCP", 80);
    for (other, expected) in [
        (("10.0.0.1", "TCP", 80), true),
        (("0.0.0.0", "TCP", 80), true),
        (("10.0.0.2", "TCP", 80), false),
        (("10.0.0.1", "UDP", 80), false),
        (("0.0.0.0", "TCP", 81), false),
    ] {
        assert_eq!(host_port_conflicts(port, other), expected, "{other:?}");
        assert_eq!(host_port_conflicts(other, port), expected, "{other:?}");
    }
}

#[test]
fn an_empty_node_name_is_none() {
    let on = |name: &str| pod(json!({"spec": {"containers": [], "nodeName": name}}));
    assert_eq!(node_name(&on("a")), Some("a"));
    assert_eq!(node_name(&on("")), None);
    assert_eq!(node_name(&Pod::default()), None);
}
