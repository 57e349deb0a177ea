#![allow(clippy::unwrap_used, clippy::panic)]

use crate::{Health, World, plan, status};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use std::sync::Arc;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);
const AT: &str = "2027-01-15T08:00:00Z";

fn condition(kind: &str, status: &str) -> Value {
    json!({ "type": kind, "status": status, "reason": "Kubelet" })
}

fn taint(key: &str, effect: &str) -> Value {
    json!({ "key": format!("node.kubernetes.io/{key}"), "effect": effect })
}

/// A node with these conditions and taints.
fn node(conditions: &[(&str, &str)], taints: &[(&str, &str)]) -> Value {
    let conditions: Vec<_> = conditions.iter().map(|(k, s)| condition(k, s)).collect();
    let taints: Vec<_> = taints.iter().map(|(k, e)| taint(k, e)).collect();
    json!({
        "metadata": { "name": "a", "uid": "u", "resourceVersion": "7" },
        "spec": { "taints": taints },
        "status": { "conditions": conditions },
    })
}

fn world(node: Value) -> World {
    World {
        node: Arc::new(serde_json::from_value(node).unwrap()),
        health: Health {
            overdue_at: Some(NOW + jiff::SignedDuration::from_secs(50)),
            signs: true,
            is_new: false,
            disrupted: false,
            opens: Some(Timestamp::MIN),
        },
        silent: false,
        may_taint: false,
        pods: Vec::new(),
        now: NOW,
    }
}

