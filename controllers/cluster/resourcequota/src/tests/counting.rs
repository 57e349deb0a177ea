use super::{all, counted, pod, pods, quota, used};
use crate::tally::devices::Devices;
use crate::tally::{Content, Count};
use serde_json::{Value, json};

fn none() -> Value {
    json!({})
}

#[test]
fn a_pod_is_charged_for_all_that_it_asks_for() {
    let asks = json!({ "cpu": "100m", "memory": "1Gi", "ephemeral-storage": "1G", "hugepages-2Mi": "4Mi", "example.com/gpu": "2" });
    let may = json!({ "cpu": "1", "memory": "2Gi", "ephemeral-storage": "2G", "hugepages-2Mi": "4Mi", "example.com/gpu": "2" });
    for (names, wanted) in [
        (vec!["pods", "count/pods"], "count/pods=1 pods=1"),
        (
            vec!["cpu", "requests.cpu", "limits.cpu"],
            "cpu=100m limits.cpu=1 requests.cpu=100m",
        ),
        (
            vec!["memory", "requests.memory", "limits.memory"],
            "limits.memory=2Gi memory=1Gi requests.memory=1Gi",
        ),
        (
            vec![
                "ephemeral-storage",
                "requests.ephemeral-storage",
                "limits.ephemeral-storage",
            ],
            "ephemeral-storage=1G limits.ephemeral-storage=2G requests.ephemeral-storage=1G",
        ),
        (
            vec!["hugepages-2Mi", "requests.hugepages-2Mi"],
            "hugepages-2Mi=4Mi requests.hugepages-2Mi=4Mi",
        ),
        (
            vec!["requests.example.com/gpu"],
            "requests.example.com/gpu=2",
        ),
    ] {
        let content = pods(vec![pod(asks.clone(), may.clone())]);
        assert_eq!(used(&names, none(), &content), wanted);
    }
}

#[test]
fn init_containers_sidecars_and_overhead_count() {
    let cpu = |n: &str| json!({ "requests": { "cpu": n } });
    let mut one = pod(json!({ "cpu": "1" }), none());
    one["spec"]["initContainers"] = json!([
        { "name": "s", "restartPolicy": "Always", "resources": cpu("1") },
        { "name": "i", "resources": cpu("4") },
    ]);
    one["spec"]["overhead"] = json!({ "cpu": "250m" });
    assert_eq!(
        used(&["requests.cpu"], none(), &pods(vec![one])),
        "requests.cpu=5250m"
    );
}

#[test]
fn what_a_pod_asks_for_as_a_whole_is_what_it_is_charged() {
    let mut one = pod(json!({ "cpu": "1" }), json!({ "cpu": "1" }));
    one["spec"]["resources"] = json!({ "requests": { "cpu": "3" }, "limits": { "cpu": "4" } });
    let names = ["requests.cpu", "limits.cpu"];
    assert_eq!(
        used(&names, none(), &pods(vec![one])),
        "limits.cpu=4 requests.cpu=3"
    );
}

#[test]
fn a_pod_that_has_ended_or_hangs_in_its_deletion_only_exists() {
    let ended = |phase: &str| {
        let mut one = pod(json!({ "cpu": "1" }), none());
        one["status"] = json!({ "phase": phase });
        one
    };
    let deleted = |seconds: i64| {
        let mut one = pod(json!({ "cpu": "1" }), none());
        let at = super::NOW + jiff::SignedDuration::from_secs(seconds);
        one["metadata"]["deletionTimestamp"] = at.to_string().into();
        one["metadata"]["deletionGracePeriodSeconds"] = 30.into();
        one
    };
    for (one, charged) in [
        (ended("Running"), true),
        (ended("Succeeded"), false),
        (ended("Failed"), false),
        (deleted(10), true),
        (deleted(-29), true),
        (deleted(-31), false),
    ] {
        let wanted = match charged {
            true => "count/pods=1 cpu=1 pods=1",
            false => "count/pods=1 cpu=0 pods=0",
        };
        let text = one.to_string();
        let content = pods(vec![one]);
        assert_eq!(
            used(&["pods", "count/pods", "cpu"], none(), &content),
            wanted,
            "{text}"
        );
        let until = counted(&quota(&[("pods", "1")], none()), &content).until;
        assert_eq!(
            until.is_some(),
            charged && text.contains("deletion"),
            "{text}"
        );
    }
}

