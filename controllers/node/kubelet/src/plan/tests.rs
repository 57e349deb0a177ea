#![allow(clippy::unwrap_used)]

use super::{plan as plan_on, *};
use crate::testing::{at, pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

const HOST: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 1);

fn world<'a>(pod: &'a Pod, profiles: &'a Profiles, seconds: i64) -> World<'a> {
    World {
        pod,
        host: HOST,
        profiles,
        events: false,
        written: None,
        deleted: None,
        now: at(seconds),
    }
}

/// Decides about a pod of a node on which nothing is.
fn plan(world: World<'_>, hollow: &mut Hollow) -> Decision {
    plan_on(world, hollow, &mut Tree::default())
}

fn begin(pod: &Pod) -> Hollow {
    Hollow::begin(pod, Some(Ipv4Addr::new(10, 244, 0, 2)), at(0))
}

/// The pod once the status of the decision has been stored.
fn stored(pod: &Pod, decision: &Decision) -> Pod {
    let mut json = serde_json::to_value(pod).unwrap();
    for action in decision.plan.actions() {
        if let plan::Verb::Patch(_, body) = &action.verb {
            json["status"] = body["status"].clone();
        }
    }
    serde_json::from_value(json).unwrap()
}

/// `patch Running`, `delete`, `note Failed`, `again 5`.
fn show(decision: &Decision) -> String {
    let mut words = Vec::new();
    for action in decision.plan.actions() {
        words.push(match &action.verb {
            plan::Verb::Patch(_, body) => {
                assert_eq!(body["metadata"]["uid"], "u1");
                format!("patch {}", body["status"]["phase"].as_str().unwrap())
            }
            plan::Verb::Delete { grace, .. } => format!("delete grace={}", grace.unwrap()),
            _ => "?".to_owned(),
        });
    }
    words.extend(
        decision
            .plan
            .notes
            .iter()
            .map(|note| format!("note {}", note.reason)),
    );
    let next = decision.next.map(|n| n.as_second() - at(0).as_second());
    words.extend(next.map(|n| format!("again {n}")));
    words.join(", ")
}

fn deleted(pod: &mut Pod, grace: i64, deadline: i64) {
    pod.metadata.deletion_timestamp = Some(Time(at(deadline)));
    pod.metadata.deletion_grace_period_seconds = Some(grace);
}

#[test]
fn one_write_takes_a_pod_to_running_and_ready_and_then_none() {
    let profiles = Profiles::default();
    let pod = pod(json!({}), json!({}));
    let mut hollow = begin(&pod);
    let first = plan(world(&pod, &profiles, 0), &mut hollow);
    assert_eq!(show(&first), "patch Running");
    // The cache does not show it yet.
    let behind = World {
        written: first.writes.map(|print| (print, at(0))),
        ..world(&pod, &profiles, 1)
    };
    assert_eq!(show(&plan(behind, &mut hollow)), "again 10");
    let late = World {
        now: at(10),
        ..behind
    };
    assert_eq!(show(&plan(late, &mut hollow)), "patch Running");
    let pod = stored(&pod, &first);
    assert_eq!(show(&plan(world(&pod, &profiles, 60), &mut hollow)), "");
}

/// The pod's phase in the API and its deletion, then what is decided at 10.
#[test]
fn deletion_ends_the_containers_first() {
    for (name, spec, annotations, running, (grace, deadline), decided) in [
        (
            "stops at once",
            json!({}),
            json!({}),
            true,
            (30, 40),
            "patch Succeeded, delete grace=0",
        ),
        (
            "stops after a while",
            json!({}),
            json!({"stop-after": "20s"}),
            true,
            (30, 40),
            "again 30",
        ),
        (
            "never later than the grace",
            json!({}),
            json!({"stop-after": "1h"}),
            true,
            (30, 40),
            "again 40",
        ),
        (
            "grace is over",
            json!({}),
            json!({"stop-after": "1h"}),
            true,
            (30, 10),
            "patch Succeeded, delete grace=0",
        ),
        (
            "preStop sleep",
            json!({"containers": [{ "name": "main", "image": "a", "lifecycle": { "preStop": { "sleep": { "seconds": 3 } } } }]}),
            json!({}),
            true,
            (30, 40),
            "again 13",
        ),
        (
            "code of the stop",
            json!({}),
            json!({"stop-code": "143"}),
            true,
            (30, 40),
            "patch Failed, delete grace=0",
        ),
        (
            "never started",
            json!({}),
            json!({}),
            false,
            (30, 40),
            "patch Failed, delete grace=0",
        ),
        (
            "force-deleted, held by a finalizer",
            json!({}),
            json!({}),
            true,
            (0, 10),
            "patch Succeeded",
        ),
    ] {
        let keys = annotations.as_object().unwrap().iter();
        let keyed = keys
            .map(|(k, v)| (format!("hollow.corten.dev/{k}"), v.clone()))
            .collect();
        let mut pod = pod(spec, Value::Object(keyed));
        let profiles = Profiles::default();
        let mut hollow = begin(&pod);
        if running {
            let decision = plan(world(&pod, &profiles, 0), &mut hollow);
            pod = stored(&pod, &decision);
        }
        deleted(&mut pod, grace, deadline);
        assert_eq!(
            show(&plan(world(&pod, &profiles, 10), &mut hollow)),
            decided,
            "{name}"
        );
    }
}

