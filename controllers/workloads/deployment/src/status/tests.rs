#![allow(clippy::unwrap_used, clippy::panic)]

use crate::annotations::REVISION;
use crate::tests::kit::{Case, NOW, rs, time};
use ::plan::{Cause, Done, Failure, Outcome};
use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus};
use objects::meta;

fn condition(status: &DeploymentStatus, type_: &str) -> Option<DeploymentCondition> {
    status
        .conditions
        .iter()
        .flatten()
        .find(|c| c.type_ == type_)
        .cloned()
}

/// `True Reason: message`, or nothing.
fn told(status: &DeploymentStatus, type_: &str) -> String {
    condition(status, type_).map_or_else(String::new, |c| {
        format!("{} {}: {}", c.status, c.reason.unwrap(), c.message.unwrap())
    })
}

fn rolling() -> Case {
    let case = Case::new(10).surge(3).unavailable(2).template("v2");
    case.rs(rs("old", "v1", 8).has(9, 8))
        .rs(rs("new", "v2", 5).has(5, 1))
}

fn created(case: &Case) -> Outcome {
    let plan = case.plan();
    let on = plan.actions().next().unwrap().on.clone();
    let done = Done {
        on,
        verb: "create",
        version: None,
    };
    Outcome {
        done: vec![done],
        ..Outcome::default()
    }
}

fn refused(case: &Case, cause: Cause) -> Outcome {
    let plan = case.plan();
    let on = plan.actions().next().unwrap().on.clone();
    let message = "no".to_owned();
    let failure = Failure {
        on,
        verb: "create",
        cause,
        message,
    };
    Outcome {
        failures: vec![failure],
        ..Outcome::default()
    }
}

#[test]
fn counts_are_sums() {
    let status = rolling().status();
    assert_eq!(status.observed_generation, Some(2));
    assert_eq!(status.replicas, Some(14));
    assert_eq!(status.updated_replicas, Some(5));
    assert_eq!(status.ready_replicas, Some(9));
    assert_eq!(status.available_replicas, Some(9));
    assert_eq!(status.unavailable_replicas, Some(4));
    assert_eq!(status.collision_count, None);
    // One that was looked at and does not count its ending pods makes the sum unknown.
    assert_eq!(status.terminating_replicas, None);
    let ending = |n| rs("a", "v1", 1).terminating(n);
    let case = Case::new(1)
        .rs(ending(2))
        .rs(rs("b", "v2", 0).terminating(1));
    assert_eq!(case.status().terminating_replicas, Some(3));
    let more = Case::new(1).rs(rs("a", "v1", 1).has(3, 3));
    assert_eq!(more.status().unavailable_replicas, None);
}

#[test]
fn availability() {
    for (available, expected) in [
        (
            8,
            "True MinimumReplicasAvailable: Deployment has minimum availability.",
        ),
        (
            7,
            "False MinimumReplicasUnavailable: Deployment does not have minimum availability.",
        ),
    ] {
        let case = Case::new(10)
            .surge(3)
            .unavailable(2)
            .rs(rs("a", "v1", 10).has(10, available));
        assert_eq!(told(&case.status(), "Available"), expected);
        let all = case.recreate();
        assert!(told(&all.status(), "Available").starts_with("False"));
    }
}

#[test]
fn progress() {
    let case = |status, reason, ago| rolling().progressing(status, reason, ago);
    let progressing = |case: Case| told(&case.status(), "Progressing");
    let nothing_new = [14, 5, 9, 9];
    assert_eq!(
        progressing(rolling().counted(nothing_new)),
        "True FoundNewReplicaSet: Found new replica set \"web-new\""
    );
    for older in [[14, 4, 9, 9], [15, 5, 9, 9], [14, 5, 8, 9], [14, 5, 9, 8]] {
        assert_eq!(
            progressing(case("True", "NewReplicaSetCreated", 700).counted(older)),
            "True ReplicaSetUpdated: ReplicaSet \"web-new\" is progressing."
        );
    }
    for (reason, ago, expected) in [
        ("ReplicaSetUpdated", 600, "True ReplicaSetUpdated: "),
        (
            "ReplicaSetUpdated",
            601,
            "False ProgressDeadlineExceeded: ReplicaSet \"web-new\" has timed out progressing.",
        ),
        (
            "NewReplicaSetAvailable",
            9999,
            "True NewReplicaSetAvailable: ",
        ),
    ] {
        assert_eq!(
            progressing(case("True", reason, ago).counted(nothing_new)),
            expected
        );
    }
    let complete = Case::new(1).rs(rs("new", "v1", 1).has(1, 1));
    assert_eq!(
        progressing(complete.progressing("True", "ReplicaSetUpdated", 9)),
        "True NewReplicaSetAvailable: ReplicaSet \"web-new\" has successfully progressed."
    );
    let endless = case("True", "ReplicaSetUpdated", 9999);
    let endless = endless.set(|spec| spec.progress_deadline_seconds = Some(i32::MAX));
    assert_eq!(progressing(endless), "");
}

#[test]
fn times_of_a_condition() {
    let older = [14, 4, 9, 9];
    let same = rolling()
        .progressing("True", "ReplicaSetUpdated", 50)
        .counted(older)
        .status();
    let same = condition(&same, "Progressing").unwrap();
    assert_eq!(same.last_update_time, Some(time(NOW)));
    assert_eq!(same.last_transition_time, Some(time(NOW - 50)));
    let other = rolling()
        .progressing("False", "ProgressDeadlineExceeded", 50)
        .counted(older);
    let other = condition(&other.status(), "Progressing").unwrap();
    assert_eq!(other.last_transition_time, Some(time(NOW)));
}

