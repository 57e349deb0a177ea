#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod, PodSpec};
use serde_json::{Value, json};

use super::*;

fn container(requests: Value) -> Value {
    json!({"name": "c", "resources": {"requests": requests}})
}

fn sidecar(requests: Value) -> Value {
    let mut container = container(requests);
    container["restartPolicy"] = json!("Always");
    container
}

fn spec(containers: Value, init: Value, more: Value) -> PodSpec {
    let mut spec = json!({"containers": containers, "initContainers": init});
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn cpu(value: &str) -> Value {
    json!({"cpu": value})
}

#[test]
fn containers_add_up_and_init_containers_take_turns() {
    for (containers, init, expected) in [
        (vec![cpu("100m"), cpu("1")], vec![], 1100),
        (
            vec![cpu("100m")],
            vec![container(cpu("1")), container(cpu("2"))],
            2000,
        ),
        (
            vec![cpu("3")],
            vec![container(cpu("1")), container(cpu("2"))],
            3000,
        ),
        // a sidecar runs beside the containers …
        (vec![cpu("1")], vec![sidecar(cpu("500m"))], 1500),
        // … and beside the init containers that come after it, not those before
        (
            vec![cpu("1")],
            vec![sidecar(cpu("1")), container(cpu("5"))],
            6000,
        ),
        (
            vec![cpu("1")],
            vec![container(cpu("5")), sidecar(cpu("1"))],
            5000,
        ),
        (
            vec![cpu("1")],
            vec![sidecar(cpu("1")), container(cpu("2")), sidecar(cpu("3"))],
            5000,
        ),
        // rounded once, at the end
        (vec![cpu("100u"), cpu("100u")], vec![], 1),
    ] {
        let containers: Vec<_> = containers.into_iter().map(container).collect();
        let spec = spec(json!(containers), json!(init), json!({}));
        assert_eq!(pod_requests(&spec).milli_cpu, expected, "{spec:?}");
    }
}

#[test]
fn pod_level_requests_replace_and_overhead_adds() {
    let containers = json!([container(
        json!({"cpu": "1", "memory": "1Gi", "example.com/gpu": "2"})
    )]);
    let spec = spec(
        containers,
        json!([]),
        json!({
            "resources": {"requests": {"cpu": "3", "example.com/gpu": "9"}},
            "overhead": {"cpu": "250m", "memory": "1Mi"},
        }),
    );
    let expected = Resources {
        milli_cpu: 3250,
        memory: (1 << 30) + (1 << 20),
        pods: 1,
        extended: BTreeMap::from([("example.com/gpu".to_owned(), 2)]),
        ..Resources::default()
    };
    assert_eq!(pod_requests(&spec), expected);
}

#[test]
fn scores_count_containers_without_requests() {
    let none = || container(json!({}));
    let zero = container(json!({"cpu": "0", "memory": "0"}));
    let pod_level = |requests: Value| json!({"resources": {"requests": requests}});
    for (containers, init, more, expected) in [
        (
            json!([none(), none()]),
            json!([]),
            json!({}),
            (200, 2 * DEFAULT_MEMORY),
        ),
        (
            json!([container(cpu("1"))]),
            json!([]),
            json!({}),
            (1000, DEFAULT_MEMORY),
        ),
        (json!([zero]), json!([]), json!({}), (0, 0)), // zero is a request
        (
            json!([none()]),
            json!([sidecar(json!({}))]),
            json!({}),
            (200, 2 * DEFAULT_MEMORY),
        ),
        (
            json!([none()]),
            json!([none()]),
            json!({}),
            (100, DEFAULT_MEMORY),
        ),
        (
            json!([none(), none()]),
            json!([]),
            pod_level(cpu("1")),
            (1000, 2 * DEFAULT_MEMORY),
        ),
        // with pod-level requests, what any container asks for makes the default needless for all
        (
            json!([container(json!({"memory": "1"})), none()]),
            json!([]),
            pod_level(cpu("1")),
            (1000, 1),
        ),
    ] {
        let got = nonzero(&spec(containers.clone(), init, more));
        assert_eq!((got.milli_cpu, got.memory), expected, "{containers}");
    }
    assert_eq!(
        pod_requests(&spec(json!([none()]), json!([]), json!({}))).milli_cpu,
        0
    );
}

#[test]
fn a_node_offers_what_is_allocatable() {
    let node: Node = serde_json::from_value(json!({"status": {"allocatable": {
        "cpu": "3920m", "memory": "7Gi", "ephemeral-storage": "10G", "pods": "110",
        "hugepages-2Mi": "4Mi", "example.com/gpu": "2", "unknown": "5",
    }}}))
    .unwrap();
    let expected = Resources {
        milli_cpu: 3920,
        memory: 7 << 30,
        ephemeral: 10_000_000_000,
        pods: 110,
        extended: BTreeMap::from([
            ("example.com/gpu".to_owned(), 2),
            ("hugepages-2Mi".to_owned(), 4 << 20),
        ]),
    };
    assert_eq!(allocatable(&node), expected);
    assert_eq!(allocatable(&Node::default()), Resources::default());
}

#[test]
fn resources_are_added_and_taken_away() {
    let gpu = |count| Resources {
        milli_cpu: 100,
        pods: 1,
        extended: BTreeMap::from([("example.com/gpu".to_owned(), count)]),
        ..Resources::default()
    };
    let mut used = Resources::default();
    used += &gpu(2);
    used += &gpu(3);
    assert_eq!(
        (used.milli_cpu, used.pods, used.extended["example.com/gpu"]),
        (200, 2, 5)
    );
    used -= &gpu(2);
    assert_eq!(used, gpu(3));
}

fn amounts(pod: Value, side: Side) -> Vec<(String, String)> {
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let amounts = pod_amounts(&pod, side);
    let text = amounts
        .iter()
        .map(|(k, v)| ((*k).to_owned(), v.to_string()));
    text.collect()
}

fn named(list: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    owned.collect()
}

#[test]
fn overhead_comes_on_top_of_requests_and_of_the_limits_that_there_are() {
    let resources = json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2"}});
    let pod = json!({"spec": {
        "containers": [{"name": "c", "resources": resources}],
        "overhead": {"cpu": "100m", "memory": "1Gi"},
    }});
    let requests = named(&[("cpu", "1100m"), ("memory", "2Gi")]);
    assert_eq!(amounts(pod.clone(), Side::Requests), requests);
    assert_eq!(amounts(pod, Side::Limits), named(&[("cpu", "2100m")]));
}

#[test]
fn what_a_pod_asks_for_as_a_whole_takes_the_place_of_what_its_containers_ask_for() {
    let whole = json!({"requests": {"cpu": "3"}, "limits": {"cpu": "4"}});
    let one = json!({"requests": {"cpu": "1", "example.com/gpu": "2"}, "limits": {"cpu": "9"}});
    let pod = json!({"spec": {
        "resources": whole, "containers": [{"name": "c", "resources": one}],
    }});
    let requests = named(&[("cpu", "3"), ("example.com/gpu", "2")]);
    assert_eq!(amounts(pod.clone(), Side::Requests), requests);
    assert_eq!(amounts(pod, Side::Limits), named(&[("cpu", "4")]));
}

#[test]
fn a_pod_that_is_being_resized_counts_with_the_most() {
    let resized = |wanted: &str, actual: &str, allocated: &str, pending: Option<&str>| {
        let status = json!({
            "name": "c",
            "resources": {"requests": cpu(actual), "limits": cpu(actual)},
            "allocatedResources": cpu(allocated),
        });
        let pending =
            pending.map(|r| json!([{"type": "PodResizePending", "status": "True", "reason": r}]));
        let both = json!({"requests": cpu(wanted), "limits": cpu(wanted)});
        json!({
            "spec": {"containers": [{"name": "c", "resources": both}]},
            "status": {"containerStatuses": [status], "conditions": pending},
        })
    };
    for (pod, requests, limits) in [
        (resized("1", "2", "3", None), "3", "2"),
        (resized("5", "2", "3", Some("Deferred")), "5", "5"),
        (resized("5", "2", "3", Some("Infeasible")), "3", "2"),
    ] {
        let what = pod.to_string();
        assert_eq!(
            amounts(pod.clone(), Side::Requests),
            named(&[("cpu", requests)]),
            "{what}"
        );
        assert_eq!(
            amounts(pod, Side::Limits),
            named(&[("cpu", limits)]),
            "{what}"
        );
    }
}

#[test]
fn a_pod_in_the_middle_of_a_resize_reserves_the_most() {
    let pod = |asked: &str, allocated: &str, given: &str| -> Pod {
        serde_json::from_value(serde_json::json!({
            "spec": { "containers": [{ "name": "c", "resources": { "requests": { "cpu": asked } } }] },
            "status": { "containerStatuses": [{ "name": "c", "ready": true, "restartCount": 0, "image": "", "imageID": "",
                "allocatedResources": { "cpu": allocated }, "resources": { "requests": { "cpu": given } } }] },
        }))
        .unwrap()
    };
    for (asked, allocated, given) in [("1", "2", "3"), ("3", "1", "2"), ("2", "3", "1")] {
        let pod = pod(asked, allocated, given);
        assert_eq!(reserved(&pod).milli_cpu, 3000);
        assert_eq!(counted(&pod).milli_cpu, 3000);
        assert_eq!(counted(&pod).memory, DEFAULT_MEMORY);
    }
}
