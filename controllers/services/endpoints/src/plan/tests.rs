#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::MAX_ADDRESSES;
use ::plan::Verb;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn service(mut spec: Value) -> Service {
    spec["selector"] = json!({"app": "web"});
    if spec.get("ports").is_none() {
        spec["ports"] = json!([{"name": "http", "port": 80, "targetPort": "http"}]);
    }
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "front", "namespace": "shop", "uid": "s1",
            "labels": {"team": "red"}, "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": spec,
    }))
    .unwrap()
}

fn usual() -> Service {
    service(json!({"clusterIP": "10.96.0.1", "ipFamilies": ["IPv4"]}))
}

fn pod(number: usize, ready: bool) -> Pod {
    pod_on(number, ready, 8080)
}

fn pod_on(number: usize, ready: bool, port: i32) -> Pod {
    let (ip4, ip6) = (
        format!("10.0.{}.{}", number / 250, number % 250),
        format!("fd00::{number:x}"),
    );
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("web-{number}"), "namespace": "shop", "uid": format!("p{number:04}")},
        "spec": {
            "nodeName": "n1",
            "containers": [{"name": "c", "ports": [
                {"name": "http", "containerPort": port}, {"name": "admin", "containerPort": 9000},
            ]}],
        },
        "status": {
            "podIP": ip4, "podIPs": [{"ip": ip4}, {"ip": ip6}],
            "conditions": [{
                "type": "Ready", "status": if ready { "True" } else { "False" },
                "lastTransitionTime": format!("2026-01-01T00:01:{:02}Z", number % 60),
            }],
        },
    }))
    .unwrap()
}

fn deleting(mut pod: Pod) -> Pod {
    pod.metadata.deletion_timestamp = usual().metadata.creation_timestamp;
    pod
}

fn plan_for(service: &Service, pods: &[Pod], endpoints: Option<&Endpoints>) -> Plan {
    plan(&World::Selecting(Selecting {
        service: Arc::new(service.clone()),
        pods: pods.iter().cloned().map(Arc::new).collect(),
        endpoints: endpoints.cloned().map(Arc::new),
    }))
}

/// The Endpoints after the plan was carried out.
fn settled(service: &Service, pods: &[Pod], endpoints: Option<&Endpoints>) -> Endpoints {
    let plan = plan_for(service, pods, endpoints);
    let Some(action) = plan.actions().next() else {
        return endpoints.unwrap().clone();
    };
    let (Verb::Create(object) | Verb::Replace(object)) = &action.verb else {
        panic!("{plan}");
    };
    let mut new = object.read::<Endpoints>().unwrap();
    new.metadata.uid = Some("e1".into());
    new.metadata.resource_version = Some("7".into());
    let again = plan_for(service, pods, Some(&new));
    assert!(again.is_empty(), "it settles at once: {again}");
    new
}

/// `10.0.0.1,10.0.0.2!10.0.0.3 http:8080` for each subset: ready, `!` not ready, ports.
fn text(endpoints: &Endpoints) -> Vec<String> {
    let ips = |list: &Option<Vec<EndpointAddress>>| {
        let ips = list.iter().flatten().map(|address| address.ip.clone());
        ips.collect::<Vec<_>>().join(",")
    };
    let subsets = endpoints.subsets.iter().flatten().map(|subset| {
        let ports = subset.ports.iter().flatten();
        let ports =
            ports.map(|port| format!("{}:{}", port.name.as_deref().unwrap_or("-"), port.port));
        let ports = ports.collect::<Vec<_>>().join(",");
        format!(
            "{}!{} {ports}",
            ips(&subset.addresses),
            ips(&subset.not_ready_addresses)
        )
    });
    subsets.collect()
}

#[test]
fn endpoints_say_all_about_their_service_and_pods() {
    let endpoints = serde_json::to_value(settled(&usual(), &[pod(1, true)], None)).unwrap();
    assert_eq!(endpoints["metadata"]["name"], "front");
    assert_eq!(
        endpoints["metadata"]["labels"],
        json!({"team": "red", "endpoints.kubernetes.io/managed-by": "endpoint-controller"})
    );
    assert_eq!(
        endpoints["subsets"],
        json!([{
            "addresses": [{
                "ip": "10.0.0.1",
                "nodeName": "n1",
                "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-1", "uid": "p0001"},
            }],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }])
    );
}

