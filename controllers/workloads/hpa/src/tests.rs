#![allow(clippy::unwrap_used, clippy::panic)]

mod kit;
mod limits;
mod measuring;
mod metrics;
mod past;

use ::plan::{Cause, Failure, Outcome};
use kit::{Scene, condition, scene};
use serde_json::json;

#[test]
fn load_above_the_target_makes_more_replicas() {
    // Three pods use 90 % of what they request and should use 50 %.
    let scene = scene(3).cpu(&[900, 900, 900]);
    assert_eq!(scene.planned(), ["update deployment/anvil/scale"]);
    assert_eq!(scene.replicas(), Some(6));
    let action = scene.plan().actions().next().unwrap().clone();
    let note = action.note.unwrap();
    assert_eq!(note.reason, "SuccessfulRescale");
    assert_eq!(
        note.message,
        "New size: 6; reason: cpu resource utilization (percentage of request) above target"
    );
    assert_eq!(
        action.on.path(),
        "/apis/apps/v1/namespaces/forge/deployments/anvil"
    );
}

#[test]
fn load_near_the_target_changes_nothing() {
    for milli in [455, 500, 545] {
        let scene = scene(3).cpu(&[milli; 3]);
        assert_eq!(scene.replicas(), None, "{milli}");
    }
    assert_eq!(scene(3).cpu(&[570; 3]).replicas(), Some(4));
    assert_eq!(scene(3).cpu(&[300; 3]).replicas(), Some(2));
}

#[test]
fn each_direction_can_have_a_tolerance_of_its_own() {
    let behavior = json!({"behavior": {
        "scaleUp": {"tolerance": "500m"},
        "scaleDown": {"tolerance": "0", "stabilizationWindowSeconds": 0},
    }});
    let scene = || scene(3).spec(behavior.clone());
    assert_eq!(scene().cpu(&[740; 3]).replicas(), None);
    assert_eq!(scene().cpu(&[760; 3]).replicas(), Some(5));
    assert_eq!(scene().cpu(&[320; 3]).replicas(), Some(2));
}

#[test]
fn the_bounds_hold_and_cost_no_look_at_metrics() {
    let above = scene(12);
    assert_eq!(above.replicas(), Some(10));
    assert!(
        above
            .reason()
            .ends_with("reason: Current number of replicas above Spec.MaxReplicas")
    );
    let below = scene(1).spec(json!({"minReplicas": 2}));
    assert_eq!(below.replicas(), Some(2));
    assert!(
        below
            .reason()
            .ends_with("reason: Current number of replicas below Spec.MinReplicas")
    );
    let status = below.status(&Outcome::default()).unwrap();
    assert!(condition(&status, "ScalingActive").is_none());
}

#[test]
fn what_was_scaled_to_nothing_is_left_alone() {
    let scene = scene(0);
    assert_eq!(scene.planned(), [] as [&str; 0]);
    let status = scene.status(&Outcome::default()).unwrap();
    let (holds, reason, message) = condition(&status, "ScalingActive").unwrap();
    assert_eq!(
        (holds.as_str(), reason.as_str()),
        ("False", "ScalingDisabled")
    );
    assert_eq!(
        message,
        "scaling is disabled since the replica count of the target is zero"
    );
}

#[test]
fn the_status_tells_what_was_seen_and_done() {
    let scene = scene(3).cpu(&[900, 900, 900]);
    let hpa = scene.status(&Outcome::default()).unwrap();
    let status = hpa.status.clone().unwrap();
    assert_eq!(
        (status.current_replicas, status.desired_replicas),
        (Some(3), 6)
    );
    assert_eq!(status.last_scale_time.unwrap().0, kit::now());
    let metric = &status.current_metrics.unwrap()[0];
    let current = &metric.resource.as_ref().unwrap().current;
    assert_eq!(current.average_utilization, Some(90));
    assert_eq!(current.average_value.as_ref().unwrap().0, "900m");
    let kinds: Vec<_> = status
        .conditions
        .unwrap()
        .into_iter()
        .map(|c| c.type_)
        .collect();
    assert_eq!(kinds, ["AbleToScale", "ScalingActive", "ScalingLimited"]);
    assert_eq!(
        condition(&hpa, "AbleToScale").unwrap(),
        (
            "True".into(),
            "SucceededRescale".into(),
            "the HPA controller was able to update the target scale to 6".into()
        )
    );
    assert_eq!(
        condition(&hpa, "ScalingActive").unwrap().1,
        "ValidMetricFound"
    );
    assert_eq!(
        condition(&hpa, "ScalingLimited").unwrap().1,
        "DesiredWithinRange"
    );
}

