//! Situations of upstream's `filtering_test.go`, `scoring_test.go` and `plugin_test.go`, in a form of our own.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::cluster::Cluster;
use crate::kit::{cluster, info, merge, node, passing, scores, verdicts};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

const ZONE: &str = "zone";
const HOST: &str = "kubernetes.io/hostname";

fn labelled(name: &str, labels: Value) -> Arc<Node> {
    node(name, json!({ "metadata": { "labels": labels } }))
}

/// Nodes `a`, `b` in zone 1 and `x`, `y` in zone 2, with so many pods of `foo` each.
fn zones(pods: [usize; 4]) -> Cluster {
    let names = ["a", "b", "x", "y"];
    let zone = |name: &str| if name < "m" { "1" } else { "2" };
    let mut all = cluster(names.map(|name| labelled(name, json!({ ZONE: zone(name) }))));
    for (name, count) in names.into_iter().zip(pods) {
        for i in 0..count {
            all.put_pod(info(&format!("{name}{i}"), foo()), name);
        }
    }
    all
}

fn foo() -> Value {
    json!({ "metadata": { "labels": { "app": "foo" } } })
}

fn constraint(key: &str, skew: i32, when: &str, more: Value) -> Value {
    let mut value = json!({ "topologyKey": key, "maxSkew": skew, "whenUnsatisfiable": when,
        "labelSelector": { "matchLabels": { "app": "foo" } } });
    merge(&mut value, more);
    value
}

fn hard(key: &str, skew: i32) -> Value {
    constraint(key, skew, HARD, json!({}))
}

/// A pod of `foo` with these constraints; `more` is merged over it.
fn spreading(constraints: Value, more: Value) -> Arc<PodInfo> {
    let mut value = foo();
    merge(
        &mut value,
        json!({ "spec": { "topologySpreadConstraints": constraints } }),
    );
    merge(&mut value, more);
    info("new", value)
}

fn check(all: &Cluster, constraints: Value, more: Value, expected: &str) {
    let pod = spreading(constraints.clone(), more.clone());
    let passing = passing(&TopologySpread::default(), &pod, all.snapshot());
    assert_eq!(passing, expected, "{constraints} {more}");
}

#[test]
fn domains_may_differ_by_the_skew() {
    let plain = || json!({});
    check(
        &zones([0, 0, 0, 0]),
        json!([hard(ZONE, 1)]),
        plain(),
        "a b x y",
    );
    check(&zones([1, 1, 1, 2]), json!([hard(ZONE, 1)]), plain(), "a b");
    check(
        &zones([1, 1, 1, 2]),
        json!([hard(ZONE, 2)]),
        plain(),
        "a b x y",
    );
    check(&zones([2, 1, 0, 3]), json!([hard(HOST, 1)]), plain(), "x");
    check(&zones([2, 1, 0, 3]), json!([hard(HOST, 2)]), plain(), "b x");
    // A pod that is not selected does not add to the skew.
    let other = json!({ "metadata": { "labels": { "app": "bar" } } });
    check(&zones([2, 1, 0, 3]), json!([hard(HOST, 1)]), other, "b x");
}

#[test]
fn all_constraints_have_to_hold() {
    let both = json!([hard(ZONE, 1), hard(HOST, 1)]);
    check(&zones([2, 1, 0, 3]), both.clone(), json!({}), "x");
    check(&zones([2, 1, 1, 1]), both.clone(), json!({}), "x y");
    check(&zones([1, 0, 2, 2]), both, json!({}), "b");
    let soft = json!([constraint(ZONE, 1, SOFT, json!({}))]);
    check(&zones([9, 0, 0, 0]), soft, json!({}), "a b x y");
}

#[test]
fn a_node_without_the_label_is_out_of_question_and_no_domain() {
    let mut all = zones([1, 0, 1, 0]);
    all.put_node(node("bare", json!({})));
    let pod = spreading(json!([hard(ZONE, 1)]), json!({}));
    let verdicts = verdicts(&TopologySpread::default(), &pod, all.snapshot());
    assert_eq!(
        verdicts["bare"],
        "!node(s) didn't match pod topology spread constraints (missing required label)"
    );
    let pod = spreading(json!([hard(ZONE, 1), hard("rack", 1)]), json!({}));
    assert_eq!(
        passing(&TopologySpread::default(), &pod, all.snapshot()),
        ""
    );
    let all = zones([1, 1, 0, 0]);
    let pod = spreading(json!([hard(ZONE, 1)]), json!({}));
    let verdicts = self::verdicts(&TopologySpread::default(), &pod, all.snapshot());
    assert_eq!(
        verdicts["a"],
        "node(s) didn't match pod topology spread constraints"
    );
}