#[test]
fn scopes_say_which_pods_count() {
    let plain = || pod(none(), none());
    let mut ends = plain();
    ends["spec"]["activeDeadlineSeconds"] = 5.into();
    let asks = pod(json!({ "cpu": "1" }), none());
    let mut whole = plain();
    whole["spec"]["resources"] = json!({ "limits": { "memory": "1Gi" } });
    let mut init = plain();
    init["spec"]["initContainers"] =
        json!([{ "name": "i", "resources": { "limits": { "cpu": "1" } } }]);
    let mut said = asks.clone();
    said["status"]["qosClass"] = "BestEffort".into();
    let mut important = plain();
    important["spec"]["priorityClassName"] = "high".into();
    let term = |more: Value| json!({ "requiredDuringSchedulingIgnoredDuringExecution": [more] });
    let mut near = plain();
    near["spec"]["affinity"]["podAffinity"] = term(json!({ "topologyKey": "a" }));
    let mut far = plain();
    far["spec"]["affinity"]["podAntiAffinity"] =
        term(json!({ "topologyKey": "a", "namespaces": ["b"] }));
    let selector = |operator: &str, values: Value| {
        json!({ "scopeSelector": { "matchExpressions": [
            { "scopeName": "PriorityClass", "operator": operator, "values": values }
        ] } })
    };
    let scopes = |names: Value| json!({ "scopes": names });
    for (what, scopes, counts) in [
        (&ends, scopes(json!(["Terminating"])), 1),
        (&plain(), scopes(json!(["Terminating"])), 0),
        (&ends, scopes(json!(["NotTerminating"])), 0),
        (&plain(), scopes(json!(["BestEffort"])), 1),
        (&asks, scopes(json!(["BestEffort"])), 0),
        (&whole, scopes(json!(["BestEffort"])), 0),
        (&init, scopes(json!(["NotBestEffort"])), 1),
        (&said, scopes(json!(["BestEffort"])), 1),
        (&ends, scopes(json!(["BestEffort", "Terminating"])), 1),
        (&ends, scopes(json!(["NotBestEffort", "Terminating"])), 0),
        (&important, scopes(json!(["PriorityClass"])), 1),
        (&plain(), scopes(json!(["PriorityClass"])), 0),
        (&important, selector("In", json!(["high", "low"])), 1),
        (&important, selector("In", json!(["low"])), 0),
        (&important, selector("NotIn", json!(["low"])), 1),
        (&plain(), selector("NotIn", json!(["low"])), 1),
        (&plain(), selector("DoesNotExist", json!([])), 1),
        (&important, selector("Whatever", json!(["high"])), 0),
        (&far, scopes(json!(["CrossNamespacePodAffinity"])), 1),
        (&near, scopes(json!(["CrossNamespacePodAffinity"])), 0),
        (&plain(), scopes(json!(["VolumeAttributesClass"])), 0),
    ] {
        let content = pods(vec![what.clone()]);
        let text = used(&["pods"], scopes.clone(), &content);
        assert_eq!(text, format!("pods={counts}"), "{scopes} {what}");
    }
}

#[test]
fn services_are_charged_for_node_ports_and_load_balancers() {
    let service = |kind: &str, ports: Value, allocate: Value| json!({ "spec": { "type": kind, "ports": ports, "allocateLoadBalancerNodePorts": allocate } });
    let ports = json!([{ "port": 1 }, { "port": 2, "nodePort": 30002 }]);
    let names = [
        "services",
        "count/services",
        "services.nodeports",
        "services.loadbalancers",
    ];
    for (one, wanted) in [
        (service("ClusterIP", ports.clone(), Value::Null), (0, 0)),
        (service("ExternalName", Value::Null, Value::Null), (0, 0)),
        (service("NodePort", ports.clone(), Value::Null), (2, 0)),
        (service("LoadBalancer", ports.clone(), json!(true)), (2, 1)),
        (service("LoadBalancer", ports.clone(), json!(false)), (1, 1)),
    ] {
        let content = Content {
            services: all(vec![one]),
            ..Content::default()
        };
        let (ports, balancers) = wanted;
        let wanted = format!(
            "count/services=1 services=1 services.loadbalancers={balancers} services.nodeports={ports}"
        );
        assert_eq!(used(&names, none(), &content), wanted);
    }
}

