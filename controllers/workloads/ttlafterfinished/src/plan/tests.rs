#![allow(clippy::unwrap_used)]
use super::plan;
use crate::World;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use plan::{Propagation, Verb};
use runtime::Moment;
use serde_json::{Value, json};
use std::sync::Arc;

/// A Job that got a condition at second 1000, looked at later.
fn world(ttl: Value, condition: (&str, &str), now: i64) -> World {
    let (kind, status) = condition;
    let job: Job = serde_json::from_value(json!({
        "metadata": { "name": "pi", "namespace": "maths", "uid": "u1", "resourceVersion": "7" },
        "spec": { "ttlSecondsAfterFinished": ttl, "template": {} },
        "status": { "conditions": [
            { "type": kind, "status": status, "lastTransitionTime": "1970-01-01T00:16:40Z" },
        ] },
    }))
    .unwrap();
    let now = Timestamp::from_second(now).unwrap();
    World {
        job: Arc::new(job),
        moment: Moment { now, seed: 1 },
    }
}

#[test]
fn a_job_goes_when_its_time_is_over_and_not_before() {
    let gone = "delete job/pi (its time after the finish is over)";
    for (ttl, condition, now, wanted) in [
        (json!(10), ("Complete", "True"), 1009, "again in 1.000s"),
        (json!(10), ("Complete", "True"), 1010, gone),
        (json!(10), ("Failed", "True"), 2000, gone),
        (json!(0), ("Complete", "True"), 1000, gone),
        // A clock that is behind: as if it had just finished.
        (json!(10), ("Complete", "True"), 990, "again in 20.000s"),
        (json!(-5), ("Complete", "True"), 1000, gone),
        (json!(null), ("Complete", "True"), 2000, ""),
        (json!(10), ("Complete", "False"), 2000, ""),
        (json!(10), ("SuccessCriteriaMet", "True"), 2000, ""),
        (json!(10), ("FailureTarget", "True"), 2000, ""),
        (json!(10), ("Suspended", "True"), 2000, ""),
    ] {
        let plan = plan(&world(ttl.clone(), condition, now));
        assert_eq!(plan.to_string(), wanted, "{ttl} {condition:?} {now}");
    }
}

#[test]
fn one_version_of_one_job_is_deleted_in_the_foreground() {
    let plan = plan(&world(json!(1), ("Complete", "True"), 2000));
    let action = plan.actions().next().unwrap();
    assert_eq!(action.on.uid, "u1");
    let Verb::Delete {
        propagation,
        resource_version,
        grace: None,
    } = &action.verb
    else {
        unreachable!("{action}");
    };
    assert_eq!(*propagation, Some(Propagation::Foreground));
    assert_eq!(resource_version.as_deref(), Some("7"));
}

#[test]
fn a_job_that_is_going_already_is_left_alone() {
    let mut world = world(json!(1), ("Complete", "True"), 2000);
    let job = Arc::make_mut(&mut world.job);
    job.metadata.deletion_timestamp = job.status.as_ref().unwrap().conditions.as_ref().unwrap()[0]
        .last_transition_time
        .clone();
    assert_eq!(plan(&world).to_string(), "");
}

#[test]
fn how_late_a_job_was_deleted_is_measured() {
    use crate::TtlAfterFinishedController;
    use ::plan::{Cause, Failure, Outcome, Turn};
    use runtime::Controller;
    let world = world(json!(10), ("Complete", "True"), 1011);
    let plan = plan(&world);
    let measured = |outcome: &Outcome| -> Vec<String> {
        let ended = world.moment.now + jiff::SignedDuration::from_millis(500);
        let turn = Turn::new(&plan, outcome, ended);
        let samples = TtlAfterFinishedController::measure(&world, &turn);
        samples.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        measured(&Outcome::of(&plan)),
        ["ttl_after_finished_controller_job_deletion_duration_seconds 1.5"]
    );
    let refused = Outcome {
        failures: vec![Failure {
            on: plan.actions().next().unwrap().on.clone(),
            verb: "delete",
            cause: Cause::Conflict,
            message: String::new(),
        }],
        ..Outcome::default()
    };
    assert!(measured(&refused).is_empty());
}