#[test]
fn a_status_that_is_right_is_not_written() {
    let scene = scene(3).cpu(&[500; 3]);
    let hpa = scene.status(&Outcome::default()).unwrap();
    let again = Scene {
        hpa: hpa.into(),
        ..scene
    };
    assert!(again.status(&Outcome::default()).is_none());
}

fn failed(cause: Cause) -> Outcome {
    let scene = scene(3).cpu(&[900; 3]);
    let action = scene.plan().actions().next().unwrap().clone();
    Outcome {
        failures: vec![Failure {
            on: action.on,
            verb: "update",
            cause,
            message: "no".to_owned(),
        }],
        ..Outcome::default()
    }
}

#[test]
fn a_scale_that_cannot_be_written_is_told_and_not_counted() {
    let scene = scene(3).cpu(&[900; 3]);
    let hpa = scene.status(&failed(Cause::Forbidden)).unwrap();
    assert_eq!(
        condition(&hpa, "AbleToScale").unwrap(),
        (
            "False".into(),
            "FailedUpdateScale".into(),
            "the HPA controller was unable to update the target scale: no".into()
        )
    );
    let status = hpa.status.unwrap();
    assert_eq!(status.last_scale_time, None);
    assert_eq!(status.desired_replicas, 3);
    let warning = scene
        .plan()
        .actions()
        .next()
        .unwrap()
        .on_failure
        .clone()
        .unwrap();
    assert_eq!(warning.reason, "FailedRescale");
}

#[test]
fn a_conflict_is_nobodys_business() {
    let scene = scene(3).cpu(&[900; 3]);
    assert!(scene.status(&failed(Cause::Conflict)).is_none());
}

#[test]
fn a_target_that_cannot_be_had_is_told() {
    let scene = scene(3).lost("deployments.apps \"anvil\" not found");
    assert_eq!(
        scene.planned(),
        ["note Warning FailedGetScale: deployments.apps \"anvil\" not found"]
    );
    let hpa = scene.status(&Outcome::default()).unwrap();
    let (holds, reason, message) = condition(&hpa, "AbleToScale").unwrap();
    assert_eq!(
        (holds.as_str(), reason.as_str()),
        ("False", "FailedGetScale")
    );
    assert_eq!(
        message,
        "the HPA controller was unable to get the target's current scale: deployments.apps \"anvil\" not found"
    );
}

#[test]
fn a_scale_without_a_selector_is_told() {
    let scene = scene(3).unclear(crate::world::Unclear::Missing);
    let planned = scene.planned();
    assert_eq!(
        planned[0],
        "note Warning SelectorRequired: selector is required"
    );
    let hpa = scene.status(&Outcome::default()).unwrap();
    let (_, reason, message) = condition(&hpa, "ScalingActive").unwrap();
    assert_eq!(reason, "InvalidSelector");
    assert_eq!(message, "the HPA target's scale is missing a selector");
}

#[test]
fn two_autoscalers_of_the_same_pods_both_stand_still() {
    let names = vec!["{bellows forge}".to_owned(), "{hammer forge}".to_owned()];
    let unclear = crate::world::Unclear::Ambiguous("app=anvil".to_owned(), names);
    let scene = scene(3).cpu(&[900; 3]).unclear(unclear);
    assert_eq!(scene.replicas(), None);
    let hpa = scene.status(&Outcome::default()).unwrap();
    let (_, reason, message) = condition(&hpa, "ScalingActive").unwrap();
    assert_eq!(reason, "AmbiguousSelector");
    assert_eq!(
        message,
        "pods by selector app=anvil are controlled by multiple HPAs: [{bellows forge} {hammer forge}]"
    );
}

#[test]
fn the_next_look_is_a_period_away() {
    let plan = scene(3).cpu(&[500; 3]).plan();
    assert_eq!(plan.again_after, Some(std::time::Duration::from_secs(15)));
}
