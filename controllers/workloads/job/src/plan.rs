//! What to do about one Job. Pure.

pub(crate) mod backoff;
mod claim;
pub(crate) mod count;
pub(crate) mod end;
pub(crate) mod finalizers;
pub(crate) mod indexes;
mod manage;
pub(crate) mod policy;

pub(crate) use claim::claim;

use crate::{Case, World};
use count::Count;
use objects::Selector;
use plan::{Action, Note, Plan};
use std::time::Duration;

/// No clock is set further than this.
const DAY: Duration = Duration::from_hours(24);

/// Claims its pods; then takes the finalizers of those that are written down, and creates or deletes pods.
pub(crate) fn plan(world: &World) -> Plan {
    let mut plan = Plan::none();
    plan.then(
        world
            .stale
            .iter()
            .map(|pod| finalizers::orphan(pod))
            .collect(),
    );
    match &world.case {
        Case::Live(selector) => live(world, selector, &mut plan),
        Case::Finished => finished(world, &mut plan),
        Case::Foreign => {}
        Case::UnknownMode => {
            let message = "Skipped Job sync because completion mode is unknown";
            plan.note(Note::warning(
                &world.owner,
                "UnknownCompletionMode",
                message,
            ));
        }
        Case::BadSelector(error) => {
            let message = format!("spec.selector: {error}");
            plan.note(Note::warning(&world.owner, "InvalidSelector", message));
        }
    }
    plan
}

fn live(world: &World, selector: &Selector, plan: &mut Plan) {
    let claims = claim(world, selector);
    if !claims.is_empty() {
        // What is adopted is counted in the next turn, with its finalizer on it.
        plan.then(claims);
        return;
    }
    let count = Count::of(world);
    let end = end::end(world, &count);
    if end.as_ref().is_some_and(|end| end.written) {
        let active = count.active();
        plan.then(active.map(|own| manage::delete(world, own.pod)).collect());
    }
    // An end that is not written down yet counts for the status of this turn and for the pods of the next.
    let so_far = end.as_ref().filter(|end| end.written);
    plan.then(released(world, &count, so_far));
    if end.is_none() {
        if !world.is_going() {
            manage::manage(world, &count, plan);
        }
        if let Some(left) = end::time_left(world) {
            plan.again(Duration::try_from(left).unwrap_or_default().min(DAY));
        }
    }
}

/// The finalizers that are not needed any more.
fn released(world: &World, count: &Count<'_>, end: Option<&end::End>) -> Vec<Action> {
    let done = count.own.iter().filter(|own| {
        let due = count.due(world, end, own);
        count.is_written(own, due)
    });
    done.map(|own| finalizers::release(own.pod)).collect()
}

/// A Job that has finished has no pods to count. One that shows up all the same (its creation was slower than
/// the end) must not be kept, nor run.
fn finished(world: &World, plan: &mut Plan) {
    let count = Count::of(world);
    let (active, tracked) = (count.active(), count.own.iter().filter(|own| own.tracked));
    plan.then(active.map(|own| manage::delete(world, own.pod)).collect());
    plan.then(tracked.map(|own| finalizers::release(own.pod)).collect());
}
