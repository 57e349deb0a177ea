//! What is told about the pods of a budget, and when it is looked at again. The only write is the status.

pub(crate) mod stale;

use crate::World;
use crate::status::counts::count;
use ::plan::{Note, Plan};
use std::time::Duration;

/// Decides.
pub(crate) fn plan(world: &World) -> Plan {
    let mut plan = Plan::none();
    for (pod, first) in &world.shared {
        let message = format!(
            "Pod \"{}\"/\"{}\" matches multiple PodDisruptionBudgets.  Chose \"{first}\" arbitrarily.",
            pod.namespace, pod.name
        );
        plan.note(Note::warning(pod, "MultiplePodDisruptionBudgets", message));
    }
    let again = match count(world) {
        Ok(counts) => counts.due.map(|due| {
            let wait = Duration::try_from(due.duration_since(world.now));
            wait.unwrap_or_default()
        }),
        Err(failed) => failed.again,
    };
    if let Some(delay) = again {
        plan.again(delay);
    }
    plan
}