#[test]
fn less_domains_than_wanted_have_to_be_as_good_as_empty() {
    let wanting =
        |domains: i32| json!([constraint(ZONE, 2, HARD, json!({ "minDomains": domains }))]);
    check(&zones([1, 1, 1, 1]), wanting(2), json!({}), "a b x y");
    check(&zones([1, 1, 1, 1]), wanting(3), json!({}), "");
    check(&zones([1, 0, 1, 1]), wanting(3), json!({}), "a b");
}

#[test]
fn nodes_that_the_pod_cannot_be_on_count_as_it_says() {
    let mut all = zones([1, 1, 0, 0]);
    let tainted = json!([{ "key": "k", "effect": "NoSchedule" }]);
    for name in ["x", "y"] {
        all.put_node(node(
            name,
            json!({ "metadata": { "labels": { ZONE: "2" } }, "spec": { "taints": tainted } }),
        ));
    }
    let with = |more: Value| json!([constraint(ZONE, 1, HARD, more)]);
    check(&all, with(json!({})), json!({}), "x y");
    check(
        &all,
        with(json!({ "nodeTaintsPolicy": "Honor" })),
        json!({}),
        "a b x y",
    );
    let tolerant = json!({ "spec": { "tolerations": [{ "key": "k" , "operator": "Exists" }] } });
    check(
        &all,
        with(json!({ "nodeTaintsPolicy": "Honor" })),
        tolerant,
        "x y",
    );
    let selecting = json!({ "spec": { "nodeSelector": { ZONE: "1" } } });
    check(&all, with(json!({})), selecting.clone(), "a b x y");
    check(
        &all,
        with(json!({ "nodeAffinityPolicy": "Ignore" })),
        selecting,
        "x y",
    );
}

#[test]
fn only_living_pods_of_the_namespace_that_are_selected_count() {
    for more in [
        json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } }),
        json!({ "metadata": { "namespace": "other" } }),
        json!({ "metadata": { "labels": { "app": "bar" } } }),
    ] {
        let mut all = zones([0, 0, 0, 0]);
        let mut old = foo();
        merge(&mut old, more);
        for i in 0..3 {
            all.put_pod(info(&format!("p{i}"), old.clone()), "a");
        }
        check(&all, json!([hard(ZONE, 1)]), json!({}), "a b x y");
    }
    let nothing = json!([constraint(ZONE, 1, HARD, json!({ "labelSelector": null }))]);
    check(&zones([9, 0, 0, 0]), nothing, json!({}), "a b x y");
}

#[test]
fn label_keys_restrict_the_selected_to_the_pods_own_values() {
    let keyed = json!([constraint(
        ZONE,
        1,
        HARD,
        json!({ "matchLabelKeys": ["rev", "absent"] })
    )]);
    let mut all = zones([3, 0, 0, 0]);
    let of_rev = |rev: &str| json!({ "metadata": { "labels": { "app": "foo", "rev": rev } } });
    check(&all, keyed.clone(), of_rev("2"), "a b x y");
    all.put_pod(info("same", of_rev("2")), "x");
    check(&all, keyed, of_rev("2"), "a b");
}

#[test]
fn an_invalid_selector_is_the_pods_own_problem() {
    let invalid = json!([constraint(
        ZONE,
        1,
        HARD,
        json!({ "labelSelector": { "matchLabels": { "app": "no good" } } })
    )]);
    let pod = spreading(invalid, json!({}));
    let said = verdicts(&TopologySpread::default(), &pod, zones([0; 4]).snapshot());
    assert!(
        said["all"]
            .starts_with("obtaining pod's hard topology spread constraints: matchLabels[app]")
    );
}

