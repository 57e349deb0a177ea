//! Whether a ServiceCIDR is ready, has to wait for its end, or goes
//! (upstream: servicecidrs_controller.go, `sync` and `canDeleteCIDR`).

use crate::{FINALIZER, World};
use ::plan::{Action, PatchType, Plan, Reference};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::networking::v1::ServiceCIDR;
use objects::{conditions, meta};
use serde_json::json;
use std::time::Duration;

/// How long the API servers may take to learn that a range gives no more addresses (upstream: `deletionGracePeriod`).
const GRACE: SignedDuration = SignedDuration::from_secs(10);

pub(crate) fn plan(world: &World) -> Plan {
    match world.cidr.metadata.deletion_timestamp.as_ref() {
        None => keep(world),
        Some(_) if is_needed(world) => wait(world),
        Some(deleted) => go(world, deleted.0),
    }
}

fn keep(world: &World) -> Plan {
    let mut plan = Plan::none();
    if !has_finalizer(&world.cidr) {
        let body = json!({ "metadata": { "uid": uid(world), "finalizers": [FINALIZER] } });
        let on = Reference::to(&*world.cidr);
        plan.then(vec![Action::patch(on, PatchType::Strategic, body)]);
    }
    let message = "Kubernetes Service CIDR is ready";
    plan.then(ready(world, "True", "", message));
    plan
}

fn wait(world: &World) -> Plan {
    let mut plan = Plan::none();
    let message = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR";
    plan.then(ready(world, "False", "Terminating", message));
    plan
}

fn go(world: &World, deleted: Timestamp) -> Plan {
    let mut plan = Plan::none();
    if !has_finalizer(&world.cidr) {
        return plan;
    }
    let left = GRACE - world.now.duration_since(deleted);
    if let Ok(left) = Duration::try_from(left)
        && !left.is_zero()
    {
        plan.again(left);
        return plan;
    }
    let body = json!({
        "metadata": { "uid": uid(world), "$deleteFromPrimitiveList/finalizers": [FINALIZER] },
    });
    let on = Reference::to(&*world.cidr);
    let go = Action::patch(on, PatchType::Strategic, body).because("nobody needs it");
    plan.then(vec![go]);
    plan
}

/// Whether a Service has an address out of it that no other ServiceCIDR would have given.
fn is_needed(world: &World) -> bool {
    // All of it lies in another: so do its addresses, the first and the last of each range among them.
    let inside = |range| world.others.iter().any(|other| other.covers(range));
    if crate::ranges(&world.cidr).all(inside) {
        return false;
    }
    let elsewhere = |address| world.others.iter().any(|other| other.serves(address));
    !world.addresses.iter().all(|address| elsewhere(*address))
}

/// Says whether it is ready, where it does not say so yet. By server-side apply, as upstream.
fn ready(world: &World, status: &str, reason: &str, message: &str) -> Vec<Action> {
    let old = world.cidr.status.as_ref();
    let old = old.and_then(|status| status.conditions.as_deref());
    let old = conditions::find(old, "Ready");
    if old.is_some_and(|c| c.status == status && c.reason == reason && c.message == message) {
        return Vec::new();
    }
    let since = old.filter(|old| old.status == status);
    let since = since.map_or(world.now, |old| old.last_transition_time.0);
    let on = Reference::to(&*world.cidr);
    let body = json!({
        "apiVersion": on.kind.api_version(),
        "kind": on.kind.kind,
        "metadata": { "name": on.name, "uid": on.uid },
        "status": { "conditions": [{
            "type": "Ready", "status": status, "reason": reason, "message": message,
            "lastTransitionTime": since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }] },
    });
    let mut action = Action::patch_status(on.clone(), PatchType::Apply, body);
    if status == "True" {
        let message = "The ServiceCIDR Status can not be set to Ready=True";
        action = action.warning(&on, "KubernetesServiceCIDRError", message);
    }
    vec![action]
}

fn has_finalizer(cidr: &ServiceCIDR) -> bool {
    let mut finalizers = cidr.metadata.finalizers.iter().flatten();
    finalizers.any(|finalizer| finalizer == FINALIZER)
}

fn uid(world: &World) -> &str {
    meta::uid(&world.cidr.metadata)
}

#[cfg(test)]
mod tests;