/// The taints of the node afterwards, `key:effect` without the prefix; none if they stay.
fn taints(world: &World) -> Option<Vec<String>> {
    let plan = plan::plan(world);
    let mut bodies = plan.actions().filter_map(|action| match &action.verb {
        ::plan::Verb::Patch(_, body) if body["spec"].is_object() => Some(body.clone()),
        _ => None,
    });
    let body = bodies.next()?;
    let taints = body["spec"]["taints"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let text = |taint: Value| {
        let key = taint["key"].as_str().unwrap_or_default();
        let key = key.trim_start_matches("node.kubernetes.io/");
        format!("{key}:{}", taint["effect"].as_str().unwrap_or_default())
    };
    Some(taints.into_iter().map(text).collect())
}

const GONE: [(&str, &str); 4] = [
    ("Ready", "Unknown"),
    ("MemoryPressure", "Unknown"),
    ("DiskPressure", "Unknown"),
    ("PIDPressure", "Unknown"),
];

#[test]
fn conditions_are_taints_that_keep_new_pods_away() {
    for (conditions, before, after) in [
        (&[("Ready", "True")][..], &[][..], None),
        (
            &[("Ready", "True"), ("MemoryPressure", "True")],
            &[],
            Some(&["memory-pressure:NoSchedule"][..]),
        ),
        (
            &[("Ready", "True"), ("DiskPressure", "True")],
            &[],
            Some(&["disk-pressure:NoSchedule"]),
        ),
        (
            &[("Ready", "True"), ("PIDPressure", "True")],
            &[],
            Some(&["pid-pressure:NoSchedule"]),
        ),
        (
            &[("Ready", "True"), ("NetworkUnavailable", "True")],
            &[],
            Some(&["network-unavailable:NoSchedule"]),
        ),
        (&[("Ready", "False")], &[], Some(&["not-ready:NoSchedule"])),
        (
            &[("Ready", "Unknown")],
            &[],
            Some(&["unreachable:NoSchedule"]),
        ),
        // Swapped, taken away, left alone.
        (
            &[("Ready", "Unknown")],
            &[("not-ready", "NoSchedule")],
            Some(&["unreachable:NoSchedule"]),
        ),
        (
            &[("Ready", "True")],
            &[
                ("not-ready", "NoSchedule"),
                ("memory-pressure", "NoSchedule"),
            ],
            Some(&[]),
        ),
        (
            &[("Ready", "True")],
            &[
                ("memory-pressure", "PreferNoSchedule"),
                ("mine", "NoSchedule"),
            ],
            None,
        ),
        (
            &[("Ready", "True")],
            &[("unschedulable", "NoSchedule"), ("mine", "NoExecute")],
            Some(&["mine:NoExecute"]),
        ),
        // Nobody has said anything.
        (&[], &[], None),
        (&[], &[("not-ready", "NoSchedule")], Some(&[])),
    ] {
        let world = world(node(conditions, before));
        let after = after.map(|list| list.iter().map(|t| (*t).to_owned()).collect());
        assert_eq!(taints(&world), after, "{conditions:?} {before:?}");
    }
}

#[test]
fn a_cordoned_node_is_tainted() {
    let mut cordoned = node(&[("Ready", "True")], &[]);
    cordoned["spec"]["unschedulable"] = true.into();
    let wanted = vec!["unschedulable:NoSchedule".to_owned()];
    assert_eq!(taints(&world(cordoned)), Some(wanted));
}

#[test]
fn pods_go_when_the_zone_lets_them() {
    let no = &["not-ready:NoSchedule"][..];
    let unreachable = &["unreachable:NoSchedule"][..];
    // Ready, silent, may taint, NoExecute taints before, taints after.
    for (ready, silent, may, before, after) in [
        ("False", false, false, None, no),
        (
            "False",
            false,
            true,
            None,
            &["not-ready:NoSchedule", "not-ready:NoExecute"][..],
        ),
        ("Unknown", true, false, None, unreachable),
        (
            "Unknown",
            true,
            true,
            None,
            &["unreachable:NoSchedule", "unreachable:NoExecute"],
        ),
        // It is on its way back.
        ("Unknown", false, true, None, unreachable),
        // What is there follows the condition without delay.
        (
            "Unknown",
            false,
            false,
            Some("not-ready"),
            &["unreachable:NoSchedule", "unreachable:NoExecute"],
        ),
        (
            "False",
            false,
            false,
            Some("unreachable"),
            &["not-ready:NoSchedule", "not-ready:NoExecute"],
        ),
        (
            "Unknown",
            false,
            false,
            Some("unreachable"),
            &["unreachable:NoExecute", "unreachable:NoSchedule"],
        ),
        ("True", false, false, Some("unreachable"), &[]),
        ("True", false, false, Some("not-ready"), &[]),
    ] {
        let conditions = [("Ready", ready), GONE[1], GONE[2], GONE[3]];
        let before: Vec<_> = before.into_iter().map(|key| (key, "NoExecute")).collect();
        let mut world = world(node(&conditions, &before));
        (world.silent, world.may_taint) = (silent, may);
        let found = taints(&world);
        let found: Vec<_> = found.iter().flatten().map(String::as_str).collect();
        assert_eq!(found, after, "{ready} {silent} {may} {before:?}");
    }
}

#[test]
fn no_pod_goes_while_no_node_is_ready() {
    for ready in ["False", "Unknown", "True"] {
        for key in ["not-ready", "unreachable"] {
            let conditions = [("Ready", ready), GONE[1], GONE[2], GONE[3]];
            let mut world = world(node(&conditions, &[(key, "NoExecute")]));
            (world.silent, world.may_taint, world.health.disrupted) = (true, true, true);
            if ready != "Unknown" {
                world.silent = false;
            }
            let found = taints(&world).unwrap();
            assert!(!found.iter().any(|t| t.ends_with("NoExecute")), "{found:?}");
        }
    }
}

#[test]
fn a_taint_is_written_once_and_only_where_nothing_has_changed() {
    let mut world = world(node(&GONE, &[]));
    (world.silent, world.may_taint) = (true, true);
    let text = plan::plan(&world).to_string();
    let patch = format!(
        r#"patch node/a {{"metadata":{{"resourceVersion":"7","uid":"u"}},"spec":{{"taints":[{{"effect":"NoSchedule","key":"node.kubernetes.io/unreachable","timeAdded":"{AT}"}},{{"effect":"NoExecute","key":"node.kubernetes.io/unreachable","timeAdded":"{AT}"}}]}}}} (taints say what conditions say)"#
    );
    assert_eq!(text.lines().next(), Some(patch.as_str()));
}

#[test]
fn a_silent_node_says_so_before_anything_else_is_done() {
    let mut ready = node(&[("Ready", "True"), ("MemoryPressure", "False")], &[]);
    ready["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
    let mut world = world(ready);
    world.silent = true;
    assert_eq!(taints(&world), None);
    let node = status::status(&world).unwrap();
    let conditions = node.status.unwrap().conditions.unwrap();
    let told: Vec<_> = conditions
        .iter()
        .map(|c| {
            let reason = c.reason.as_deref().unwrap_or_default();
            let message = c.message.as_deref().unwrap_or_default();
            format!("{} {} {reason}: {message}", c.type_, c.status)
        })
        .collect();
    assert_eq!(
        told,
        [
            "Ready Unknown NodeStatusUnknown: Kubelet stopped posting node status.",
            "MemoryPressure Unknown NodeStatusUnknown: Kubelet stopped posting node status.",
            "DiskPressure Unknown NodeStatusNeverUpdated: Kubelet never posted node status.",
            "PIDPressure Unknown NodeStatusNeverUpdated: Kubelet never posted node status.",
        ]
    );
    let created = Some(Timestamp::constant(1_767_225_600, 0));
    assert_eq!(
        conditions[2].last_heartbeat_time.as_ref().map(|t| t.0),
        created
    );
    assert_eq!(
        conditions[2].last_transition_time.as_ref().map(|t| t.0),
        Some(NOW)
    );
    assert_eq!(
        status::notes(&world)[0].message,
        "Node a status is now: NodeNotReady"
    );
}

#[test]
fn what_was_said_is_not_said_again() {
    let mut world = world(node(
        &GONE,
        &[("unreachable", "NoSchedule"), ("unreachable", "NoExecute")],
    ));
    world.silent = true;
    assert!(status::status(&world).is_none());
    assert!(plan::plan(&world).is_empty());
    assert!(status::notes(&world).is_empty());
}

#[test]
fn pods_of_a_silent_node_are_not_ready() {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "web", "namespace": "shop", "uid": "p", "resourceVersion": "9" },
    }))
    .unwrap();
    let mut world = world(node(&GONE, &[("unreachable", "NoSchedule")]));
    world.pods = vec![Arc::new(pod)];
    let plan = plan::plan(&world);
    let action = plan.actions().next().unwrap();
    let text = format!(
        r#"patch pod/web/status {{"metadata":{{"resourceVersion":"9","uid":"p"}},"status":{{"conditions":[{{"lastTransitionTime":"{AT}","status":"False","type":"Ready"}}]}}}} (its node is silent)"#
    );
    assert_eq!(action.to_string(), text);
    let note = action.note.as_ref().unwrap();
    assert_eq!(
        (note.reason, note.message.as_str()),
        ("NodeNotReady", "Node is not ready")
    );
}

