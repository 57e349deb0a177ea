//! Decisions about Jobs: data and one call.
#![allow(clippy::unwrap_used)]

mod counting;
mod ending;
mod indexed;
mod managing;
mod measuring;

use crate::{FINALIZER, World, plan, status};
use ::plan::{Action, Cause, Done, Failure, Outcome, Plan, Verb};
use jiff::Timestamp;
use json_patch::merge;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use plan::backoff;
use runtime::Moment;
use serde_json::{Value, json};
use std::sync::Arc;

/// The second at which the tests look; pods were made at second 0 and ended at 9 000.
const NOW: i64 = 10_000;

/// A Job and its pods.
#[derive(Clone)]
struct Case {
    job: Value,
    pods: Vec<Value>,
}

/// A Job with this spec that has begun at second 0.
fn job(spec: Value) -> Case {
    let job = json!({
        "metadata": { "name": "pi", "namespace": "maths", "uid": "u-pi" },
        "spec": {
            "parallelism": 2,
            "completions": 3,
            "backoffLimit": 6,
            "selector": { "matchLabels": { "job": "pi" } },
            "template": {
                "metadata": { "labels": { "job": "pi" } },
                "spec": { "restartPolicy": "Never", "containers": [{ "name": "main" }] },
            },
        },
        "status": { "startTime": at(0) },
    });
    let mut case = Case { job, pods: vec![] };
    merge(&mut case.job["spec"], &spec);
    case
}

/// An Indexed Job.
fn indexed(spec: Value) -> Case {
    let mut case = job(json!({ "completionMode": "Indexed" }));
    merge(&mut case.job["spec"], &spec);
    case
}

fn at(second: i64) -> String {
    Timestamp::from_second(second).unwrap().to_string()
}

impl Case {
    fn meta(mut self, fields: Value) -> Self {
        merge(&mut self.job["metadata"], &fields);
        self
    }

    fn status(mut self, fields: Value) -> Self {
        merge(&mut self.job["status"], &fields);
        self
    }

    /// With the condition of this type.
    fn condition(self, kind: &str, status: &str, reason: &str) -> Self {
        let condition = json!({ "type": kind, "status": status, "reason": reason, "message": "m" });
        self.status(json!({ "conditions": [condition] }))
    }

    /// With a pod of its own that has the finalizer, in a phase: `Running`, `Failed`…
    fn pod(self, name: &str, phase: &str) -> Self {
        self.pod_with(name, phase, json!({}))
    }

    /// With such a pod for an index.
    fn index(self, name: &str, phase: &str, index: i32) -> Self {
        let index = json!({ "batch.kubernetes.io/job-completion-index": index.to_string() });
        self.pod_with(name, phase, json!({ "metadata": { "annotations": index } }))
    }

    /// With such a pod that differs.
    fn pod_with(mut self, name: &str, phase: &str, fields: Value) -> Self {
        let mut pod = json!({
            "metadata": {
                "name": name, "namespace": "maths", "uid": format!("u-{name}"), "resourceVersion": "5",
                "creationTimestamp": at(0), "labels": { "job": "pi" }, "finalizers": [FINALIZER],
                "ownerReferences": [{
                    "apiVersion": "batch/v1", "kind": "Job", "name": "pi", "uid": "u-pi", "controller": true,
                }],
            },
            "spec": { "containers": [{ "name": "main" }], "nodeName": "n" },
            "status": { "phase": phase },
        });
        if matches!(phase, "Failed" | "Succeeded") {
            let code = i32::from(phase == "Failed");
            let ended = json!({ "terminated": { "exitCode": code, "finishedAt": at(9000) } });
            pod["status"]["containerStatuses"] = json!([{ "name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": ended }]);
        }
        merge(&mut pod, &fields);
        self.pods.push(pod);
        self
    }

