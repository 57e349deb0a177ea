use super::*;
use crate::metrics::{SYNC_SECONDS, SYNCS, measure, of_job, of_pod};
use ::plan::{Object, Sample, Turn};

impl Case {
    /// What a turn adds whose writes are committed; turns themselves left out.
    fn counts(&self) -> Vec<String> {
        self.counts_after(&Outcome::of(&plan::plan(&self.world())))
    }

    fn counts_after(&self, outcome: &Outcome) -> Vec<String> {
        let samples = self.samples(outcome);
        let told = samples
            .iter()
            .filter(|s| ![&SYNCS, &SYNC_SECONDS].contains(&s.metric));
        told.map(|s| s.to_string().replace("job_controller_", ""))
            .collect()
    }

    fn samples(&self, outcome: &Outcome) -> Vec<Sample> {
        let world = self.world();
        let plan = plan::plan(&world);
        let status = status::status(&world, outcome).map(Object::new);
        let turn = Turn {
            status: status.as_ref(),
            took: std::time::Duration::from_millis(5),
            ..Turn::new(&plan, outcome, world.now())
        };
        measure(&world, &turn)
    }

    fn turn(&self) -> String {
        let samples = self.samples(&Outcome::of(&plan::plan(&self.world())));
        samples.get(1).map(ToString::to_string).unwrap_or_default()
    }
}

const NONE_YET: [&str; 2] = [
    r#"job_pods_finished_total{completion_mode="NonIndexed",result="succeeded"} 0"#,
    r#"job_pods_finished_total{completion_mode="NonIndexed",result="failed"} 0"#,
];

#[test]
fn each_turn_is_counted_with_what_it_was_about() {
    let failure = || {
        job(json!({ "backoffLimit": 0 }))
            .pod("a", "Failed")
            .pod("b", "Running")
    };
    for (case, action) in [
        (job(json!({})), "pods_created"),
        (
            job(json!({})).pod("a", "Running").pod("b", "Running"),
            "tracking",
        ),
        (
            job(json!({}))
                .pod("a", "Running")
                .pod("b", "Running")
                .pod("c", "Running"),
            "pods_deleted",
        ),
        (job(json!({ "suspend": true })), "pods_deleted"),
        (
            failure().condition("FailureTarget", "True", "BackoffLimitExceeded"),
            "reconciling",
        ),
        (
            job(json!({})).meta(json!({ "deletionTimestamp": at(1) })),
            "reconciling",
        ),
        // It waits until the failed pod may be replaced.
        (
            job(json!({})).pod_with(
                "a",
                "Failed",
                json!({ "status": { "containerStatuses": [{
            "name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "terminated": { "exitCode": 1, "finishedAt": at(NOW) } },
        }] } }),
            ),
            "tracking",
        ),
    ] {
        let wanted = format!(
            r#"job_controller_job_syncs_total{{completion_mode="NonIndexed",result="success",action="{action}"}} 1"#
        );
        assert_eq!(case.turn(), wanted);
    }
    let seconds = &job(json!({})).samples(&Outcome::default())[0];
    assert_eq!(
        seconds.to_string(),
        r#"job_controller_job_sync_duration_seconds{completion_mode="NonIndexed",result="success",action="pods_created"} 0.005"#
    );
    let mut bad = indexed(json!({}));
    bad.job["spec"]["selector"] =
        json!({ "matchExpressions": [{ "key": "a", "operator": "Near" }] });
    assert_eq!(
        bad.turn(),
        r#"job_controller_job_syncs_total{completion_mode="Indexed",result="error",action="reconciling"} 1"#
    );
    for none in [
        job(json!({ "managedBy": "example.com/mine" })),
        job(json!({})).condition("Complete", "True", ""),
        job(json!({ "completionMode": "Sorted" })),
    ] {
        assert_eq!(none.turn(), "");
    }
}

