#![allow(clippy::unwrap_used, clippy::panic)]

use crate::{CronJobController, SCHEDULED, World};
use ::plan::{Done, Outcome, Reference, Turn, Verb};
use jiff::{SignedDuration, Timestamp};
use json_patch::merge;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use runtime::{Controller, Moment};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Thursday, noon, and half a second.
const NOW: &str = "2026-01-01T12:00:00.500Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn ago(seconds: i64) -> String {
    (now() - SignedDuration::from_secs(seconds))
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// Every hour, created a minute before the last one.
fn cronjob(more: Value) -> Arc<CronJob> {
    let mut cronjob = json!({
        "metadata": {"name": "bell", "namespace": "church", "uid": "cj-1", "creationTimestamp": ago(60)},
        "spec": {
            "schedule": "0 * * * *",
            "concurrencyPolicy": "Allow",
            "jobTemplate": {
                "metadata": {"labels": {"tone": "deep"}, "annotations": {"ringer": "quasimodo"}},
                "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}}},
            },
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 1,
        },
    });
    merge(&mut cronjob, &more);
    Arc::new(serde_json::from_value(cronjob).unwrap())
}

/// The Job that was made for a time so many seconds ago.
fn job(seconds: i64, more: Value) -> Arc<Job> {
    let time: Timestamp = ago(seconds).parse().unwrap();
    let name = format!("bell-{}", time.as_second() / 60);
    let mut job = json!({
        "metadata": {
            "name": name, "namespace": "church", "uid": format!("uid-{seconds}"), "resourceVersion": "7",
            "annotations": {SCHEDULED: ago(seconds)},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": "bell", "uid": "cj-1", "controller": true}],
        },
        "spec": {"template": {}},
        "status": {"startTime": ago(seconds)},
    });
    merge(&mut job, &more);
    Arc::new(serde_json::from_value(job).unwrap())
}

fn ended(how: &str, seconds: i64) -> Value {
    let mut status = json!({"conditions": [{"type": how, "status": "True"}]});
    if how == "Complete" {
        status["completionTime"] = ago(seconds).into();
    }
    json!({"status": status})
}

fn active(job: &Job) -> Value {
    let meta = &job.metadata;
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "namespace": "church", "name": meta.name, "uid": meta.uid,
        "resourceVersion": "7",
    })
}

fn world(cronjob: Arc<CronJob>, jobs: Vec<Arc<Job>>) -> World {
    World::new(
        cronjob,
        jobs,
        Moment {
            now: now(),
            seed: 7,
        },
    )
}

fn planned(world: &World) -> Vec<String> {
    let plan = CronJobController::plan(world).to_string();
    plan.lines().map(str::to_owned).collect()
}

/// The plan but for the time of the next look.
fn done(world: &World) -> Vec<String> {
    let mut lines = planned(world);
    lines.retain(|line| !line.starts_with("again"));
    lines
}

fn status_of(world: &World, outcome: &Outcome) -> Option<Value> {
    let object = CronJobController::status(world, outcome)?;
    Some(serde_json::to_value(&object.read::<CronJob>()?.status).unwrap())
}

const NOON: &str = "create job/bell-29454480";

#[test]
fn the_job_of_a_time_says_for_which_time_it_is() {
    let zoned = json!({"spec": {"timeZone": "Asia/Kathmandu", "schedule": "45 17 * * *"}});
    let plan = CronJobController::plan(&world(cronjob(zoned), vec![]));
    let action = plan.actions().next().unwrap();
    let Verb::Create(object) = &action.verb else {
        panic!("{plan}");
    };
    let job = serde_json::to_value(object.read::<Job>().unwrap()).unwrap();
    assert_eq!(
        job,
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "name": "bell-29454480", "namespace": "church", "labels": {"tone": "deep"},
                "annotations": {"ringer": "quasimodo", SCHEDULED: "2026-01-01T17:45:00+05:45"},
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": "bell", "uid": "cj-1", "controller": true, "blockOwnerDeletion": true}],
            },
            "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}}},
        })
    );
    let note = action.note.as_ref().unwrap();
    assert_eq!(
        (note.reason, &*note.message),
        ("SuccessfulCreate", "Created job bell-29454480")
    );
}

