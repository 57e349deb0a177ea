//! What to do about a Deployment.
//!
//! Each round is one of upstream's courses (`deployment_controller.go` `syncDeployment`). The rules of a course change
//! [`Drafts`] of ReplicaSets; what differs from the cache in the end is written, one write a ReplicaSet.

mod claim;
mod cleanup;
mod draft;
mod new_replicaset;
mod recreate;
mod revision;
mod rollback;
mod rolling;
mod scale;

use crate::progress;
use crate::world::{Course, Settings, Spec, Strategy, World};
use ::plan::{Note, Plan};
use draft::Drafts;

/// Decides. See the crate's documentation for what it keeps to.
pub fn plan(world: &World) -> Plan {
    let mut plan = Plan::none();
    let settings = match &world.spec {
        Spec::Valid(settings) => settings,
        Spec::Invalid(_) => return plan,
        Spec::SelectsAll => {
            selects_all(world, &mut plan);
            return plan;
        }
    };
    let course = world.course(settings);
    if course == Course::Deleting {
        return plan;
    }
    plan.then(claim::actions(world));
    if !world.orphans.is_empty() {
        // Whether they become ours is for the API server to say; until then their pods cannot be reckoned with.
        return plan;
    }

    let mut drafts = Drafts::of(world);
    match course {
        Course::Deleting => {}
        Course::Paused => {
            revision::sync(world, settings, &mut drafts);
            scale::proportionally(settings, world, &mut drafts);
            drafts.write(world, &mut plan);
            if settings.rollback_to.is_none() {
                plan.then(cleanup::actions(settings, &drafts));
            }
        }
        Course::Scaling => {
            revision::sync(world, settings, &mut drafts);
            scale::proportionally(settings, world, &mut drafts);
            drafts.write(world, &mut plan);
        }
        Course::Rollback(revision) => {
            new_replicaset::ensure(world, settings, &mut drafts);
            revision::sync(world, settings, &mut drafts);
            drafts.write(world, &mut plan);
            plan.then(rollback::actions(world, revision, &drafts));
        }
        Course::Rollout => rollout(world, settings, &mut drafts, &mut plan),
    }
    plan
}

fn rollout(world: &World, settings: &Settings, drafts: &mut Drafts, plan: &mut Plan) {
    match settings.strategy {
        Strategy::Recreate => recreate::roll(world, settings, drafts),
        Strategy::RollingUpdate { .. } => rolling::roll(world, settings, drafts),
    }
    drafts.write(world, plan);
    if !drafts.any_resized() && progress::is_complete(world, settings) {
        plan.then(cleanup::actions(settings, drafts));
    }
    if let Some(delay) = progress::look_again_after(world, settings) {
        plan.again(delay);
    }
}

/// Told once a generation; upstream tells it at every look.
fn selects_all(world: &World, plan: &mut Plan) {
    let seen = world
        .deployment
        .status
        .as_ref()
        .and_then(|s| s.observed_generation);
    if seen.unwrap_or(0) < world.deployment.metadata.generation.unwrap_or(0) {
        plan.note(Note::warning(
            &world.me,
            "SelectingAll",
            "This deployment is selecting all pods. A non-empty selector is required.",
        ));
    }
}

#[cfg(test)]
mod tests;
