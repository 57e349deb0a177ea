//! The Job controller, and the one that deletes Jobs after their time.

use crate::manifest::{IMAGE, pod};
use anyhow::{Result, ensure};
use cluster::{Namespace, Outcome, eventually, upstream_fails, with_namespace};
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// A Job whose pods run for some time (`1s`; for ever if that is empty) and end with this code.
fn job(run_for: &str, code: i32, spec: Value) -> Value {
    let mut annotations = json!({});
    if !run_for.is_empty() {
        annotations["hollow.corten.dev/run-for"] = run_for.into();
        annotations["hollow.corten.dev/exit-code"] = code.to_string().into();
    }
    let mut job = json!({
        "metadata": { "name": "pi" },
        "spec": { "template": {
            "metadata": { "labels": { "app": "pi" }, "annotations": annotations },
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
                "containers": [{ "name": "main", "image": IMAGE }],
            },
        } },
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        job["spec"][field] = value.clone();
    }
    job
}

fn status(job: &Job) -> JobStatus {
    job.status.clone().unwrap_or_default()
}

/// The conditions that are true, with their reasons, in the order in which they came.
fn conditions(job: &Job) -> Vec<(String, String)> {
    let conditions = status(job).conditions.unwrap_or_default();
    let is_true = conditions.into_iter().filter(|c| c.status == "True");
    is_true
        .map(|c| (c.type_, c.reason.unwrap_or_default()))
        .collect()
}

fn is(job: &Job, condition: &str) -> bool {
    conditions(job).iter().any(|(kind, _)| kind == condition)
}

/// Waits until it is Complete or Failed, and checks what must be so in any case.
async fn finished(ns: &Namespace, condition: &str) -> Result<Job> {
    let job = ns
        .until("pi", &format!("is {condition}"), |job| is(job, condition))
        .await?;
    let status = status(&job);
    let interim = if condition == "Complete" {
        "SuccessCriteriaMet"
    } else {
        "FailureTarget"
    };
    let seen = conditions(&job);
    let kinds: Vec<&str> = seen.iter().map(|(kind, _)| kind.as_str()).collect();
    ensure!(kinds.ends_with(&[interim, condition]), "{kinds:?}");
    ensure!(
        status.active.unwrap_or(0) == 0 && status.terminating == Some(0),
        "{status:?}"
    );
    ensure!(
        status.completion_time.is_some() == (condition == "Complete"),
        "{status:?}"
    );
    ensure!(status.start_time.is_some(), "{status:?}");
    let uncounted = status.uncounted_terminated_pods.unwrap_or_default();
    ensure!(
        uncounted.succeeded.is_none() && uncounted.failed.is_none(),
        "{uncounted:?}"
    );
    for pod in ns.list::<Pod>("app=pi").await? {
        ensure!(pod.finalizers().is_empty(), "{} is held", pod.name_any());
    }
    Ok(job)
}

#[test]
fn a_job_runs_pods_until_enough_have_succeeded() -> Outcome {
    with_namespace("job-completes", async |ns| {
        let spec = json!({ "completions": 3, "parallelism": 2 });
        ns.create::<Job>(job("1s", 0, spec)).await?;
        let pods = ns
            .until_all::<Pod>("app=pi", "are 2", |pods| pods.len() == 2)
            .await?;
        let (job, pod) = (ns.get::<Job>("pi").await?, &pods[0]);
        ensure!(pod.finalizers() == [FINALIZER], "{:?}", pod.finalizers());
        let owner = &pod.owner_references()[0];
        ensure!(owner.kind == "Job" && owner.uid == job.uid().unwrap_or_default());
        ensure!(owner.controller == Some(true) && owner.block_owner_deletion == Some(true));
        ensure!(pod.metadata.generate_name.as_deref() == Some("pi-"));

        let job = finished(&ns, "Complete").await?;
        ensure!(status(&job).succeeded == Some(3) && status(&job).failed.is_none());
        ensure!(conditions(&job)[1].1 == "CompletionsReached");
        let pods = ns.list::<Pod>("app=pi").await?;
        ensure!(pods.len() == 3, "{} pods", pods.len());
        ns.event("pi", "SuccessfulCreate", "Created pod: pi-")
            .await?;
        ns.event("pi", "Completed", "Job completed").await?;
        Ok(())
    })
}