#[test]
fn what_is_supposed_is_counted_until_it_is_taken_back() {
    let all = zones([2, 0, 1, 0]);
    let pod = spreading(json!([hard(ZONE, 1)]), json!({}));
    let plugin = TopologySpread::default();
    let Prepared::Check(check) = Filter::prepare(&plugin, &pod, all.snapshot()) else {
        panic!("it has something to say")
    };
    let suppose = check.suppose.as_ref().unwrap();
    let fits = |name: &str| {
        let (info, node) = all.snapshot().get(name).unwrap();
        (check.judge)(info, node) == Verdict::FITS
    };
    let [a, x] = ["a", "x"].map(|name| all.snapshot().get(name).unwrap().0);
    let old = info("old", foo());
    assert_eq!([fits("b"), fits("y")], [false, true]);
    suppose(&old, a, -1);
    assert_eq!([fits("b"), fits("y")], [true, true]);
    suppose(&old, a, -1);
    assert_eq!([fits("b"), fits("y")], [true, false]);
    suppose(&old, a, 1);
    suppose(&old, a, 1);
    assert_eq!([fits("b"), fits("y")], [false, true]);
    suppose(&old, x, 1);
    suppose(&old, x, 1);
    assert_eq!([fits("b"), fits("y")], [true, false]);
    suppose(&info("bar", json!({})), x, -1);
    assert_eq!([fits("b"), fits("y")], [true, false]);
}

fn soft(key: &str, skew: i32) -> Value {
    constraint(key, skew, SOFT, json!({}))
}

fn score(all: &Cluster, constraints: Value, feasible: &[&str], expected: &[i64]) {
    let pod = spreading(constraints.clone(), json!({}));
    let scores = scores(&TopologySpread::default(), &pod, all.snapshot(), feasible);
    assert_eq!(scores.as_deref(), Some(expected), "{constraints}");
}

#[test]
fn even_domains_score_alike_and_fuller_ones_less() {
    let nodes = ["a", "b", "x", "y"];
    score(&zones([0; 4]), json!([soft(HOST, 1)]), &nodes, &[100; 4]);
    score(&zones([0; 4]), json!([soft(ZONE, 1)]), &nodes, &[100; 4]);
    score(&zones([1; 4]), json!([soft(HOST, 1)]), &nodes, &[100; 4]);
    score(
        &zones([2, 1, 0, 3]),
        json!([soft(HOST, 1)]),
        &nodes,
        &[20, 60, 100, 0],
    );
    // Pods on nodes that are no candidates count in their zone.
    score(
        &zones([2, 1, 0, 3]),
        json!([soft(ZONE, 1)]),
        &["a", "x"],
        &[100, 100],
    );
    score(
        &zones([4, 2, 0, 1]),
        json!([soft(ZONE, 1)]),
        &nodes,
        &[12, 12, 100, 100],
    );
    // A higher skew waters the difference down.
    score(
        &zones([4, 2, 0, 1]),
        json!([soft(ZONE, 5)]),
        &nodes,
        &[41, 41, 100, 100],
    );
    score(
        &zones([4, 2, 0, 1]),
        json!([soft(ZONE, 1), soft(HOST, 1)]),
        &nodes,
        &[6, 26, 100, 86],
    );
}

#[test]
fn a_node_without_a_label_is_not_compared() {
    let mut all = zones([1, 0, 0, 0]);
    all.put_node(node("bare", json!({})));
    score(
        &all,
        json!([soft(ZONE, 1)]),
        &["a", "x", "bare"],
        &[0, 100, 0],
    );
    let pod = spreading(json!([hard(ZONE, 1)]), json!({}));
    assert_eq!(
        scores(
            &TopologySpread::default(),
            &pod,
            all.snapshot(),
            &["a", "x"]
        ),
        None
    );
}

fn set(name: &str, app: &str) -> ReplicaSet {
    let value = json!({ "metadata": { "name": name, "namespace": "ns" },
        "spec": { "selector": { "matchLabels": { "app": app } } } });
    serde_json::from_value(value).unwrap()
}

fn service(name: &str, selector: Value) -> Service {
    let value = json!({ "metadata": { "name": name, "namespace": "ns" }, "spec": { "selector": selector } });
    serde_json::from_value(value).unwrap()
}