#[test]
fn a_terminal_pod_is_only_deleted_and_only_once() {
    let profiles = Profiles::default();
    let mut pod = pod(json!({}), json!({}));
    pod.status.as_mut().unwrap().phase = Some("Succeeded".to_owned());
    assert_eq!(show(&plan_terminal(world(&pod, &profiles, 0))), "");
    deleted(&mut pod, 30, 30);
    assert_eq!(
        show(&plan_terminal(world(&pod, &profiles, 0))),
        "delete grace=0"
    );
    let again = World {
        deleted: Some(at(0)),
        ..world(&pod, &profiles, 1)
    };
    assert_eq!(show(&plan_terminal(again)), "");
}

#[test]
fn failures_are_told() {
    let profiles = Profiles::default();
    for (spec, annotations, decided) in [
        (
            json!({"restartPolicy": "Never"}),
            json!({"exit-code": "1"}),
            "patch Failed",
        ),
        (
            json!({}),
            json!({"exit-code": "1"}),
            "patch Running, note BackOff, again 10",
        ),
        (
            json!({}),
            json!({"fail-image": "true"}),
            "patch Pending, note Failed, note Failed, note BackOff, again 2",
        ),
        (
            json!({"containers": [{ "name": "main", "image": "!" }]}),
            json!({}),
            "patch Pending, note InspectFailed, note Failed",
        ),
    ] {
        let keys = annotations.as_object().unwrap().iter();
        let keyed = keys
            .map(|(k, v)| (format!("hollow.corten.dev/{k}"), v.clone()))
            .collect();
        let pod = pod(spec, Value::Object(keyed));
        let decision = plan(world(&pod, &profiles, 0), &mut begin(&pod));
        assert_eq!(show(&decision), decided, "{annotations}");
    }
    let pod = pod(json!({}), json!({}));
    let mut refused = Hollow::refuse(
        &pod,
        "OutOfcpu".to_owned(),
        "Pod was rejected: x".to_owned(),
        at(0),
    );
    let decision = plan(world(&pod, &profiles, 0), &mut refused);
    assert_eq!(show(&decision), "patch Failed, note OutOfcpu");
}

#[test]
fn events_of_normal_life_are_asked_for() {
    let profiles = Profiles::default();
    let pod = pod(json!({}), json!({}));
    let asked = World {
        events: true,
        ..world(&pod, &profiles, 0)
    };
    let decision = plan(asked, &mut begin(&pod));
    assert_eq!(
        show(&decision),
        "patch Running, note Pulled, note Created, note Started"
    );
}

#[test]
fn a_script_ends_as_its_trap_says_or_is_killed_after_its_grace() {
    let profiles = Profiles::default();
    for (script, shots) in [
        (
            "trap 'sleep 5; exit 143' TERM; while true; do sleep 1; done",
            ["patch Running", "again 106", "patch Failed, delete grace=0"],
        ),
        (
            "sleep 1000",
            ["patch Running, again 1000", "again 130", "again 130"],
        ),
    ] {
        let container =
            json!([{ "name": "main", "image": "busybox", "command": ["sh", "-c", script] }]);
        let mut pod = pod(json!({ "containers": container }), json!({}));
        let mut hollow = begin(&pod);
        let first = plan(world(&pod, &profiles, 0), &mut hollow);
        let mut shown = vec![show(&first)];
        pod = stored(&pod, &first);
        deleted(&mut pod, 30, 130);
        for second in [101, 106] {
            shown.push(show(&plan(world(&pod, &profiles, second), &mut hollow)));
        }
        assert_eq!(shown, shots, "{script}");
    }
}