    fn world(&self) -> World {
        let job: Job = serde_json::from_value(self.job.clone()).unwrap();
        let pods = self.pods.iter().cloned();
        let pods: Vec<Arc<Pod>> = pods
            .map(|pod| Arc::new(serde_json::from_value(pod).unwrap()))
            .collect();
        let now = Timestamp::from_second(NOW).unwrap();
        World::new(Arc::new(job), pods, Moment { now, seed: 7 })
    }

    /// What it plans, a word or two an action.
    fn plan(&self) -> String {
        short(&plan::plan(&self.world()))
    }

    /// The status after a plan that succeeded, or null if nothing is to be written.
    fn next(&self) -> Value {
        let world = self.world();
        let plan = plan::plan(&world);
        let done = plan.actions().map(done).collect();
        self.next_after(&Outcome {
            done,
            ..Outcome::default()
        })
    }

    fn next_after(&self, outcome: &Outcome) -> Value {
        let job = status::status(&self.world(), outcome);
        job.map_or(Value::Null, |job| serde_json::to_value(job.status).unwrap())
    }

    /// The events that go with that status.
    fn events(&self) -> Vec<String> {
        let world = self.world();
        let done = plan::plan(&world).actions().map(done).collect();
        let outcome = Outcome {
            done,
            ..Outcome::default()
        };
        let Some(job) = status::status(&world, &outcome) else {
            return vec![];
        };
        let notes = status::notes(&world, &job);
        notes
            .iter()
            .map(|n| format!("{:?} {}: {}", n.note_type, n.reason, n.message))
            .collect()
    }
}

fn done(action: &Action) -> Done {
    Done {
        on: action.on.clone(),
        verb: action.verb.name(),
        version: Some(1),
    }
}

fn failed(action: &Action, cause: Cause) -> Failure {
    Failure {
        on: action.on.clone(),
        verb: action.verb.name(),
        cause,
        message: String::new(),
    }
}

fn short(plan: &Plan) -> String {
    let mut words: Vec<String> = plan.actions().map(word).collect();
    words.extend(
        plan.notes
            .iter()
            .map(|note| format!("note {}", note.reason)),
    );
    words.extend(
        plan.again_after
            .map(|delay| format!("again {}", delay.as_secs())),
    );
    words.join(", ")
}

fn word(action: &Action) -> String {
    let name = &action.on.name;
    match &action.verb {
        Verb::Create(object) => {
            let pod = object.read::<Pod>().unwrap();
            let index = objects::meta::annotation(&pod.metadata, crate::COMPLETION_INDEX);
            index.map_or_else(|| "create".to_owned(), |index| format!("create {index}"))
        }
        Verb::Patch(_, body) => {
            let owners = &body["metadata"]["ownerReferences"];
            let frees = body["metadata"]["$deleteFromPrimitiveList/finalizers"].is_array();
            match (owners.is_array(), frees) {
                (true, _) if owners[0]["$patch"] == "delete" => format!("release {name}"),
                (true, _) => format!("adopt {name}"),
                (false, true) => format!("free {name}"),
                (false, false) => format!("patch {name}"),
            }
        }
        other => format!("{} {name}", other.name()),
    }
}

/// The condition of a status with status True that came last.
fn last_condition(status: &Value) -> String {
    let conditions = status["conditions"].as_array();
    let last = conditions.and_then(|list| list.last());
    last.map_or_else(String::new, |c| {
        let text = |field: &str| c[field].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", text("type"), text("status"), text("reason"))
    })
}

#[test]
fn a_job_of_another_manager_is_not_touched() {
    let case = job(json!({ "managedBy": "example.com/mine" })).pod("a", "Succeeded");
    assert_eq!((case.plan(), case.next()), (String::new(), Value::Null));
    let case = job(json!({ "managedBy": "kubernetes.io/job-controller" }));
    assert_eq!(case.plan(), "create, create");
}

