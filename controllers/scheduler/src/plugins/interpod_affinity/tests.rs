//! Situations of upstream's `filtering_test.go`, `scoring_test.go` and `plugin_test.go`, in a form of our own.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::cluster::Cluster;
use crate::kit::{cluster, info, merge, node, passing, scores, verdicts};
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};

const NEAR: &str = "podAffinity";
const APART: &str = "podAntiAffinity";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

fn labelled(name: &str, labels: Value) -> Arc<Node> {
    node(name, json!({ "metadata": { "labels": labels } }))
}

/// Nodes `a`, `b` in zone 1, `x`, `y` in zone 2, and `bare` in none.
fn zones() -> Cluster {
    let zone = |zone: &str| json!({ "zone": zone });
    cluster([
        labelled("a", zone("1")),
        labelled("b", zone("1")),
        labelled("x", zone("2")),
        labelled("y", zone("2")),
        node("bare", json!({})),
    ])
}

fn app(name: &str) -> Value {
    json!({ "metadata": { "labels": { "app": name } } })
}

fn term(key: &str, app: &str, more: Value) -> Value {
    let mut term =
        json!({ "topologyKey": key, "labelSelector": { "matchLabels": { "app": app } } });
    merge(&mut term, more);
    term
}

/// A pod of `own` with required terms; `of` is the kind of them.
fn with(own: &str, of: &str, terms: Value) -> Value {
    let mut pod = app(own);
    merge(
        &mut pod,
        json!({ "spec": { "affinity": { of: { REQUIRED: terms } } } }),
    );
    pod
}

/// A pod of `own` with preferred terms.
fn wishes(own: &str, of: &str, weight: i32, term: Value) -> Value {
    let terms = json!([{ "weight": weight, "podAffinityTerm": term }]);
    let mut pod = app(own);
    merge(
        &mut pod,
        json!({ "spec": { "affinity": { of: { PREFERRED: terms } } } }),
    );
    pod
}

fn zone(app: &str) -> Value {
    term("zone", app, json!({}))
}

/// Where the pod may be beside a pod that is on `a`.
fn check(old: Value, new: Value, expected: &str) {
    let mut all = zones();
    all.put_pod(info("old", old.clone()), "a");
    let passing = passing(
        &InterPodAffinity::default(),
        &info("new", new.clone()),
        all.snapshot(),
    );
    assert_eq!(passing, expected, "{old} {new}");
}

const ALL: &str = "a b bare x y";

#[test]
fn affinity_needs_a_pod_that_all_terms_mean() {
    check(app("s1"), app("new"), ALL);
    check(app("s1"), with("new", NEAR, json!([zone("s1")])), "a b");
    check(app("s1"), with("new", NEAR, json!([zone("s2")])), "");
    check(
        app("s1"),
        with(
            "new",
            NEAR,
            json!([term("kubernetes.io/hostname", "s1", json!({}))]),
        ),
        "a",
    );
    check(
        app("s1"),
        with("new", NEAR, json!([zone("s1"), zone("s2")])),
        "",
    );
    check(
        app("s1"),
        with(
            "new",
            NEAR,
            json!([zone("s1"), term("rack", "s1", json!({}))]),
        ),
        "",
    );
    let expression = |operator: &str, values: Value| {
        let selector = json!({ "matchLabels": null, "matchExpressions": [
            { "key": "app", "operator": operator, "values": values }] });
        json!([term("zone", "", json!({ "labelSelector": selector }))])
    };
    check(
        app("s1"),
        with("new", NEAR, expression("In", json!(["s1", "s2"]))),
        "a b",
    );
    check(
        app("s1"),
        with("new", NEAR, expression("NotIn", json!(["s1"]))),
        "a b x y",
    );
    check(
        app("s1"),
        with("new", NEAR, expression("Exists", json!([]))),
        "a b",
    );
    check(
        app("s1"),
        with(
            "new",
            NEAR,
            json!([term("zone", "", json!({ "labelSelector": null }))]),
        ),
        "",
    );
}

