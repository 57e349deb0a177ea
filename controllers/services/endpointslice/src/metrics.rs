//! What is counted, by upstream's names (`staging/src/k8s.io/endpointslice/metrics`). Pure.
//!
//! A Service with two IP families counts with both, where upstream's totals have only the one that came last.

use crate::plan::{count, is_owned};
use crate::{Routing, Selecting, World};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use objects::endpoint::{self, Family, Identity, PortKey};
use objects::meta;
use plan::Stability::{Alpha, Beta};
use plan::{Action, Buckets, Kind, Metric, Sample, Turn, Verb, exponential};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

static ADDED: Metric = Metric::histogram(
    "endpoint_slice_controller_endpoints_added_per_sync",
    Beta,
    &[],
    exponential(2.0, 2.0, 15),
    "Endpoints that a turn about a Service added",
);
static REMOVED: Metric = Metric::histogram(
    "endpoint_slice_controller_endpoints_removed_per_sync",
    Beta,
    &[],
    exponential(2.0, 2.0, 15),
    "Endpoints that a turn about a Service removed",
);
static ENDPOINTS: Metric = Metric::gauge(
    "endpoint_slice_controller_endpoints_desired",
    Beta,
    &[],
    "Endpoints that there should be",
);
static SLICES: Metric = Metric::gauge(
    "endpoint_slice_controller_num_endpoint_slices",
    Beta,
    &[],
    "EndpointSlices",
);
static FULL_SLICES: Metric = Metric::gauge(
    "endpoint_slice_controller_desired_endpoint_slices",
    Beta,
    &[],
    "EndpointSlices that there would be if they were as full as may be",
);
static CHANGES: Metric = Metric::counter(
    "endpoint_slice_controller_changes",
    Alpha,
    &["operation"],
    "EndpointSlices that were created, updated and deleted",
);
static CHANGED: Metric = Metric::histogram(
    "endpoint_slice_controller_endpointslices_changed_per_sync",
    Alpha,
    &["topology", "traffic_distribution"],
    Buckets::These(&[
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ]),
    "EndpointSlices that a turn about a Service changed",
);
static SYNCS: Metric = Metric::counter(
    "endpoint_slice_controller_syncs",
    Alpha,
    &["result"],
    "Turns about Services by how they ended: success, error, stale",
);
static DISTRIBUTIONS: Metric = Metric::gauge(
    "endpoint_slice_controller_services_count_by_traffic_distribution",
    Beta,
    &["traffic_distribution"],
    "Services by their trafficDistribution",
);

pub(crate) const METRICS: &[&Metric] = &[
    &ADDED,
    &REMOVED,
    &ENDPOINTS,
    &SLICES,
    &FULL_SLICES,
    &CHANGES,
    &CHANGED,
    &SYNCS,
    &DISTRIBUTIONS,
];

/// What a turn adds.
pub(crate) fn measure(world: &World, turn: &Turn<'_>) -> Vec<Sample> {
    let world = match world {
        // Whatever it had a share in before.
        World::NotOurs => return vec![ENDPOINTS.of(0.0), SLICES.of(0.0), FULL_SLICES.of(0.0)],
        World::Resting(_) => return Vec::new(),
        World::Selecting(world) => world,
    };
    let mut samples = vec![SYNCS.at([turn.result()], 1.0)];
    for verb in ["create", "update", "delete"] {
        let done = turn.done(verb, Kind::of::<EndpointSlice>());
        if done > 0 {
            samples.push(CHANGES.at([verb], done as f64));
        }
    }
    let after = after(world, turn);
    let (mut endpoints, mut slices, mut full) = (0, 0, 0);
    for family in endpoint::families(&world.service) {
        let mut groups: BTreeMap<PortKey, usize> = BTreeMap::new();
        let new: Vec<&EndpointSlice> = of(family, after.iter().map(|slice| &**slice)).collect();
        for slice in &new {
            let ports = endpoint::port_key(slice.ports.as_deref().unwrap_or_default());
            *groups.entry(ports).or_default() += count(slice);
        }
        let needed = groups
            .values()
            .map(|count| count.div_ceil(world.max_endpoints));
        // One without endpoints says that there are none.
        full += needed.sum::<usize>().max(1);
        endpoints += groups.values().sum::<usize>();
        slices += new.len();
        changes(world, turn, family, &new, &mut samples);
    }
    samples.push(ENDPOINTS.of(endpoints as f64));
    samples.push(SLICES.of(slices as f64));
    samples.push(FULL_SLICES.of(full as f64));
    if let Some(distribution) = distribution(world) {
        samples.push(DISTRIBUTIONS.at([distribution], 1.0));
    }
    samples
}

