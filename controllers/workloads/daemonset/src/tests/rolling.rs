use super::kit::*;
use crate::{Strategy, World};
use ::plan::Verb;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use std::sync::Arc;

/// A world in which `v2` replaces `v1`: pods of the old revision carry `h1`, of the new one `h2`.
fn rollout(spec: Value, count: usize, pods: Vec<Arc<Pod>>) -> World {
    let mut set = (*set(spec)).clone();
    set.spec.as_mut().unwrap().template = serde_json::from_value(template("v2")).unwrap();
    let annotations = set.metadata.annotations.as_mut().unwrap();
    annotations.insert(
        "deprecated.daemonset.template.generation".into(),
        "2".into(),
    );
    let revisions = vec![
        revision(1, "h1", "v1", json!({})),
        revision(2, "h2", "v2", json!({})),
    ];
    world(Arc::new(set), &nodes(count), pods, revisions)
}

fn old(name: &str, on: &str) -> Arc<Pod> {
    pod(name, on, "h1", json!({}))
}

fn new(name: &str, on: &str) -> Arc<Pod> {
    pod(name, on, "h2", json!({}))
}

fn unavailable(count: Value) -> Value {
    json!({"updateStrategy": {"rollingUpdate": {"maxUnavailable": count}}})
}

#[test]
fn old_pods_go_as_far_as_the_bound_allows() {
    let all_old = || {
        vec![
            old("a", "n1"),
            old("b", "n2"),
            old("c", "n3"),
            old("d", "n4"),
        ]
    };
    for (bound, expected) in [
        (json!(1), vec!["delete pod/a"]),
        (json!("30%"), vec!["delete pod/a", "delete pod/b"]),
        (json!(0), vec!["delete pod/a"]),
        (
            json!("100%"),
            vec![
                "delete pod/a",
                "delete pod/b",
                "delete pod/c",
                "delete pod/d",
            ],
        ),
    ] {
        assert_eq!(
            planned(&rollout(unavailable(bound), 4, all_old())),
            expected
        );
    }
}

#[test]
fn pods_that_lack_availability_count_against_the_bound_but_may_go_themselves() {
    let going = pod("b", "n2", "h1", deleting());
    for (pods, expected) in [
        // A new pod that is not ready yet, a node whose pod is going: no other may be disturbed.
        (
            vec![pod("a", "n1", "h2", unready()), old("b", "n2")],
            vec![],
        ),
        (vec![old("a", "n1"), going], vec![]),
        // Old ones that are not ready go at once, all of them.
        (
            vec![
                pod("a", "n1", "h1", unready()),
                pod("b", "n2", "h1", unready()),
            ],
            vec![
                "delete pod/a (it is not available)",
                "delete pod/b (it is not available)",
            ],
        ),
        (
            vec![pod("a", "n1", "h1", unready()), old("b", "n2")],
            vec!["delete pod/a (it is not available)"],
        ),
        (vec![new("a", "n1"), old("b", "n2")], vec!["delete pod/b"]),
    ] {
        assert_eq!(planned(&rollout(json!({}), 2, pods)), expected);
    }
}

#[test]
fn a_pod_that_is_not_available_goes_only_as_it_was_seen() {
    // It may have become ready meanwhile, with all the others that the cache does not know of yet.
    let pods = vec![pod("a", "n1", "h1", unready()), old("b", "n2")];
    let world = rollout(unavailable(json!(2)), 2, pods);
    let plan = crate::plan(&world);
    let versions: Vec<_> = plan
        .actions()
        .map(|action| match &action.verb {
            Verb::Delete {
                resource_version, ..
            } => (action.on.name.as_str(), resource_version.as_deref()),
            _ => panic!("{action}"),
        })
        .collect();
    assert_eq!(versions, [("b", None), ("a", Some("7"))]);
}

#[test]
fn missing_pods_come_first_and_old_ones_wait_for_the_next_round() {
    assert_eq!(
        planned(&rollout(json!({}), 2, vec![old("a", "n1")])),
        ["create pod on n2"]
    );
}

#[test]
fn a_new_pod_is_waited_for_until_it_has_been_ready_long_enough() {
    let ready_for = |seconds| {
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": ago(seconds)}]}});
        vec![pod("a", "n1", "h2", ready), old("b", "n2")]
    };
    let slow = || json!({"minReadySeconds": 30});
    assert_eq!(planned(&rollout(slow(), 2, ready_for(10))), ["again in 20"]);
    assert_eq!(
        planned(&rollout(slow(), 2, ready_for(30))),
        ["delete pod/b"]
    );
}

