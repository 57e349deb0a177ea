#![allow(clippy::unwrap_used)]

use crate::machines::Machines;
use crate::plan::{Whereabouts, World, plan, surplus};
use ::plan::Verb;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};
use std::sync::Arc;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);
const THERE: Whereabouts = Whereabouts::There {
    out_of_service: false,
};
const OUT: Whereabouts = Whereabouts::There {
    out_of_service: true,
};

fn at(seconds: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(seconds)
}

fn missing(seconds: i64, confirmed: bool) -> Whereabouts {
    let since = at(-seconds);
    Whereabouts::Missing { since, confirmed }
}

fn pod(phase: &str) -> Value {
    json!({
        "metadata": { "name": "p", "namespace": "shop", "uid": "u", "generation": 3 },
        "status": { "phase": phase },
    })
}

fn deleted(phase: &str) -> Value {
    let mut pod = pod(phase);
    pod["metadata"]["deletionTimestamp"] = at(30).to_string().into();
    pod["metadata"]["deletionGracePeriodSeconds"] = 30.into();
    pod
}

fn typed(pod: Value) -> Arc<Pod> {
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn world(pod: Value, node: Whereabouts) -> World {
    World {
        pod: typed(pod),
        node,
        surplus: false,
        now: NOW,
    }
}

/// The plan in one line, without what is written into a status.
fn text(world: &World) -> String {
    let text = plan(world).1.to_string();
    let lines = text.lines().map(|line| match line.split_once(" {") {
        Some((write, body)) => format!("{write} {}", body.rsplit("} ").next().unwrap_or_default()),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join(", ")
}

#[test]
fn the_pods_that_go_are_those_that_nobody_else_can_remove() {
    let nothing = "nothing to do";
    for (pod, node, wanted) in [
        (pod("Running"), THERE, nothing),
        (deleted("Running"), THERE, nothing),
        (pod("Running"), OUT, nothing),
        (
            deleted("Succeeded"),
            OUT,
            "delete pod/p grace=0s (out-of-service)",
        ),
        (
            deleted("Running"),
            OUT,
            "patch pod/p/status (out-of-service), delete pod/p grace=0s (out-of-service)",
        ),
        (pod("Pending"), Whereabouts::Nowhere, nothing),
        (
            deleted("Pending"),
            Whereabouts::Nowhere,
            "patch pod/p/status (unscheduled), delete pod/p grace=0s (unscheduled)",
        ),
        (
            deleted("Failed"),
            Whereabouts::Nowhere,
            "delete pod/p grace=0s (unscheduled)",
        ),
        (pod("Running"), missing(10, false), "again in 30.000s"),
        (pod("Running"), missing(40, false), "again in 0.100s"),
        (
            pod("Running"),
            missing(40, true),
            "patch pod/p/status (orphaned), delete pod/p grace=0s (orphaned)",
        ),
        (
            pod("Succeeded"),
            missing(40, true),
            "delete pod/p grace=0s (orphaned)",
        ),
        (
            pod("Running"),
            Whereabouts::Replaced { since: at(-39) },
            "again in 1.000s",
        ),
        (
            pod("Running"),
            Whereabouts::Replaced { since: at(-40) },
            "patch pod/p/status (orphaned), delete pod/p grace=0s (orphaned)",
        ),
    ] {
        let what = format!("{pod} {node:?}");
        let text = text(&world(pod, node));
        let text = if text.is_empty() { nothing } else { &text };
        assert_eq!(text, wanted, "{what}");
    }
}

#[test]
fn only_the_incarnation_that_was_seen_is_deleted_and_at_once() {
    let (_, plan) = plan(&world(deleted("Failed"), Whereabouts::Nowhere));
    let action = plan.actions().next().unwrap();
    assert_eq!(action.on.uid, "u");
    assert!(matches!(action.verb, Verb::Delete { grace: Some(0), .. }));
}

#[test]
fn an_orphan_says_why_it_goes() {
    let (_, plan) = plan(&world(pod("Running"), missing(41, true)));
    let Verb::Patch(_, body) = &plan.actions().next().unwrap().verb else {
        unreachable!("the first action is the patch");
    };
    assert_eq!(
        *body,
        json!({
            "metadata": { "uid": "u" },
            "status": {
                "phase": "Failed",
                "observedGeneration": 3,
                "conditions": [{
                    "type": "DisruptionTarget",
                    "status": "True",
                    "reason": "DeletionByPodGC",
                    "message": "PodGC: node no longer exists",
                    "lastTransitionTime": "2027-01-15T08:00:00Z",
                    "observedGeneration": 3,
                }],
            },
        })
    );
}

#[test]
fn what_a_finalizer_holds_is_deleted_once() {
    let mut held = deleted("Failed");
    held["metadata"]["deletionGracePeriodSeconds"] = 0.into();
    assert_eq!(text(&world(held, Whereabouts::Nowhere)), "");
}

#[test]
fn a_node_is_out_of_service_if_it_is_tainted_and_not_ready() {
    let node = |ready: &str, taint: &str| -> Node {
        serde_json::from_value(json!({
            "spec": { "taints": [{ "key": taint, "effect": "NoExecute" }] },
            "status": { "conditions": [{ "type": "Ready", "status": ready }] },
        }))
        .unwrap()
    };
    let key = "node.kubernetes.io/out-of-service";
    for (ready, taint, wanted) in [
        ("True", key, THERE),
        ("False", key, OUT),
        ("Unknown", key, OUT),
        ("Unknown", "node.kubernetes.io/unreachable", THERE),
    ] {
        assert_eq!(
            Whereabouts::of(&node(ready, taint)),
            wanted,
            "{ready} {taint}"
        );
    }
    assert_eq!(Whereabouts::of(&Node::default()), THERE);
}

#[test]
fn of_pods_that_have_ended_the_evicted_and_the_oldest_go() {
    // `NAME STATE HOUR`: what it is, and when it was made.
    let made = |text: &str| {
        let [name, state, hour] = text.split(' ').collect::<Vec<_>>()[..] else {
            unreachable!("{text}")
        };
        let created = NOW + SignedDuration::from_hours(hour.parse().unwrap());
        let (phase, reason) = match state {
            "Evicted" => ("Failed", Some(state)),
            "going" => ("Failed", None),
            _ => (state, None),
        };
        let mut pod = json!({
            "metadata": { "name": name, "creationTimestamp": created.to_string() },
            "status": { "phase": phase, "reason": reason },
        });
        if state == "going" {
            pod["metadata"]["deletionTimestamp"] = NOW.to_string().into();
        }
        typed(pod)
    };
    for (pods, threshold, wanted) in [
        ("a Failed 1, b Succeeded 2, c Failed 3", 1, "a b"),
        ("c Failed 3, b Succeeded 2, a Failed 1", 2, "a"),
        ("a Failed 1, b Succeeded 2", 0, ""),
        ("a Failed 1, b Succeeded 2", 5, ""),
        ("a Running 1, b Succeeded 2, c Failed 3", 1, "b"),
        ("a Failed 1, b Succeeded 2, c Evicted 3", 1, "c a"),
        ("b Failed 1, a Failed 1", 1, "a"),
        ("a going 1, b Failed 2", 1, ""),
    ] {
        let names = surplus(pods.split(", ").map(made).collect(), threshold);
        let names: Vec<_> = names
            .iter()
            .map(|p| p.metadata.name.clone().unwrap())
            .collect();
        assert_eq!(names.join(" "), wanted, "{pods}");
    }
}

#[test]
fn a_pod_that_is_too_many_goes_if_it_has_ended() {
    let mut many = world(pod("Succeeded"), THERE);
    many.surplus = true;
    assert_eq!(text(&many), "delete pod/p grace=0s (terminated)");
    let mut lives = world(pod("Running"), THERE);
    lives.surplus = true;
    assert_eq!(text(&lives), "");
}

fn node(machine: &str, provider: &str, created: i64) -> Node {
    let info = json!({
        "architecture": "", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "",
        "kubeletVersion": "", "machineID": "", "operatingSystem": "", "osImage": "", "systemUUID": machine,
    });
    serde_json::from_value(json!({
        "metadata": { "name": "n", "creationTimestamp": at(created).to_string() },
        "spec": { "providerID": provider },
        "status": { "nodeInfo": info },
    }))
    .unwrap()
}

/// kubernetes#141365: a node of the same name that is another machine must not inherit the pods.
#[test]
fn another_machine_of_the_same_name_does_not_inherit_pods() {
    let bound = |seconds: i64| {
        let mut pod = pod("Running");
        pod["status"]["conditions"] = json!([{ "type": "PodScheduled", "status": "True", "lastTransitionTime": at(seconds).to_string() }]);
        typed(pod)
    };
    for (before, after, replaced) in [
        (node("a", "", 0), node("b", "", 20), true),
        (node("a", "x", 0), node("a", "y", 20), true),
        // The same machine registers again: what runs on it runs on.
        (node("a", "x", 0), node("A", "x", 20), false),
        // Nobody can tell.
        (node("", "", 0), node("b", "", 20), false),
    ] {
        let mut machines = Machines::default();
        assert!(!machines.is_there("n", &before));
        machines.went("n", &before, at(10));
        assert!(
            !machines.is_there("n", &node("", "", 20)),
            "it has not said yet"
        );
        assert_eq!(machines.is_there("n", &after), replaced);
        let went = replaced.then(|| at(10));
        assert_eq!(machines.left_behind("n", &bound(5)), went);
        assert_eq!(machines.left_behind("n", &bound(21)), None);
        machines.retain(|_| false);
        assert_eq!(machines.left_behind("n", &bound(5)), None);
    }
}

#[test]
fn a_node_is_missing_since_it_went_or_was_first_missed() {
    let mut machines = Machines::default();
    assert_eq!(machines.missing_since("n", at(0)), at(0));
    assert_eq!(machines.missing_since("n", at(9)), at(0));
    machines.is_there("n", &node("a", "", 0));
    machines.went("n", &node("a", "", 0), at(20));
    assert_eq!(machines.missing_since("n", at(30)), at(20));
}

#[test]
fn removals_and_failures_are_counted_by_namespace_and_reason() {
    use ::plan::{Cause, Failure, Outcome};
    let measured = |outcome: &Outcome, world: &World| -> Vec<String> {
        let (reason, _) = plan(world);
        let samples = crate::metrics::measure("shop", reason.unwrap(), outcome);
        samples.iter().map(ToString::to_string).collect()
    };
    let line = |name: &str, reason: &str| {
        format!(
            r#"pod_gc_collector_force_delete_{name}_total{{namespace="shop",reason="{reason}"}} 1"#
        )
    };
    let orphan = world(pod("Running"), missing(60, true));
    assert_eq!(
        measured(&Outcome::default(), &orphan),
        [line("pods", "orphaned")]
    );
    let out = world(deleted("Running"), OUT);
    let refused = Outcome {
        failures: vec![Failure {
            on: ::plan::Reference::to(&*out.pod),
            verb: "delete",
            cause: Cause::Forbidden,
            message: String::new(),
        }],
        ..Outcome::default()
    };
    assert_eq!(
        measured(&refused, &out),
        [
            line("pods", "out-of-service"),
            line("pod_errors", "out-of-service")
        ]
    );
}
