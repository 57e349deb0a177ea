//! The StatefulSet controller: pods that have a name, a place in an order, and claims of their own.
//!
//! **Promises.**
//! 1. A pod has the name of its ordinal, the labels and the host name that say so, and its claims exist before it does.
//!    There are never two pods of one ordinal: the next one is created when the last one is gone from the API server.
//! 2. Under `OrderedReady` a pod is created when all before it are available, one at a time; a pod goes when all after
//!    it are gone. Under `Parallel` nobody waits for anybody.
//! 3. Rolling updates go from the highest ordinal down to `partition`, one pod at a time (`maxUnavailable` at a time
//!    where the API server lets it through), and wait for each to become available.
//! 4. A claim is never deleted here. Under `persistentVolumeClaimRetentionPolicy` it gets an owner, and the garbage
//!    collector sees to it; a claim with an owner that is not known stays as it is.
//! 5. What was created by upstream's controller is taken over without a restart: revisions are compared by what they
//!    store and have the same format.
//!
//! **Never.** It never deletes an incarnation that it has not seen (upstream deletes by name, and so may kill the next
//! pod of that name), never looks at nodes, never forces a pod out.
//!
//! **Better than upstream, on purpose.**
//! - A rollout to something broken can be mended by another template: a pod of a revision that is not wanted any more,
//!   which never became ready and does not run, is replaced ([`plan`], `healing`). Upstream waits for it for ever
//!   (kubernetes#67250).
//! - Names of more than 52 bytes work: the revision's name, which is a label of the pods, is kept within 63 bytes
//!   (kubernetes#64023).
//! - A changed `volumeClaimTemplates` of a set that was made again with the same pods does not stop its updates.
//! - A claim that is in the way wakes the set when it is gone; upstream waits for something else to happen.
//! - A pod that fails within two seconds of its creation is not made again at once (compare kubernetes#72593).
//! - `status.currentRevision` follows under `OnDelete` too (kubernetes#73492), and foreign conditions survive.
//!
//! Semantics: upstream `pkg/controller/statefulset`. Start reading at [`plan`]; what it is decided from is [`World`].
#![forbid(unsafe_code)]

mod identity;
mod metrics;
mod plan;
mod status;
#[cfg(test)]
mod tests;
mod world;

pub use plan::plan;
pub use status::status;
pub use world::{Invalid, Settings, Strategy, World};

use ::plan::{Kind, Metric, Object, Outcome, Plan, Sample, Turn};
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use objects::{Selector, meta};
use runtime::{Caches, Change, Controller, Key, Moment, Queue, Watches};
use std::sync::Arc;

/// The control loop for StatefulSets.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatefulSetController;

impl Controller for StatefulSetController {
    const NAME: &'static str = "statefulset-controller";
    const QUEUE: &'static str = "statefulset";
    const METRICS: &'static [&'static Metric] = metrics::METRICS;
    type Object = StatefulSet;
    type World = World;

    fn watch(watches: &Watches<'_>) {
        watches.owned::<Pod>("StatefulSet");
        watches.owned::<ControllerRevision>("StatefulSet");
        watches.on::<Pod>(wake_adopters);
        watches.on::<PersistentVolumeClaim>(wake_claimants);
    }

    async fn observe(&self, caches: &Caches, set: Arc<StatefulSet>, moment: Moment) -> World {
        let (namespace, uid) = (meta::namespace(&set.metadata), meta::uid(&set.metadata));
        let pods = caches.of::<Pod>();
        let mut near = pods.owned_by(uid);
        near.extend(pods.orphans(namespace));
        let revisions = caches.of::<ControllerRevision>();
        let mut stored = revisions.owned_by(uid);
        stored.extend(revisions.orphans(namespace));
        let claims = caches.of::<PersistentVolumeClaim>();
        let claim = |name: &str| claims.get(namespace, name);
        World::new(set.clone(), near, stored, claim, moment)
    }

    fn plan(world: &World) -> Plan {
        plan(world)
    }

    fn status(world: &World, outcome: &Outcome) -> Option<Object> {
        status(world, outcome).map(Object::new)
    }

    fn measure(world: &World, _: &Turn<'_>) -> Vec<Sample> {
        metrics::measure(world)
    }

    fn held(behind: Kind) -> Option<Sample> {
        Some(metrics::held(behind))
    }
}

/// An orphan that appears, or whose labels or owner changed, wakes the set whose pod it is by name and labels.
fn wake_adopters(change: &Change<Pod>, queue: &Queue, caches: &Caches) {
    let Some(new) = &change.new else { return };
    let is_orphan = |pod: &Pod| meta::controller_of(&pod.metadata).is_none();
    if !is_orphan(new) || meta::is_deleting(&new.metadata) {
        return;
    }
    let unchanged = |old: &Arc<Pod>| is_orphan(old) && old.metadata.labels == new.metadata.labels;
    if change.old.as_ref().is_some_and(unchanged) {
        return;
    }
    let namespace = meta::namespace(&new.metadata);
    let Some((set, _)) = meta::name(&new.metadata).rsplit_once('-') else {
        return;
    };
    let Some(set) = caches.of::<StatefulSet>().get(namespace, set) else {
        return;
    };
    let selector = set
        .spec
        .as_ref()
        .map(|spec| Selector::parse(&spec.selector));
    let selects = |s: Selector| !s.is_empty() && s.matches(new.metadata.labels.as_ref());
    if selector.and_then(Result::ok).is_some_and(selects) {
        queue.add(Key::of(&set.metadata));
    }
}

/// A claim that came, went, is about to go or has other owners wakes the set that it is for. Its binding does not.
fn wake_claimants(change: &Change<PersistentVolumeClaim>, queue: &Queue, caches: &Caches) {
    if let (Some(old), Some(new)) = (&change.old, &change.new) {
        let (old, new) = (&old.metadata, &new.metadata);
        let same_owners = old.owner_references == new.owner_references;
        if old.uid == new.uid && same_owners && meta::is_deleting(old) == meta::is_deleting(new) {
            return;
        }
    }
    let claim = &change.latest().metadata;
    for set in caches
        .of::<StatefulSet>()
        .in_namespace(meta::namespace(claim))
    {
        let templates = set
            .spec
            .iter()
            .flat_map(|spec| spec.volume_claim_templates.iter().flatten());
        let is_for = |template: &PersistentVolumeClaim| {
            let template = meta::name(&template.metadata);
            let name = meta::name(&set.metadata);
            identity::ordinal_of_claim(template, name, meta::name(claim)).is_some()
        };
        if templates.into_iter().any(is_for) {
            queue.add(Key::of(&set.metadata));
        }
    }
}
