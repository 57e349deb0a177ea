//! Jobs: completed, failing, suspended, ended early, deleted.

use super::{pod, story};
use crate::scenario::{Act, Part, Scenario, Step, after, once};
use ::objects::{conditions, meta, pod as pods};
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use sim::{Sim, State};

/// A Job whose pods run for so long and end with these exit codes, one after the other.
fn job(run_for: &str, codes: &str, spec: Value) -> Value {
    let mut job = json!({
        "kind": "Job",
        "metadata": { "name": "pi", "namespace": "default" },
        "spec": {
            "template": {
                "metadata": {
                    "labels": { "app": "pi" },
                    "annotations": annotations(run_for, codes),
                },
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{ "name": "main", "image": "v1" }],
                },
            },
        },
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        job["spec"][field] = value.clone();
    }
    job
}

fn annotations(run_for: &str, codes: &str) -> Value {
    json!({ "sweep/run-for": run_for, "sweep/exit-codes": codes })
}

fn scenario(name: &'static str, begin: Vec<Value>, steps: Vec<Step>) -> Scenario {
    story(name, &[Part::Job], begin, steps)
}

fn set(fields: Value) -> Act {
    Act::Merge("Job", "pi", json!({ "spec": fields }))
}

fn status(sim: &Sim) -> JobStatus {
    let job = sim.get::<Job>("default", "pi");
    job.and_then(|job| job.status.clone()).unwrap_or_default()
}

/// Whether it ended so, with so many succeeded and failed pods, and let all its pods go.
fn ended(sim: &Sim, condition: &str, succeeded: i32, failed: i32) -> bool {
    let status = status(sim);
    let counted =
        status.succeeded.unwrap_or(0) == succeeded && status.failed.unwrap_or(0) == failed;
    counted
        && conditions::is_true(status.conditions.as_deref(), condition)
        && status.active.unwrap_or(0) == 0
        && sim.read(held) == 0
}

/// How many pods have finalizers.
fn held(state: &State) -> usize {
    let pods = state.list::<Pod>(None);
    pods.iter()
        .filter(|pod| pod.metadata.finalizers.is_some())
        .count()
}

fn runs(state: &State, count: usize) -> bool {
    let pods = state.list::<Pod>(Some("default"));
    let ours = pods.iter().filter(|pod| {
        meta::label(&pod.metadata, "app") == Some("pi")
            && pods::is_active(pod)
            && pods::is_ready(pod)
    });
    ours.count() >= count
}

/// Those that between them reach every kind of write; all with `SWEEP_FULL`.
pub(super) fn all() -> Vec<Scenario> {
    let mut all = few();
    if std::env::var_os("SWEEP_FULL").is_some() {
        all.extend(more());
    }
    all
}

fn few() -> Vec<Scenario> {
    let mut orphan = pod("pi-1", "pi");
    orphan["metadata"]["annotations"] = annotations("3s", "0");
    vec![
        Scenario {
            // One pod was there before.
            end: |sim| ended(sim, "Complete", 2, 0),
            ..scenario(
                "job completes",
                vec![
                    orphan,
                    job(
                        "2s",
                        "0",
                        json!({
                            "completions": 2, "parallelism": 2, "manualSelector": true,
                            "selector": { "matchLabels": { "app": "pi" } },
                        }),
                    ),
                ],
                vec![],
            )
        },
        Scenario {
            end: |sim| ended(sim, "Complete", 1, 0),
            ..scenario(
                "job has enough",
                vec![job(
                    "0=2s 1=100s",
                    "0",
                    json!({
                        "completions": 2, "parallelism": 2, "completionMode": "Indexed",
                        "backoffLimit": 0,
                        "successPolicy": { "rules": [{ "succeededIndexes": "0" }] },
                    }),
                )],
                vec![],
            )
        },
        Scenario {
            end: |sim| sim.read(held) == 0 && sim.get::<Job>("default", "pi").is_none(),
            ..scenario(
                "job is deleted",
                vec![job(
                    "100s",
                    "0",
                    json!({ "completions": 2, "parallelism": 2 }),
                )],
                vec![once(|s| runs(s, 2), Act::DeleteJob("pi"))],
            )
        },
        Scenario {
            parts: &[Part::Job, Part::TtlAfterFinished],
            end: |sim| sim.read(held) == 0 && sim.get::<Job>("default", "pi").is_none(),
            ..scenario(
                "job goes after its time",
                vec![job("1s", "0", json!({ "ttlSecondsAfterFinished": 20 }))],
                vec![],
            )
        },
        Scenario {
            end: |sim| ended(sim, "Complete", 1, 0),
            ..scenario(
                "job rests",
                // Long enough to be suspended in time, whatever befalls, and short enough not to be taken for quiet.
                vec![job("45s", "0", json!({}))],
                vec![
                    once(|s| runs(s, 1), set(json!({ "suspend": true }))),
                    after(50, set(json!({ "suspend": false }))),
                ],
            )
        },
    ]
}

fn more() -> Vec<Scenario> {
    vec![
        Scenario {
            // Index 1 fails twice, which is once too often.
            end: |sim| {
                let status = status(sim);
                ended(sim, "Failed", 1, 3)
                    && status.completed_indexes.as_deref() == Some("0")
                    && status.failed_indexes.as_deref() == Some("1")
            },
            ..scenario(
                "job counts by index",
                vec![job(
                    "1s",
                    "0=1,0 1=1,1",
                    json!({
                        "completions": 2, "parallelism": 2, "completionMode": "Indexed",
                        "backoffLimitPerIndex": 1, "backoffLimit": 100,
                    }),
                )],
                vec![],
            )
        },
        Scenario {
            end: |sim| ended(sim, "Complete", 1, 2),
            ..scenario(
                "job fails twice",
                vec![job("1s", "1,1,0", json!({}))],
                vec![],
            )
        },
        Scenario {
            end: |sim| ended(sim, "Failed", 0, 2),
            ..scenario(
                "job gives up",
                vec![job(
                    "1s",
                    "1",
                    json!({ "completions": 5, "backoffLimit": 1 }),
                )],
                vec![],
            )
        },
        Scenario {
            end: |sim| ended(sim, "Complete", 2, 1),
            ..scenario(
                "job loses a pod",
                vec![job(
                    "45s",
                    "0",
                    json!({ "completions": 2, "parallelism": 2 }),
                )],
                vec![once(|s| runs(s, 2), Act::DeletePods("pi", 1))],
            )
        },
        Scenario {
            end: |sim| ended(sim, "Failed", 0, 2),
            ..scenario(
                "job is late",
                vec![job(
                    "100s",
                    "0",
                    json!({ "completions": 2, "parallelism": 2, "activeDeadlineSeconds": 20 }),
                )],
                vec![],
            )
        },
        Scenario {
            end: |sim| sim.read(|s| held(s) == 0 && runs(s, 2)),
            ..scenario(
                "job leaves orphans",
                vec![job(
                    "9000s",
                    "0",
                    json!({ "completions": 2, "parallelism": 2 }),
                )],
                vec![once(|s| runs(s, 2), Act::Delete("Job", "pi"))],
            )
        },
    ]
}