#[test]
fn an_indexed_job_has_a_pod_for_each_index() -> Outcome {
    with_namespace("job-indexed", async |ns| {
        let spec = json!({ "completions": 3, "parallelism": 3, "completionMode": "Indexed" });
        ns.create::<Job>(job("1s", 0, spec)).await?;
        let job = finished(&ns, "Complete").await?;
        ensure!(status(&job).completed_indexes.as_deref() == Some("0-2"));
        ensure!(status(&job).succeeded == Some(3));
        let pods = ns.list::<Pod>("app=pi").await?;
        let indexes: BTreeSet<_> = pods.iter().filter_map(|p| p.labels().get(INDEX)).collect();
        ensure!(indexes.len() == 3 && pods.len() == 3, "{indexes:?}");
        for pod in &pods {
            let index = &pod.labels()[INDEX];
            ensure!(pod.annotations().get(INDEX) == Some(index));
            let spec = pod.spec.clone().unwrap_or_default();
            ensure!(
                spec.hostname == Some(format!("pi-{index}")),
                "{:?}",
                spec.hostname
            );
            ensure!(pod.name_any().starts_with(&format!("pi-{index}-")));
            let env = spec.containers[0].env.clone().unwrap_or_default();
            let path = env[0]
                .value_from
                .as_ref()
                .and_then(|v| v.field_ref.as_ref());
            let path = path.map(|p| p.field_path.clone()).unwrap_or_default();
            ensure!(
                env[0].name == "JOB_COMPLETION_INDEX" && path.contains(INDEX),
                "{env:?}"
            );
        }
        Ok(())
    })
}

#[test]
fn a_job_gives_up_when_too_many_pods_have_failed() -> Outcome {
    with_namespace("job-fails", async |ns| {
        let spec = json!({ "completions": 4, "parallelism": 2, "backoffLimit": 1 });
        ns.create::<Job>(job("1s", 1, spec)).await?;
        let job = finished(&ns, "Failed").await?;
        ensure!(conditions(&job)[1].1 == "BackoffLimitExceeded");
        ensure!(status(&job).failed == Some(2) && status(&job).succeeded.is_none());
        let message = "Job has reached the specified backoff limit";
        ns.event("pi", "BackoffLimitExceeded", message).await?;
        Ok(())
    })
}

#[test]
fn indexes_have_limits_of_their_own() -> Outcome {
    with_namespace("job-per-index", async |ns| {
        let spec = json!({
            "completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 0,
        });
        ns.create::<Job>(job("1s", 1, spec)).await?;
        let job = finished(&ns, "Failed").await?;
        ensure!(conditions(&job)[1].1 == "FailedIndexes");
        ensure!(status(&job).failed_indexes.as_deref() == Some("0,1"));
        ensure!(status(&job).failed == Some(2));
        ns.event("pi", "FailedIndexes", "Job has failed indexes")
            .await?;
        Ok(())
    })
}

#[test]
fn an_exit_code_can_fail_a_job_at_once() -> Outcome {
    with_namespace("job-policy", async |ns| {
        let rule =
            json!({ "action": "FailJob", "onExitCodes": { "operator": "In", "values": [42] } });
        let spec = json!({ "backoffLimit": 6, "podFailurePolicy": { "rules": [rule] } });
        ns.create::<Job>(job("1s", 42, spec)).await?;
        let job = finished(&ns, "Failed").await?;
        ensure!(conditions(&job)[1].1 == "PodFailurePolicy");
        ensure!(status(&job).failed == Some(1));
        let message = "failed with exit code 42 matching FailJob rule at index 0";
        ns.event("pi", "PodFailurePolicy", message).await?;
        Ok(())
    })
}

#[test]
fn a_job_that_has_enough_ends_its_other_pods() -> Outcome {
    with_namespace("job-enough", async |ns| {
        let spec = json!({
            "completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimit": 0,
            "successPolicy": { "rules": [{ "succeededCount": 1 }] },
        });
        let mut manifest = job("3s", 0, spec);
        // They want the same port of the same node: one runs, and the others wait.
        let pod = &mut manifest["spec"]["template"]["spec"];
        pod["nodeSelector"] = json!({ "kubernetes.io/hostname": "node-0" });
        pod["containers"][0]["ports"] = json!([{ "containerPort": 80, "hostPort": 8091 }]);
        ns.create::<Job>(manifest).await?;
        let job = finished(&ns, "Complete").await?;
        ensure!(conditions(&job)[1].1 == "SuccessPolicy");
        let status = status(&job);
        ensure!(
            status.succeeded == Some(1) && status.failed.is_none(),
            "{status:?}"
        );
        let gone = |pods: &[Pod]| pods.len() == 1;
        ns.until_all::<Pod>("app=pi", "are one", gone).await?;
        Ok(())
    })
}