#[test]
fn old_labels_follow_the_new_ones() {
    for (labels, wanted) in [
        (
            json!({ "kubernetes.io/os": "linux" }),
            Some(json!({ "beta.kubernetes.io/os": "linux" })),
        ),
        (
            json!({ "kubernetes.io/os": "linux", "beta.kubernetes.io/os": "linux" }),
            None,
        ),
        (
            json!({ "kubernetes.io/arch": "arm64", "beta.kubernetes.io/arch": "amd64" }),
            Some(json!({ "beta.kubernetes.io/arch": "arm64" })),
        ),
        (json!({ "beta.kubernetes.io/arch": "amd64" }), None),
        (Value::Null, None),
    ] {
        let mut node = node(&[("Ready", "True")], &[]);
        node["metadata"]["labels"] = labels.clone();
        let plan = plan::plan(&world(node));
        let body = plan.actions().next().map(|action| match &action.verb {
            ::plan::Verb::Patch(_, body) => body["metadata"]["labels"].clone(),
            _ => Value::Null,
        });
        assert_eq!(body, wanted, "{labels}");
    }
}

#[test]
fn a_node_is_looked_at_again_when_something_may_have_changed() {
    let after = |world: &World| plan::plan(world).again_after.unwrap().as_secs();
    let mut ready = world(node(&[("Ready", "True")], &[]));
    assert_eq!(after(&ready), 50);
    ready.health.overdue_at = None;
    assert_eq!(after(&ready), 5);
    let mut waits = world(node(&[("Ready", "False")], &[("not-ready", "NoSchedule")]));
    assert_eq!(after(&waits), 5);
    waits.health.opens = Some(NOW + jiff::SignedDuration::from_secs(2));
    assert_eq!(after(&waits), 2);
    waits.health.opens = None;
    assert_eq!(after(&waits), 5);
}

#[test]
fn a_new_node_is_announced() {
    let mut world = world(node(&[("Ready", "True")], &[]));
    world.health.is_new = true;
    let text = plan::plan(&world).to_string();
    let wanted = "note Normal RegisteredNode: Node a event: Registered Node a in Controller";
    assert_eq!(text.lines().next(), Some(wanted));
}

#[test]
fn time_goes_on_when_one_taint_takes_the_place_of_the_other() {
    let mut node = node(
        &GONE,
        &[("unreachable", "NoSchedule"), ("not-ready", "NoExecute")],
    );
    node["spec"]["taints"][1]["timeAdded"] = "2027-01-15T07:00:00Z".into();
    let plan = plan::plan(&world(node)).to_string();
    let taint = r#"{"effect":"NoExecute","key":"node.kubernetes.io/unreachable","timeAdded":"2027-01-15T07:00:00Z"}"#;
    assert!(plan.contains(taint), "{plan}");
}

#[test]
fn a_node_that_loses_its_pods_is_counted_once_it_is_written() {
    use ::plan::{Outcome, Turn};
    let labels = json!({ "labels": {
        "topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "z",
    } });
    let mut node = node(&GONE, &[]);
    node["metadata"]["labels"] = labels["labels"].clone();
    let mut world = world(node);
    let measured = |world: &World, success: bool| -> Vec<String> {
        let plan = plan::plan(world);
        let outcome = Outcome::default();
        let turn = Turn {
            success,
            took: std::time::Duration::from_millis(4),
            ..Turn::new(&plan, &outcome, NOW)
        };
        let samples = crate::metrics::measure(world, &turn);
        samples.iter().map(ToString::to_string).collect()
    };
    let took = "node_collector_update_node_health_duration_seconds 0.004";
    assert_eq!(measured(&world, true), [took]);
    world.may_taint = true;
    let evicted = r#"node_collector_evictions_total{zone="r:\0:z"} 1"#;
    assert_eq!(measured(&world, true), [took, evicted]);
    assert_eq!(measured(&world, false), [took]);
}
