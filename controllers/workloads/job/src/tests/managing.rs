use super::{indexed, job};
use crate::plan;
use ::plan::{Pace, Verb};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

#[test]
fn as_many_run_as_are_wanted_and_needed() {
    for (what, case, wanted) in [
        ("none yet", job(json!({})), "create, create"),
        (
            "one is missing",
            job(json!({})).pod("a", "Running"),
            "create",
        ),
        (
            "all are there",
            job(json!({})).pod("a", "Running").pod("b", "Pending"),
            "",
        ),
        (
            "one is too many",
            job(json!({}))
                .pod("a", "Running")
                .pod("b", "Pending")
                .pod("c", "Running"),
            "free b, delete b",
        ),
        (
            "one is left to do",
            job(json!({})).status(json!({ "succeeded": 2 })),
            "create",
        ),
        (
            "less is left to do than runs",
            job(json!({}))
                .status(json!({ "succeeded": 2 }))
                .pod("a", "Running")
                .pod("b", "Pending"),
            "free b, delete b",
        ),
        (
            "it is not to run",
            job(json!({ "parallelism": 0 })).pod("a", "Running"),
            "free a, delete a",
        ),
        (
            "a work queue begins",
            job(json!({ "completions": null })),
            "create, create",
        ),
        (
            "a work queue drains",
            job(json!({ "completions": null, "parallelism": 5 }))
                .status(json!({ "succeeded": 1 }))
                .pod("a", "Running"),
            "",
        ),
        ("it waits", job(json!({ "suspend": true })), ""),
        (
            "it is being deleted",
            job(json!({})).meta(json!({ "deletionTimestamp": "1970-01-01T00:00:00Z" })),
            "",
        ),
    ] {
        assert_eq!(case.plan(), wanted, "{what}");
    }
}

#[test]
fn a_pod_is_replaced_when_it_is_told_to_go_or_when_it_has_failed() {
    let going = json!({ "metadata": { "deletionTimestamp": "1970-01-01T00:30:00Z" } });
    for (policy, wanted) in [("TerminatingOrFailed", "create"), ("Failed", "")] {
        let case = job(json!({ "parallelism": 1, "podReplacementPolicy": policy }));
        let case = case.pod_with("a", "Running", going.clone());
        assert_eq!(case.plan(), wanted, "{policy}");
    }
}

#[test]
fn pods_carry_what_a_job_gives_them() {
    let mut case = indexed(json!({ "parallelism": 1, "backoffLimitPerIndex": 1 }));
    case.job["metadata"]["name"] = "p".repeat(60).into();
    let spec = json!({
        "initContainers": [{ "name": "first" }],
        "containers": [{ "name": "main", "env": [{ "name": "JOB_COMPLETION_INDEX", "value": "mine" }] }],
        "restartPolicy": "Never",
    });
    case.job["spec"]["template"]["spec"] = spec;
    let plan = plan::plan(&case.world());
    assert_eq!(plan.steps[0].pace, Pace::Ramp);
    let action = plan.actions().next().unwrap();
    let Verb::Create(object) = &action.verb else {
        unreachable!("{action}");
    };
    let pod = serde_json::to_value(object.read::<Pod>().unwrap()).unwrap();
    let index = "batch.kubernetes.io/job-completion-index";
    assert_eq!(
        pod["metadata"]["annotations"],
        json!({ index: "0", "batch.kubernetes.io/job-index-failure-count": "0" })
    );
    assert_eq!(
        pod["metadata"]["labels"],
        json!({ index: "0", "job": "pi" })
    );
    assert_eq!(
        pod["metadata"]["finalizers"],
        json!(["batch.kubernetes.io/job-tracking"])
    );
    assert_eq!(
        pod["metadata"]["generateName"],
        format!("{}-0-", "p".repeat(55))
    );
    assert_eq!(pod["metadata"]["name"].as_str().unwrap().len(), 63);
    assert_eq!(
        pod["metadata"]["ownerReferences"][0]["blockOwnerDeletion"],
        true
    );
    assert_eq!(pod["spec"]["hostname"], format!("{}-0", "p".repeat(60)));
    let path = format!("metadata.labels['{index}']");
    assert_eq!(
        pod["spec"]["initContainers"][0]["env"][0]["valueFrom"]["fieldRef"]["fieldPath"],
        path
    );
    assert_eq!(
        pod["spec"]["containers"][0]["env"],
        json!([{ "name": "JOB_COMPLETION_INDEX", "value": "mine" }])
    );
}

#[test]
fn what_is_created_and_deleted_stands_in_the_status_at_once() {
    let ready = json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
    let case = job(json!({})).pod_with("a", "Running", ready.clone());
    let next = case.next();
    assert_eq!(
        (&next["active"], &next["ready"], &next["terminating"]),
        (&json!(2), &json!(1), &json!(0))
    );
    let case = job(json!({ "parallelism": 0 })).pod_with("a", "Running", ready);
    let next = case.next();
    assert_eq!(
        (&next["active"], &next["ready"], &next["terminating"]),
        (&json!(0), &json!(0), &json!(1))
    );
}

/// A pod that ends while it is about to be deleted is still counted: upstream takes its finalizer all the same.
#[test]
fn the_finalizer_of_a_pod_that_runs_goes_only_if_the_pod_is_as_it_was() {
    let case = job(json!({ "parallelism": 0 })).pod("a", "Running");
    let plan = plan::plan(&case.world());
    let Verb::Patch(_, body) = &plan.actions().next().unwrap().verb else {
        unreachable!("{plan}");
    };
    assert_eq!(body["metadata"]["resourceVersion"], "5");
}

#[test]
fn failures_delay_the_next_pod() {
    let ended = |second: i64| {
        json!({ "status": { "containerStatuses": [{
            "name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "terminated": { "exitCode": 1, "finishedAt": super::at(second) } },
        }] } })
    };
    let case = job(json!({})).pod_with("a", "Failed", ended(9995));
    assert_eq!(case.plan(), "again 5");
    // Even if this process has seen none of the four that were counted before.
    let case = case.status(json!({ "failed": 4 }));
    assert_eq!(case.plan(), "again 75");
    let case = case.pod_with("b", "Succeeded", ended(9996));
    assert_eq!(case.plan(), "create, create");
}