#[test]
fn the_first_of_its_kind_may_be_wherever_the_label_is() {
    check(
        app("s1"),
        with("own", NEAR, json!([zone("own")])),
        "a b x y",
    );
    check(app("own"), with("own", NEAR, json!([zone("own")])), "a b");
    check(
        app("s1"),
        with("own", NEAR, json!([zone("own"), zone("other")])),
        "",
    );
    // One on a node without the label is near nothing.
    let mut all = zones();
    all.put_pod(info("old", app("own")), "bare");
    let pod = info("new", with("own", NEAR, json!([zone("own")])));
    assert_eq!(
        passing(&InterPodAffinity::default(), &pod, all.snapshot()),
        "a b x y"
    );
}

#[test]
fn anti_affinity_keeps_away_from_and_is_kept_away() {
    check(
        app("s1"),
        with("new", APART, json!([zone("s1")])),
        "bare x y",
    );
    check(app("s1"), with("new", APART, json!([zone("s2")])), ALL);
    check(
        app("s1"),
        with(
            "new",
            APART,
            json!([zone("s2"), term("kubernetes.io/hostname", "s1", json!({}))]),
        ),
        "b bare x y",
    );
    check(
        with("s1", APART, json!([zone("new")])),
        app("new"),
        "bare x y",
    );
    check(with("s1", APART, json!([zone("other")])), app("new"), ALL);
    check(
        with("s1", APART, json!([zone("new")])),
        with("new", NEAR, json!([zone("s1")])),
        "",
    );
    check(
        with("own", APART, json!([zone("own")])),
        with("own", APART, json!([zone("own")])),
        "bare x y",
    );
    // Terminating pods are there until they are gone.
    let mut leaving = app("s1");
    merge(
        &mut leaving,
        json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } }),
    );
    check(leaving, with("new", APART, json!([zone("s1")])), "bare x y");
}

#[test]
fn reasons_are_upstreams_and_only_affinity_is_past_help() {
    let said = |old: Value, new: Value| {
        let mut all = zones();
        all.put_pod(info("old", old), "a");
        let mut verdicts = verdicts(
            &InterPodAffinity::default(),
            &info("new", new),
            all.snapshot(),
        );
        [verdicts.remove("b").unwrap(), verdicts.remove("x").unwrap()]
    };
    let [_, far] = said(app("s1"), with("new", NEAR, json!([zone("s1")])));
    assert_eq!(far, "!node(s) didn't match pod affinity rules");
    let [near, _] = said(app("s1"), with("new", APART, json!([zone("s1")])));
    assert_eq!(near, "node(s) didn't match pod anti-affinity rules");
    let [near, _] = said(with("s1", APART, json!([zone("new")])), app("new"));
    assert_eq!(
        near,
        "node(s) didn't satisfy existing pods anti-affinity rules"
    );
    let invalid = json!([term("zone", "no good", json!({}))]);
    let pod = info("new", with("new", NEAR, invalid));
    let said = verdicts(&InterPodAffinity::default(), &pod, zones().snapshot());
    assert!(
        said["all"].starts_with("parsing pod: matchLabels[app]"),
        "{said:?}"
    );
}

#[test]
fn terms_mean_the_namespaces_that_they_say() {
    let team = |name: &str| -> k8s_openapi::api::core::v1::Namespace {
        serde_json::from_value(json!({ "metadata": { "name": name, "labels": { "team": name } } }))
            .unwrap()
    };
    let there = |namespace: &str, mut pod: Value| {
        merge(&mut pod, json!({ "metadata": { "namespace": namespace } }));
        pod
    };
    let check = |old: Value, new: Value, expected: &str| {
        let mut all = zones();
        for name in ["red", "blue", "ns"] {
            assert!(all.put_namespace(Arc::new(team(name))));
        }
        all.put_pod(info("old", old.clone()), "a");
        let pod = info("new", new.clone());
        let passing = passing(&InterPodAffinity::default(), &pod, all.snapshot());
        assert_eq!(passing, expected, "{old} {new}");
    };
    let of = |more: Value| json!([term("zone", "s1", more)]);
    let named = of(json!({ "namespaces": ["red"] }));
    let by = |team: &str| of(json!({ "namespaceSelector": { "matchLabels": { "team": team } } }));
    let every = of(json!({ "namespaceSelector": {} }));
    check(
        there("red", app("s1")),
        with("new", APART, of(json!({}))),
        ALL,
    );
    for terms in [named.clone(), by("red"), every.clone()] {
        check(
            there("red", app("s1")),
            with("new", APART, terms.clone()),
            "bare x y",
        );
        check(there("red", app("s1")), with("new", NEAR, terms), "a b");
    }
    check(
        there("blue", app("s1")),
        with("new", APART, named.clone()),
        ALL,
    );
    check(app("s1"), with("new", APART, named.clone()), ALL);
    check(there("blue", app("s1")), with("new", APART, by("red")), ALL);
    // The same of the pods that are there.
    for (terms, from, expected) in [
        (of(json!({})), "ns", "bare x y"),
        (of(json!({})), "red", ALL),
        (named, "red", "bare x y"),
        (by("red"), "red", "bare x y"),
        (by("red"), "blue", ALL),
        (every, "blue", "bare x y"),
    ] {
        check(with("old", APART, terms), there(from, app("s1")), expected);
    }
}