#[test]
fn creations_are_counted_by_why_and_how() {
    let line = |reason: &str, status: &str, n: u32| {
        format!(r#"job_pods_creation_total{{reason="{reason}",status="{status}"}} {n}"#)
    };
    assert!(
        job(json!({}))
            .counts()
            .contains(&line("new", "succeeded", 2))
    );
    let failed = job(json!({})).status(json!({ "failed": 1 }));
    let counts = failed.counts();
    assert!(counts.contains(&line("recreate_terminating_or_failed", "succeeded", 2)));
    let going = json!({ "metadata": { "deletionTimestamp": at(1) } });
    let replaced = job(json!({})).pod_with("a", "Running", going);
    let counts = replaced.counts().join("\n");
    assert!(
        counts.contains("recreate_terminating_or_failed"),
        "{counts}"
    );
    let failed = job(json!({ "podReplacementPolicy": "Failed" })).status(json!({ "failed": 1 }));
    assert!(
        failed
            .counts()
            .contains(&line("recreate_failed", "succeeded", 2))
    );

    let case = job(json!({}));
    let plan = plan::plan(&case.world());
    let actions: Vec<&Action> = plan.actions().collect();
    let outcome = Outcome {
        done: vec![done(actions[0])],
        failures: vec![failed_with(actions[1], Cause::Forbidden)],
        ..Outcome::default()
    };
    let counts = case.counts_after(&outcome);
    assert!(counts.contains(&line("new", "succeeded", 1)));
    assert!(counts.contains(&line("new", "failed", 1)));
    let ending = Outcome {
        failures: vec![failed_with(actions[1], Cause::NamespaceTerminating)],
        ..Outcome::default()
    };
    let counts = case.counts_after(&ending).join("\n");
    assert!(!counts.contains("creation"), "{counts}");
}

fn failed_with(action: &Action, cause: Cause) -> Failure {
    super::failed(action, cause)
}

#[test]
fn a_pod_is_counted_when_its_job_counts_it() {
    let written = json!({ "uncountedTerminatedPods": { "succeeded": ["u-a"], "failed": ["u-b"] } });
    let case = job(json!({ "parallelism": 0 }))
        .pod("a", "Succeeded")
        .pod("b", "Failed");
    // What is only written down is not counted yet.
    assert_eq!(case.counts(), NONE_YET);
    assert_eq!(
        case.status(written).counts(),
        [
            r#"job_pods_finished_total{completion_mode="NonIndexed",result="succeeded"} 1"#,
            r#"job_pods_finished_total{completion_mode="NonIndexed",result="failed"} 1"#,
        ]
    );
}

#[test]
fn indexes_are_counted_once_and_those_out_of_range_are_not() {
    let case = indexed(json!({ "parallelism": 0 }))
        .status(json!({ "completedIndexes": "0,7", "succeeded": 1 }))
        .index("a", "Succeeded", 1);
    assert_eq!(
        case.counts(),
        [
            r#"job_finished_indexes_total{status="succeeded",backoffLimit="global"} 1"#,
            r#"job_pods_finished_total{completion_mode="Indexed",result="succeeded"} 1"#,
            r#"job_pods_finished_total{completion_mode="Indexed",result="failed"} 0"#,
        ]
    );
    let case =
        indexed(json!({ "parallelism": 0, "backoffLimitPerIndex": 0 })).index("a", "Failed", 2);
    let counts = case.counts();
    assert_eq!(
        counts[..2],
        [
            r#"job_finished_indexes_total{status="succeeded",backoffLimit="perIndex"} 0"#,
            r#"job_finished_indexes_total{status="failed",backoffLimit="perIndex"} 1"#,
        ]
    );
}

#[test]
fn a_job_is_counted_when_it_finishes_with_its_reason() {
    let case = job(json!({})).status(json!({ "succeeded": 3 })).condition(
        "SuccessCriteriaMet",
        "True",
        "CompletionsReached",
    );
    let finished = |result: &str, reason: &str| {
        format!(
            r#"jobs_finished_total{{completion_mode="NonIndexed",result="{result}",reason="{reason}"}} 1"#
        )
    };
    assert!(
        case.counts()
            .contains(&finished("succeeded", "CompletionsReached"))
    );
    let case = job(json!({})).status(json!({ "failed": 7 })).condition(
        "FailureTarget",
        "True",
        "BackoffLimitExceeded",
    );
    assert!(
        case.counts()
            .contains(&finished("failed", "BackoffLimitExceeded"))
    );
    // The interim condition is none.
    let case = job(json!({})).status(json!({ "succeeded": 3 }));
    assert!(
        !case
            .counts()
            .iter()
            .any(|line| line.contains("jobs_finished"))
    );
}

#[test]
fn what_a_failure_policy_decides_is_counted_by_its_action() {
    let rule = |action: &str, code: i32| json!({ "action": action, "onExitCodes": { "operator": "In", "values": [code] } });
    let rules = json!([rule("Ignore", 1), rule("Count", 2), rule("FailJob", 3)]);
    let case = job(json!({ "parallelism": 0, "podFailurePolicy": { "rules": rules } }));
    let code = |code: i32| {
        json!({ "status": { "containerStatuses": [{
            "name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "terminated": { "exitCode": code, "finishedAt": at(9000) } },
        }] } })
    };
    let policy = |case: &Case| -> Vec<String> {
        let mut counts = case.counts();
        counts.retain(|line| line.contains("policy"));
        counts
    };
    let handled = |action: &str, n: u32| {
        format!(r#"pod_failures_handled_by_failure_policy_total{{action="{action}"}} {n}"#)
    };
    let ended = case
        .pod_with("a", "Failed", code(1))
        .pod_with("b", "Failed", code(2))
        .pod_with("c", "Failed", code(2))
        .pod_with("d", "Failed", code(9))
        .pod_with("e", "Running", json!({}));
    assert_eq!(policy(&ended), [handled("Count", 2), handled("Ignore", 1)]);
    let written = json!({ "uncountedTerminatedPods": { "failed": ["u-b", "u-c", "u-d"] } });
    assert_eq!(policy(&ended.status(written)), [handled("Ignore", 1)]);
}

#[test]
fn changes_of_pods_and_jobs_are_counted_as_they_come() {
    let pod = |phase: &str, more: Value| {
        let case = job(json!({})).pod_with("a", phase, more);
        case.world().pods[0].clone()
    };
    let running = pod("Running", json!({}));
    let ended = pod("Succeeded", json!({}));
    let free = pod("Succeeded", json!({ "metadata": { "finalizers": [] } }));
    for (old, new, wanted) in [
        (Some(&running), Some(&ended), Some("add")),
        (None, Some(&ended), Some("add")),
        (Some(&ended), Some(&free), Some("delete")),
        (Some(&ended), None, Some("delete")),
        (Some(&ended), Some(&ended), None),
        (Some(&running), None, None),
        (None, Some(&free), None),
    ] {
        let sample = of_pod(old.map(|p| &**p), new.map(|p| &**p));
        let wanted = wanted.map(|event| {
            format!(
                r#"job_controller_terminated_pods_tracking_finalizer_total{{event="{event}"}} 1"#
            )
        });
        assert_eq!(sample.map(|s| s.to_string()), wanted);
    }
    let external = job(json!({ "managedBy": "example.com/mine" })).world();
    assert_eq!(
        of_job(&external.job).unwrap().to_string(),
        r#"job_controller_jobs_by_external_controller_total{controller_name="example.com/mine"} 1"#
    );
    assert_eq!(of_job(&job(json!({})).world().job), None);
}
