//! The revisions: the current one is there, once, with the highest number; old ones that nobody needs go.
//!
//! Upstream: `constructHistory`, `dedupCurHistories` and `cleanupHistory` in `pkg/controller/daemon/update.go`.

use crate::revisions::{Current, hash_of};
use crate::world::{Settings, World};
use ::plan::{Action, PatchType, Plan, Reference};
use k8s_openapi::api::apps::v1::ControllerRevision;
use objects::history::{self, CONTROLLER_REVISION_HASH};
use objects::meta;
use serde_json::json;
use std::collections::BTreeSet;

/// Makes sure that the current template is on record before a pod is made from it.
pub(super) fn current(world: &World, plan: &mut Plan) {
    let revisions = &world.revisions;
    let mut writes: Vec<Action> = revisions
        .all()
        .filter(|revision| meta::label(&revision.metadata, CONTROLLER_REVISION_HASH).is_none())
        .map(|revision| label(Reference::to(revision), &hash_of(revision)))
        .collect();
    match &revisions.current {
        Current::Missing(revision) => {
            writes.push(Action::create(ControllerRevision::clone(revision)));
        }
        Current::There(revision) if revision.revision < revisions.number => {
            let on = Reference::to(&**revision);
            let body = json!({"metadata": {"uid": on.uid}, "revision": revisions.number});
            let patch = Action::patch(on, PatchType::Merge, body);
            writes.push(patch.because("its template is the current one again"));
        }
        Current::There(_) => {}
    }
    plan.then(writes);

    let gone: BTreeSet<String> = revisions.duplicates.iter().map(|r| hash_of(r)).collect();
    let relabel = world.pods.iter().filter(|pod| {
        let hash = meta::label(&pod.metadata, CONTROLLER_REVISION_HASH);
        hash.is_some_and(|hash| hash != revisions.hash && gone.contains(hash))
    });
    plan.then(
        relabel
            .map(|pod| label(Reference::to(&**pod), &revisions.hash))
            .collect(),
    );
    let duplicates = revisions.duplicates.iter();
    let delete = duplicates.map(|r| Action::delete(&**r).because("another one is the same"));
    plan.then(delete.collect());
}

/// Deletes the oldest revisions beyond the limit that no pod was made from.
pub(super) fn cleanup(world: &World, settings: &Settings) -> Vec<Action> {
    let hashes = world.pods.iter();
    let live: BTreeSet<&str> = hashes
        .filter_map(|pod| meta::label(&pod.metadata, CONTROLLER_REVISION_HASH))
        .collect();
    let is_live = |revision: &ControllerRevision| live.contains(hash_of(revision).as_str());
    let excess = history::beyond_limit(&world.revisions.old, settings.history_limit, is_live);
    let delete = excess
        .into_iter()
        .map(|revision| Action::delete(&**revision));
    delete
        .map(|action| action.because("the history is full"))
        .collect()
}

fn label(on: Reference, hash: &str) -> Action {
    let body = json!({"metadata": {"uid": on.uid, "labels": {CONTROLLER_REVISION_HASH: hash}}});
    Action::patch(on, PatchType::Merge, body)
}
