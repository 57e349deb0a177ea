//! The CronJob controller. Nobody waits for a time to come: the status is made to say that the last one was long ago,
//! and what was missed since is made up for. Jobs are `managedBy` nobody and end when a test says so.

use anyhow::{Context, Result, ensure};
use cluster::{Namespace, Outcome, eventually, upstream_fails, with_namespace};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::ResourceExt;
use serde_json::{Value, json};
use std::time::Duration;

fn cronjob(schedule: &str, more: Value) -> Value {
    let mut manifest = json!({
        "metadata": { "name": "bell" },
        "spec": {
            "schedule": schedule,
            "suspend": true,
            "jobTemplate": {
                "metadata": { "labels": { "app": "bell" }, "annotations": { "tone": "deep" } },
                "spec": {
                    "managedBy": "example.com/nobody",
                    "template": { "spec": {
                        "restartPolicy": "Never",
                        "containers": [{ "name": "main", "image": "registry.k8s.io/pause:3.10" }],
                    } },
                },
            },
        },
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        manifest["spec"][field] = value.clone();
    }
    manifest
}

fn text(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn ago(seconds: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_secs(seconds)
}

/// The last full hour.
fn hour() -> Timestamp {
    let second = Timestamp::now().as_second();
    Timestamp::from_second(second - second % 3600).unwrap()
}

/// A time an hour, the last one half an hour ago.
fn half_past() -> String {
    let minute = ago(30 * 60).to_zoned(TimeZone::UTC).minute();
    format!("{minute} * * * *")
}

/// Lets a CronJob begin whose last time was `last`.
async fn begin(ns: &Namespace, manifest: Value, last: Timestamp) -> Result<CronJob> {
    ns.create::<CronJob>(manifest).await?;
    ns.merge_status::<CronJob>("bell", json!({ "lastScheduleTime": text(last) }))
        .await?;
    ns.merge("bell", json!({ "spec": { "suspend": false } }))
        .await
}

/// Makes the minute that passes due. Upstream puts off a changed schedule, but not another change.
async fn minutely(ns: &Namespace) -> Result<()> {
    ns.merge::<CronJob>("bell", json!({ "spec": { "schedule": "* * * * *" } }))
        .await?;
    ns.merge::<CronJob>(
        "bell",
        json!({ "metadata": { "labels": { "again": "now" } } }),
    )
    .await?;
    Ok(())
}

async fn end(ns: &Namespace, job: &str, how: &str) -> Result<()> {
    let now = text(Timestamp::now());
    let condition =
        |kind: &str| json!({ "type": kind, "status": "True", "lastTransitionTime": now });
    let before = match how {
        "Complete" => "SuccessCriteriaMet",
        _ => "FailureTarget",
    };
    let mut status = json!({ "startTime": now, "conditions": [condition(before), condition(how)] });
    if how == "Complete" {
        status["completionTime"] = json!(now);
    }
    ns.merge_status::<Job>(job, status).await?;
    Ok(())
}

async fn one_job(ns: &Namespace) -> Result<Job> {
    let one = |jobs: &[Job]| jobs.len() == 1;
    let mut jobs = ns.until_all::<Job>("app=bell", "is one", one).await?;
    Ok(jobs.remove(0))
}

fn active(bell: &CronJob) -> Vec<String> {
    let active = bell.status.as_ref().and_then(|s| s.active.clone());
    let names = active.unwrap_or_default().into_iter();
    names.filter_map(|reference| reference.name).collect()
}

fn last(bell: &CronJob) -> Option<Timestamp> {
    Some(bell.status.as_ref()?.last_schedule_time.as_ref()?.0)
}

#[test]
fn the_last_time_that_was_missed_is_made_up_for_and_no_other() -> Outcome {
    with_namespace("cj-missed", async |ns| {
        // A quarter to, in Nepal, is the full hour.
        let nepal = json!({ "timeZone": "Asia/Kathmandu" });
        let bell = begin(&ns, cronjob("45 * * * *", nepal), ago(5 * 3600)).await?;
        let job = one_job(&ns).await?;
        let name = format!("bell-{}", hour().as_second() / 60);
        ensure!(job.name_any() == name, "{} and not {name}", job.name_any());
        let owner = &job.owner_references()[0];
        ensure!(owner.kind == "CronJob" && owner.api_version == "batch/v1");
        ensure!(Some(&owner.uid) == bell.metadata.uid.as_ref());
        ensure!(owner.controller == Some(true) && owner.block_owner_deletion == Some(true));
        // 5:45 ahead of UTC, and said so.
        let local = hour() + SignedDuration::from_mins(5 * 60 + 45);
        let scheduled = local.strftime("%Y-%m-%dT%H:%M:%S+05:45").to_string();
        let annotations = job.annotations();
        ensure!(
            annotations.get("batch.kubernetes.io/cronjob-scheduled-timestamp") == Some(&scheduled),
            "{annotations:?}"
        );
        ensure!(annotations.get("tone").is_some_and(|tone| tone == "deep"));
        let said = |bell: &CronJob| active(bell) == [name.clone()] && last(bell) == Some(hour());
        ns.until("bell", "says so", said).await?;
        let made = ns
            .event("bell", "SuccessfulCreate", &format!("Created job {name}"))
            .await?;
        let source = made.source.and_then(|s| s.component);
        ensure!(
            source.as_deref() == Some("cronjob-controller"),
            "{source:?}"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
        one_job(&ns).await?;
        Ok(())
    })
}

#[test]
fn many_missed_times_are_warned_of() -> Outcome {
    with_namespace("cj-many", async |ns| {
        // kubernetes#42649: more than a hundred were once the end of a CronJob.
        begin(&ns, cronjob("* * * * *", json!({})), ago(150 * 60)).await?;
        ns.until_all::<Job>("app=bell", "are there", |jobs| !jobs.is_empty())
            .await?;
        ns.event("bell", "TooManyMissedTimes", "too many missed start times")
            .await?;
        Ok(())
    })
}

#[test]
fn the_end_of_a_job_is_seen() -> Outcome {
    with_namespace("cj-ends", async |ns| {
        begin(&ns, cronjob("0 * * * *", json!({})), ago(2 * 3600)).await?;
        let job = one_job(&ns).await?.name_any();
        ns.until::<CronJob>("bell", "has it", |bell| active(bell).len() == 1)
            .await?;
        end(&ns, &job, "Complete").await?;
        let text = format!("Saw completed job: {job}, condition: Complete");
        ns.event("bell", "SawCompletedJob", &text).await?;
        let done = |bell: &CronJob| {
            let status = bell.status.as_ref();
            active(bell).is_empty() && status.is_some_and(|s| s.last_successful_time.is_some())
        };
        ns.until("bell", "has none, and a success", done).await?;
        Ok(())
    })
}

#[test]
fn a_job_that_goes_missing_is_told() -> Outcome {
    with_namespace("cj-missing", async |ns| {
        begin(&ns, cronjob("0 * * * *", json!({})), ago(2 * 3600)).await?;
        let job = one_job(&ns).await?.name_any();
        ns.until::<CronJob>("bell", "has it", |bell| active(bell).len() == 1)
            .await?;
        let background = kube::api::DeleteParams::background();
        ns.api::<Job>()
            .delete(&job, &background)
            .await
            .context("delete")?;
        ns.event(
            "bell",
            "MissingJob",
            &format!("Active job went missing: {job}"),
        )
        .await?;
        ns.until::<CronJob>("bell", "has none", |bell| active(bell).is_empty())
            .await?;
        Ok(())
    })
}

#[test]
fn under_forbid_the_next_job_waits_for_the_one_that_runs() -> Outcome {
    with_namespace("cj-forbid", async |ns| {
        let forbid = json!({ "concurrencyPolicy": "Forbid" });
        begin(&ns, cronjob(&half_past(), forbid), ago(2 * 3600)).await?;
        let first = one_job(&ns).await?.name_any();
        ns.until::<CronJob>("bell", "has it", |bell| active(bell).len() == 1)
            .await?;
        minutely(&ns).await?;
        let text = "prior execution is running and concurrency policy is Forbid";
        ns.event("bell", "JobAlreadyActive", text).await?;
        one_job(&ns).await?;
        end(&ns, &first, "Failed").await?;
        let next = |bell: &CronJob| active(bell).len() == 1 && active(bell) != [first.clone()];
        ns.until("bell", "has the next", next).await?;
        Ok(())
    })
}

#[test]
fn under_replace_the_next_job_ends_the_one_that_runs() -> Outcome {
    with_namespace("cj-replace", async |ns| {
        let replace = json!({ "concurrencyPolicy": "Replace" });
        begin(&ns, cronjob(&half_past(), replace), ago(2 * 3600)).await?;
        let first = one_job(&ns).await?.name_any();
        ns.until::<CronJob>("bell", "has it", |bell| active(bell).len() == 1)
            .await?;
        minutely(&ns).await?;
        let text = format!("Deleted job {first}");
        ns.event("bell", "SuccessfulDelete", &text).await?;
        let next = |bell: &CronJob| active(bell).len() == 1 && active(bell) != [first.clone()];
        ns.until("bell", "has the next", next).await?;
        let is_gone = |jobs: &[Job]| jobs.iter().all(|job| job.name_any() != first);
        ns.until_all("app=bell", "are others", is_gone).await?;
        Ok(())
    })
}

#[test]
fn old_jobs_go_and_the_newest_stay() -> Outcome {
    with_namespace("cj-history", async |ns| {
        let limits = json!({ "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 0 });
        let bell = ns.create::<CronJob>(cronjob("0 * * * *", limits)).await?;
        for (name, how) in [("a", "Complete"), ("b", "Failed"), ("c", "Complete")] {
            let mut job = cronjob("", json!({}))["spec"]["jobTemplate"].clone();
            job["metadata"]["name"] = json!(name);
            ns.create::<Job>(job).await?;
            end(&ns, name, how).await?;
            // They are told apart by the second in which they started.
            tokio::time::sleep(Duration::from_millis(1100)).await;
        }
        let owner = json!([{
            "apiVersion": "batch/v1", "kind": "CronJob", "name": "bell", "uid": bell.metadata.uid, "controller": true,
        }]);
        for name in ["a", "b", "c"] {
            let owned = json!({ "metadata": { "ownerReferences": owner } });
            ns.merge::<Job>(name, owned).await?;
        }
        let newest = |jobs: &[Job]| jobs.len() == 1 && jobs[0].name_any() == "c";
        ns.until_all("app=bell", "are the newest", newest).await?;
        ns.event("bell", "SuccessfulDelete", "Deleted job a")
            .await?;
        Ok(())
    })
}

#[test]
fn a_job_made_by_hand_is_told_and_does_not_count() -> Outcome {
    with_namespace("cj-manual", async |ns| {
        let bell = ns
            .create::<CronJob>(cronjob("0 * * * *", json!({})))
            .await?;
        let mut job = cronjob("", json!({}))["spec"]["jobTemplate"].clone();
        job["metadata"]["name"] = json!("by-hand");
        job["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "batch/v1", "kind": "CronJob", "name": "bell", "uid": bell.metadata.uid, "controller": true,
        }]);
        ns.create::<Job>(job).await?;
        let text = "Saw a job that the controller did not create or forgot: by-hand";
        ns.event("bell", "UnexpectedJob", text).await?;
        ensure!(active(&ns.get::<CronJob>("bell").await?).is_empty());
        Ok(())
    })
}

#[test]
fn a_time_that_never_comes_is_told_and_not_waited_for() -> Outcome {
    with_namespace("cj-never", async |ns| {
        let mut manifest = cronjob("0 0 31 2 *", json!({}));
        manifest["spec"]["suspend"] = json!(false);
        ns.create::<CronJob>(manifest).await?;
        ns.event("bell", "InvalidSchedule", "invalid schedule: 0 0 31 2 *")
            .await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let counts = ns.events("bell").await?;
        let counts: i32 = counts.iter().filter_map(|event| event.count).sum();
        ensure!(counts <= 2, "told {counts} times");
        ensure!(ns.list::<Job>("").await?.is_empty());
        Ok(())
    })
}

/// Upstream guesses the last missed time from the distance of the first two, and finds none here.
#[test]
fn the_last_time_of_an_uneven_schedule_is_made_up_for() -> Outcome {
    let outcome = with_namespace("cj-uneven", async |ns| {
        let then = ago(3 * 3600).to_zoned(TimeZone::UTC).hour();
        let schedule = format!("* {then} * * *");
        begin(&ns, cronjob(&schedule, json!({})), ago(30 * 3600)).await?;
        let job = one_job(&ns).await?;
        let minute: i64 = job.name_any().trim_start_matches("bell-").parse()?;
        ensure!(
            minute % 60 == 59,
            "the last minute of the hour, not {minute}"
        );
        Ok(())
    });
    upstream_fails("its guess", "is one", outcome)
}

/// Upstream counts `@every` from the deadline, so it is always still to come.
#[test]
fn a_deadline_shorter_than_the_rhythm_does_not_stop_it() -> Outcome {
    let outcome = with_namespace("cj-every", async |ns| {
        let deadline = json!({ "startingDeadlineSeconds": 600 });
        begin(&ns, cronjob("@every 2h", deadline), ago(2 * 3600 + 30)).await?;
        one_job(&ns).await?;
        Ok(())
    });
    upstream_fails("its sum", "is one", outcome)
}

/// Upstream's nanoseconds overflow at 292 years.
#[test]
fn a_deadline_of_centuries_is_a_deadline() -> Outcome {
    let outcome = with_namespace("cj-centuries", async |ns| {
        let deadline = json!({ "startingDeadlineSeconds": 10_000_000_000_i64 });
        begin(&ns, cronjob("0 * * * *", deadline), ago(2 * 3600)).await?;
        one_job(&ns).await?;
        Ok(())
    });
    upstream_fails("its overflow", "is one", outcome)
}

#[test]
fn a_quota_that_refuses_is_told_and_tried_again() -> Outcome {
    with_namespace("cj-quota", async |ns| {
        use k8s_openapi::api::core::v1::ResourceQuota;
        let hard = json!({ "count/jobs.batch": "1" });
        let quota = json!({ "metadata": { "name": "q" }, "spec": { "hard": hard } });
        ns.create::<ResourceQuota>(quota).await?;
        let full = json!({ "hard": hard, "used": { "count/jobs.batch": "1" } });
        ns.merge_status::<ResourceQuota>("q", full).await?;
        // Admission sees the quota through a watch of its own.
        eventually("the quota is in force", async || {
            let mut probe = cronjob("", json!({}))["spec"]["jobTemplate"].clone();
            probe["metadata"] = json!({ "name": "probe" });
            let refused = ns.create::<Job>(probe).await;
            if refused.is_ok() {
                let background = kube::api::DeleteParams::background();
                ns.api::<Job>().delete("probe", &background).await?;
            }
            ensure!(refused.is_err(), "a Job could be created");
            Ok(())
        })
        .await?;
        begin(&ns, cronjob("0 * * * *", json!({})), ago(2 * 3600)).await?;
        ns.event("bell", "FailedCreate", "Error creating job: ")
            .await?;
        let room =
            json!({ "hard": { "count/jobs.batch": "5" }, "used": { "count/jobs.batch": "0" } });
        ns.merge::<ResourceQuota>("q", json!({ "spec": { "hard": room["hard"] } }))
            .await?;
        ns.merge_status::<ResourceQuota>("q", room).await?;
        one_job(&ns).await?;
        Ok(())
    })
}