#[test]
fn pods_that_fail_after_the_rollout_are_no_rollout() {
    let case = Case::new(2).rs(rs("new", "v1", 2).has(2, 1));
    let case = case
        .progressing("True", "NewReplicaSetAvailable", 9999)
        .counted([2, 2, 0, 0]);
    assert!(told(&case.status(), "Progressing").starts_with("True NewReplicaSetAvailable"));
}

#[test]
fn pause_and_resume() {
    let progressing = |case: Case| told(&case.status(), "Progressing");
    let paused = || rolling().paused().counted([14, 5, 9, 9]);
    assert_eq!(
        progressing(paused().progressing("True", "ReplicaSetUpdated", 9999)),
        "Unknown DeploymentPaused: Deployment is paused"
    );
    let late = paused().progressing("False", "ProgressDeadlineExceeded", 1);
    assert!(progressing(late).starts_with("False ProgressDeadlineExceeded"));
    let resumed = rolling()
        .counted([14, 5, 9, 9])
        .progressing("Unknown", "DeploymentPaused", 9999);
    assert_eq!(
        progressing(resumed),
        "Unknown DeploymentResumed: Deployment is resumed"
    );
}

#[test]
fn a_new_rollout_is_told() {
    let case = Case::new(3).annotated(REVISION, "7").template("v2");
    let case = case
        .rs(rs("old", "v1", 3).has(3, 3).revision("7"))
        .counted([3, 3, 3, 3]);
    let case = case.progressing("True", "NewReplicaSetAvailable", 9999);
    let next = case.status_after(&created(&case)).unwrap();
    assert_eq!(meta::annotation(&next.metadata, REVISION), Some("8"));
    let progressing = told(&next.status.unwrap(), "Progressing");
    let name = &case.plan().actions().next().unwrap().on.name.clone();
    assert_eq!(
        progressing,
        format!("True NewReplicaSetCreated: Created new replica set {name:?}")
    );
    // The same if that status was never written: the ReplicaSet is there with a revision that is not shown.
    let case = case.rs(rs("new", "v2", 0).revision("8"));
    let next = case.status_after(&Outcome::default()).unwrap();
    assert_eq!(meta::annotation(&next.metadata, REVISION), Some("8"));
    assert!(told(&next.status.unwrap(), "Progressing").starts_with("True NewReplicaSetCreated"));
}

#[test]
fn a_revision_is_shown_when_the_replica_set_has_it() {
    let case = Case::new(3)
        .annotated(REVISION, "2")
        .rs(rs("a", "v1", 0).revision("1"));
    let case = case.rs(rs("b", "v2", 3).has(3, 3).revision("2"));
    let shown = |outcome: &Outcome| {
        let next = case.status_after(outcome).unwrap();
        meta::annotation(&next.metadata, REVISION)
            .unwrap()
            .to_owned()
    };
    assert_eq!(shown(&Outcome::default()), "2");
    let on = case.plan().actions().next().unwrap().on.clone();
    let done = Done {
        on,
        verb: "update",
        version: None,
    };
    assert_eq!(
        shown(&Outcome {
            done: vec![done],
            ..Outcome::default()
        }),
        "3"
    );
}

#[test]
fn a_refused_replica_set_is_told() {
    let case = Case::new(3);
    let name = &case.plan().actions().next().unwrap().on.name.clone();
    let status = |cause| {
        case.status_after(&refused(&case, cause))
            .unwrap()
            .status
            .unwrap()
    };
    for cause in [Cause::Forbidden, Cause::Invalid, Cause::Transient] {
        let expected =
            format!("False ReplicaSetCreateError: Failed to create new replica set {name:?}: no");
        assert_eq!(told(&status(cause), "Progressing"), expected);
    }
    assert_eq!(
        told(&status(Cause::NamespaceTerminating), "Progressing"),
        ""
    );
}

#[test]
fn a_taken_name_is_counted_once() {
    let case = Case::new(3);
    let status = |case: &Case, outcome: &Outcome| {
        case.status_after(outcome)
            .unwrap()
            .status
            .unwrap()
            .collision_count
    };
    let outcome = refused(&case, Cause::AlreadyExists);
    assert_eq!(status(&case, &outcome), Some(1));
    // Seen beforehand: nothing is sent.
    let name = case.plan().actions().next().unwrap().on.name.clone();
    let foreign = rs(name.trim_start_matches("web-"), "v9", 1)
        .orphan()
        .labelled("app", "x");
    let taken = case.rs(foreign);
    assert_eq!(taken.told(), Vec::<String>::new());
    assert_eq!(status(&taken, &Outcome::default()), Some(1));
    let next = taken.status_after(&Outcome::default()).unwrap();
    let free = taken.with_status(next);
    assert_eq!(free.told(), ["create 0 to 3"]);
    assert_ne!(free.plan().actions().next().unwrap().on.name, name);
    assert!(free.status_after(&Outcome::default()).is_none());
}

#[test]
fn failures_of_replica_sets_are_passed_on() {
    let case = |old, new| Case::new(3).template("v2").rs(old).rs(new);
    let good = |name, image| rs(name, image, 1);
    let failing = |name, image| rs(name, image, 1).failing("FailedCreate");
    for (case, expected) in [
        (case(good("a", "v1"), good("b", "v2")), ""),
        (
            case(failing("a", "v1"), good("b", "v2")),
            "True FailedCreate: FailedCreate of web-a",
        ),
        (
            case(failing("a", "v1"), failing("b", "v2")),
            "True FailedCreate: FailedCreate of web-b",
        ),
    ] {
        assert_eq!(told(&case.status(), "ReplicaFailure"), expected);
    }
}

#[test]
fn one_that_is_being_deleted_keeps_its_counts() {
    let status = rolling().deleting().status();
    assert_eq!(status.replicas, Some(14));
    assert_eq!(told(&status, "Progressing"), "");
}
