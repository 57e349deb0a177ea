#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use serde_json::{Value, json};
use std::time::Duration;

fn pod(spec: Value, status: Value) -> Pod {
    let meta = json!({"name": "web-1", "namespace": "shop", "uid": "p1", "labels": {"app": "web"}});
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": status});
    serde_json::from_value(object).unwrap()
}

fn plain(status: Value) -> Pod {
    pod(json!({"containers": []}), status)
}

fn service(spec: Value) -> Service {
    let meta = json!({"name": "front", "namespace": "shop", "uid": "s1"});
    let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec});
    serde_json::from_value(object).unwrap()
}

fn deleting(mut pod: Pod) -> Pod {
    pod.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
    pod
}

fn ready(status: &str) -> Value {
    json!({"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}], "conditions": [{"type": "Ready", "status": status}]})
}

#[test]
fn a_pod_belongs_when_it_has_an_address_and_has_not_ended() {
    for (status, terminating, expected) in [
        (json!({}), true, false),
        (json!({"podIP": ""}), true, false),
        (json!({"podIP": "10.0.0.1"}), false, true),
        (json!({"podIPs": [{"ip": "10.0.0.1"}]}), false, true),
        (
            json!({"podIP": "10.0.0.1", "phase": "Running"}),
            false,
            true,
        ),
        (
            json!({"podIP": "10.0.0.1", "phase": "Succeeded"}),
            true,
            false,
        ),
        (json!({"podIP": "10.0.0.1", "phase": "Failed"}), true, false),
    ] {
        assert_eq!(
            belongs(&plain(status.clone()), terminating),
            expected,
            "{status}"
        );
    }
    let leaving = deleting(plain(json!({"podIP": "10.0.0.1"})));
    assert!(belongs(&leaving, true));
    assert!(!belongs(&leaving, false));
}

#[test]
fn conditions_tell_ready_serving_and_terminating_apart() {
    let (usual, eager) = (json!({}), json!({"publishNotReadyAddresses": true}));
    for (spec, status, leaving, expected) in [
        (&usual, "True", false, (true, true, false)),
        (&usual, "False", false, (false, false, false)),
        (&usual, "True", true, (false, true, true)),
        (&usual, "False", true, (false, false, true)),
        (&eager, "False", false, (true, false, false)),
        (&eager, "True", true, (true, true, true)),
    ] {
        let pod = plain(ready(status));
        let pod = if leaving { deleting(pod) } else { pod };
        let is = conditions(&pod, &service(spec.clone()));
        assert_eq!(
            (is.ready, is.serving, is.terminating),
            expected,
            "{spec} {status} {leaving}"
        );
    }
}

#[test]
fn families_come_from_the_service_or_its_address() {
    use Family::{V4, V6};
    for (spec, expected) in [
        (
            json!({"ipFamilies": ["IPv6", "IPv4"], "clusterIP": "10.0.0.1"}),
            vec![V6, V4],
        ),
        (json!({"ipFamilies": ["IPv4"]}), vec![V4]),
        (json!({"ipFamilies": [], "clusterIP": "10.0.0.1"}), vec![V4]),
        (json!({"clusterIP": "fd00::1"}), vec![V6]),
        (json!({"clusterIP": "None"}), vec![V4, V6]),
        (json!({}), vec![V4, V6]),
    ] {
        assert_eq!(families(&service(spec.clone())), expected, "{spec}");
    }
}

#[test]
fn the_primary_family_is_never_missing() {
    let six = plain(json!({"podIP": "fd00::9"}));
    for (spec, expected) in [
        (json!({"ipFamilies": ["IPv4", "IPv6"]}), Family::V4),
        (json!({"clusterIP": "10.0.0.1"}), Family::V4),
        (json!({"clusterIP": "None"}), Family::V6),
        (json!({}), Family::V6),
    ] {
        assert_eq!(
            primary_family(&service(spec.clone()), &six),
            expected,
            "{spec}"
        );
    }
    assert_eq!(
        primary_family(&service(json!({})), &plain(json!({}))),
        Family::V4
    );
}

#[test]
fn addresses_are_spelled_canonically() {
    let ips = [
        "010.0.00.1",
        "fd00:0::01",
        "::ffff:10.0.0.2",
        "nonsense",
        "1.2.3",
    ];
    let ips: Vec<Value> = ips.iter().map(|ip| json!({"ip": ip})).collect();
    let pod = plain(json!({"podIPs": ips}));
    assert_eq!(addresses(&pod, Family::V4), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(addresses(&pod, Family::V6), ["fd00::1"]);
}

#[test]
fn target_ports_are_numbers_or_names_of_container_ports() {
    let port_of = |name: &str, number: i32, protocol: &str| json!({"name": name, "containerPort": number, "protocol": protocol});
    let pod = pod(
        json!({
            "containers": [
                {"name": "a", "ports": [port_of("dns", 53, "UDP"), {"name": "http", "containerPort": 8080}]},
                {"name": "b", "ports": [port_of("dns", 54, "TCP"), port_of("http", 9999, "TCP")]},
            ],
            "initContainers": [
                {"name": "i", "ports": [port_of("setup", 1, "TCP")]},
                {"name": "s", "restartPolicy": "Always", "ports": [port_of("mesh", 15000, "TCP")]},
            ],
        }),
        json!({}),
    );
    for (service_port, expected) in [
        (json!({"port": 80}), Some(80)),
        (json!({"port": 80, "targetPort": 8000}), Some(8000)),
        (json!({"port": 80, "targetPort": "http"}), Some(8080)),
        (
            json!({"port": 53, "targetPort": "dns", "protocol": "UDP"}),
            Some(53),
        ),
        (
            json!({"port": 53, "targetPort": "dns", "protocol": "TCP"}),
            Some(54),
        ),
        (json!({"port": 80, "targetPort": "mesh"}), Some(15000)),
        (json!({"port": 80, "targetPort": "setup"}), None),
        (json!({"port": 80, "targetPort": "none"}), None),
    ] {
        let parsed: ServicePort = serde_json::from_value(service_port.clone()).unwrap();
        assert_eq!(port(&pod, &parsed), expected, "{service_port}");
    }
}

#[test]
fn host_names_are_for_the_service_that_is_the_subdomain() {
    for (spec, expected) in [
        (json!({"hostname": "a", "subdomain": "front"}), Some("a")),
        (json!({"hostname": "a", "subdomain": "back"}), None),
        (json!({"hostname": "a"}), None),
        (json!({"subdomain": "front"}), None),
        (json!({"hostname": "", "subdomain": "front"}), None),
    ] {
        let mut spec = spec;
        spec["containers"] = json!([]);
        assert_eq!(
            hostname(&pod(spec.clone(), json!({})), &service(json!({}))),
            expected,
            "{spec}"
        );
    }
}

#[test]
fn only_services_with_a_selector_take_pods() {
    let web = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
    for (spec, expected) in [
        (json!({"selector": {"app": "web"}}), true),
        (json!({"selector": {"app": "web", "tier": "front"}}), false),
        (json!({"selector": {}}), false),
        (json!({}), false),
        (
            json!({"selector": {"app": "web"}, "type": "ExternalName"}),
            false,
        ),
    ] {
        assert_eq!(
            selects(&service(spec.clone()), Some(&web)),
            expected,
            "{spec}"
        );
    }
}

#[test]
fn a_service_is_concerned_by_changes_that_show_in_its_endpoints() {
    let web = service(json!({"selector": {"app": "web"}}));
    let base = plain(ready("True"));
    let with = |change: fn(&mut Pod)| {
        let mut pod = base.clone();
        change(&mut pod);
        pod
    };
    let other_labels = with(|pod| pod.metadata.labels = None);
    assert!(concerns(&web, None, Some(&base)));
    assert!(concerns(&web, Some(&base), None));
    assert!(concerns(&web, Some(&base), Some(&other_labels)));
    assert!(concerns(&web, Some(&other_labels), Some(&base)));
    assert!(!concerns(&web, Some(&other_labels), Some(&other_labels)));
    // A pod is big: so many of them are better not on the stack.
    let cases = vec![
        ("nothing", with(|_| ()), false),
        (
            "annotation",
            with(|pod| pod.metadata.annotations = Some(BTreeMap::new())),
            false,
        ),
        (
            "label",
            with(|pod| {
                _ = pod
                    .metadata
                    .labels
                    .as_mut()
                    .unwrap()
                    .insert("x".into(), "y".into());
            }),
            false,
        ),
        (
            "message",
            with(|pod| pod.status.as_mut().unwrap().message = Some("hm".into())),
            false,
        ),
        ("readiness", plain(ready("False")), true),
        ("deletion", deleting(base.clone()), true),
        (
            "end",
            with(|pod| pod.status.as_mut().unwrap().phase = Some("Failed".into())),
            true,
        ),
        (
            "start",
            with(|pod| pod.status.as_mut().unwrap().phase = Some("Running".into())),
            false,
        ),
        (
            "address",
            with(|pod| pod.status.as_mut().unwrap().pod_ips = None),
            true,
        ),
        (
            "node",
            with(|pod| pod.spec.as_mut().unwrap().node_name = Some("n".into())),
            true,
        ),
        (
            "host name",
            with(|pod| pod.spec.as_mut().unwrap().hostname = Some("h".into())),
            true,
        ),
        (
            "incarnation",
            with(|pod| pod.metadata.uid = Some("p2".into())),
            true,
        ),
    ];
    for (what, new, expected) in cases {
        assert_eq!(concerns(&web, Some(&base), Some(&new)), expected, "{what}");
    }
}

#[test]
fn writes_keep_a_distance_but_the_first_goes_out_at_once() {
    let at = |millis: i64| Timestamp::from_millisecond(1_000_000 + millis).unwrap();
    let gap = Duration::from_millis(100);
    let mut pace = Pace::default();
    for (version, now, expected) in [
        (1, 0, None),
        (1, 10, None),
        (2, 20, Some(100)),
        (2, 90, Some(30)),
        (2, 120, None),
        (3, 121, Some(100)),
        (4, 200, Some(100)),
        (4, 1000, None),
    ] {
        let rest = pace.wait(version, at(now), gap);
        assert_eq!(
            rest,
            expected.map(Duration::from_millis),
            "version {version} at {now}"
        );
    }
}
