use super::{Case, at, indexed, job, last_condition};
use serde_json::{Value, json};

#[test]
fn every_limit_ends_a_job_with_its_reason() {
    let cases: Vec<(&str, Case, &str)> = vec![
        (
            "too many failures",
            job(json!({ "backoffLimit": 1 })).pod("a", "Failed").pod("b", "Failed"),
            "FailureTarget True BackoffLimitExceeded",
        ),
        (
            "failures that were counted before",
            job(json!({ "backoffLimit": 1 })).status(json!({ "failed": 2 })),
            "FailureTarget True BackoffLimitExceeded",
        ),
        (
            "not more failures than allowed",
            job(json!({ "backoffLimit": 2 })).status(json!({ "failed": 2 })),
            "",
        ),
        (
            "containers that restart too often",
            job(json!({ "backoffLimit": 2, "template": { "spec": { "restartPolicy": "OnFailure" } } }))
                .pod_with("a", "Running", restarted(2)),
            "FailureTarget True BackoffLimitExceeded",
        ),
        (
            "restarts do not count for pods that are replaced",
            job(json!({ "backoffLimit": 2 })).pod_with("a", "Running", restarted(9)),
            "",
        ),
        (
            "one restart is one too many if none is allowed",
            job(json!({ "backoffLimit": 0, "template": { "spec": { "restartPolicy": "OnFailure" } } }))
                .pod_with("a", "Running", restarted(1)),
            "FailureTarget True BackoffLimitExceeded",
        ),
        (
            "its time is over",
            job(json!({ "activeDeadlineSeconds": 10_000 })).pod("a", "Running"),
            "FailureTarget True DeadlineExceeded",
        ),
        (
            "its time is not over",
            job(json!({ "activeDeadlineSeconds": 10_001 })).pod("a", "Running"),
            "",
        ),
        (
            "no time passes while it is suspended",
            job(json!({ "activeDeadlineSeconds": 1, "suspend": true })),
            "Suspended True JobSuspended",
        ),
        (
            "time begins anew when it is resumed",
            job(json!({ "activeDeadlineSeconds": 1 })).condition("Suspended", "True", "JobSuspended"),
            "Suspended False JobResumed",
        ),
        (
            "all have succeeded",
            job(json!({})).pod("a", "Succeeded").status(json!({ "succeeded": 2 })),
            "SuccessCriteriaMet True CompletionsReached",
        ),
        (
            "none has to succeed",
            job(json!({ "completions": 0 })),
            "SuccessCriteriaMet True CompletionsReached",
        ),
        (
            "a work queue has no pod left",
            job(json!({ "completions": null })).pod("a", "Succeeded").pod("b", "Failed"),
            "SuccessCriteriaMet True CompletionsReached",
        ),
        (
            "a work queue has one left",
            job(json!({ "completions": null })).pod("a", "Succeeded").pod("b", "Running"),
            "",
        ),
        (
            "a failure that fails all",
            job(json!({ "podFailurePolicy": { "rules": [
                { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] },
                { "action": "FailJob", "onExitCodes": { "containerName": "main", "operator": "NotIn", "values": [2] } },
            ] } }))
            .pod("a", "Failed"),
            "FailureTarget True PodFailurePolicy",
        ),
        (
            "more failed indexes than allowed",
            indexed(json!({ "backoffLimitPerIndex": 0, "maxFailedIndexes": 1, "completions": 9 }))
                .index("a", "Failed", 0)
                .index("b", "Failed", 1),
            "FailureTarget True MaxFailedIndexesExceeded",
        ),
        (
            "all indexes are decided and one has failed",
            indexed(json!({ "backoffLimitPerIndex": 0 }))
                .status(json!({ "completedIndexes": "0,1" }))
                .index("a", "Failed", 2),
            "FailureTarget True FailedIndexes",
        ),
        (
            "enough has succeeded",
            indexed(json!({ "successPolicy": { "rules": [{ "succeededIndexes": "1-2" }, { "succeededCount": 1 }] } }))
                .index("a", "Succeeded", 0)
                .index("b", "Running", 1),
            "SuccessCriteriaMet True SuccessPolicy",
        ),
        (
            "not the right ones have",
            indexed(json!({ "successPolicy": { "rules": [{ "succeededIndexes": "1-2", "succeededCount": 1 }] } }))
                .index("a", "Succeeded", 0)
                .index("b", "Running", 1),
            "",
        ),
    ];
    for (what, case, wanted) in cases {
        let next = case.next();
        assert_eq!(last_condition(&next), wanted, "{what}: {next}");
    }
}

fn restarted(times: i32) -> Value {
    json!({ "status": { "containerStatuses": [
        { "name": "main", "image": "", "imageID": "", "ready": false, "restartCount": times },
    ] } })
}

/// Upstream deletes before it writes why; when that write is lost, what it deleted counts as failed.
#[test]
fn pods_are_deleted_once_it_is_written_why() {
    let case = indexed(json!({
        "backoffLimit": 0,
        "successPolicy": { "rules": [{ "succeededCount": 1 }] },
    }));
    let case = case.index("a", "Succeeded", 0).index("b", "Running", 1);
    assert_eq!(case.plan(), "");
    let written = case
        .status(json!({ "completedIndexes": "0", "succeeded": 1 }))
        .condition("SuccessCriteriaMet", "True", "SuccessPolicy");
    assert_eq!(written.plan(), "delete b, free a, free b");
    assert_eq!(written.next()["terminating"], 1);
    // The process died after the deletion: that pod is no failure.
    let mut died = written.clone();
    died.pods[1]["metadata"]["deletionTimestamp"] = at(9000).into();
    assert_eq!(died.plan(), "free a, free b");
    let next = died.next();
    assert_eq!(
        (&next["failed"], &next["conditions"][0]["type"]),
        (&json!(0), &json!("SuccessCriteriaMet"))
    );
}

