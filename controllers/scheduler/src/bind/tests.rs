#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::kit::{at, info, pod};
use plan::Verb;
use serde_json::Value;

#[test]
fn a_binding_names_pod_incarnation_and_node() {
    let action = binding(&info("web", json!({})), "n1");
    assert_eq!(
        (action.on.path().as_str(), action.subresource),
        ("/api/v1/namespaces/ns/pods/web", "binding")
    );
    let Verb::Create(body) = &action.verb else {
        panic!("a binding is created")
    };
    let body: Value = serde_json::from_str(body.json()).unwrap();
    assert_eq!(
        body["metadata"],
        json!({ "name": "web", "namespace": "ns", "uid": "u-web" })
    );
    assert_eq!(body["target"], json!({ "kind": "Node", "name": "n1" }));
    let note = action.note.unwrap();
    assert_eq!(
        (note.reason, note.message.as_str()),
        ("Scheduled", "Successfully assigned ns/web to n1")
    );
}

#[test]
fn the_condition_keeps_its_transition_time_while_it_stays_false() {
    let body = |more| match unschedulable(&info("web", more), "why", Some("n1"), at(0.0)).verb {
        Verb::Patch(PatchType::Strategic, body) => body,
        verb => panic!("{verb:?}"),
    };
    let fresh = body(json!({}));
    assert_eq!(fresh["metadata"]["uid"], "u-web");
    let condition = &fresh["status"]["conditions"][0];
    assert_eq!(condition["type"], "PodScheduled");
    assert_eq!(
        (&condition["status"], &condition["reason"]),
        (&json!("False"), &json!("Unschedulable"))
    );
    assert_eq!(condition["lastTransitionTime"], "1970-01-01T00:16:40Z");

    let old = json!({ "status": { "conditions": [{ "type": "PodScheduled", "status": "False",
        "reason": "SchedulingGated", "lastTransitionTime": "1970-01-01T00:00:01Z" }] } });
    assert_eq!(
        body(old)["status"]["conditions"][0]["lastTransitionTime"],
        "1970-01-01T00:00:01Z"
    );
}

#[test]
fn long_events_are_cut_at_a_character() {
    let long = "ä".repeat(600);
    let message = failed_scheduling(&info("web", json!({})), &long).message;
    assert_eq!((message.len(), message.ends_with("ä ...")), (1024, true));
    assert_eq!(
        failed_scheduling(&info("web", json!({})), "short").message,
        "short"
    );
}

#[test]
fn where_the_pod_is_says_how_the_binding_ended() {
    let on = |node: &str| pod("web", json!({ "spec": { "nodeName": node } }));
    for (live, expected) in [
        (None, Fate::Unbound),
        (Some(pod("web", json!({}))), Fate::Unbound),
        (Some(on("n1")), Fate::Bound),
        (Some(on("n2")), Fate::Elsewhere),
        (
            Some(pod(
                "web",
                json!({ "metadata": { "uid": "another" }, "spec": { "nodeName": "n1" } }),
            )),
            Fate::Unbound,
        ),
    ] {
        assert_eq!(fate(live.as_deref(), "u-web", "n1"), expected);
    }
}
