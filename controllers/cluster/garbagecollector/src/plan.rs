//! What becomes of one object (upstream: garbagecollector.go, `attemptToDeleteItem`, `attemptToOrphanWorker`).

use crate::graph::{Claim, FOREGROUND, Item, ORPHAN};
use ::plan::{Action, Note, PatchType, Plan, Propagation, Reference};
use runtime::meta::Meta;
use serde_json::json;
use std::time::Duration;

/// How long after a patch of an object to look at it again: the watch has shown it by then.
const SHOWN: Duration = Duration::from_millis(20);

/// What the API server says of an owner that an object names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is there.
    Solid,
    /// It is being deleted and waits for its dependents to be gone.
    Waiting,
    /// It is being deleted and its dependents are to stay.
    Orphaning,
    /// It is not there, or is another incarnation.
    Absent,
    /// It lives in a namespace and the object does not: no such owner can be asked for, and nothing can be said.
    Misplaced,
}

/// What is looked at when something is decided about an object.
#[derive(Clone, Debug)]
pub struct World {
    /// The object.
    pub item: Item,
    /// What the API server says of each of its owners.
    pub owners: Vec<Verdict>,
    /// The owners that are known to live in another namespace than the object.
    pub strays: Vec<Claim>,
}

/// What is done about an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It stays as it is.
    Keep,
    /// It goes once its dependents are seen to.
    Wait,
    /// Its dependents are seen to: this finalizer goes.
    Finish(&'static str),
    /// It goes.
    Delete(Propagation),
    /// Its owners go after it and it goes after its dependents, of which one may wait for it: its owners need not wait.
    Unblock,
    /// It has an owner that stays: the references to the others go.
    Release,
}

/// Decides.
pub fn decide(world: &World) -> Decision {
    let World { item, owners, .. } = world;
    if item.life.deleting {
        return match () {
            () if item.life.orphan && item.dependents == 0 => Decision::Finish(ORPHAN),
            () if item.life.orphan => Decision::Wait,
            () if item.life.foreground && item.blocking == 0 => Decision::Finish(FOREGROUND),
            () if item.life.foreground => Decision::Wait,
            // The way to the end is one way.
            () => Decision::Keep,
        };
    }
    let has = |wanted| owners.contains(&wanted);
    if owners.is_empty() || has(Verdict::Misplaced) {
        return Decision::Keep;
    }
    if has(Verdict::Solid) || has(Verdict::Orphaning) {
        let all_stay = owners.iter().all(|verdict| *verdict == Verdict::Solid);
        return if all_stay {
            Decision::Keep
        } else {
            Decision::Release
        };
    }
    if has(Verdict::Waiting) && item.dependents > 0 {
        let blocks = item.owners.iter().any(|claim| claim.blocks);
        if item.dependent_waits && blocks {
            return Decision::Unblock;
        }
        return Decision::Delete(Propagation::Foreground);
    }
    Decision::Delete(match () {
        () if item.life.orphan => Propagation::Orphan,
        () if item.life.foreground => Propagation::Foreground,
        () => Propagation::Background,
    })
}

impl Decision {
    /// Whether the object has to be read first: what is patched is patched at the version that was read.
    pub fn reads(self) -> bool {
        matches!(self, Self::Finish(_) | Self::Unblock | Self::Release)
    }
}

/// The writes and events of a decision. `live` is the object as it was read, where [`Decision::reads`].
pub fn plan(world: &World, decision: Decision, live: Option<&Meta>) -> Plan {
    let mut plan = Plan::none();
    for claim in &world.strays {
        plan.note(stray(&world.item.on, claim));
    }
    let on = &world.item.on;
    let action = match (decision, live) {
        (Decision::Delete(policy), _) => Action::delete_ref(on.clone())
            .with_propagation(policy)
            .at_version(Some(world.item.version.clone()))
            .because("no owner is left"),
        (Decision::Finish(finalizer), Some(live)) => {
            let left: Vec<_> = live.finalizers.iter().filter(|f| *f != finalizer).collect();
            if left.len() == live.finalizers.len() {
                return plan;
            }
            patch(on, live, json!({"finalizers": left})).because("its dependents are seen to")
        }
        (Decision::Release, Some(live)) => {
            plan.again(SHOWN);
            patch(on, live, json!({"ownerReferences": kept(world, live)}))
                .because("it has another owner, or is let go")
        }
        (Decision::Unblock, Some(live)) => {
            plan.again(SHOWN);
            let mut references = live.owner_references.clone();
            for reference in &mut references {
                reference.block_owner_deletion = Some(false);
            }
            patch(on, live, json!({"ownerReferences": references}))
                .because("its owner and its dependent wait for each other")
        }
        _ => return plan,
    };
    plan.then(vec![action]);
    plan
}

/// The references to owners that stay.
fn kept(
    world: &World,
    live: &Meta,
) -> Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference> {
    let (claims, verdicts) = (&world.item.owners, &world.owners);
    let goes = |uid: &str| {
        let uid = crate::uid::Uid::of(uid);
        let mut of = claims.iter().zip(verdicts).filter(|(c, _)| c.uid == uid);
        of.any(|(_, verdict)| *verdict != Verdict::Solid)
    };
    let references = live.owner_references.iter();
    references.filter(|r| !goes(&r.uid)).cloned().collect()
}

/// A merge patch of metadata, at the version that was read: custom resources take no other kind.
fn patch(on: &Reference, live: &Meta, mut metadata: serde_json::Value) -> Action {
    metadata["uid"] = json!(live.uid);
    metadata["resourceVersion"] = json!(live.resource_version);
    Action::patch(on.clone(), PatchType::Merge, json!({"metadata": metadata}))
}

/// graph_builder.go, `reportInvalidNamespaceOwnerRef`
fn stray(item: &Reference, claim: &Claim) -> Note {
    let Claim {
        api_version,
        kind,
        name,
        uid,
        ..
    } = claim;
    let namespace = &item.namespace;
    let message = format!(
        "ownerRef [{api_version}/{kind}, namespace: {namespace}, name: {name}, uid: {uid}] \
         does not exist in namespace {namespace:?}"
    );
    Note::warning(item, "OwnerRefInvalidNamespace", message)
}

#[cfg(test)]
mod tests;
