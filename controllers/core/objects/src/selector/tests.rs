#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::{Selector, valid_key, valid_value};

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

fn expression(key: &str, operator: &str, values: &[&str]) -> LabelSelector {
    LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: key.to_owned(),
            operator: operator.to_owned(),
            values: Some(values.iter().map(|v| (*v).to_owned()).collect()),
        }]),
        match_labels: None,
    }
}

#[test]
fn each_operator_on_equal_other_and_missing_value() {
    let equal = labels(&[("app", "web")]);
    let other = labels(&[("app", "db")]);
    for (operator, values, expected) in [
        ("In", &["web", "x"][..], [true, false, false]),
        ("NotIn", &["web"][..], [false, true, true]),
        ("Exists", &[][..], [true, true, false]),
        ("DoesNotExist", &[][..], [false, false, true]),
    ] {
        let selector = Selector::parse(&expression("app", operator, values)).unwrap();
        let got = [Some(&equal), Some(&other), None].map(|labels| selector.matches(labels));
        assert_eq!(got, expected, "{operator}");
    }
}

#[test]
fn labels_and_expressions_must_all_hold() {
    let mut both = expression("tier", "Exists", &[]);
    both.match_labels = Some(labels(&[("app", "web")]));
    let selector = Selector::parse(&both).unwrap();
    assert!(selector.matches(Some(&labels(&[("app", "web"), ("tier", "")]))));
    assert!(!selector.matches(Some(&labels(&[("app", "web")]))));
    assert!(!selector.matches(Some(&labels(&[("tier", "")]))));
    assert_eq!(selector.to_string(), "app=web,tier");
}

#[test]
fn an_empty_selector_matches_everything() {
    let selector = Selector::parse(&LabelSelector::default()).unwrap();
    assert!(selector.is_empty());
    assert!(selector.matches(None));
    assert!(Selector::from_labels(&BTreeMap::new()).is_empty());
    assert!(!Selector::from_labels(&labels(&[("a", "b")])).matches(None));
}

#[test]
fn errors_name_the_field() {
    let long = "x".repeat(64);
    for (selector, expected) in [
        (
            expression("a", "Gt", &["1"]),
            "matchExpressions[0].operator: \"Gt\" is not one of In, NotIn, Exists, DoesNotExist",
        ),
        (
            expression("a", "In", &[]),
            "matchExpressions[0].values: operator In needs at least one value",
        ),
        (
            expression("a", "Exists", &["b"]),
            "matchExpressions[0].values: operator Exists takes no values",
        ),
        (
            expression("", "Exists", &[]),
            "matchExpressions[0].key: \"\" is not a label key",
        ),
        (
            expression("a", "In", &["-"]),
            "matchExpressions[0].values: \"-\" is not a label value",
        ),
    ] {
        assert_eq!(
            Selector::parse(&selector).unwrap_err().to_string(),
            expected
        );
    }
    let selector = LabelSelector {
        match_labels: Some(labels(&[("a", &long)])),
        ..LabelSelector::default()
    };
    assert_eq!(
        Selector::parse(&selector).unwrap_err().field,
        "matchLabels[a]"
    );
}

#[test]
fn keys_and_values() {
    for key in ["a", "app.kubernetes.io/name", "A_b.c-1", "x.y/z"] {
        assert!(valid_key(key), "{key}");
    }
    for key in [
        "",
        "/a",
        "a/",
        "a/b/c",
        "-a",
        "a-",
        "Upper.case/x",
        "a..b/c",
    ] {
        assert!(!valid_key(key), "{key}");
    }
    assert!(valid_value(""));
    assert!(!valid_value("a b"));
}
