//! The Deployment controller: one template of pods, rolled out through ReplicaSets.
//!
//! A Deployment never touches pods. It keeps one ReplicaSet a template (the one whose template equals its own is the
//! *new* one, all others are *old*) and moves their sizes against each other.
//!
//! What it promises:
//! 1. The sum of all sizes, and the pods that exist, never exceed `replicas + maxSurge` once they are within it.
//! 2. Old pods go only while `replicas - maxUnavailable` others are known to be available; a ReplicaSet whose status
//!    is older than its spec is not trusted to have any.
//! 3. One write a ReplicaSet and round: size, annotations and `minReadySeconds` go together.
//! 4. The template of a ReplicaSet is never changed and never hashed again, so a take-over restarts nothing.
//! 5. Where all is as wanted, nothing is written.
//!
//! What it never does: create or delete pods, look at nodes, act on a Deployment that is being deleted.
//!
//! Better than upstream, on purpose: a stale `desired-replicas` annotation cannot stop a rollout
//! (kubernetes#138036), a refused write of an old ReplicaSet is tried again at once and not at the progress deadline,
//! a finished pod does not hold up `Recreate` (kubernetes#128798).
//!
//! Upstream: `pkg/controller/deployment`. Start reading at [`plan`]; what it is decided from is [`World`].
#![forbid(unsafe_code)]

mod annotations;
mod plan;
mod progress;
mod replicas;
mod status;
mod world;

pub use plan::plan;
pub use status::status;
pub use world::{NewReplicaSet, Settings, Spec, Strategy, World};

use ::plan::{Object, Outcome, Plan};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use objects::{Selector, meta};
use runtime::{Caches, Change, Controller, Key, Moment, Queue, Watches};
use std::sync::Arc;

/// The loop over Deployments.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeploymentController;

impl Controller for DeploymentController {
    const NAME: &'static str = "deployment-controller";
    const QUEUE: &'static str = "deployment";

    type Object = Deployment;
    type World = World;

    fn watch(watches: &Watches<'_>) {
        watches.owned::<ReplicaSet>("Deployment");
        watches.on::<ReplicaSet>(wake_adopters);
        watches.on::<Pod>(wake_recreate);
    }

    async fn observe(&self, caches: &Caches, deployment: Arc<Deployment>, moment: Moment) -> World {
        let cache = caches.of::<ReplicaSet>();
        let namespace = meta::namespace(&deployment.metadata);
        let mut replica_sets = cache.owned_by(meta::uid(&deployment.metadata));
        replica_sets.extend(cache.orphans(namespace));
        let pods = caches.of::<Pod>();
        World::new(
            deployment.clone(),
            replica_sets,
            |name| cache.get(namespace, name),
            |uid| pods.owned_by(uid),
            moment.now,
        )
    }

    fn plan(world: &World) -> Plan {
        plan(world)
    }

    fn status(world: &World, outcome: &Outcome) -> Option<Object> {
        status(world, outcome)
    }
}

/// An orphan that appears, or whose labels or owner changed, wakes every Deployment that selects it.
fn wake_adopters(change: &Change<ReplicaSet>, queue: &Queue, caches: &Caches) {
    let Some(new) = &change.new else { return };
    let is_orphan = |rs: &ReplicaSet| meta::controller_of(&rs.metadata).is_none();
    if !is_orphan(new) || meta::is_deleting(&new.metadata) {
        return;
    }
    let unchanged =
        |old: &Arc<ReplicaSet>| is_orphan(old) && old.metadata.labels == new.metadata.labels;
    if change.old.as_ref().is_some_and(unchanged) {
        return;
    }
    let namespace = meta::namespace(&new.metadata);
    for deployment in caches.of::<Deployment>().in_namespace(namespace) {
        let selector = deployment
            .spec
            .as_ref()
            .map(|spec| Selector::parse(&spec.selector));
        let selects = |s: Selector| !s.is_empty() && s.matches(new.metadata.labels.as_ref());
        if selector.and_then(Result::ok).is_some_and(selects) {
            queue.add(Key::of(&deployment.metadata));
        }
    }
}

/// A pod that is gone or has finished may be the last that a `Recreate` Deployment waits for. Each of them wakes it:
/// to count the rest is the plan's business (upstream counts here, by another rule than there, and so stalls).
fn wake_recreate(change: &Change<Pod>, queue: &Queue, caches: &Caches) {
    let stopped = match (&change.old, &change.new) {
        (Some(_), None) => true,
        (old, Some(new)) => {
            world::has_stopped(new) && !old.as_ref().is_some_and(|old| world::has_stopped(old))
        }
        (None, None) => false,
    };
    if !stopped {
        return;
    }
    let pod = change.latest();
    let Some(owner) = meta::controller_of(&pod.metadata).filter(|o| o.kind == "ReplicaSet") else {
        return;
    };
    let namespace = meta::namespace(&pod.metadata);
    let Some(rs) = caches.of::<ReplicaSet>().get(namespace, &owner.name) else {
        return;
    };
    if meta::uid(&rs.metadata) != owner.uid {
        return;
    }
    let Some(key) = runtime::controller_key(&rs.metadata, "Deployment") else {
        return;
    };
    let recreates = |d: &Arc<Deployment>| {
        let strategy = d.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
        strategy.and_then(|s| s.type_.as_deref()) == Some("Recreate")
    };
    if caches
        .of::<Deployment>()
        .find(&key)
        .as_ref()
        .is_some_and(recreates)
    {
        queue.add(key);
    }
}

#[cfg(test)]
mod tests;
