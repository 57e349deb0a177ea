//! Whether something keeps its finalizer. Pure.

use crate::{Use, World};
use ::plan::{Action, PatchType, Plan, Reference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, Resource};
use objects::meta;
use serde_json::json;
use std::time::Duration;

/// The finalizer of claims.
pub const OF_CLAIMS: &str = "kubernetes.io/pvc-protection";
/// The finalizer of volumes.
pub const OF_VOLUMES: &str = "kubernetes.io/pv-protection";
/// The finalizer of attribute classes.
pub const OF_CLASSES: &str = "kubernetes.io/vac-protection";

/// How soon the API server is asked again.
const SOON: Duration = Duration::from_secs(1);

/// Puts the finalizer on what is not being deleted, and takes it from what is, if nobody uses it.
pub fn plan<K: Resource + Metadata<Ty = ObjectMeta>>(world: &World<K>, finalizer: &str) -> Plan {
    let mut plan = Plan::none();
    let of = world.object.metadata();
    let held = of.finalizers.as_deref().unwrap_or_default();
    let has = held.iter().any(|held| held == finalizer);
    let (finalizers, why): (Vec<&str>, _) = match (meta::is_deleting(of), has, world.used) {
        (false, false, _) => {
            let all = held.iter().map(String::as_str).chain([finalizer]);
            (all.collect(), "it is to be kept while it is in use")
        }
        (true, true, Use::No) => {
            let others = held
                .iter()
                .map(String::as_str)
                .filter(|held| *held != finalizer);
            (others.collect(), "nobody uses it")
        }
        (true, true, Use::Unknown) => {
            plan.again(SOON);
            return plan;
        }
        _ => return plan,
    };
    let body = json!({ "metadata": {
        "uid": of.uid, "resourceVersion": of.resource_version, "finalizers": finalizers,
    } });
    plan.then(vec![
        Action::patch(Reference::to(&*world.object), PatchType::Merge, body).because(why),
    ]);
    plan
}

/// Whether there may be something to do about an object.
pub(crate) fn matters(of: &ObjectMeta, finalizer: &str) -> bool {
    let has = of.finalizers.iter().flatten().any(|held| held == finalizer);
    meta::is_deleting(of) == has
}

/// Whether the finalizer goes unless somebody uses it.
pub(crate) fn is_going(of: &ObjectMeta, finalizer: &str) -> bool {
    meta::is_deleting(of) && matters(of, finalizer)
}
