//! PodDisruptionBudgets over the pods of a ReplicaSet, and pods whose end was announced in vain.

use super::{pod, replica_set, story};
use crate::scenario::{Act, Bounds, Part, Scenario, Step, after, once};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::{Value, json};
use sim::{Sim, State};

fn budget(name: &str, spec: Value) -> Value {
    let mut budget = json!({
        "kind": "PodDisruptionBudget",
        "metadata": { "name": name, "namespace": "default" },
        "spec": { "selector": { "matchLabels": { "app": "web" } } },
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        budget["spec"][field] = value.clone();
    }
    budget
}

fn scenario(name: &'static str, begin: Vec<Value>) -> Scenario {
    let parts = &[Part::ReplicaSet, Part::Disruption];
    Scenario {
        bounds: Bounds {
            slack: 1,
            ..Bounds::default()
        },
        ..story(name, parts, begin, Vec::new())
    }
}

/// `disruptionsAllowed`, `currentHealthy`, `desiredHealthy` and `expectedPods` of the budget `web`.
fn counts(state: &State) -> Option<[i32; 4]> {
    let budget = state.get::<PodDisruptionBudget>("default", "web")?;
    let status = budget.status.clone()?;
    Some([
        status.disruptions_allowed?,
        status.current_healthy?,
        status.desired_healthy?,
        status.expected_pods?,
    ])
}

fn is(sim: &Sim, wanted: [i32; 4]) -> bool {
    sim.read(|state| counts(state) == Some(wanted))
}

fn evict_when_allowed() -> Step {
    once(
        |state| counts(state).is_some_and(|counts| counts[0] > 0),
        Act::Evict("web"),
    )
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            steps: vec![evict_when_allowed(), after(1, Act::Evict("web"))],
            end: |sim| is(sim, [1, 3, 2, 3]),
            ..scenario(
                "evictions spend a budget",
                vec![replica_set(3), budget("web", json!({ "minAvailable": 2 }))],
            )
        },
        Scenario {
            steps: vec![
                after(
                    5,
                    Act::Merge("ReplicaSet", "web", json!({ "spec": { "replicas": 3 } })),
                ),
                after(
                    5,
                    Act::Merge(
                        "PodDisruptionBudget",
                        "web",
                        json!({ "spec": { "maxUnavailable": "34%" } }),
                    ),
                ),
                after(
                    5,
                    Act::Create(budget("other", json!({ "minAvailable": "50%" }))),
                ),
            ],
            end: |sim| is(sim, [2, 3, 1, 3]),
            ..scenario(
                "a budget follows its workload",
                vec![
                    replica_set(2),
                    budget("web", json!({ "maxUnavailable": 0 })),
                ],
            )
        },
        Scenario {
            steps: vec![after(
                5,
                Act::MergePod(
                    "web",
                    json!({ "status": { "conditions": [
                        { "type": "Ready", "status": "True" },
                        { "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                          "lastTransitionTime": "2020-01-01T00:00:00Z" },
                    ] } }),
                ),
            )],
            end: |sim| {
                is(sim, [0, 1, 1, 1])
                    && sim.get::<Pod>("default", "web-1").is_some_and(|pod| {
                        let target = ::objects::pod::condition(&pod, "DisruptionTarget");
                        target.is_some_and(|c| c.status == "False" && c.reason.is_none())
                    })
            },
            ..scenario(
                "an announced end does not come",
                vec![
                    pod("web-1", "web"),
                    budget("web", json!({ "minAvailable": 1 })),
                ],
            )
        },
    ]
}
