//! When a quota is looked at again: its only write is that of its status. Pure.

use crate::World;
use ::plan::Plan;
use std::time::Duration;

/// All quotas are counted anew this often, whatever was told (upstream: `--resource-quota-sync-period`).
const RESYNC: Duration = Duration::from_mins(5);
/// Whether a kind that nobody knew is served by now (upstream: `quotaMonitor.Sync`).
const DISCOVERY: Duration = Duration::from_secs(30);
/// Whether a kind has been listed by now.
const LISTED: Duration = Duration::from_millis(200);

pub(crate) fn plan(world: &World) -> Plan {
    let mut plan = Plan::none();
    plan.again(RESYNC);
    let Some(tally) = &world.tally else {
        plan.again(world.rest);
        return plan;
    };
    if !tally.unknown.is_empty() {
        plan.again(DISCOVERY);
    }
    if tally.unlisted {
        plan.again(LISTED);
    }
    if let Some(until) = tally.until {
        let left = Duration::try_from(until.duration_since(world.now)).unwrap_or_default();
        plan.again(left + Duration::from_millis(1));
    }
    if let Some(settled) = world.young.settled_in.filter(|_| world.is_held_up()) {
        plan.again(settled);
    }
    plan
}