#[test]
fn what_cannot_be_understood_is_told_and_nothing_is_done() {
    let case = job(json!({ "completionMode": "Sorted" }));
    assert_eq!(case.plan(), "note UnknownCompletionMode");
    let bad = json!({ "matchExpressions": [{ "key": "a", "operator": "Near" }] });
    let mut case = job(json!({}));
    case.job["spec"]["selector"] = bad;
    assert_eq!(case.plan(), "note InvalidSelector");
    assert_eq!(case.next(), Value::Null);
}

#[test]
fn a_job_without_a_selector_has_its_own() {
    let mut case = job(json!({ "parallelism": null, "completions": null }));
    case.job["spec"]["selector"] = Value::Null;
    let world = case.world();
    let plan = plan::plan(&world);
    let made: Vec<_> = plan.actions().collect();
    assert_eq!(made.len(), 1, "one pod, once: {plan}");
    let pod = match &made[0].verb {
        Verb::Create(pod) => serde_json::from_str::<Value>(pod.json()).unwrap(),
        _ => Value::Null,
    };
    let labels = json!({
        "batch.kubernetes.io/controller-uid": "u-pi", "batch.kubernetes.io/job-name": "pi",
        "controller-uid": "u-pi", "job-name": "pi", "job": "pi",
    });
    assert_eq!(pod["metadata"]["labels"], labels);

    let own = json!({ "metadata": { "labels": labels } });
    let of_another = json!({ "metadata": { "ownerReferences": [] } });
    let case = case
        .pod_with("a", "Running", own)
        .pod_with("b", "Running", of_another);
    assert_eq!(
        case.plan(),
        "",
        "the pod that it has is enough, and an orphan without its UID is not its own"
    );
}

#[test]
fn numbers_of_any_size_do_no_harm() {
    for (spec, wanted) in [
        (json!({ "parallelism": -3 }), ""),
        (json!({ "completions": -3 }), ""),
        (
            json!({ "parallelism": i32::MAX, "completions": null }),
            "500",
        ),
        (
            json!({ "parallelism": i32::MAX, "completions": i32::MAX }),
            "500",
        ),
        (json!({ "activeDeadlineSeconds": i64::MAX }), "2"),
    ] {
        for mode in ["NonIndexed", "Indexed"] {
            let mut case = job(json!({ "completionMode": mode }));
            merge(&mut case.job["spec"], &spec);
            let creates = case.plan().matches("create").count();
            let none = mode == "Indexed" && spec["completions"].is_null() && creates == 0;
            let wanted = wanted.parse().unwrap_or(0);
            assert!(creates == wanted || none, "{mode} {spec}: {creates}");
        }
    }
    let case = indexed(json!({})).pod_with(
        "a",
        "Running",
        json!({ "metadata": { "annotations": { "batch.kubernetes.io/job-completion-index": "99999999999" } } }),
    );
    assert_eq!(case.plan(), "free a, delete a");
}

#[test]
fn a_job_that_has_finished_keeps_no_pod() {
    for kind in ["Complete", "Failed"] {
        let case = job(json!({}))
            .condition(kind, "True", "")
            .pod("late", "Running")
            .pod("ended", "Failed");
        assert_eq!(case.plan(), "delete late, free ended, free late", "{kind}");
        assert_eq!(case.next(), Value::Null);
    }
}

#[test]
fn delays_double_and_have_an_end() {
    for (failures, passed, wanted) in [
        (0, 0, 0),
        (1, 0, 10),
        (2, 0, 20),
        (3, 5, 35),
        (6, 0, 320),
        (7, 0, 600),
        (16, 0, 600),
        (1, 10, 0),
        (2, 700, 0),
        // A node whose clock is ahead does not make it longer.
        (1, -5, 10),
    ] {
        let mut case = job(json!({}));
        for n in 0..failures {
            let ended = json!({ "status": { "containerStatuses": [{
                "name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "terminated": { "exitCode": 1, "finishedAt": at(NOW - passed) } },
            }] } });
            case = case.pod_with(&format!("p{n}"), "Failed", ended);
        }
        let wait = backoff::wait(&case.world()).as_secs();
        assert_eq!(wait, wanted, "{failures} failures {passed} s ago");
    }
}
