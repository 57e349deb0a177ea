use super::kit::*;
use crate::{Spec, World, plan};
use ::plan::Verb;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;

/// What is planned for the DaemonSet with `spec`, its template on record.
fn decide(
    spec: Value,
    nodes: &[Arc<k8s_openapi::api::core::v1::Node>],
    pods: Vec<Arc<Pod>>,
) -> Vec<String> {
    planned(&world(set(spec), nodes, pods, recorded()))
}

fn created(world: &World) -> Vec<Pod> {
    let plan = plan(world);
    let pods = plan.actions().filter_map(|action| match &action.verb {
        Verb::Create(object) => object.read::<Pod>(),
        _ => None,
    });
    pods.collect()
}

#[test]
fn each_node_without_a_pod_gets_one() {
    let pods = vec![fresh("a", "n2")];
    assert_eq!(
        decide(json!({}), &nodes(3), pods),
        ["create pod on n1", "create pod on n3"]
    );
    let pods = vec![fresh("a", "n1"), fresh("b", "n2")];
    assert_eq!(decide(json!({}), &nodes(2), pods), [""; 0]);
}

#[test]
fn a_pod_is_bound_by_affinity_labelled_and_tolerant() {
    let spec = json!({"template": {"spec": {"affinity": {"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]},
        ]},
        "preferredDuringSchedulingIgnoredDuringExecution": [],
    }}}}});
    let world = world(set(spec), &nodes(1), vec![], vec![]);
    let pods = created(&world);
    let pod = serde_json::to_value(&pods[0]).unwrap();
    let affinity = &pod["spec"]["affinity"]["nodeAffinity"];
    assert_eq!(
        affinity["requiredDuringSchedulingIgnoredDuringExecution"],
        json!({"nodeSelectorTerms": [{"matchFields": [
            {"key": "metadata.name", "operator": "In", "values": ["n1"]},
        ]}]})
    );
    assert_eq!(
        pod["metadata"]["labels"],
        json!({"app": "logs", "pod-template-generation": "1", "controller-revision-hash": world.revisions.hash})
    );
    assert_eq!(pod["metadata"]["generateName"], "logs-");
    assert_eq!(pod["metadata"]["ownerReferences"], json!([owner()]));
    assert_eq!(pod["spec"]["tolerations"].as_array().unwrap().len(), 6);
}

#[test]
fn names_differ_by_node_and_predecessor_and_are_the_same_for_whoever_sees_the_same() {
    let mut seen = world(set(json!({})), &nodes(300), vec![], recorded());
    let names = |world: &World| -> Vec<String> {
        created(world)
            .into_iter()
            .filter_map(|pod| pod.metadata.name)
            .collect()
    };
    let first = names(&seen);
    assert_eq!(first, names(&seen));
    assert_eq!(first.iter().collect::<HashSet<_>>().len(), 300);
    seen.predecessors.insert("n1".into(), "uid-before".into());
    let second = names(&seen);
    assert_ne!(first[0], second[0]);
    assert_eq!(first[1..], second[1..]);
    // A name that somebody of ours has is not asked for again.
    let there = pod(&first[0], "elsewhere", "h1", json!({}));
    let third = names(&world(set(json!({})), &nodes(2), vec![there], recorded()));
    assert_ne!(third[0], first[0]);
}

#[test]
fn where_no_pod_belongs_there_is_none() {
    let tainted = |effect: &str| {
        let taint = json!({"key": "k", "effect": effect});
        node("n1", json!({"spec": {"taints": [taint]}}))
    };
    for (node, there, expected) in [
        (tainted("NoSchedule"), false, vec![]),
        (tainted("NoSchedule"), true, vec![]),
        (tainted("NoExecute"), false, vec![]),
        (tainted("NoExecute"), true, vec!["delete pod/a"]),
        (tainted("PreferNoSchedule"), false, vec!["create pod on n1"]),
    ] {
        let pods = if there {
            vec![fresh("a", "n1")]
        } else {
            vec![]
        };
        assert_eq!(
            decide(json!({}), std::slice::from_ref(&node), pods),
            expected,
            "{node:?}"
        );
    }
    let selecting = json!({"template": {"spec": {"nodeSelector": {"gpu": "yes"}}}});
    let with = node("n1", json!({"metadata": {"labels": {"gpu": "yes"}}}));
    let revisions = vec![];
    let plan = planned(&world(
        set(selecting),
        &[with, node("n2", json!({}))],
        vec![fresh("b", "n2")],
        revisions,
    ));
    assert_eq!(
        plan,
        ["create revision", "delete pod/b", "create pod on n1"]
    );
}

#[test]
fn of_several_pods_on_a_node_the_one_that_was_there_first_stays() {
    let pods = vec![
        pod(
            "young",
            "n1",
            "h1",
            json!({"metadata": {"creationTimestamp": ago(10)}}),
        ),
        pod("old", "n1", "h1", json!({})),
        // Not bound yet, but made for the node.
        pod(
            "oldest",
            "n1",
            "h1",
            json!({
                "metadata": {"creationTimestamp": ago(900)},
                "spec": {"nodeName": null, "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}],
                }}}},
            }),
        ),
        pod("going", "n1", "h1", deleting()),
    ];
    assert_eq!(
        decide(json!({}), &nodes(1), pods),
        ["delete pod/young", "delete pod/oldest"]
    );
}

