//! What to do about a DaemonSet. Pure.
//!
//! Upstream: `syncDaemonSet` in `pkg/controller/daemon/daemon_controller.go`. As there, pods are replaced by newer ones
//! only in a round in which none is missing and none is too much.

mod changes;
mod manage;
mod record;
mod rolling;

use crate::world::{Spec, Strategy, World};
use ::plan::{Action, Note, Plan};
use objects::pod;
use std::time::Duration;

/// Decides. See the crate's documentation for what it keeps to.
pub fn plan(world: &World) -> Plan {
    let mut plan = Plan::none();
    let settings = match &world.spec {
        Spec::Valid(settings) => settings,
        Spec::Invalid(error) => {
            plan.note(Note::warning(&world.me, "InvalidSpec", error));
            return plan;
        }
        Spec::SelectsAll => {
            plan.note(Note::warning(&world.me, "SelectingAll", SELECTING_ALL));
            return plan;
        }
    };
    if world.is_going() {
        return plan;
    }
    plan.then(claims(world));
    record::current(world, &mut plan);

    let mut changes = manage::changes(world, settings);
    if changes.is_empty() {
        match settings.strategy {
            Strategy::OnDelete => {}
            Strategy::RollingUpdate {
                max_surge: 0,
                max_unavailable,
            } => rolling::replace(world, settings, max_unavailable, &mut changes),
            Strategy::RollingUpdate { max_surge, .. } => {
                rolling::surge(world, settings, max_surge, &mut changes);
            }
        }
    }
    changes.write(world, settings, &mut plan);
    plan.then(record::cleanup(world, settings));

    let waiting = world.waiting.values().copied();
    let min_ready = settings.min_ready_seconds;
    let ready = world.by_node.values().flatten();
    let available = ready
        .filter(|pod| !pod::is_available(pod, min_ready, world.now))
        .filter_map(|pod| pod::available_at(pod, min_ready));
    if let Some(at) = waiting.chain(available).min() {
        let delay = Duration::try_from(at - world.now).unwrap_or_default();
        plan.again(delay);
    }
    plan
}

const SELECTING_ALL: &str =
    "This daemon set is selecting all pods. A non-empty selector is required.";

/// Adoptions and releases of pods and revisions (`controller_ref_manager.go`). What is adopted counts as its own from
/// now on; if that fails, the rest of the plan is not carried out.
fn claims(world: &World) -> Vec<Action> {
    let both = world.adoptions.iter().chain(&world.releases);
    both.cloned().collect()
}