/// What a turn adds that is put off.
pub(crate) fn held() -> Sample {
    SYNCS.at(["stale"], 1.0)
}

/// The Service's slices as they are once all is written.
fn after<'a>(world: &'a Selecting, turn: &Turn<'_>) -> Vec<Cow<'a, EndpointSlice>> {
    let own = world.slices.iter();
    let own = own.filter(|slice| is_owned(slice, &world.service));
    let mut after: BTreeMap<String, Cow<'a, EndpointSlice>> = own
        .map(|slice| {
            (
                meta::name(&slice.metadata).to_owned(),
                Cow::Borrowed(&**slice),
            )
        })
        .collect();
    for action in turn.plan.actions() {
        let name = &action.on.name;
        match written(action) {
            Some(slice) => drop(after.insert(name.clone(), Cow::Owned(slice))),
            None => drop(after.remove(name)),
        }
    }
    after.into_values().collect()
}

fn written(action: &Action) -> Option<EndpointSlice> {
    match &action.verb {
        Verb::Create(slice) | Verb::Replace(slice) => slice.read(),
        Verb::Patch(..) | Verb::Delete { .. } => None,
    }
}

fn of<'a>(
    family: Family,
    slices: impl Iterator<Item = &'a EndpointSlice>,
) -> impl Iterator<Item = &'a EndpointSlice> {
    slices.filter(move |slice| slice.address_type == family.as_str())
}

/// What was added and removed, of each family apart as upstream counts it.
fn changes(
    world: &Selecting,
    turn: &Turn<'_>,
    family: Family,
    new: &[&EndpointSlice],
    samples: &mut Vec<Sample>,
) {
    let (mut added, mut removed, mut changed) = (0, 0, 0);
    if !turn.plan.is_empty() {
        let old: Vec<_> = of(family, world.slices.iter().map(|slice| &**slice)).collect();
        let (before, after) = (identities(&old), identities(new));
        added = after.difference(&before).count();
        removed = before.difference(&after).count();
        let names = |slices: &[&EndpointSlice]| -> BTreeSet<String> {
            let names = slices
                .iter()
                .map(|slice| meta::name(&slice.metadata).to_owned());
            names.collect()
        };
        let known: BTreeSet<String> = names(&old).union(&names(new)).cloned().collect();
        let actions = turn.plan.actions();
        changed = actions
            .filter(|action| known.contains(&action.on.name))
            .count();
    }
    samples.push(ADDED.of(added as f64));
    samples.push(REMOVED.of(removed as f64));
    if turn.outcome.failure().is_none() {
        let topology = match world.routing {
            Routing::Auto(_) => "Auto",
            _ => "Disabled",
        };
        let labels = [topology, distribution(world).unwrap_or_default()];
        samples.push(CHANGED.at(labels, changed as f64));
    }
}

/// Endpoints with their ports.
fn identities(slices: &[&EndpointSlice]) -> BTreeSet<(PortKey, Identity)> {
    let of = |slice: &&EndpointSlice| {
        let ports = endpoint::port_key(slice.ports.as_deref().unwrap_or_default());
        let endpoints: Vec<Endpoint> = slice.endpoints.clone().unwrap_or_default();
        let identities = endpoints.into_iter().map(move |e| endpoint::identity(&e));
        identities
            .map(move |identity| (ports.clone(), identity))
            .collect::<Vec<_>>()
    };
    slices.iter().flat_map(of).collect()
}

/// The trafficDistribution that is in force, one of those that there are.
fn distribution(world: &Selecting) -> Option<&'static str> {
    if matches!(world.routing, Routing::Auto(_)) {
        return None;
    }
    let said = world
        .service
        .spec
        .as_ref()?
        .traffic_distribution
        .as_deref()?;
    let known = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    known.into_iter().find(|known| *known == said)
}
