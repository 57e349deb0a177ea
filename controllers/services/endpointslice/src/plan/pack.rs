//! Which endpoint goes into which slice. Each changed slice is read by each node, so an endpoint stays where it is,
//! and new ones go where something changes anyway.

use crate::Selecting;
use crate::plan::desired::Wanted;
use crate::plan::{Drafts, count, earlier, labels};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointSlice};
use objects::endpoint::{Identity, identity, same_beyond_hints};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Packs the endpoints of one set of ports, of which `existing` are the slices (`reconciler.go
/// reconcileByPortMapping`):
///
/// 1. Endpoints that are wanted stay in their slices, others go; a slice that lost all of its endpoints goes too.
/// 2. The rest fills up slices that change anyway, the fullest first.
/// 3. If what is left is less than a slice: it goes into the unchanged slice that becomes the fullest by it.
/// 4. Else it goes into new slices, and the remainder of that by rule 3 again.
///
/// The first of two slices with the same endpoint keeps it.
pub(crate) fn pack(
    drafts: &mut Drafts,
    existing: &[&Arc<EndpointSlice>],
    mut wanted: BTreeMap<Identity, Wanted>,
    world: &Selecting,
    new: impl Fn() -> EndpointSlice,
) {
    let max = world.max_endpoints;
    let labels = labels(&world.service);
    let mut changing: Vec<EndpointSlice> = Vec::new();
    let mut unchanged: Vec<&Arc<EndpointSlice>> = Vec::new();
    for old in existing {
        let mut kept = Vec::new();
        let mut changed = old.metadata.labels.as_ref() != Some(&labels);
        for endpoint in old.endpoints.iter().flatten() {
            match wanted.remove(&identity(endpoint)) {
                Some(want) if kept.len() < max => {
                    changed |= !same_beyond_hints(endpoint, &want.endpoint);
                    if serving(endpoint) != serving(&want.endpoint) {
                        drafts.trigger = earlier(drafts.trigger, want.since);
                    }
                    kept.push(want.endpoint);
                }
                // The limit was lowered: the surplus moves.
                Some(want) => {
                    changed = true;
                    wanted.insert(identity(&want.endpoint), want);
                }
                None => changed = true,
            }
        }
        if kept.is_empty() && count(old) > 0 {
            drafts.delete.push((*old).clone());
        } else if changed {
            changing.push(with(old, kept, &labels));
        } else {
            unchanged.push(old);
        }
    }

    for want in wanted.values() {
        drafts.trigger = earlier(drafts.trigger, want.since);
    }
    let mut rest: Vec<Endpoint> = wanted.into_values().map(|want| want.endpoint).collect();
    // Taken from the end, so that slices are filled in the order of addresses.
    rest.reverse();
    changing.sort_by_key(|slice| Reverse(count(slice)));
    for slice in &mut changing {
        fill(slice, &mut rest, max);
    }
    while !rest.is_empty() {
        let roomy = (0..unchanged.len())
            .filter(|at| rest.len() < max && count(unchanged[*at]) + rest.len() <= max)
            .max_by_key(|at| (count(unchanged[*at]), Reverse(*at)));
        if let Some(at) = roomy {
            let old = unchanged.remove(at);
            let mut slice = with(old, old.endpoints.clone().unwrap_or_default(), &labels);
            fill(&mut slice, &mut rest, max);
            changing.push(slice);
        } else {
            let mut slice = new();
            fill(&mut slice, &mut rest, max);
            drafts.create.push(slice);
        }
    }

    // A slice may stay empty only where it is the placeholder, and whether it is the whole family tells.
    let (empty, unchanged): (Vec<_>, Vec<_>) =
        unchanged.into_iter().partition(|slice| count(slice) == 0);
    drafts.delete.extend(empty.into_iter().cloned());
    drafts.unchanged.extend(unchanged.into_iter().cloned());
    for slice in changing {
        if count(&slice) == 0 {
            let name = &slice.metadata.name;
            let old = existing.iter().find(|old| old.metadata.name == *name);
            drafts.delete.extend(old.map(|old| (*old).clone()));
        } else {
            drafts.update.push(slice);
        }
    }
}

fn fill(slice: &mut EndpointSlice, rest: &mut Vec<Endpoint>, max: usize) {
    let endpoints = slice.endpoints.get_or_insert_default();
    while endpoints.len() < max
        && let Some(endpoint) = rest.pop()
    {
        endpoints.push(endpoint);
    }
}

fn with(
    old: &EndpointSlice,
    endpoints: Vec<Endpoint>,
    labels: &BTreeMap<String, String>,
) -> EndpointSlice {
    let mut metadata = old.metadata.clone();
    metadata.labels = Some(labels.clone());
    EndpointSlice {
        metadata,
        endpoints: Some(endpoints),
        address_type: old.address_type.clone(),
        ports: old.ports.clone(),
    }
}

fn serving(endpoint: &Endpoint) -> Option<bool> {
    let conditions: Option<&EndpointConditions> = endpoint.conditions.as_ref();
    conditions?.serving
}
