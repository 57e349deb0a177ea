//! The number of seconds by the number of nodes (upstream: ttl_controller.go, `ttlBoundaries`).

use crate::{ANNOTATION, World};
use ::plan::{Action, PatchType, Plan, Reference};
use k8s_openapi::api::core::v1::Node;
use objects::meta;
use serde_json::json;

/// From how many nodes a step holds, up to how many, and its seconds.
const STEPS: [(usize, usize, u32); 5] = [
    (0, 100, 0),
    (90, 500, 15),
    (450, 1000, 30),
    (900, 2000, 60),
    (1800, usize::MAX, 300),
];

pub(crate) fn plan(world: &World) -> Plan {
    let mut plan = Plan::none();
    if written(&world.node) != Some(world.seconds) && !meta::is_deleting(&world.node.metadata) {
        let on = Reference::to(&*world.node);
        let body = json!({ "metadata": {
            "uid": on.uid,
            "annotations": { ANNOTATION: world.seconds.to_string() },
        } });
        plan.then(vec![Action::patch(on, PatchType::Strategic, body)]);
    }
    plan
}

/// The step for so many nodes, if it was `old` before.
pub(crate) fn step(old: usize, nodes: usize) -> usize {
    let mut step = old.min(STEPS.len() - 1);
    while nodes > STEPS[step].1 {
        step += 1;
    }
    while nodes < STEPS[step].0 {
        step -= 1;
    }
    step
}

/// The seconds of a step.
pub(crate) fn seconds(step: usize) -> u32 {
    STEPS[step.min(STEPS.len() - 1)].2
}

/// What a node says, if it is a number.
pub(crate) fn written(node: &Node) -> Option<u32> {
    meta::annotation(&node.metadata, ANNOTATION)?.parse().ok()
}

#[cfg(test)]
mod tests;
