//! Hints for `topology-mode: Auto`: endpoints are dealt out to zones by the zones' share of the CPUs, their own zone
//! first, and only if no zone gets more than a fifth too much traffic an endpoint.
//!
//! Upstream: `staging/src/k8s.io/endpointslice/topologycache`. The sums are the same; where upstream takes zones in
//! the random order of a Go map, here they are taken by name; and a zone without a ready node gives its endpoints away,
//! where upstream leaves them for nobody to use.

use crate::plan::Drafts;
use crate::plan::hints::{for_zone, is_ready, reopen};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use objects::{Quantity, meta};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The share of the cluster's CPUs that each zone has; together 1.
pub type Shares = BTreeMap<String, f64>;

const OVERLOAD: f64 = 0.2;
const INSUFFICIENT_NODES: &str = "Insufficient Node information: allocatable CPU or zone not specified on one or \
                                  more nodes";
const ONE_ZONE: &str = "Nodes only ready in one zone";

struct Allocation {
    maximum: usize,
    desired: f64,
}

// === Nodes ===

/// The zone that a node is in.
pub(crate) fn zone(node: &Node) -> Option<&str> {
    meta::label(&node.metadata, "topology.kubernetes.io/zone").filter(|zone| !zone.is_empty())
}

/// What a node adds to its zone: the zone and its allocatable CPU in thousandths. `None` for one that does not
/// count: a control plane, or not ready.
pub(crate) fn capacity(node: &Node) -> Option<(Option<&str>, i64)> {
    let excluded = [
        "node-role.kubernetes.io/control-plane",
        "node-role.kubernetes.io/master",
    ];
    if excluded
        .iter()
        .any(|label| meta::label(&node.metadata, label).is_some())
    {
        return None;
    }
    let status = node.status.as_ref()?;
    let mut conditions = status.conditions.iter().flatten();
    if conditions
        .find(|condition| condition.type_ == "Ready")?
        .status
        != "True"
    {
        return None;
    }
    let cpu = status
        .allocatable
        .as_ref()
        .and_then(|resources| resources.get("cpu"));
    let cpu = cpu.and_then(|quantity| Quantity::try_from(quantity).ok());
    Some((zone(node), cpu.map_or(0, Quantity::milli_value)))
}

/// The shares of the zones, or why there are none (`topologycache.go SetNodes`).
pub(crate) fn shares(nodes: &[Arc<Node>]) -> Result<Shares, &'static str> {
    let mut cpus: BTreeMap<String, i64> = BTreeMap::new();
    for (zone, cpu) in nodes.iter().filter_map(|node| capacity(node)) {
        match zone {
            Some(zone) if cpu > 0 => *cpus.entry(zone.to_owned()).or_default() += cpu,
            _ => return Err(INSUFFICIENT_NODES),
        }
    }
    match cpus.len() {
        0 => return Err(INSUFFICIENT_NODES),
        1 => return Err(ONE_ZONE),
        _ => {}
    }
    let total: i64 = cpus.values().sum();
    let share = |cpu: i64| cpu as f64 / total as f64;
    Ok(cpus
        .into_iter()
        .map(|(zone, cpu)| (zone, share(cpu)))
        .collect())
}

// === Hints ===

/// Deals out the endpoints of one family, or says why that cannot be; then no hints may stay
/// (`topologycache.go AddHints`). Slices whose hints still do are left as they are.
pub(crate) fn assign(drafts: &mut Drafts, shares: &Shares) -> Result<(), String> {
    let slices = drafts.create.iter().chain(&drafts.update);
    let slices = slices.chain(drafts.unchanged.iter().map(|slice| &**slice));
    let endpoints = slices.flat_map(|slice| slice.endpoints.iter().flatten());
    let ready = endpoints.filter(|endpoint| is_ready(endpoint)).count();
    let allocations = allocations(ready, shares)?;

    let mut dealt: BTreeMap<String, usize> = BTreeMap::new();
    reopen(drafts, |slice| match hinted(slice, &dealt, &allocations) {
        Some(hints) => {
            for (zone, count) in hints {
                *dealt.entry(zone).or_default() += count;
            }
            false
        }
        None => true,
    });

    // Each endpoint is for its own zone, to begin with.
    let open = || drafts.create.iter().chain(&drafts.update);
    let endpoints = open().flat_map(|slice| slice.endpoints.iter().flatten());
    for endpoint in endpoints.filter(|endpoint| is_ready(endpoint)) {
        let Some(zone) = endpoint.zone.as_ref().filter(|zone| !zone.is_empty()) else {
            return Err("One or more endpoints do not have a zone specified".to_owned());
        };
        *dealt.entry(zone.clone()).or_default() += 1;
    }
    if dealt.is_empty() {
        return Err("No hints allocated for zones".to_owned());
    }
    let (mut giving, mut receiving) = transfers(&allocations, &dealt);
    for slice in drafts.create.iter_mut().chain(&mut drafts.update) {
        for endpoint in slice.endpoints.iter_mut().flatten() {
            endpoint.hints = match endpoint.zone.as_deref().filter(|_| is_ready(endpoint)) {
                Some(own) => {
                    let given = give(own, &mut giving, &mut receiving);
                    Some(for_zone(given.as_deref().unwrap_or(own)))
                }
                None => None,
            };
        }
    }
    Ok(())
}

