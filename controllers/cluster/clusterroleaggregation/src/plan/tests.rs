#![allow(clippy::unwrap_used)]

use super::*;
use serde_json::{Value, from_value};

fn role(name: &str, label: &str, rules: &[&str]) -> Arc<ClusterRole> {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": name, "uid": "u1", "labels": { "to": label } },
        "rules": rules.iter().map(|rule| json!({ "verbs": [rule] })).collect::<Vec<_>>(),
    });
    Arc::new(from_value(role).unwrap())
}

fn to(label: &str) -> LabelSelector {
    from_value(json!({ "matchLabels": { "to": label } })).unwrap()
}

fn verbs(rules: &[PolicyRule]) -> Vec<&str> {
    rules.iter().map(|rule| rule.verbs[0].as_str()).collect()
}

#[test]
fn the_rules_are_those_of_each_selector_in_turn_and_none_twice() {
    let roles = [
        role("a", "view", &["get", "list"]),
        role("b", "edit", &["update", "get"]),
        role("c", "view", &["watch", "list"]),
        role("d", "nobody", &["delete"]),
    ];
    for (labels, expected) in [
        (vec!["view"], vec!["get", "list", "watch"]),
        (vec!["edit", "view"], vec!["update", "get", "list", "watch"]),
        (vec!["other"], vec![]),
        (vec![], vec![]),
    ] {
        let wanted: Vec<_> = labels.iter().map(|label| to(label)).collect();
        let found = union(&selectors(&wanted).unwrap(), &roles);
        assert_eq!(verbs(&found), expected, "{labels:?}");
    }
}

fn plan_of(has: &[&str], rules: Rules) -> String {
    let role = role("sum", "", has);
    plan(&World { role, rules }).to_string()
}

fn of(rules: &[&str]) -> Rules {
    Rules::Of(role("x", "", rules).rules.clone().unwrap())
}

#[test]
fn rules_are_applied_where_they_are_not_what_they_should_be() {
    let apply = |rules: Value| {
        let body = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": { "name": "sum", "uid": "u1" }, "rules": rules,
        });
        format!("patch clusterrole/sum {body}")
    };
    assert_eq!(plan_of(&["get"], of(&["get"])), "");
    assert_eq!(plan_of(&[], of(&[])), "");
    assert_eq!(plan_of(&["get"], Rules::Own), "");
    let both = json!([{ "verbs": ["get"] }, { "verbs": ["list"] }]);
    assert_eq!(plan_of(&["get"], of(&["get", "list"])), apply(both.clone()));
    assert_eq!(plan_of(&["list", "get"], of(&["get", "list"])), apply(both));
    assert_eq!(
        plan_of(&["get"], of(&[])),
        apply(json!([])),
        "upstream leaves them"
    );
}

#[test]
fn an_empty_list_is_no_list() {
    let written: PolicyRule = from_value(json!({ "verbs": ["get"], "resources": [] })).unwrap();
    assert_eq!(plan_of(&["get"], Rules::Of(vec![written])), "");
}

#[test]
fn a_role_whose_selector_cannot_be_read_keeps_its_rules() {
    let wrong = json!({ "matchExpressions": [{ "key": "to", "operator": "Like" }] });
    let error = selectors(&[to("view"), from_value(wrong).unwrap()]).unwrap_err();
    assert!(
        error.starts_with("aggregationRule.clusterRoleSelectors[1].matchExpressions[0].operator"),
        "{error}"
    );
    let text = plan_of(&["get"], Rules::Unknown(error));
    assert!(
        text.starts_with("note Warning InvalidAggregationRule: aggregationRule"),
        "{text}"
    );
}