#[test]
fn pods_without_constraints_are_spread_by_what_selects_them() {
    let zoned = |name: &str, zone: &str| labelled(name, json!({ node::ZONE: zone }));
    let mut all = cluster([
        zoned("a", "1"),
        zoned("b", "1"),
        zoned("x", "2"),
        node("y", json!({})),
    ]);
    all.put_pod(info("old", foo()), "a");
    let owned = json!({ "metadata": { "labels": { "app": "foo" }, "ownerReferences": [
        { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "set", "uid": "u", "controller": true }] } });
    let nodes = ["a", "b", "x", "y"];
    let scored = |all: &Cluster, more: &Value| {
        scores(
            &TopologySpread::default(),
            &info("new", more.clone()),
            all.snapshot(),
            &nodes,
        )
    };
    assert_eq!(scored(&all, &owned), None, "nothing selects it");
    all.owners_mut().put(&set("set", "foo"));
    // Four nodes weigh ln 6 and three zones, none being one, ln 5.
    assert_eq!(scored(&all, &owned), Some(vec![22, 33, 55, 100]));
    assert_eq!(scored(&all, &foo()), None);
    all.owners_mut()
        .put(&service("other", json!({ "app": "bar" })));
    all.owners_mut().put(&service("none", Value::Null));
    assert_eq!(scored(&all, &foo()), None);
    all.owners_mut()
        .put(&service("svc", json!({ "app": "foo" })));
    assert_eq!(scored(&all, &foo()), Some(vec![22, 33, 55, 100]));
    all.owners_mut().remove(&service("svc", json!({})));
    all.owners_mut().remove(&set("set", "foo"));
    assert_eq!(scored(&all, &owned), None);
}

#[test]
fn given_defaults_can_reject() {
    let given: TopologySpreadConstraint = serde_json::from_value(
        json!({ "topologyKey": ZONE, "maxSkew": 1, "whenUnsatisfiable": HARD }),
    )
    .unwrap();
    let plugin = TopologySpread::with_defaults(vec![given]);
    let mut all = zones([1, 0, 0, 0]);
    let pod = info("new", foo());
    assert_eq!(passing(&plugin, &pod, all.snapshot()), "a b x y");
    all.owners_mut()
        .put(&service("svc", json!({ "app": "foo" })));
    assert_eq!(passing(&plugin, &pod, all.snapshot()), "x y");
}

#[test]
fn it_is_helped_by_what_moves_a_count() {
    let all = zones([0; 4]);
    let waiting = spreading(json!([hard(ZONE, 1)]), json!({}));
    let helped =
        |by: Happening<'_>| TopologySpread::default().is_helped(&waiting, &by, all.snapshot());
    let (foo, bar) = (info("foo", foo()), info("bar", json!({})));
    let elsewhere = info(
        "foo",
        json!({ "metadata": { "namespace": "other", "labels": { "app": "foo" } } }),
    );
    for (old, new, expected) in [
        (None, Some(&foo), true),
        (Some(&foo), None, true),
        (Some(&foo), Some(&bar), true),
        (Some(&foo), Some(&foo), false),
        (None, Some(&bar), false),
        (Some(&bar), None, false),
        (None, Some(&elsewhere), false),
    ] {
        let [old, new] = [old, new].map(|pod| pod.map(|pod| &**pod));
        assert_eq!(
            helped(Happening::Pod { old, new }),
            expected,
            "{old:?} {new:?}"
        );
    }
    let (one, two, bare) = (
        labelled("n", json!({ ZONE: "1" })),
        labelled("n", json!({ ZONE: "2" })),
        labelled("n", json!({})),
    );
    let tainted = node(
        "n",
        json!({ "metadata": { "labels": { ZONE: "1" } }, "spec": { "taints": [
        { "key": "k", "effect": "NoSchedule" }] } }),
    );
    for (old, new, expected) in [
        (None, Some(&one), true),
        (Some(&one), None, true),
        (None, Some(&bare), false),
        (Some(&bare), None, false),
        (Some(&one), Some(&two), true),
        (Some(&one), Some(&bare), true),
        (Some(&one), Some(&tainted), true),
        (Some(&one), Some(&one), false),
    ] {
        let [old, new] = [old, new].map(|node| node.map(|node| crate::node::Node::from(&**node)));
        let by = Happening::Node {
            old: old.as_ref(),
            new: new.as_ref(),
        };
        assert_eq!(helped(by), expected, "{old:?} {new:?}");
    }
}