#[test]
fn a_pod_on_its_way_out_holds_its_place_until_it_has_ended() {
    let going = pod("a", "n1", "h1", deleting());
    assert_eq!(decide(json!({}), &nodes(1), vec![going.clone()]), [""; 0]);
    let mut ended = (*going).clone();
    ended.status.as_mut().unwrap().phase = Some("Failed".into());
    assert_eq!(
        decide(json!({}), &nodes(1), vec![Arc::new(ended)]),
        ["create pod on n1"]
    );
    // With surge, it does not hold it at all.
    assert_eq!(
        planned(&world(
            set(surging(json!(1))),
            &nodes(1),
            vec![going],
            recorded()
        )),
        ["create pod on n1"]
    );
}

#[test]
fn ended_pods_are_deleted_and_told_of() {
    let pods = vec![
        pod("f", "n1", "h1", phase("Failed")),
        pod("s", "n2", "h1", phase("Succeeded")),
    ];
    assert_eq!(
        decide(json!({}), &nodes(2), pods),
        [
            "delete pod/f",
            "delete pod/s",
            "FailedDaemonPod: Found failed daemon pod shop/f on node n1, will try to kill it",
            "SucceededDaemonPod: Found succeeded daemon pod shop/s on node n2, will try to delete it",
        ]
    );
}

#[test]
fn a_failed_pod_that_waits_is_left_alone_with_or_without_surge() {
    for spec in [json!({}), surging(json!(1))] {
        let mut world = world(
            set(spec),
            &nodes(1),
            vec![pod("f", "n1", "h1", phase("Failed"))],
            recorded(),
        );
        let until = now() + jiff::SignedDuration::from_secs(8);
        world.waiting.insert("uid-f".into(), until);
        assert_eq!(planned(&world), ["again in 8"]);
    }
}

#[test]
fn pods_that_wait_for_a_node_that_is_gone_are_deleted() {
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["gone"]}]}],
    }}});
    let waits = json!({"spec": {"nodeName": null, "affinity": affinity}, "status": {"phase": "Pending", "conditions": []}});
    let pods = vec![
        pod("a", "gone", "h1", waits),
        fresh("b", "gone"),
        fresh("c", "n1"),
    ];
    let plan = decide(json!({}), &nodes(1), pods);
    assert_eq!(plan, ["delete pod/a"]);
}

#[test]
fn orphans_that_match_are_adopted_and_strangers_released() {
    let orphan = pod(
        "a",
        "n1",
        "h1",
        json!({"metadata": {"ownerReferences": null}}),
    );
    let stranger = pod(
        "b",
        "n2",
        "h1",
        json!({"metadata": {"labels": {"app": "other"}}}),
    );
    let others = pod(
        "c",
        "n2",
        "h1",
        json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "other", "controller": true}]}}),
    );
    assert_eq!(
        decide(json!({}), &nodes(2), vec![orphan, stranger, others]),
        [
            "patch pod/a (it matches and is nobody's)",
            "patch pod/b (it does not match any more)",
            "create pod on n2",
        ]
    );
}

#[test]
fn a_set_that_is_being_deleted_does_nothing() {
    let mut going = (*set(json!({}))).clone();
    going.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    let world = world(Arc::new(going), &nodes(3), vec![], vec![]);
    assert!(plan(&world).is_empty());
    assert!(crate::status(&world, &::plan::Outcome::default()).is_none());
}

#[test]
fn bad_specs_say_which_field_and_do_nothing() {
    for (spec, field) in [
        (
            json!({"selector": {"matchExpressions": [{"key": "app", "operator": "Near"}]}}),
            "spec.selector",
        ),
        (
            json!({"updateStrategy": {"rollingUpdate": {"maxSurge": "many"}}}),
            "spec.updateStrategy.rollingUpdate.maxSurge",
        ),
        (
            json!({"updateStrategy": {"rollingUpdate": {"maxUnavailable": "5"}}}),
            "spec.updateStrategy.rollingUpdate.maxUnavailable",
        ),
        (
            json!({"updateStrategy": {"type": "Sideways"}}),
            "spec.updateStrategy.type",
        ),
    ] {
        let world = world(set(spec), &nodes(2), vec![], vec![]);
        let plan = planned(&world);
        assert_eq!(plan.len(), 1, "{plan:?}");
        assert!(
            plan[0].starts_with(&format!("InvalidSpec: {field}: ")),
            "{plan:?}"
        );
    }
    let all = world(
        set(json!({"selector": {"matchLabels": null}})),
        &nodes(2),
        vec![],
        vec![],
    );
    assert!(matches!(all.spec, Spec::SelectsAll));
    assert_eq!(
        planned(&all),
        ["SelectingAll: This daemon set is selecting all pods. A non-empty selector is required."]
    );
}

#[test]
fn numbers_without_sense_are_harmless() {
    for (surge, unavailable) in [(-5, -5), (i32::MAX, i32::MAX), (0, 0), (i32::MIN, i32::MAX)] {
        let spec = json!({
            "minReadySeconds": i32::MAX, "revisionHistoryLimit": -3,
            "updateStrategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}},
            "template": template("v2"),
        });
        let pods = vec![fresh("a", "n1"), fresh("b", "n2")];
        let world = world(set(spec), &nodes(3), pods, recorded());
        let plan = plan(&world);
        assert!(plan.len() <= 4, "{plan}");
    }
}

#[test]
fn one_plan_creates_at_most_500_pods() {
    let world = world(set(json!({})), &nodes(1200), vec![], recorded());
    assert_eq!(plan(&world).len(), 500);
}
