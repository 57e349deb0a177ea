//! What outlives a process.

use super::kit::{ago, now, scene};
use crate::history::{ANNOTATION, History, written};
use ::plan::Outcome;
use jiff::SignedDuration;
use objects::meta;
use serde_json::{Value, json};

fn rate() -> Value {
    json!({"behavior": {"scaleUp": {"policies": [
        {"type": "Pods", "value": 1, "periodSeconds": 60},
    ]}}})
}

fn status(current: i32, desired: i32, able: &str) -> Value {
    json!({"status": {
        "currentReplicas": current, "desiredReplicas": desired,
        "conditions": [{"type": "AbleToScale", "status": "True", "reason": able}],
    }})
}

#[test]
fn a_scaling_is_written_down_with_the_status() {
    let scene = scene(3).spec(rate()).cpu(&[900; 3]);
    let hpa = scene.status(&Outcome::default()).unwrap();
    assert_eq!(written(&hpa), [(now(), Some(1))]);
    let resumed = History::resumed(&hpa, 4, now());
    assert_eq!(resumed.events, [(now(), Some(1))]);
    assert_eq!(resumed.recommendations, [(now(), 4)]);
}

#[test]
fn without_policies_nothing_is_written_down() {
    let hpa = scene(3).cpu(&[900; 3]).status(&Outcome::default()).unwrap();
    assert_eq!(meta::annotation(&hpa.metadata, ANNOTATION), None);
}

#[test]
fn a_scaling_that_no_status_tells_of_counts() {
    // Killed between the scale and the status: three are known of, four are there.
    let scene = scene(4).spec(rate()).hpa(status(3, 3, "ReadyForNewScale"));
    let resumed = History::resumed(&scene.hpa, 4, now());
    assert_eq!(resumed.events, [(now(), Some(1))]);
    let scene = scene.cpu(&[900; 4]).history(resumed);
    assert_eq!(scene.replicas(), None);
}

#[test]
fn after_a_scaling_the_desired_replicas_are_those_that_are_known() {
    let scene = scene(4).hpa(status(3, 4, "SucceededRescale"));
    assert!(History::resumed(&scene.hpa, 4, now()).events.is_empty());
    assert_eq!(
        History::resumed(&scene.hpa, 3, now()).events,
        [(now(), Some(-1))]
    );
}

#[test]
fn an_autoscaler_that_was_never_looked_at_has_no_past() {
    let scene = scene(3).hpa(json!({"status": null}));
    assert!(History::resumed(&scene.hpa, 4, now()).events.is_empty());
}

#[test]
fn of_what_another_program_did_only_the_last_time_is_known() {
    let scene = scene(3)
        .spec(rate())
        .hpa(status(3, 3, "ReadyForNewScale"))
        .hpa(json!({"status": {"lastScaleTime": ago(30)}}));
    let resumed = History::resumed(&scene.hpa, 3, now());
    assert_eq!(resumed.events, [(ago(30), None)]);
    let later = now() + SignedDuration::from_secs(31);
    assert_eq!(resumed.change(SignedDuration::from_secs(60), now()), None);
    assert_eq!(
        resumed.change(SignedDuration::from_secs(60), later),
        Some(0)
    );
}

#[test]
fn an_annotation_that_cannot_be_read_is_none() {
    for text in [
        "",
        "[",
        "{}",
        "[[\"yesterday\", 1]]",
        "[[\"2026-01-01T00:00:00Z\", 1e99]]",
    ] {
        let scene = scene(3).hpa(json!({"metadata": {"annotations": {ANNOTATION: text}}}));
        assert!(written(&scene.hpa).is_empty(), "{text}");
    }
}

#[test]
fn what_is_out_of_date_is_no_reason_to_write() {
    let scene = scene(3).spec(rate()).cpu(&[500; 3]);
    let mut hpa = scene.status(&Outcome::default()).unwrap();
    let old = serde_json::to_string(&[(ago(100), Some(1))]).unwrap();
    let annotations = hpa.metadata.annotations.get_or_insert_default();
    annotations.insert(ANNOTATION.to_owned(), old);
    let scene = super::Scene {
        hpa: hpa.into(),
        ..scene
    };
    assert!(scene.status(&Outcome::default()).is_none());
}

#[test]
fn where_a_policy_limits_the_pace_the_first_status_comes_before_the_first_scaling() {
    let scene = scene(3).cpu(&[900; 3]).hpa(json!({"status": null}));
    assert_eq!(scene.replicas(), Some(6));
    let scene = scene.spec(rate());
    assert_eq!(scene.plan().to_string(), "again in 0.100s");
    let status = scene.status(&Outcome::default()).unwrap().status.unwrap();
    assert_eq!(
        (status.current_replicas, status.desired_replicas),
        (Some(3), 3)
    );
    assert_eq!(status.last_scale_time, None);
}
