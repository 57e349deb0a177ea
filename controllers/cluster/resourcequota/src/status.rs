//! What the status of a quota should say. Pure.
//! (upstream: resource_quota_controller.go, `syncResourceQuota`)

use crate::World;
use crate::tally::{Amounts, hard};
use ::plan::{Note, Reference};
use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use objects::Quantity;
use std::collections::BTreeMap;

/// The quota with the status it should have, or `None` if it has it.
pub(crate) fn status(world: &World) -> Option<ResourceQuota> {
    let used = used(world)?;
    let old = world.quota.status.as_ref();
    let hard = hard(&world.quota);
    // An empty list and none are the same to the API server.
    let dirty =
        amounts(hard) != amounts(old.and_then(|s| s.hard.as_ref())) || used != said(&world.quota);
    dirty.then(|| {
        let mut quota = (*world.quota).clone();
        quota.status = Some(ResourceQuotaStatus {
            hard: hard.cloned(),
            used: Some(used.into_iter().map(|(name, q)| (name, q.into())).collect()),
        });
        quota
    })
}

/// What is used of all that is limited; `None` while it is not counted. What cannot be counted now keeps what was said
/// of it. What was counted is never less than what admission may just have let in, see [`crate::recent`].
pub(crate) fn used(world: &World) -> Option<Amounts> {
    let tally = world.tally.as_ref()?;
    let said = said(&world.quota);
    let names = hard(&world.quota).into_iter().flatten();
    let used = names.filter_map(|(name, _)| {
        let amount = match tally.used.get(name) {
            Some(counted) => at_least(world, name, *counted, said.get(name).copied()),
            None => *said.get(name)?,
        };
        Some((name.clone(), amount))
    });
    Some(used.collect())
}

fn at_least(world: &World, name: &str, counted: Quantity, said: Option<Quantity>) -> Quantity {
    let Some(said) = said.filter(|said| *said > counted) else {
        return counted;
    };
    let young = world.young.amounts.get(name).copied().unwrap_or_default();
    said.min(counted + young)
}

/// What the status says that is used.
pub(crate) fn said(quota: &ResourceQuota) -> Amounts {
    amounts(quota.status.as_ref().and_then(|s| s.used.as_ref()))
}

/// A list by value: `1Gi` is `1024Mi`. The API server holds no other than valid quantities.
pub(crate) fn amounts(list: Option<&BTreeMap<String, ApiQuantity>>) -> Amounts {
    let list = list.into_iter().flatten();
    list.filter_map(|(name, amount)| Some((name.clone(), Quantity::try_from(amount).ok()?)))
        .collect()
}

/// What of the spec cannot be as it was meant, told once when it is taken into the status.
pub(crate) fn notes(world: &World) -> Vec<Note> {
    let Some(tally) = &world.tally else {
        return Vec::new();
    };
    let old = world.quota.status.as_ref().and_then(|s| s.hard.as_ref());
    if amounts(hard(&world.quota)) == amounts(old) {
        return Vec::new();
    }
    let about = Reference::to(&*world.quota);
    let unknown = tally.unknown.iter().map(|name| {
        let message = format!("spec.hard[{name}]: the API server has no such resource");
        Note::warning(&about, "UnknownResource", message)
    });
    let misplaced = tally.misplaced.iter().map(|(name, scope)| {
        let message = format!("spec.hard[{name}]: nothing that it counts is ever in scope {scope}");
        Note::warning(&about, "UnsupportedScope", message)
    });
    unknown.chain(misplaced).collect()
}