#[test]
fn subsets_are_packed_by_what_their_pods_offer() {
    let two_ports = json!([{"name": "http", "port": 80, "targetPort": "http"},
                           {"name": "admin", "port": 81, "targetPort": "admin"}]);
    let of = |spec: Value| service(spec);
    let cases: [(&str, Service, Vec<Pod>, &[&str]); 10] = [
        ("no pods", usual(), vec![], &[]),
        (
            "sorted",
            usual(),
            vec![pod(2, true), pod(1, true)],
            &["10.0.0.1,10.0.0.2! http:8080"],
        ),
        (
            "readiness",
            usual(),
            vec![pod(1, true), pod(2, false)],
            &["10.0.0.1!10.0.0.2 http:8080"],
        ),
        (
            "two ports",
            of(json!({"clusterIP": "10.96.0.1", "ports": two_ports})),
            vec![pod(1, true), pod(2, true)],
            &["10.0.0.1,10.0.0.2! admin:9000,http:8080"],
        ),
        (
            "ports that differ",
            of(json!({"clusterIP": "10.96.0.1", "ports": two_ports})),
            vec![pod(1, true), pod_on(2, true, 8081)],
            &[
                "10.0.0.1,10.0.0.2! admin:9000",
                "10.0.0.1! http:8080",
                "10.0.0.2! http:8081",
            ],
        ),
        (
            "headless without ports",
            of(json!({"clusterIP": "None", "ports": []})),
            vec![pod(1, true)],
            &["10.0.0.1! "],
        ),
        (
            "no ports",
            of(json!({"clusterIP": "10.96.0.1", "ports": []})),
            vec![pod(1, true)],
            &[],
        ),
        (
            "terminating",
            usual(),
            vec![deleting(pod(1, true)), pod(2, true)],
            &["10.0.0.2! http:8080"],
        ),
        (
            "all published",
            of(json!({"clusterIP": "10.96.0.1", "publishNotReadyAddresses": true})),
            vec![deleting(pod(1, true)), pod(2, false)],
            &["10.0.0.1,10.0.0.2! http:8080"],
        ),
        (
            "primary family",
            of(json!({"clusterIP": "fd00::1", "ipFamilies": ["IPv6", "IPv4"]})),
            vec![pod(1, true)],
            &["fd00::1! http:8080"],
        ),
    ];
    for (what, service, pods, expected) in cases {
        assert_eq!(text(&settled(&service, &pods, None)), expected, "{what}");
    }
}

#[test]
fn one_address_on_two_subsets_is_not_ready_if_one_says_so() {
    let subset = |ready: bool| pod_subsets(&pod(1, ready), &usual()).remove(0);
    let packed = repack_subsets(vec![subset(true), subset(false), subset(true)]);
    assert_eq!(packed.len(), 1);
    assert!(packed[0].addresses.is_none());
    assert_eq!(packed[0].not_ready_addresses.as_ref().unwrap().len(), 1);
}

#[test]
fn what_differs_only_in_form_is_left_alone() {
    type Deed = fn(&mut Endpoints);
    let cases: [(&str, Deed, bool); 8] = [
        ("nothing", |_| (), true),
        (
            "order of addresses",
            |e| {
                let subset = &mut e.subsets.as_mut().unwrap()[0];
                subset.addresses.as_mut().unwrap().reverse();
            },
            true,
        ),
        (
            "version of a pod",
            |e| {
                let address = &mut e.subsets.as_mut().unwrap()[0].addresses.as_mut().unwrap()[0];
                address.target_ref.as_mut().unwrap().resource_version = Some("9".into());
            },
            true,
        ),
        (
            "split in two",
            |e| {
                let subsets = e.subsets.as_mut().unwrap();
                let mut second = subsets[0].clone();
                subsets[0].addresses.as_mut().unwrap().truncate(1);
                second.addresses.as_mut().unwrap().remove(0);
                subsets.push(second);
            },
            true,
        ),
        (
            "foreign annotation",
            |e| {
                let annotations = e.metadata.annotations.as_mut().unwrap();
                annotations.insert("x".into(), "y".into());
            },
            true,
        ),
        ("emptied", |e| e.subsets = None, false),
        ("relabelled", |e| e.metadata.labels = None, false),
        (
            "said to be truncated",
            |e| {
                let annotations = e.metadata.annotations.as_mut().unwrap();
                annotations.insert(OVER_CAPACITY_ANNOTATION.into(), TRUNCATED.into());
            },
            false,
        ),
    ];
    let pods = [pod(1, true), pod(2, true)];
    for (what, deed, right) in cases {
        let mut endpoints = settled(&usual(), &pods, None);
        deed(&mut endpoints);
        let plan = plan_for(&usual(), &pods, Some(&endpoints));
        assert_eq!(plan.is_empty(), right, "{what}: {plan}");
        let repaired = settled(&usual(), &pods, Some(&endpoints));
        if !right {
            assert_eq!(text(&repaired), ["10.0.0.1,10.0.0.2! http:8080"], "{what}");
        }
    }
}

