//! CronJobs: every two minutes, with Jobs that end or do not. The server's time begins at midnight, minute
//! 29453760; at the end of each story the CronJob is suspended, or it would never be quiet.

use super::bystander;
use crate::scenario::{ALL_AROUND, Act, Bounds, Part, Scenario, Step, after};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use serde_json::{Value, json};
use sim::{Sim, State};

const FIRST: &str = "bell-29453762";
const SECOND: &str = "bell-29453764";

fn bell(policy: &str) -> Value {
    json!({
        "kind": "CronJob",
        "metadata": { "name": "bell", "namespace": "default" },
        "spec": {
            "schedule": "*/2 * * * *",
            "concurrencyPolicy": policy,
            "successfulJobsHistoryLimit": 1,
            "jobTemplate": { "spec": { "template": { "spec": {
                "restartPolicy": "Never",
                "containers": [{ "name": "main", "image": "v1" }],
            } } } },
        },
    })
}

fn has(state: &State, name: &str) -> bool {
    state.get::<Job>("default", name).is_some()
}

fn complete(name: &'static str, at: &str) -> Act {
    let status = json!({
        "conditions": [{ "type": "Complete", "status": "True" }], "startTime": at, "completionTime": at,
    });
    Act::Merge("Job", name, json!({ "status": status }))
}

/// As soon as a Job is there, for which it is not early until so many seconds after the step before.
fn with(job: fn(&State) -> bool, seconds: u64, act: Act) -> Step {
    Step {
        when: Some(job),
        ..after(seconds, act)
    }
}

/// Nothing is done.
fn wait() -> Act {
    Act::Accept("Job")
}

fn suspend() -> Step {
    let spec = json!({ "spec": { "suspend": true } });
    after(15, Act::Merge("CronJob", "bell", spec))
}

fn scenario(name: &'static str, policy: &str, steps: Vec<Step>) -> Scenario {
    Scenario {
        name,
        parts: &[Part::CronJob],
        around: ALL_AROUND,
        begin: vec![bystander(), bell(policy)],
        steps,
        bounds: Bounds::default(),
        end: |_| true,
    }
}

fn running(sim: &Sim) -> Vec<String> {
    let bell = sim.get::<CronJob>("default", "bell");
    let status = bell.and_then(|bell| bell.status.clone());
    let active = status.and_then(|status| status.active).unwrap_or_default();
    active.into_iter().filter_map(|r| r.name).collect()
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            end: |sim| sim.read(|s| has(s, SECOND) && !has(s, FIRST)) && running(sim).is_empty(),
            ..scenario(
                "cronjob makes jobs and lets old ones go",
                "Allow",
                vec![
                    with(
                        |s| has(s, FIRST),
                        119,
                        complete(FIRST, "2026-01-01T00:02:10Z"),
                    ),
                    with(
                        |s| has(s, SECOND),
                        119,
                        complete(SECOND, "2026-01-01T00:04:10Z"),
                    ),
                    suspend(),
                ],
            )
        },
        Scenario {
            end: |sim| running(sim) == [SECOND] && sim.read(|s| !has(s, FIRST)),
            ..scenario(
                "cronjob replaces",
                "Replace",
                vec![
                    with(|s| has(s, FIRST), 119, wait()),
                    with(|s| has(s, SECOND), 119, wait()),
                    suspend(),
                ],
            )
        },
        Scenario {
            end: |sim| running(sim) == [SECOND],
            ..scenario(
                "cronjob forbids until the job is gone",
                "Forbid",
                vec![
                    with(|s| has(s, FIRST), 119, wait()),
                    after(130, Act::Delete("Job", FIRST)),
                    with(|s| has(s, SECOND), 0, wait()),
                    suspend(),
                ],
            )
        },
        Scenario {
            end: |sim| running(sim) == [FIRST],
            ..scenario(
                "cronjob meets a quota",
                "Allow",
                vec![
                    after(100, Act::Refuse("Job", "exceeded quota: jobs")),
                    after(35, Act::Accept("Job")),
                    with(|s| has(s, FIRST), 0, wait()),
                    suspend(),
                ],
            )
        },
    ]
}