#[test]
fn claims_are_charged_in_all_and_by_their_class() {
    let claim = |size: &str, class: Value| json!({ "spec": { "storageClassName": class, "resources": { "requests": { "storage": size } } } });
    let mut old = claim("1Gi", Value::Null);
    old["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"] = "gold".into();
    let mut grows = claim("1Gi", json!("gold"));
    grows["status"]["allocatedResources"]["storage"] = "3Gi".into();
    let names = [
        "persistentvolumeclaims",
        "count/persistentvolumeclaims",
        "requests.storage",
        "gold.storageclass.storage.k8s.io/persistentvolumeclaims",
        "gold.storageclass.storage.k8s.io/requests.storage",
    ];
    for (one, of_gold, storage) in [
        (claim("1Gi", Value::Null), 0, "1Gi"),
        (claim("1Gi", json!("gold")), 1, "1Gi"),
        (old, 1, "1Gi"),
        (grows, 1, "3Gi"),
        // kubernetes#94313
        (claim("500m", json!("silver")), 0, "1"),
    ] {
        let content = Content {
            volumes: all(vec![one]),
            ..Content::default()
        };
        let gold = if of_gold == 0 { "0" } else { storage };
        let wanted = format!(
            "count/persistentvolumeclaims=1 gold.storageclass.storage.k8s.io/persistentvolumeclaims={of_gold} \
             gold.storageclass.storage.k8s.io/requests.storage={gold} persistentvolumeclaims=1 requests.storage={storage}"
        );
        assert_eq!(used(&names, none(), &content), wanted);
    }
}

#[test]
fn the_scope_of_claims_is_their_attributes_class() {
    let claim = |wanted: Value, status: Value| json!({ "spec": { "volumeAttributesClassName": wanted }, "status": status });
    let selector = |operator: &str, values: Value| {
        json!({ "scopeSelector": { "matchExpressions": [
            { "scopeName": "VolumeAttributesClass", "operator": operator, "values": values }
        ] } })
    };
    let gold = || selector("In", json!(["gold"]));
    for (one, scope, counts) in [
        (claim(json!("gold"), none()), gold(), 1),
        (claim(json!("silver"), none()), gold(), 0),
        (
            claim(
                json!("silver"),
                json!({ "currentVolumeAttributesClassName": "gold" }),
            ),
            gold(),
            1,
        ),
        (
            claim(
                Value::Null,
                json!({ "modifyVolumeStatus": { "status": "Pending", "targetVolumeAttributesClassName": "gold" } }),
            ),
            gold(),
            1,
        ),
        (claim(Value::Null, none()), selector("Exists", json!([])), 0),
        (
            claim(Value::Null, none()),
            selector("DoesNotExist", json!([])),
            1,
        ),
        (
            claim(json!("gold"), none()),
            json!({ "scopes": ["Terminating"] }),
            0,
        ),
    ] {
        let content = Content {
            volumes: all(vec![one]),
            ..Content::default()
        };
        let wanted = format!("persistentvolumeclaims={counts}");
        assert_eq!(used(&["persistentvolumeclaims"], scope, &content), wanted);
    }
}

fn claim(name: &str, requests: Value) -> Value {
    json!({ "metadata": { "name": name, "uid": name }, "spec": { "devices": { "requests": requests } } })
}

fn devices(claims: Vec<Value>, classes: Vec<Value>) -> Content {
    Content {
        devices: Devices {
            claims: all(claims),
            classes: all(classes),
            served: true,
            unlisted: false,
        },
        ..Content::default()
    }
}