#[test]
fn a_thousand_addresses_are_the_limit() {
    for (ready, others, expected) in [
        (1000, 0, (1000, 0, false)),
        (900, 100, (900, 100, false)),
        (1001, 0, (1000, 0, true)),
        (1200, 300, (1000, 0, true)),
        (600, 900, (600, 400, true)),
    ] {
        let pods = (0..ready + others).map(|n| pod_on(n, n < ready, 8080 + (n % 3) as i32));
        let endpoints = settled(&usual(), &pods.collect::<Vec<_>>(), None);
        let count = |list: fn(&EndpointSubset) -> &Option<Vec<EndpointAddress>>| -> usize {
            endpoints
                .subsets
                .iter()
                .flatten()
                .map(|subset| list(subset).as_ref().map_or(0, Vec::len))
                .sum()
        };
        let marked = meta::annotation(&endpoints.metadata, OVER_CAPACITY_ANNOTATION);
        let found = (
            count(|subset| &subset.addresses),
            count(|subset| &subset.not_ready_addresses),
            marked == Some(TRUNCATED),
        );
        assert_eq!(found, expected, "{ready} and {others}");
    }
}

#[test]
fn the_trigger_time_is_that_of_the_change_made_known() {
    let trigger = |endpoints: &Endpoints| {
        meta::annotation(&endpoints.metadata, TRIGGER_TIME_ANNOTATION).map(str::to_owned)
    };
    let first = settled(&usual(), &[pod(5, true)], None);
    assert_eq!(
        trigger(&first).as_deref(),
        Some("2026-01-01T00:00:00Z"),
        "the Service is new"
    );
    let second = settled(
        &usual(),
        &[pod(5, true), pod(9, true), pod(7, true)],
        Some(&first),
    );
    assert_eq!(
        trigger(&second).as_deref(),
        Some("2026-01-01T00:01:07Z"),
        "the earlier of two pods"
    );
    let third = settled(
        &usual(),
        &[pod(5, false), pod(9, true), pod(7, true)],
        Some(&second),
    );
    assert_eq!(
        trigger(&third).as_deref(),
        Some("2026-01-01T00:01:05Z"),
        "a pod lost its readiness"
    );
    let fourth = settled(&usual(), &[pod(9, true), pod(7, true)], Some(&third));
    assert_eq!(trigger(&fourth), None, "nothing became ready");
}

#[test]
fn failures_are_told_in_upstreams_words() {
    let reason = |plan: &Plan| {
        let failure = plan.actions().next().unwrap().on_failure.clone().unwrap();
        (failure.reason, failure.message)
    };
    let create = reason(&plan_for(&usual(), &[], None));
    assert_eq!(
        create,
        (
            "FailedToCreateEndpoint",
            "Failed to create endpoint for service shop/front".into()
        )
    );
    let empty = settled(&usual(), &[], None);
    let update = reason(&plan_for(&usual(), &[pod(1, true)], Some(&empty)));
    assert_eq!(
        update,
        (
            "FailedToUpdateEndpoint",
            "Failed to update endpoint shop/front".into()
        )
    );
}

#[test]
fn services_of_others_and_recently_written_ones_wait() {
    assert!(plan(&World::NotOurs).is_empty());
    let resting = World::Resting(std::time::Duration::from_millis(200));
    assert_eq!(plan(&resting).to_string(), "again in 0.200s");
    let mut leaving = usual();
    leaving.metadata.deletion_timestamp = leaving.metadata.creation_timestamp.clone();
    assert!(plan_for(&leaving, &[pod(1, true)], None).is_empty());
}

fn some_pods() -> impl Strategy<Value = Vec<Pod>> {
    let pod = (0usize..40, prop::bool::ANY, 8080..8083);
    prop::collection::vec(pod, 0..40).prop_map(|pods| {
        let pods = pods
            .into_iter()
            .map(|(number, ready, port)| (number, pod_on(number, ready, port)));
        pods.collect::<BTreeMap<_, _>>().into_values().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_change_of_pods_settles_with_each_address_once(before in some_pods(), after in some_pods()) {
        let first = settled(&usual(), &before, None);
        let second = settled(&usual(), &after, Some(&first));
        let lists = second.subsets.iter().flatten().flat_map(|s| [(&s.addresses, true), (&s.not_ready_addresses, false)]);
        let found = lists.flat_map(|(list, ready)| list.iter().flatten().map(move |a| (a.ip.clone(), ready)));
        let mut found: Vec<_> = found.collect();
        let mut wanted: Vec<_> = after.iter().map(|pod| {
            let ready = endpoint::conditions(pod, &usual()).ready;
            (pod.status.as_ref().unwrap().pod_ip.clone().unwrap(), ready)
        }).collect();
        found.sort();
        wanted.sort();
        prop_assert_eq!(found, wanted);
        prop_assert!(second.subsets.iter().flatten().count() <= 3);
        prop_assert!(MAX_ADDRESSES >= after.len());
    }

    #[test]
    fn the_order_of_pods_does_not_matter(pods in some_pods()) {
        let mut turned = pods.clone();
        turned.reverse();
        prop_assert_eq!(settled(&usual(), &pods, None), settled(&usual(), &turned, None));
    }

    #[test]
    fn packing_what_is_packed_changes_nothing(pods in some_pods()) {
        let packed = repack_subsets(pods.iter().flat_map(|pod| pod_subsets(pod, &usual())).collect());
        prop_assert_eq!(repack_subsets(packed.clone()), packed);
    }
}
