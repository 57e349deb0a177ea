//! The write that gives a node its ranges (upstream: range_allocator.go, `updateCIDRsAllocation`).

use crate::{Share, World};
use ::plan::{Action, Note, PatchType, Plan, Reference};
use serde_json::json;

pub(crate) fn plan(world: &World) -> Plan {
    let mut plan = Plan::none();
    let on = Reference::to(&*world.node);
    match &world.share {
        Share::Nothing => {}
        Share::Ranges(ranges) => {
            let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
            let body = json!({
                "metadata": { "uid": on.uid },
                "spec": { "podCIDR": ranges.first(), "podCIDRs": ranges },
            });
            let reason = "CIDRAssignmentFailed";
            let message = status(&on, reason);
            let patch = Action::patch(on.clone(), PatchType::Strategic, body);
            plan.then(vec![patch.warning(&on, reason, message)]);
        }
        Share::NoneLeft => {
            let reason = "CIDRNotAvailable";
            plan.note(Note::normal(&on, reason, status(&on, reason)));
        }
    }
    plan
}

/// `controller_utils.go RecordNodeStatusChange`
fn status(on: &Reference, status: &str) -> String {
    format!("Node {} status is now: {status}", on.name)
}

#[cfg(test)]
mod tests;