#[test]
fn label_keys_are_in_the_selector_already() {
    // As the API server stores matchLabelKeys: [rev].
    let merged = json!({ "labelSelector": { "matchExpressions": [
        { "key": "rev", "operator": "In", "values": ["2"] }] }, "matchLabelKeys": ["rev"] });
    let mut old = app("s1");
    for (rev, expected) in [("1", ALL), ("2", "bare x y")] {
        merge(
            &mut old,
            json!({ "metadata": { "labels": { "rev": rev } } }),
        );
        check(
            old.clone(),
            with("new", APART, json!([term("zone", "s1", merged.clone())])),
            expected,
        );
    }
}

#[test]
fn what_is_supposed_is_counted_until_it_is_taken_back() {
    let mut all = zones();
    all.put_pod(info("old", app("s1")), "a");
    let mut wanted = with("new", NEAR, json!([zone("s1")]));
    merge(&mut wanted, with("new", APART, json!([zone("s2")])));
    let (pod, plugin) = (info("new", wanted), InterPodAffinity::default());
    let Prepared::Check(check) = Filter::prepare(&plugin, &pod, all.snapshot()) else {
        panic!("it has something to say")
    };
    let suppose = |other: Value, at: &str, more| {
        let (info_at, _) = all.snapshot().get(at).unwrap();
        check.suppose.as_ref().unwrap()(&info("other", other), info_at, more);
    };
    let passing = || {
        let nodes = all.snapshot().nodes();
        let fits = nodes.filter(|(info, node)| (check.judge)(info, node) == Verdict::FITS);
        let names: Vec<&str> = fits.map(|(info, _)| &*info.name).collect();
        names.join(" ")
    };
    assert_eq!(passing(), "a b");
    suppose(app("s1"), "x", 1);
    assert_eq!(passing(), "a b x y");
    suppose(app("s1"), "a", -1);
    assert_eq!(passing(), "x y");
    suppose(app("s2"), "y", 1);
    assert_eq!(passing(), "");
    suppose(app("s2"), "y", -1);
    suppose(with("s3", APART, json!([zone("new")])), "y", 1);
    assert_eq!(passing(), "");
    suppose(with("s3", APART, json!([zone("new")])), "y", -1);
    assert_eq!(passing(), "x y");
}

fn score(
    old: &[(&str, Value)],
    new: &Value,
    plugin: &InterPodAffinity,
    expected: Option<[i64; 3]>,
) {
    let mut all = zones();
    for (index, (on, pod)) in old.iter().enumerate() {
        all.put_pod(info(&format!("old{index}"), pod.clone()), on);
    }
    let pod = info("new", new.clone());
    let scores = scores(plugin, &pod, all.snapshot(), &["a", "x", "bare"]);
    assert_eq!(scores, expected.map(Vec::from), "{old:?} {new}");
}

