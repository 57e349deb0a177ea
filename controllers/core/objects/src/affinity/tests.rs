#![allow(clippy::unwrap_used)]

use k8s_openapi::api::core::v1::{Node, PodSpec};
use serde_json::{Value, json};

use super::*;

fn node() -> Node {
    let value =
        json!({"metadata": {"name": "n1", "labels": {"zone": "a", "cores": "8", "gpu": ""}}});
    serde_json::from_value(value).unwrap()
}

fn spec(value: Value) -> PodSpec {
    let mut spec = json!({"containers": []});
    spec.as_object_mut()
        .unwrap()
        .extend(value.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn required(terms: Value) -> PodSpec {
    let required =
        json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
    spec(json!({"affinity": {"nodeAffinity": required}}))
}

#[test]
fn one_expression_on_labels() {
    for (key, operator, values, expected) in [
        ("zone", "In", json!(["a", "b"]), true),
        ("zone", "In", json!(["b"]), false),
        ("none", "In", json!(["a"]), false),
        ("zone", "NotIn", json!(["b"]), true),
        ("zone", "NotIn", json!(["a"]), false),
        ("none", "NotIn", json!(["a"]), true),
        ("gpu", "Exists", json!([]), true),
        ("none", "Exists", json!([]), false),
        ("none", "DoesNotExist", json!([]), true),
        ("gpu", "DoesNotExist", json!([]), false),
        ("cores", "Gt", json!(["7"]), true),
        ("cores", "Gt", json!(["8"]), false),
        ("cores", "Lt", json!(["9"]), true),
        ("cores", "Lt", json!(["8"]), false),
        ("zone", "Gt", json!(["1"]), false), // the label is no number
        ("none", "Lt", json!(["1"]), false),
        // malformed, so the term matches nothing
        ("cores", "Gt", json!(["x"]), false),
        ("cores", "Gt", json!(["1", "2"]), false),
        ("zone", "In", json!([]), false),
        ("zone", "Exists", json!(["a"]), false),
        ("zone", "Near", json!(["a"]), false),
        ("", "DoesNotExist", json!([]), false),
    ] {
        let spec = required(
            json!([{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]),
        );
        assert_eq!(
            node_matches(&spec, &node().metadata),
            expected,
            "{key} {operator} {values}"
        );
    }
}

#[test]
fn fields_know_the_name() {
    for (key, operator, values, expected) in [
        ("metadata.name", "In", json!(["n1"]), true),
        ("metadata.name", "In", json!(["n2"]), false),
        ("metadata.name", "NotIn", json!(["n2"]), true),
        ("metadata.name", "In", json!(["n1", "n2"]), false), // one value only
        ("metadata.name", "Exists", json!([]), false),
        ("spec.other", "NotIn", json!(["x"]), true),
    ] {
        let spec = required(
            json!([{"matchFields": [{"key": key, "operator": operator, "values": values}]}]),
        );
        assert_eq!(
            node_matches(&spec, &node().metadata),
            expected,
            "{key} {operator} {values}"
        );
    }
}

#[test]
fn one_term_is_enough_and_all_of_it_must_hold() {
    let holds = json!({"key": "zone", "operator": "In", "values": ["a"]});
    let fails = json!({"key": "zone", "operator": "In", "values": ["b"]});
    let named = json!({"key": "metadata.name", "operator": "In", "values": ["n1"]});
    for (terms, expected) in [
        (
            json!([{"matchExpressions": [fails]}, {"matchExpressions": [holds]}]),
            true,
        ),
        (json!([{"matchExpressions": [holds, fails]}]), false),
        (
            json!([{"matchExpressions": [fails], "matchFields": [named]}]),
            false,
        ),
        (
            json!([{"matchExpressions": [holds], "matchFields": [named]}]),
            true,
        ),
        (json!([{}]), false),
        (json!([]), false),
    ] {
        assert_eq!(
            node_matches(&required(terms.clone()), &node().metadata),
            expected,
            "{terms}"
        );
    }
}

#[test]
fn the_node_selector_must_hold_as_well() {
    for (selector, expected) in [
        (json!({"zone": "a", "cores": "8"}), true),
        (json!({"zone": "b"}), false),
        (json!({"none": ""}), false),
        (json!({}), true),
    ] {
        let spec = spec(json!({"nodeSelector": selector}));
        assert_eq!(
            node_matches(&spec, &node().metadata),
            expected,
            "{selector}"
        );
    }
    assert!(node_matches(&spec(json!({})), &node().metadata));
}

#[test]
fn preferred_terms_add_their_weights() {
    let term = |weight: i32, key: &str| json!({"weight": weight, "preference": {"matchExpressions": [{"key": key, "operator": "Exists"}]}});
    let preferred = json!([term(10, "zone"), term(5, "gpu"), term(100, "none"), {"weight": 7, "preference": {}}]);
    let affinity =
        json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}});
    assert_eq!(
        preferred_node_score(&spec(json!({"affinity": affinity})), &node().metadata),
        15
    );
    assert_eq!(preferred_node_score(&spec(json!({})), &node().metadata), 0);
}

#[test]
fn node_names_are_known_if_every_term_names_one() {
    let named = |names: &[&str]| {
        let fields: Vec<_> = names
            .iter()
            .map(|name| json!({"key": "metadata.name", "operator": "In", "values": [name]}))
            .collect();
        json!({"matchFields": fields})
    };
    let free = json!({"matchExpressions": [{"key": "zone", "operator": "Exists"}]});
    for (terms, expected) in [
        (
            json!([named(&["a"]), named(&["b"]), named(&["a"])]),
            Some(vec!["a", "b"]),
        ),
        (json!([named(&["a", "b"])]), Some(vec![])),
        (json!([named(&["a"]), free]), None),
        (json!([]), Some(vec![])),
    ] {
        assert_eq!(
            Required::of(&required(terms.clone())).node_names(),
            expected,
            "{terms}"
        );
    }
    assert_eq!(Required::of(&spec(json!({}))).node_names(), None);
}