#[test]
fn a_suspended_job_has_no_pods_and_no_start_time() -> Outcome {
    with_namespace("job-suspends", async |ns| {
        ns.create::<Job>(job(
            "",
            0,
            json!({ "parallelism": 2, "completions": 2, "suspend": true }),
        ))
        .await?;
        let suspended = |job: &Job| is(job, "Suspended") && status(job).start_time.is_none();
        ns.until("pi", "is suspended", suspended).await?;
        ns.merge::<Job>("pi", json!({ "spec": { "suspend": false } }))
            .await?;
        let runs = |job: &Job| {
            status(job).ready == Some(2)
                && status(job).start_time.is_some()
                && !is(job, "Suspended")
        };
        ns.until("pi", "runs", runs).await?;
        ns.event("pi", "Resumed", "Job resumed").await?;
        ns.merge::<Job>("pi", json!({ "spec": { "suspend": true } }))
            .await?;
        let quiet = |job: &Job| suspended(job) && status(job).active.is_none();
        ns.until("pi", "is suspended again", quiet).await?;
        ns.until_all::<Pod>("app=pi", "are gone", <[_]>::is_empty)
            .await?;
        ns.event("pi", "Suspended", "Job suspended").await?;
        ns.event("pi", "SuccessfulDelete", "Deleted pod: pi-")
            .await?;
        ensure!(status(&ns.get::<Job>("pi").await?).failed.is_none());
        Ok(())
    })
}

#[test]
fn a_job_that_takes_too_long_is_ended() -> Outcome {
    with_namespace("job-deadline", async |ns| {
        let spec = json!({ "parallelism": 2, "completions": 2, "activeDeadlineSeconds": 3 });
        ns.create::<Job>(job("", 0, spec)).await?;
        let job = finished(&ns, "Failed").await?;
        ensure!(conditions(&job)[1].1 == "DeadlineExceeded");
        ensure!(status(&job).failed == Some(2), "{:?}", status(&job));
        ns.event(
            "pi",
            "DeadlineExceeded",
            "Job was active longer than specified deadline",
        )
        .await?;
        ns.until_all::<Pod>("app=pi", "are gone", <[_]>::is_empty)
            .await?;
        Ok(())
    })
}

#[test]
fn a_deleted_pod_counts_as_failed_and_can_go() -> Outcome {
    with_namespace("job-loses", async |ns| {
        ns.create::<Job>(job("", 0, json!({}))).await?;
        ns.until("pi", "has a pod", |job| status(job).ready == Some(1))
            .await?;
        let pod = ns.list::<Pod>("app=pi").await?.remove(0);
        ns.delete::<Pod>(&pod.name_any()).await?;
        ns.until("pi", "has counted it", |job| status(job).failed == Some(1))
            .await?;
        let gone = |pods: &[Pod]| pods.iter().all(|p| p.uid() != pod.uid());
        ns.until_all::<Pod>("app=pi", "are others", gone).await?;
        // Another one comes when the back-off is over.
        ns.until("pi", "has another", |job| status(job).ready == Some(1))
            .await?;
        Ok(())
    })
}

#[test]
fn pods_are_let_go_when_their_job_is_gone() -> Outcome {
    with_namespace("job-gone", async |ns| {
        ns.create::<Job>(job("", 0, json!({}))).await?;
        ns.until("pi", "has a pod", |job| status(job).ready == Some(1))
            .await?;
        ns.api::<Job>()
            .delete("pi", &DeleteParams::background())
            .await?;
        // Whether they are deleted too is the garbage collector's business.
        let pods = ns.until_all::<Pod>("app=pi", "are free", |pods| {
            pods.iter().all(|p| p.finalizers().is_empty())
        });
        pods.await?;
        Ok(())
    })
}

#[test]
fn an_orphan_that_matches_is_adopted_and_counted() -> Outcome {
    with_namespace("job-adopts", async |ns| {
        let mut stray = pod("stray", "pi");
        stray["metadata"]["annotations"] = json!({ "hollow.corten.dev/run-for": "3s" });
        stray["spec"]["restartPolicy"] = "Never".into();
        ns.create::<Pod>(stray).await?;
        let spec =
            json!({ "manualSelector": true, "selector": { "matchLabels": { "app": "pi" } } });
        let made = ns.create::<Job>(job("1s", 0, spec)).await?;
        let adopted = |pod: &Pod| {
            pod.owner_references()
                .iter()
                .any(|o| Some(&o.uid) == made.uid().as_ref())
        };
        ns.until("stray", "is adopted", adopted).await?;
        let job = finished(&ns, "Complete").await?;
        ensure!(status(&job).succeeded == Some(1));
        ensure!(ns.list::<Pod>("app=pi").await?.len() == 1);
        Ok(())
    })
}

