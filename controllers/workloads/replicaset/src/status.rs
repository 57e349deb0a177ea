//! The status that a ReplicaSet or ReplicationController should have. Pure.
//! (upstream: replica_set_utils.go, `calculateStatus`)

use crate::plan::claim;
use crate::{PodSet, World};
use k8s_openapi::api::apps::v1::{ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use objects::{conditions, meta, pod};
use plan::Outcome;

const REPLICA_FAILURE: &str = "ReplicaFailure";

/// The set with the status it should have, or `None` if it has it.
pub(crate) fn status<K: PodSet>(world: &World<K>, outcome: &Outcome) -> Option<K> {
    let selector = world.selector.as_ref().ok()?;
    let pods = claim(world, selector).pods;
    let count = |of: &dyn Fn(&k8s_openapi::api::core::v1::Pod) -> bool| {
        pods.iter().filter(|pod| of(pod)).count() as i32
    };
    let template_labels = world
        .template
        .metadata
        .as_ref()
        .and_then(|m| m.labels.as_ref());
    let is_fully_labeled = |pod: &k8s_openapi::api::core::v1::Pod| {
        template_labels
            .into_iter()
            .flatten()
            .all(|(key, value)| meta::label(&pod.metadata, key) == Some(value))
    };
    let uid = meta::uid(world.set.metadata());
    let terminating = world.pods.iter().filter(|pod| {
        pod::is_terminating(pod)
            && meta::is_controlled_by(&pod.metadata, uid)
            && selector.matches(pod.metadata.labels.as_ref())
    });

    let old = world.set.reported();
    let new = ReplicaSetStatus {
        replicas: pods.len() as i32,
        fully_labeled_replicas: Some(count(&is_fully_labeled)),
        ready_replicas: Some(count(&pod::is_ready)),
        available_replicas: Some(count(&|p| {
            pod::is_available(p, world.min_ready_seconds, world.now())
        })),
        terminating_replicas: K::COUNTS_TERMINATING.then(|| terminating.count() as i32),
        observed_generation: world.set.metadata().generation,
        conditions: conditions(world, outcome, old.conditions.as_deref()),
    };
    if same(&old, &new) {
        return None;
    }
    Some(world.set.reporting(new))
}

/// `ReplicaFailure` is there while pods can not be created or deleted
/// (upstream: `manageReplicasErr` in `calculateStatus`).
fn conditions<K: PodSet>(
    world: &World<K>,
    outcome: &Outcome,
    old: Option<&[ReplicaSetCondition]>,
) -> Option<Vec<ReplicaSetCondition>> {
    let mut list = old.unwrap_or_default().to_vec();
    let failure = outcome.failure().filter(|f| f.on.kind.kind == "Pod");
    match failure {
        Some(failure) if conditions::find(old, REPLICA_FAILURE).is_none() => {
            let reason = match failure.verb {
                "create" => "FailedCreate",
                "delete" => "FailedDelete",
                // An adoption that was refused is tried again and nobody's business.
                _ => return Some(list).filter(|l| !l.is_empty()),
            };
            conditions::set(
                &mut list,
                ReplicaSetCondition {
                    type_: REPLICA_FAILURE.to_owned(),
                    status: "True".to_owned(),
                    reason: Some(reason.to_owned()),
                    message: Some(failure.message.clone()),
                    last_transition_time: Some(Time(world.now())),
                },
            );
        }
        None if outcome.is_success() => {
            conditions::remove(&mut list, REPLICA_FAILURE);
        }
        _ => {}
    }
    Some(list).filter(|list| !list.is_empty())
}

/// Zero and absent are the same count: the API server leaves zeros out.
fn same(old: &ReplicaSetStatus, new: &ReplicaSetStatus) -> bool {
    let zero = |n: Option<i32>| n.unwrap_or(0);
    old.replicas == new.replicas
        && zero(old.fully_labeled_replicas) == zero(new.fully_labeled_replicas)
        && zero(old.ready_replicas) == zero(new.ready_replicas)
        && zero(old.available_replicas) == zero(new.available_replicas)
        && old.terminating_replicas == new.terminating_replicas
        && old.observed_generation == new.observed_generation
        && old.conditions.as_deref().unwrap_or_default()
            == new.conditions.as_deref().unwrap_or_default()
}
