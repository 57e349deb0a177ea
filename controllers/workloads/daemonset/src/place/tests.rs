#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use serde_json::{Value, json};

fn spec(value: Value) -> PodSpec {
    let mut spec = json!({"containers": []});
    spec.as_object_mut()
        .unwrap()
        .extend(value.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

/// Whether a pod belongs on the node, and whether it may stay there.
fn place(template: Value, node: Value) -> (bool, bool) {
    let node = serde_json::from_value(node).unwrap();
    let place = Demand::of(&spec(template)).place(&node);
    (place.should_run, place.may_stay)
}

fn tainted(key: &str, effect: &str) -> Value {
    json!({"metadata": {"name": "n1"}, "spec": {"taints": [{"key": key, "effect": effect}]}})
}

#[test]
fn a_node_in_trouble_is_still_a_node() {
    for (key, effect) in &TROUBLES[..6] {
        assert_eq!(
            place(json!({}), tainted(key, effect)),
            (true, true),
            "{key}"
        );
    }
    let network = tainted("node.kubernetes.io/network-unavailable", "NoSchedule");
    assert_eq!(place(json!({}), network.clone()), (false, true));
    assert_eq!(place(json!({"hostNetwork": true}), network), (true, true));
    let out_of_service = tainted("node.kubernetes.io/out-of-service", "NoExecute");
    assert_eq!(place(json!({}), out_of_service), (false, false));
}

#[test]
fn taints_names_selectors_and_affinity_decide() {
    let plain = json!({"metadata": {"name": "n1", "labels": {"disk": "ssd"}}});
    let affinity = |operator: &str| {
        let term =
            json!({"matchExpressions": [{"key": "disk", "operator": operator, "values": ["ssd"]}]});
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}})
    };
    for (template, node, expected) in [
        (json!({}), tainted("k", "NoSchedule"), (false, true)),
        (json!({}), tainted("k", "NoExecute"), (false, false)),
        (
            json!({"tolerations": [{"operator": "Exists"}]}),
            tainted("k", "NoExecute"),
            (true, true),
        ),
        (json!({"nodeName": "n1"}), plain.clone(), (true, true)),
        (json!({"nodeName": "n2"}), plain.clone(), (false, false)),
        (
            json!({"nodeSelector": {"disk": "ssd"}}),
            plain.clone(),
            (true, true),
        ),
        (
            json!({"nodeSelector": {"disk": "hdd"}}),
            plain.clone(),
            (false, false),
        ),
        (affinity("In"), plain.clone(), (true, true)),
        (affinity("NotIn"), plain.clone(), (false, false)),
    ] {
        assert_eq!(
            place(template.clone(), node.clone()),
            expected,
            "{template} {node}"
        );
    }
}

#[test]
fn cordons_and_resources_do_not_matter() {
    let cordoned = json!({"metadata": {"name": "n1"}, "spec": {"unschedulable": true}, "status": {"allocatable": {"cpu": "0"}}});
    let hungry = json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "64"}}}]});
    assert_eq!(place(hungry, cordoned), (true, true));
}

#[test]
fn a_toleration_with_an_end_becomes_one_without() {
    let own = |operator: &str| {
        json!({"tolerations": [
            {"key": "node.kubernetes.io/not-ready", "operator": operator, "effect": "NoExecute", "tolerationSeconds": 5},
            {"key": "mine", "operator": "Exists"},
        ]})
    };
    let all = tolerations(&spec(own("Exists")));
    assert_eq!(all.len(), 7);
    assert_eq!(
        (all[0].toleration_seconds, all[1].key.as_deref()),
        (None, Some("mine"))
    );
    assert_eq!(tolerations(&spec(own("Equal"))).len(), 8);
}

#[test]
fn the_node_of_a_pod_is_where_it_is_or_where_its_affinity_sends_it() {
    let sent = |key: &str, operator: &str, values: Value| {
        let field = json!({"key": key, "operator": operator, "values": values});
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": [field]}]}}}})
    };
    for (template, expected) in [
        (json!({"nodeName": "n1"}), Some("n1")),
        (sent("metadata.name", "In", json!(["n2"])), Some("n2")),
        (sent("metadata.name", "In", json!(["n2", "n3"])), None),
        (sent("metadata.name", "NotIn", json!(["n2"])), None),
        (sent("other", "In", json!(["n2"])), None),
        (json!({}), None),
    ] {
        let pod = Pod {
            spec: Some(spec(template.clone())),
            ..Pod::default()
        };
        assert_eq!(target(&pod), expected, "{template}");
    }
}