#[test]
fn a_job_of_another_manager_is_left_alone() -> Outcome {
    with_namespace("job-managed", async |ns| {
        ns.create::<Job>(job("1s", 0, json!({ "managedBy": "example.com/mine" })))
            .await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let job = ns.get::<Job>("pi").await?;
        ensure!(status(&job) == JobStatus::default(), "{:?}", job.status);
        ensure!(ns.list::<Pod>("app=pi").await?.is_empty());
        Ok(())
    })
}

#[test]
fn a_finished_job_goes_after_its_time() -> Outcome {
    with_namespace("job-ttl", async |ns| {
        ns.create::<Job>(job("1s", 0, json!({ "ttlSecondsAfterFinished": 1 })))
            .await?;
        // In the foreground: without a garbage collector it stays marked.
        eventually("the Job is deleted", async || {
            let Some(job) = ns.api::<Job>().get_opt("pi").await? else {
                return Ok(());
            };
            ensure!(
                job.metadata.deletion_timestamp.is_some(),
                "{:?}",
                job.status
            );
            ensure!(
                job.finalizers().iter().any(|f| f == "foregroundDeletion"),
                "{:?}",
                job.finalizers()
            );
            ensure!(is(&job, "Complete"));
            Ok(())
        })
        .await?;
        Ok(())
    })
}

#[test]
fn a_deadline_may_be_as_far_away_as_can_be_said() -> Outcome {
    let outcome = with_namespace("job-far-deadline", async |ns| {
        // More nanoseconds than fit into Go's time.Duration.
        let spec = json!({ "activeDeadlineSeconds": 9_300_000_000_i64 });
        ns.create::<Job>(job("2s", 0, spec)).await?;
        finished(&ns, "Complete").await?;
        Ok(())
    });
    let bug = "the overflow of spec.activeDeadlineSeconds";
    upstream_fails(bug, "DeadlineExceeded", outcome)
}

#[test]
fn a_job_can_end_while_it_is_suspended() -> Outcome {
    let outcome = with_namespace("job-ends-suspended", async |ns| {
        let mut stray = pod("stray", "pi");
        stray["metadata"]["annotations"] = json!({ "hollow.corten.dev/run-for": "1s" });
        stray["spec"]["restartPolicy"] = "Never".into();
        ns.create::<Pod>(stray).await?;
        let ended = |pod: &Pod| {
            pod.status.clone().unwrap_or_default().phase.as_deref() == Some("Succeeded")
        };
        ns.until("stray", "has ended", ended).await?;
        let spec = json!({
            "suspend": true, "manualSelector": true, "selector": { "matchLabels": { "app": "pi" } },
        });
        ns.create::<Job>(job("1s", 0, spec)).await?;
        finished(&ns, "Complete").await?;
        Ok(())
    });
    let bug = "the missing start time of a Job that ends while it is suspended";
    upstream_fails(bug, "SuccessCriteriaMet", outcome)
}

#[test]
fn an_index_that_has_failed_and_succeeded_does_not_hold_its_job_up() -> Outcome {
    let outcome = with_namespace("job-both", async |ns| {
        for (name, code) in [("bad", "1"), ("good", "0")] {
            let mut stray = pod(name, "pi");
            stray["metadata"]["annotations"] = json!({
                INDEX: "0", "hollow.corten.dev/run-for": "1s", "hollow.corten.dev/exit-code": code,
            });
            stray["spec"]["restartPolicy"] = "Never".into();
            ns.create::<Pod>(stray).await?;
        }
        let have_ended = |pods: &[Pod]| {
            let phase = |p: &Pod| p.status.clone().unwrap_or_default().phase;
            let ended = |p: &Pod| matches!(phase(p).as_deref(), Some("Succeeded" | "Failed"));
            pods.len() == 2 && pods.iter().all(ended)
        };
        ns.until_all::<Pod>("app=pi", "have ended", have_ended)
            .await?;
        let spec = json!({
            "completions": 1, "completionMode": "Indexed", "backoffLimitPerIndex": 0,
            "manualSelector": true, "selector": { "matchLabels": { "app": "pi" } },
        });
        ns.create::<Job>(job("1s", 0, spec)).await?;
        let job = finished(&ns, "Complete").await?;
        let status = status(&job);
        ensure!(
            status.succeeded == Some(1) && status.failed == Some(1),
            "{status:?}"
        );
        Ok(())
    });
    let bug = "a status with one index in both lists, which the API server refuses";
    upstream_fails(bug, "Job pi is Complete", outcome)
}