#[test]
fn the_label_of_the_templates_generation_is_as_good_as_the_hash() {
    let labels = json!({"pod-template-generation": "2", "controller-revision-hash": null});
    let pod = pod("a", "n1", "h1", json!({"metadata": {"labels": labels}}));
    assert_eq!(planned(&rollout(json!({}), 1, vec![pod])), [""; 0]);
}

#[test]
fn on_delete_leaves_old_pods_alone_and_makes_new_ones_new() {
    let spec = json!({"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}});
    assert_eq!(
        planned(&rollout(spec, 2, vec![old("a", "n1")])),
        ["create pod on n2"]
    );
}

#[test]
fn surging_pods_come_beside_old_ones_and_these_go_afterwards() {
    type Case = (Value, Vec<Arc<Pod>>, Vec<&'static str>);
    let cases: Vec<Case> = vec![
        (
            json!(1),
            vec![old("a", "n1"), old("b", "n2"), old("c", "n3")],
            vec!["create pod on n1"],
        ),
        (
            json!("50%"),
            vec![old("a", "n1"), old("b", "n2"), old("c", "n3")],
            vec!["create pod on n1", "create pod on n2"],
        ),
        // One is on its way: it counts.
        (
            json!(1),
            vec![
                old("a", "n1"),
                pod("a2", "n1", "h2", unready()),
                old("b", "n2"),
                old("c", "n3"),
            ],
            vec![],
        ),
        // It is available: the old one goes.
        (
            json!(1),
            vec![
                old("a", "n1"),
                new("a2", "n1"),
                old("b", "n2"),
                new("c", "n3"),
            ],
            vec!["delete pod/a"],
        ),
        // An old one that is not available is no reason to wait, nor counts its successor.
        (
            json!(1),
            vec![
                pod("a", "n1", "h1", unready()),
                old("b", "n2"),
                new("c", "n3"),
            ],
            vec!["create pod on n1", "create pod on n2"],
        ),
        // Neither ready: only the new one is kept.
        (
            json!(1),
            vec![
                pod("a", "n1", "h1", unready()),
                pod("a2", "n1", "h2", unready()),
                new("b", "n2"),
                new("c", "n3"),
            ],
            vec!["delete pod/a (it is not available)"],
        ),
        // Of three, one of each kind is kept.
        (
            json!(1),
            vec![
                old("a", "n1"),
                pod("a2", "n1", "h2", unready()),
                pod("a3", "n1", "h2", unready()),
                new("b", "n2"),
                new("c", "n3"),
            ],
            vec!["delete pod/a3"],
        ),
    ];
    for (surge, pods, expected) in cases {
        assert_eq!(
            planned(&rollout(surging(surge), 3, pods.clone())),
            expected,
            "{pods:?}"
        );
    }
}

#[test]
fn with_surge_a_pod_leaves_a_node_that_is_not_its_own_any_more_when_enough_others_are_available() {
    // n3 keeps new pods away, and the one that it has may stay.
    let tainted = node(
        "n3",
        json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}}),
    );
    let decide = |second: Arc<Pod>| {
        let mut all = nodes(2);
        all.push(tainted.clone());
        let mut set = (*set(surging(json!(1)))).clone();
        set.spec.as_mut().unwrap().template = serde_json::from_value(template("v2")).unwrap();
        let revisions = vec![
            revision(1, "h1", "v1", json!({})),
            revision(2, "h2", "v2", json!({})),
        ];
        let pods = vec![new("a", "n1"), second, old("c", "n3")];
        planned(&world(Arc::new(set), &all, pods, revisions))
    };
    assert_eq!(decide(new("b", "n2")), ["delete pod/c"]);
    assert_eq!(decide(pod("b", "n2", "h2", unready())), [""; 0]);
}

#[test]
fn a_pod_on_a_node_that_is_gone_stops_no_rollout() {
    let pods = vec![old("a", "n1"), old("b", "gone")];
    assert_eq!(
        planned(&rollout(surging(json!(1)), 1, pods)),
        ["delete pod/b", "create pod on n1"]
    );
}

#[test]
fn bounds_are_rounded_up_and_one_is_never_zero() {
    for (surge, unavailable, expected) in [
        (json!(0), json!("1%"), (0, 1)),
        (json!("34%"), json!(0), (2, 0)),
        (json!(0), json!(0), (0, 1)),
        (json!(-1), json!(-1), (0, 1)),
        (Value::Null, Value::Null, (0, 1)),
    ] {
        let spec = json!({"updateStrategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}});
        let world = world(set(spec), &nodes(4), vec![], vec![]);
        let (max_surge, max_unavailable) = expected;
        assert_eq!(
            world.settings().unwrap().strategy,
            Strategy::RollingUpdate {
                max_surge,
                max_unavailable
            }
        );
    }
}
