//! What to do about one StatefulSet. Pure.
//!
//! A round is upstream's (`stateful_set_control.go`, `updateStatefulSet`): the pods that are wanted in their order, then
//! those that are too many, then those of another revision. Under `OrderedReady` the first pod that has to be waited for
//! ends it.

mod claims;
mod healing;
mod pods;
mod revisions;
mod round;

pub(crate) use revisions::{Revisions, of_pod as revision_of};

use crate::world::{Settings, World};
use ::plan::{Action, Note, Plan};
use objects::pod;
use round::Round;

/// Decides. See the crate's documentation for what it keeps to.
pub fn plan(world: &World) -> Plan {
    let mut plan = Plan::none();
    let settings = match &world.spec {
        Ok(settings) => settings,
        Err(invalid) => {
            let note = Note::warning(&world.owner, invalid.reason, invalid.message.clone());
            plan.note(note);
            return plan;
        }
    };
    if world.is_going() {
        return plan;
    }
    plan.then(claim(world));
    let revisions = Revisions::of(world);
    plan.then(revisions.write(world).into_iter().collect());
    Round::new(world, settings, &revisions)
        .go()
        .write(&mut plan);
    plan.then(revisions.truncate(world, settings));
    if let Some(at) = next_available(world, settings) {
        plan.again((at - world.now).try_into().unwrap_or_default());
    }
    plan
}

/// Adopts and releases pods, adopts revisions (upstream: `ClaimPods`, `adoptOrphanRevisions`).
fn claim(world: &World) -> Vec<Action> {
    let is_orphan = |meta| objects::meta::controller_of(meta).is_none();
    let revisions = world.revisions.iter();
    let revisions = revisions.filter(|revision| is_orphan(&revision.metadata));
    let (owner, reference) = (&world.owner, &world.owner_reference);
    let revisions = revisions.map(|revision| Action::adopt(&**revision, owner, reference));
    let mut actions: Vec<Action> = revisions.collect();
    let orphans = world.orphans.iter();
    actions.extend(orphans.map(|pod| Action::adopt(&**pod, owner, reference)));
    let strangers = world.strangers.iter();
    actions.extend(strangers.map(|pod| Action::release(&**pod, &owner.uid)));
    actions
}

/// When the next pod that is ready becomes available: that may let the round go on, and the status says so.
fn next_available(world: &World, settings: &Settings) -> Option<jiff::Timestamp> {
    let min_ready = settings.min_ready_seconds;
    let pods = world.pods.values();
    pods.filter(|pod| !pod::is_available(pod, min_ready, world.now))
        .filter_map(|pod| pod::available_at(pod, min_ready))
        .min()
}
