//! Namespaces that are deleted: with what has owners and what has none, held up, and with loops that work in them.

use super::{pod, replica_set, story};
use crate::scenario::{Act, Bounds, Part, Scenario, Step, after, once};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use serde_json::{Value, json};
use sim::{Sim, State};

const HELD: &str = "sweep/held";

fn namespace(name: &str) -> Value {
    json!({ "kind": "Namespace", "metadata": { "name": name } })
}

/// The same object in the namespace `team`.
fn there(mut object: Value) -> Value {
    object["metadata"]["namespace"] = "team".into();
    object
}

fn map(name: &str) -> Value {
    there(json!({ "kind": "ConfigMap", "metadata": { "name": name } }))
}

fn held(mut object: Value) -> Value {
    object["metadata"]["finalizers"] = json!([HELD]);
    object
}

fn freed(kind: &'static str, name: &'static str) -> Act {
    Act::Merge(kind, name, json!({ "metadata": { "finalizers": null } }))
}

/// What has no owner, in `team` and beside it.
fn free() -> Vec<Value> {
    let account = json!({ "kind": "ServiceAccount", "metadata": { "name": "default" } });
    let secret = json!({ "kind": "Secret", "metadata": { "name": "key" } });
    let beside =
        json!({ "kind": "ConfigMap", "metadata": { "name": "free", "namespace": "default" } });
    vec![
        namespace("team"),
        map("free"),
        there(account),
        there(secret),
        there(pod("web-1", "web")),
        beside,
    ]
}

fn with(more: impl IntoIterator<Item = Value>) -> Vec<Value> {
    free().into_iter().chain(more).collect()
}

fn goes() -> Step {
    after(10, Act::Delete("Namespace", "team"))
}

/// The condition of this type is true.
fn says(state: &State, condition: &str) -> bool {
    let team = state.get::<Namespace>("", "team");
    let conditions = team.and_then(|team| team.status.as_ref()?.conditions.clone());
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|c| c.type_ == condition && c.status == "True")
}

/// `team` is gone, and what is beside it is there.
fn is_gone(sim: &Sim) -> bool {
    sim.get::<Namespace>("", "team").is_none()
        && sim.get::<ConfigMap>("default", "free").is_some()
        && sim.list::<Pod>(None).len() == 1
}

pub(super) fn all() -> Vec<Scenario> {
    let two = with([held(there(pod("web-2", "web"))), held(map("held"))]);
    vec![
        Scenario {
            end: is_gone,
            ..story(
                "namespace with what has no owner",
                &[Part::Namespace],
                free(),
                vec![goes()],
            )
        },
        Scenario {
            end: is_gone,
            ..story(
                "namespace that is held up",
                &[Part::Namespace],
                two,
                vec![
                    goes(),
                    once(
                        |state| says(state, "NamespaceFinalizersRemaining"),
                        freed("Pod", "team/web-2"),
                    ),
                    once(
                        |state| {
                            state.list::<Pod>(Some("team")).is_empty()
                                && state.get::<ConfigMap>("team", "free").is_none()
                        },
                        freed("ConfigMap", "team/held"),
                    ),
                ],
            )
        },
        Scenario {
            bounds: Bounds {
                // A pod is deleted by whoever comes first, and made anew until the namespace goes.
                slack: 8,
                ..Bounds::default()
            },
            end: is_gone,
            ..story(
                "namespace with owners and owned",
                &[
                    Part::Namespace,
                    Part::ReplicaSet,
                    Part::GarbageCollector,
                    Part::ServiceAccount,
                ],
                with([there(replica_set(1))]),
                vec![goes()],
            )
        },
        Scenario {
            end: |sim| is_gone(sim) && sim.get::<Namespace>("", "other").is_none(),
            ..story(
                "namespaces at once, one made again",
                &[Part::Namespace],
                with([namespace("other"), held(map("held"))]),
                vec![
                    goes(),
                    after(0, Act::Delete("Namespace", "other")),
                    after(20, freed("ConfigMap", "team/held")),
                    once(
                        |state| state.get::<Namespace>("", "team").is_none(),
                        Act::Create(namespace("team")),
                    ),
                    after(1, Act::Create(map("again"))),
                    goes(),
                ],
            )
        },
    ]
}