#[test]
fn wishes_of_both_sides_count_by_their_weight() {
    let default = InterPodAffinity::default();
    let near = |own: &str, weight, app: &str| wishes(own, NEAR, weight, zone(app));
    let apart = |own: &str, weight, app: &str| wishes(own, APART, weight, zone(app));
    let check = |old: &[(&str, Value)], new: Value, expected| score(old, &new, &default, expected);
    check(&[("a", app("s1"))], app("new"), None);
    check(&[("a", app("s1"))], near("new", 5, "s1"), Some([100, 0, 0]));
    check(
        &[("a", app("s1"))],
        apart("new", 5, "s1"),
        Some([0, 100, 100]),
    );
    check(
        &[("a", app("s1")), ("x", app("s2"))],
        near("new", 5, "s1"),
        Some([100, 0, 0]),
    );
    check(
        &[("a", near("s1", 5, "new"))],
        app("new"),
        Some([100, 0, 0]),
    );
    check(
        &[("a", apart("s1", 5, "new"))],
        app("new"),
        Some([0, 100, 100]),
    );
    check(
        &[("b", near("s1", 4, "new")), ("x", near("s2", 1, "new"))],
        app("new"),
        Some([100, 25, 0]),
    );
    check(
        &[("a", app("s1")), ("b", app("s1")), ("x", app("s1"))],
        near("new", 5, "s1"),
        Some([100, 50, 0]),
    );
    let mut both = near("new", 5, "s1");
    merge(&mut both, apart("new", 5, "s2"));
    check(
        &[("a", app("s1")), ("x", app("s2"))],
        both,
        Some([100, 0, 50]),
    );
    // Nothing that matters on any node scores nothing.
    check(&[("a", app("s1"))], near("new", 5, "s2"), None);
}

#[test]
fn demands_of_others_count_with_the_hard_weight() {
    let demands = with("s1", NEAR, json!([zone("new")]));
    let old = [("a", demands)];
    let plugin = |hard_weight, ignore_others| InterPodAffinity {
        hard_weight,
        ignore_others,
    };
    score(&old, &app("new"), &plugin(1, false), Some([100, 0, 0]));
    score(&old, &app("new"), &plugin(0, false), None);
    score(&old, &app("new"), &plugin(1, true), None);
    let wish = wishes("new", APART, 1, zone("s1"));
    score(&old, &wish, &plugin(3, true), Some([100, 0, 0]));
}

#[test]
fn it_is_helped_by_who_comes_near_and_who_goes_away() {
    let all = zones();
    let helped = |pod: &Value, old: Option<&Value>, new: Option<&Value>| {
        let [old, new] = [old, new].map(|pod| pod.map(|pod| info("other", pod.clone())));
        let by = Happening::Pod {
            old: old.as_deref(),
            new: new.as_deref(),
        };
        InterPodAffinity::default().is_helped(&info("new", pod.clone()), &by, all.snapshot())
    };
    let (s1, s2) = (app("s1"), app("s2"));
    let near = with("new", NEAR, json!([zone("s1")]));
    let apart = with("new", APART, json!([zone("s1")]));
    let refusing = with("s1", APART, json!([zone("new")]));
    for (pod, old, new, expected) in [
        (&near, None, Some(&s1), true),
        (&near, None, Some(&s2), false),
        (&near, Some(&s2), Some(&s1), true),
        (&near, Some(&s2), None, false),
        (&apart, None, Some(&s1), false),
        (&apart, Some(&s1), None, true),
        (&apart, Some(&s1), Some(&s2), true),
        (&apart, Some(&s2), None, false),
        (&s2, Some(&refusing), None, false),
        (&app("new"), Some(&refusing), None, true),
        (&app("new"), Some(&s1), None, false),
    ] {
        assert_eq!(helped(pod, old, new), expected, "{pod} {old:?} {new:?}");
    }
    let (bare, one) = (node("n", json!({})), labelled("n", json!({ "zone": "1" })));
    let helped = |pod: &Value, old: Option<&Node>, new: &Node| {
        let [old, new] = [old, Some(new)].map(|node| node.map(crate::node::Node::from));
        let by = Happening::Node {
            old: old.as_ref(),
            new: new.as_ref(),
        };
        InterPodAffinity::default().is_helped(&info("new", pod.clone()), &by, all.snapshot())
    };
    assert!(helped(&near, None, &one) && !helped(&near, None, &bare));
    assert!(helped(&near, Some(&bare), &one) && !helped(&near, Some(&one), &one));
    assert!(helped(&apart, None, &bare) && helped(&apart, Some(&one), &bare));
}