#[test]
fn resource_claims_are_charged_for_the_most_devices_that_they_may_get() {
    let exactly = |mode: &str, count: i64| json!([{ "name": "r", "exactly": { "deviceClassName": "gpu", "allocationMode": mode, "count": count } }]);
    let either = json!([{ "name": "r", "firstAvailable": [
        { "name": "a", "deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 2 },
        { "name": "b", "deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 3 },
        { "name": "c", "deviceClassName": "tpu", "allocationMode": "ExactCount", "count": 7 },
    ] }]);
    let names = [
        "count/resourceclaims.resource.k8s.io",
        "gpu.deviceclass.resource.k8s.io/devices",
    ];
    for (requests, gpus) in [
        (exactly("ExactCount", 5), 5),
        (exactly("All", 0), 32),
        (exactly("Unknown", 9), 0),
        (either, 3),
    ] {
        let content = devices(vec![claim("a", requests)], vec![]);
        let wanted = format!(
            "count/resourceclaims.resource.k8s.io=1 gpu.deviceclass.resource.k8s.io/devices={gpus}"
        );
        assert_eq!(used(&names, none(), &content), wanted);
    }
}

#[test]
fn devices_count_as_the_extended_resource_of_their_class_but_not_twice() {
    let names = [
        "requests.deviceclass.resource.kubernetes.io/gpu",
        "requests.example.com/gpu",
    ];
    let class = json!({ "metadata": { "name": "gpu" }, "spec": { "extendedResourceName": "example.com/gpu" } });
    let three = json!([{ "name": "r", "exactly": { "deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 3 } }]);
    let plain = claim("a", three.clone());
    let both = |a: i64, b: i64| {
        format!("requests.deviceclass.resource.kubernetes.io/gpu={a} requests.example.com/gpu={b}")
    };
    let content = devices(vec![plain.clone()], vec![class.clone()]);
    assert_eq!(used(&names, none(), &content), both(3, 3));
    assert_eq!(
        used(&names, none(), &devices(vec![plain], vec![])),
        both(3, 0)
    );

    let mut made = claim("made", three);
    made["metadata"]["annotations"]["resource.kubernetes.io/extended-resource-claim"] =
        "true".into();
    made["metadata"]["ownerReferences"] =
        json!([{ "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "p", "controller": true }]);
    let asks = json!({ "example.com/gpu": "3" });
    let mut content = devices(vec![made], vec![class]);
    // Nobody of that name: the claim pays for all.
    assert_eq!(used(&names, none(), &content), both(3, 3));
    content.pods = pods(vec![pod(asks.clone(), asks.clone())]).pods;
    assert_eq!(
        used(&names, none(), &content),
        both(3, 3),
        "the pod pays for three"
    );
    let mut other = pod(asks.clone(), asks);
    other["status"]["extendedResourceClaimStatus"] =
        json!({ "resourceClaimName": "another", "requestMappings": [] });
    content.pods = pods(vec![other]).pods;
    assert_eq!(
        used(&names, none(), &content),
        both(3, 6),
        "it was made for another claim"
    );
}

#[test]
fn objects_of_any_kind_are_counted() {
    let place = |plural: &str, group: &str| (plural.to_owned(), group.to_owned());
    let content = Content {
        counts: [
            (place("configmaps", ""), Count::Known(3)),
            (place("deployments", "apps"), Count::Known(2)),
            (place("widgets", "stable.example.com"), Count::Known(1)),
            (place("secrets", ""), Count::Unlisted),
            (place("nothings", "example.com"), Count::Unserved),
        ]
        .into(),
        ..Content::default()
    };
    let names = [
        "configmaps",
        "count/configmaps",
        "count/deployments.apps",
        "count/widgets.stable.example.com",
        "secrets",
        "count/nothings.example.com",
        "nonsense",
    ];
    let hard: Vec<_> = names.iter().map(|name| (*name, "5")).collect();
    assert_eq!(
        used(&names, none(), &content),
        "configmaps=3 count/configmaps=3 count/deployments.apps=2 count/widgets.stable.example.com=1"
    );
    let tally = counted(&quota(&hard, none()), &content);
    assert_eq!(tally.unknown, ["count/nothings.example.com", "nonsense"]);
    assert!(tally.unlisted, "secrets are not listed yet");
}

#[test]
fn a_scope_that_goes_with_nothing_counts_nothing_and_is_told() {
    let content = Content {
        services: all(vec![json!({ "spec": {} })]),
        counts: [(("secrets".to_owned(), String::new()), Count::Known(4))].into(),
        ..Content::default()
    };
    let scopes = json!({ "scopes": ["Terminating"] });
    let names = ["count/services", "count/secrets", "pods"];
    assert_eq!(
        used(&names, scopes.clone(), &content),
        "count/secrets=0 count/services=0 pods=0"
    );
    let hard: Vec<_> = names.iter().map(|name| (*name, "5")).collect();
    let tally = counted(&quota(&hard, scopes), &content);
    let wanted = ["count/secrets", "count/services"];
    assert_eq!(
        tally.misplaced,
        wanted.map(|name| (name.to_owned(), "Terminating".to_owned()))
    );
}

#[test]
fn amounts_beyond_all_bounds_do_no_harm() {
    let asks = json!({ "memory": "9223372036854775807", "cpu": "99999999999999999999E" });
    let content = pods(vec![pod(asks.clone(), none()), pod(asks, none())]);
    let text = used(&["requests.memory", "requests.cpu"], none(), &content);
    assert!(
        text.contains("requests.memory=18446744073709551614"),
        "{text}"
    );
}