#[test]
fn what_has_not_ended_when_a_job_fails_has_failed() {
    let case = job(json!({ "activeDeadlineSeconds": 5 }))
        .pod("a", "Running")
        .pod("b", "Succeeded");
    assert_eq!(case.plan(), "");
    let next = case.next();
    assert_eq!(
        next["uncountedTerminatedPods"],
        json!({ "failed": ["u-a"], "succeeded": ["u-b"] })
    );
    let mut written = case;
    written.job["status"] = next;
    assert_eq!(written.plan(), "delete a, free a, free b");
    let next = written.next();
    assert_eq!(
        (&next["failed"], &next["succeeded"], &next["active"]),
        (&json!(1), &json!(1), &json!(0))
    );
    // Not before it has really ended.
    assert_eq!(last_condition(&next), "FailureTarget True DeadlineExceeded");
}

#[test]
fn it_is_finished_when_nothing_of_it_is_left() {
    for (interim, reason, terminal) in [
        ("SuccessCriteriaMet", "CompletionsReached", "Complete"),
        ("FailureTarget", "DeadlineExceeded", "Failed"),
    ] {
        let case = job(json!({})).condition(interim, "True", reason);
        let done = case.next();
        assert_eq!(last_condition(&done), format!("{terminal} True {reason}"));
        assert_eq!(done["completionTime"].is_string(), terminal == "Complete");
        let going = json!({ "metadata": { "finalizers": [], "deletionTimestamp": at(9999) } });
        let waits = [
            case.clone().pod("a", "Running"),
            case.clone().pod_with("a", "Running", going),
            case.clone().pod("a", "Succeeded"),
        ];
        for wait in waits {
            let last = last_condition(&wait.next());
            assert!(last.is_empty() || last.starts_with(interim), "{last}");
        }
    }
}

/// The API server wants a start time of what has finished, which suspending takes away: upstream tries for ever.
#[test]
fn a_job_that_ends_while_it_is_suspended_gets_a_start_time() {
    let mut case = job(json!({ "suspend": true })).condition(
        "SuccessCriteriaMet",
        "True",
        "CompletionsReached",
    );
    case.job["status"]["startTime"] = Value::Null;
    let next = case.next();
    assert_eq!(next["startTime"], next["completionTime"]);
    assert!(next["startTime"].is_string());
    let mut case = job(json!({ "suspend": true, "completions": 0 }));
    case.job["status"]["startTime"] = Value::Null;
    let next = case
        .condition("SuccessCriteriaMet", "True", "CompletionsReached")
        .next();
    assert!(next["startTime"].is_null() && next["completionTime"].is_string());
}

#[test]
fn suspending_takes_the_start_time_and_resuming_gives_another() {
    let case = job(json!({ "suspend": true }))
        .pod("a", "Running")
        .pod("b", "Pending");
    assert_eq!(case.plan(), "free a, free b, delete a, delete b");
    let next = case.next();
    assert_eq!(last_condition(&next), "Suspended True JobSuspended");
    assert!(next["startTime"].is_null(), "{next}");
    assert_eq!(
        (&next["active"], &next["terminating"]),
        (&json!(0), &json!(2))
    );
    assert_eq!(case.events(), ["Normal Suspended: Job suspended"]);

    let mut case = job(json!({}));
    case.job["status"] = next;
    assert_eq!(case.plan(), "create, create");
    let next = case.next();
    assert_eq!(
        (last_condition(&next), next["startTime"].as_str()),
        ("Suspended False JobResumed".into(), Some(&*at(10_000)))
    );
    assert_eq!(case.events(), ["Normal Resumed: Job resumed"]);
}

#[test]
fn the_end_is_told() {
    let done = job(json!({ "completions": 1 })).condition(
        "SuccessCriteriaMet",
        "True",
        "CompletionsReached",
    );
    assert_eq!(done.events(), ["Normal Completed: Job completed"]);
    assert_eq!(
        done.status(json!({ "succeeded": 2 })).events(),
        [
            "Warning TooManySucceededPods: Too many succeeded pods running after completion count reached",
            "Normal Completed: Job completed",
        ]
    );
    for reason in [
        "BackoffLimitExceeded",
        "DeadlineExceeded",
        "MaxFailedIndexesExceeded",
        "FailedIndexes",
        "PodFailurePolicy",
    ] {
        let case = job(json!({})).condition("FailureTarget", "True", reason);
        assert_eq!(case.events(), [format!("Warning {reason}: m")]);
    }
}

#[test]
fn the_message_says_which_rule_matched_what() {
    let disrupted =
        json!({ "status": { "conditions": [{ "type": "DisruptionTarget", "status": "True" }] } });
    let rule = |rule: Value| json!({ "podFailurePolicy": { "rules": [{ "action": "Count", "onPodConditions": [] }, rule] } });
    for (spec, pod, wanted) in [
        (
            rule(
                json!({ "action": "FailJob", "onExitCodes": { "operator": "In", "values": [1, 5] } }),
            ),
            json!({}),
            "Container main for pod maths/a failed with exit code 1 matching FailJob rule at index 1",
        ),
        (
            rule(
                json!({ "action": "FailJob", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] }),
            ),
            disrupted,
            "Pod maths/a has condition DisruptionTarget matching FailJob rule at index 1",
        ),
    ] {
        let next = job(spec).pod_with("a", "Failed", pod).next();
        assert_eq!(next["conditions"][0]["message"], wanted);
    }
}