/// How many endpoints each zone should have (`topologycache.go getAllocations`).
fn allocations(ready: usize, shares: &Shares) -> Result<BTreeMap<&str, Allocation>, String> {
    let numbers = format!("({ready} endpoints, {} zones)", shares.len());
    if shares.len() > ready {
        return Err(format!("Insufficient number of endpoints {numbers}"));
    }
    let minimum = |share: f64| (share * ready as f64 / (1.0 + OVERLOAD)).ceil() as usize;
    let least: usize = shares.values().map(|share| minimum(*share)).sum();
    let Some(spare) = ready.checked_sub(least) else {
        let why = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold";
        return Err(format!("{why} {numbers}"));
    };
    let allocations = shares.iter().map(|(zone, share)| {
        let minimum = minimum(*share);
        let allocation = Allocation {
            maximum: minimum + spare,
            desired: (share * ready as f64).max(minimum as f64),
        };
        (zone.as_str(), allocation)
    });
    Ok(allocations.collect())
}

/// The hints of a slice by zone; `None` if they cannot stay: one is missing or for a zone that takes none, or a zone
/// would have more than leaves enough for the others (`utils.go getHintsByZone`).
fn hinted(
    slice: &EndpointSlice,
    dealt: &BTreeMap<String, usize>,
    allocations: &BTreeMap<&str, Allocation>,
) -> Option<BTreeMap<String, usize>> {
    let mut hints: BTreeMap<String, usize> = BTreeMap::new();
    for endpoint in slice.endpoints.iter().flatten() {
        let zones = endpoint
            .hints
            .as_ref()
            .and_then(|hints| hints.for_zones.as_ref());
        match zones.filter(|zones| !zones.is_empty()) {
            _ if !is_ready(endpoint) && endpoint.hints.is_some() => return None,
            _ if !is_ready(endpoint) => {}
            Some(_)
                if endpoint
                    .hints
                    .as_ref()
                    .is_some_and(|hints| hints.for_nodes.is_some()) =>
            {
                return None;
            }
            Some(zones) => {
                for zone in zones {
                    *hints.entry(zone.name.clone()).or_default() += 1;
                }
            }
            None => return None,
        }
    }
    let fits = hints.iter().all(|(zone, count)| {
        let before = dealt.get(zone).copied().unwrap_or_default();
        let allocation = allocations.get(zone.as_str());
        allocation.is_some_and(|allocation| before + count <= allocation.maximum)
    });
    fits.then_some(hints)
}

type Counts = BTreeMap<String, usize>;

/// How many endpoints each zone gives and gets: whole ones, from who has most too many to who has most too few, until
/// less than half an endpoint is at stake (`utils.go getGivingAndReceivingZones`).
fn transfers(allocations: &BTreeMap<&str, Allocation>, dealt: &Counts) -> (Counts, Counts) {
    let strange = dealt
        .iter()
        .filter(|(zone, _)| !allocations.contains_key(zone.as_str()));
    let mut surplus: BTreeMap<&str, f64> = strange
        .map(|(zone, has)| (zone.as_str(), *has as f64))
        .collect();
    let mut lack: BTreeMap<&str, f64> = BTreeMap::new();
    for (zone, allocation) in allocations {
        let has = dealt.get(*zone).copied().unwrap_or_default() as f64;
        if has > allocation.desired {
            surplus.insert(zone, has - allocation.desired);
        } else if has < allocation.desired {
            lack.insert(zone, allocation.desired - has);
        }
    }
    let (mut giving, mut receiving) = (Counts::new(), Counts::new());
    while let (Some((from, give)), Some((to, get))) = (most(&surplus), most(&lack)) {
        if (give < 1.0 && get < 1.0) || give < 0.5 || get < 0.5 {
            break;
        }
        surplus.insert(from, give - 1.0);
        lack.insert(to, get - 1.0);
        *giving.entry(from.to_owned()).or_default() += 1;
        *receiving.entry(to.to_owned()).or_default() += 1;
    }
    (giving, receiving)
}

/// The zone with the highest positive number, the first of equals.
fn most<'a>(zones: &BTreeMap<&'a str, f64>) -> Option<(&'a str, f64)> {
    let positive = zones.iter().filter(|(_, number)| **number > 0.0);
    let most = positive.reduce(|best, next| if next.1 > best.1 { next } else { best });
    most.map(|(zone, number)| (*zone, *number))
}

/// The zone that an endpoint of zone `own` is given to, if it is given away.
fn give(own: &str, giving: &mut Counts, receiving: &mut Counts) -> Option<String> {
    let left = giving.get_mut(own).filter(|left| **left > 0)?;
    let (zone, needed) = receiving.iter_mut().find(|(_, needed)| **needed > 0)?;
    *left -= 1;
    *needed -= 1;
    Some(zone.clone())
}

#[cfg(test)]
mod tests;