#[test]
fn when_it_is_due() {
    let spec = |more: Value| json!({"spec": more});
    let since = |seconds: i64| json!({"status": {"lastScheduleTime": ago(seconds)}});
    let both = |mut a: Value, b: Value| {
        merge(&mut a, &b);
        a
    };
    let created = |seconds: i64| json!({"metadata": {"creationTimestamp": ago(seconds)}});
    let noon = vec![NOON];
    let many = "note Warning TooManyMissedTimes: too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
    let minutely = || spec(json!({"schedule": "* * * * *"}));
    for (name, more, expected) in [
        ("at its time", json!({}), noon.clone()),
        (
            "not before it",
            spec(json!({"schedule": "1 12 * * *"})),
            vec![],
        ),
        (
            "not for the time before it was made",
            spec(json!({"schedule": "59 11 * * *"})),
            vec![],
        ),
        ("not twice", since(0), vec![]),
        ("not when the clock was set back", since(-600), vec![]),
        (
            "for the last time that was missed, and no other",
            since(5 * 3600),
            noon.clone(),
        ),
        (
            "with a warning where there were many (CJ-1)",
            both(minutely(), since(101 * 60)),
            vec![NOON, many],
        ),
        (
            "without one for a hundred",
            both(minutely(), since(100 * 60)),
            noon.clone(),
        ),
        (
            "without one where a deadline bounds them",
            both(
                both(minutely(), since(101 * 60)),
                spec(json!({"startingDeadlineSeconds": 60})),
            ),
            noon.clone(),
        ),
        (
            "after a long suspension (CJ-3)",
            both(created(900_000), spec(json!({"suspend": false}))),
            vec![NOON, many],
        ),
        (
            "not while suspended",
            spec(json!({"suspend": true})),
            vec![],
        ),
        (
            "on the clocks of its zone",
            spec(json!({"schedule": "0 7 * * *", "timeZone": "America/New_York"})),
            noon.clone(),
        ),
        (
            "within the second of a deadline of none (CJ-4)",
            spec(json!({"startingDeadlineSeconds": 0})),
            noon.clone(),
        ),
        (
            "for the last minute of an uneven schedule",
            both(created(43_200), spec(json!({"schedule": "* 0 * * *"}))),
            vec!["create job/bell-29453819"],
        ),
        (
            "at its rhythm under a shorter deadline",
            both(
                created(7200),
                spec(json!({"schedule": "@every 2h", "startingDeadlineSeconds": 10})),
            ),
            noon.clone(),
        ),
        (
            "under a deadline of centuries",
            spec(json!({"startingDeadlineSeconds": 10_000_000_000_i64})),
            noon.clone(),
        ),
        (
            "under the longest deadline",
            spec(json!({"startingDeadlineSeconds": i64::MAX})),
            noon.clone(),
        ),
        (
            "not when it is being deleted",
            json!({"metadata": {"deletionTimestamp": ago(1)}}),
            vec![],
        ),
    ] {
        let mut expected = expected;
        expected.sort_unstable();
        let mut found = done(&world(cronjob(more), vec![]));
        found.sort_unstable();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_deadline_that_is_over_is_told() {
    let late = json!({"spec": {"schedule": "55 11 * * *", "startingDeadlineSeconds": 200}, "metadata": {"creationTimestamp": ago(3600)}});
    assert_eq!(
        done(&world(cronjob(late), vec![])),
        [
            "note Warning MissSchedule: Missed scheduled time to start a job: Thu, 01 Jan 2026 11:55:00 +0000"
        ]
    );
}

#[test]
fn a_schedule_that_is_wrong_is_told_and_not_looked_at_again() {
    for (spec, event) in [
        (
            json!({"schedule": "0 0 31 2 *"}),
            "InvalidSchedule: invalid schedule: 0 0 31 2 * : time difference between two schedules is less than 1 second",
        ),
        (
            json!({"schedule": "60 * * * *"}),
            "UnparseableSchedule: unparseable schedule: \"60 * * * *\" : end of range (60) above maximum (59): 60",
        ),
        (
            json!({"schedule": ""}),
            "UnparseableSchedule: unparseable schedule: \"\" : empty spec string",
        ),
        (
            json!({"timeZone": "Mars/Olympus"}),
            "UnknownTimeZone: invalid timeZone: \"Mars/Olympus\": unknown time zone Mars/Olympus",
        ),
        (
            json!({"timeZone": "../etc"}),
            "UnknownTimeZone: invalid timeZone: \"../etc\": time: invalid location name",
        ),
    ] {
        let lines = planned(&world(cronjob(json!({"spec": spec})), vec![]));
        assert_eq!(lines, [format!("note Warning {event}")]);
    }
}

#[test]
fn a_zone_in_the_schedule_is_warned_of_and_obeyed() {
    let old = json!({"spec": {"schedule": "TZ=Europe/Berlin 0 13 * * *"}});
    let lines = done(&world(cronjob(old), vec![]));
    assert_eq!(lines[0], NOON);
    assert!(
        lines[1]
            .starts_with("note Warning UnsupportedSchedule: CRON_TZ or TZ used in schedule \"TZ="),
        "{lines:?}"
    );
}

#[test]
fn it_looks_again_at_the_next_time_and_once_a_minute() {
    let soon = |schedule: &str, last: i64| {
        let more =
            json!({"spec": {"schedule": schedule}, "status": {"lastScheduleTime": ago(last)}});
        CronJobController::plan(&world(cronjob(more), vec![])).again_after
    };
    assert_eq!(soon("0 * * * *", 0), Some(Duration::from_mins(1)));
    assert_eq!(soon("@every 40s", 30), Some(Duration::from_millis(9600)));
    assert_eq!(soon("* * * * *", 0), Some(Duration::from_millis(59_600)));
}

#[test]
fn what_the_policy_makes_of_a_job_that_runs() {
    let running = job(3600, json!({}));
    let status = json!({"lastScheduleTime": ago(3600), "active": [active(&running)]});
    let delete = format!(
        "delete job/{} (replaced)",
        running.metadata.name.clone().unwrap()
    );
    let forbid = "note Normal JobAlreadyActive: Not starting job because prior execution is running and concurrency policy is Forbid";
    for (policy, expected) in [
        ("Allow", vec![NOON]),
        ("Forbid", vec![forbid]),
        ("Replace", vec![delete.as_str(), NOON]),
    ] {
        let cronjob = cronjob(json!({"spec": {"concurrencyPolicy": policy}, "status": status}));
        assert_eq!(
            done(&world(cronjob, vec![running.clone()])),
            expected,
            "{policy}"
        );
    }
}

#[test]
fn forbid_starts_what_it_put_off_when_the_job_has_ended() {
    let ended = job(3600, ended("Complete", 10));
    let status = json!({"lastScheduleTime": ago(3600), "active": [active(&ended)]});
    let forbid = cronjob(json!({"spec": {"concurrencyPolicy": "Forbid"}, "status": status}));
    let name = ended.metadata.name.clone().unwrap();
    let seen =
        format!("note Normal SawCompletedJob: Saw completed job: {name}, condition: Complete");
    assert_eq!(done(&world(forbid, vec![ended])), [NOON.to_owned(), seen]);
}

#[test]
fn a_job_whose_status_was_not_written_is_not_made_again_and_counts() {
    // CJ-7: killed between the creation and the status.
    let made = job(0, json!({}));
    let status = json!({"lastScheduleTime": ago(3600)});
    let world = world(cronjob(json!({"status": status})), vec![made.clone()]);
    assert_eq!(done(&world), [""; 0]);
    assert_eq!(
        status_of(&world, &Outcome::default()),
        Some(json!({"active": [active(&made)], "lastScheduleTime": ago(0)}))
    );
}

#[test]
fn a_job_that_somebody_made_by_hand_is_told_and_does_not_count() {
    let manual = job(
        1800,
        json!({"metadata": {"name": "bell-manual", "annotations": {"cronjob.kubernetes.io/instantiate": "manual"}}}),
    );
    let forbid = cronjob(json!({"spec": {"concurrencyPolicy": "Forbid"}}));
    let world = world(forbid, vec![manual]);
    let warning = "note Warning UnexpectedJob: Saw a job that the controller did not create or forgot: bell-manual";
    assert_eq!(done(&world), [NOON, warning]);
    assert_eq!(status_of(&world, &Outcome::default()), None);
}

#[test]
fn a_job_that_is_gone_leaves_the_status_once_the_server_says_so() {
    let lost = job(3600, json!({}));
    let status = json!({"lastScheduleTime": ago(3600), "active": [active(&lost)]});
    let forbid = cronjob(json!({"spec": {"concurrencyPolicy": "Forbid"}, "status": status}));
    let mut world = world(forbid, vec![]);
    let lines = done(&world);
    assert!(
        lines[0].contains("JobAlreadyActive"),
        "it may only not have been seen yet: {lines:?}"
    );
    world.gone.insert("uid-3600".to_owned());
    let name = lost.metadata.name.clone().unwrap();
    let missing = format!("note Normal MissingJob: Active job went missing: {name}");
    assert_eq!(done(&world), [NOON.to_owned(), missing]);
    assert_eq!(
        status_of(&world, &Outcome::default()),
        Some(json!({"lastScheduleTime": ago(3600)}))
    );
}

#[test]
fn a_name_that_somebody_else_took_costs_one_time() {
    let mut world = world(cronjob(json!({})), vec![]);
    world.is_taken = true;
    let plan = CronJobController::plan(&world);
    assert_eq!(
        (plan.len(), plan.again_after),
        (0, Some(Duration::from_mins(1)))
    );
    assert!(plan.to_string().contains(
        "note Warning FailedCreate: Error creating job: jobs.batch \"bell-29454480\" already exists"
    ));
}

#[test]
fn schedules_finer_than_a_minute_make_one_job_a_minute() {
    let fine = json!({"spec": {"schedule": "@every 20s"}, "status": {"lastScheduleTime": ago(20)}});
    let this_minute = job(0, json!({"metadata": {"annotations": {SCHEDULED: "?"}}}));
    let lines = done(&world(cronjob(fine), vec![this_minute]));
    assert!(
        lines.iter().all(|line| !line.starts_with("create")),
        "{lines:?}"
    );
}

#[test]
fn old_jobs_go_the_oldest_first() {
    let hours = |n: i64| n * 3600;
    let mut jobs: Vec<_> = (1..=5)
        .map(|n| job(hours(n), ended("Complete", hours(n) - 60)))
        .collect();
    jobs.extend((6..=8).map(|n| job(hours(n), ended("Failed", 0))));
    jobs.push(job(hours(9), json!({"metadata": {"deletionTimestamp": ago(5)}, "status": {"conditions": [{"type": "Failed", "status": "True"}]}})));
    let last = json!({"status": {"lastScheduleTime": ago(0)}});
    let name = |n: usize| jobs[n - 1].metadata.name.clone().unwrap();
    let delete = |n: usize| format!("delete job/{} (history limit)", name(n));
    assert_eq!(
        done(&world(cronjob(last.clone()), jobs.clone())),
        [delete(5), delete(4), delete(8), delete(7)]
    );
    for (limits, deletions) in [
        (
            json!({"successfulJobsHistoryLimit": 0, "failedJobsHistoryLimit": 0}),
            8,
        ),
        (
            json!({"successfulJobsHistoryLimit": -3, "failedJobsHistoryLimit": i32::MAX}),
            5,
        ),
        (
            json!({"successfulJobsHistoryLimit": null, "failedJobsHistoryLimit": null}),
            0,
        ),
        (
            json!({"successfulJobsHistoryLimit": 4, "failedJobsHistoryLimit": 3, "suspend": true}),
            1,
        ),
    ] {
        let mut more = last.clone();
        more["spec"] = limits.clone();
        assert_eq!(
            done(&world(cronjob(more), jobs.clone())).len(),
            deletions,
            "{limits}"
        );
    }
}

#[test]
fn the_only_sign_that_a_time_has_been_is_not_deleted() {
    // It was made and ended before the status could be written.
    let made = job(0, ended("Complete", 0));
    let none = json!({"spec": {"successfulJobsHistoryLimit": 0}, "status": {"lastScheduleTime": ago(3600)}});
    let world = world(cronjob(none), vec![made]);
    assert_eq!(done(&world), [""; 0]);
    let status = status_of(&world, &Outcome::default()).unwrap();
    assert_eq!(
        status,
        json!({"lastScheduleTime": ago(0), "lastSuccessfulTime": ago(0)})
    );
}

#[test]
fn the_status_says_what_was_done() {
    let running = job(3600, json!({}));
    let status = json!({"lastScheduleTime": ago(3600), "active": [active(&running)]});
    let replace = cronjob(json!({"spec": {"concurrencyPolicy": "Replace"}, "status": status}));
    let world = world(replace, vec![running.clone()]);
    let write = |on: &Job, verb, version| Done {
        on: Reference::to(on),
        verb,
        version,
    };
    let made = job(0, json!({}));
    let outcome = Outcome {
        done: vec![
            write(&running, "delete", None),
            write(&made, "create", Some(7)),
        ],
        ..Outcome::default()
    };
    assert_eq!(
        status_of(&world, &outcome),
        Some(json!({"active": [active(&made)], "lastScheduleTime": ago(0)}))
    );
    assert_eq!(
        status_of(&world, &Outcome::default()),
        None,
        "nothing was done"
    );
}

#[test]
fn the_last_success_is_that_of_the_last_job_that_succeeded() {
    let jobs = vec![
        job(7200, ended("Complete", 100)),
        job(3600, ended("Complete", 50)),
        job(1800, ended("Failed", 0)),
        job(
            900,
            json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}}),
        ),
    ];
    let last = json!({"status": {"lastScheduleTime": ago(0), "lastSuccessfulTime": ago(5000)}});
    let status = status_of(&world(cronjob(last), jobs), &Outcome::default()).unwrap();
    assert_eq!(status["lastSuccessfulTime"], json!(ago(50)));
}

#[test]
fn a_status_that_is_right_is_not_written() {
    let running = job(0, json!({}));
    let right = json!({"status": {"lastScheduleTime": ago(0), "active": [active(&running)]}});
    let world = world(cronjob(right), vec![running]);
    assert_eq!(done(&world), [""; 0]);
    assert_eq!(status_of(&world, &Outcome::default()), None);
}

#[test]
fn how_late_a_job_was_made_is_measured() {
    let world = world(cronjob(json!({})), vec![]);
    let plan = CronJobController::plan(&world);
    let measured = |outcome: &Outcome| -> Vec<String> {
        let turn = Turn::new(&plan, outcome, now() + SignedDuration::from_secs(1));
        let samples = CronJobController::measure(&world, &turn);
        samples.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        measured(&Outcome::of(&plan)),
        ["cronjob_controller_job_creation_skew_duration_seconds 1.5"]
    );
    assert!(measured(&Outcome::default()).is_empty(), "none was made");
}
