//! What is counted, by upstream's names (`pkg/controller/endpointslicemirroring/metrics`). Pure.
//!
//! Endpoints of ports that are not there any more count as removed, which upstream leaves out.

use crate::plan::desired::{self, Group};
use crate::plan::{by_group, sorted};
use crate::{Mirrored, World};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use objects::endpoint::{identity, same_beyond_hints};
use plan::Stability::Alpha;
use plan::{Kind, Metric, Sample, Turn, exponential};

static ADDED: Metric = Metric::histogram(
    "endpoint_slice_mirroring_controller_endpoints_added_per_sync",
    Alpha,
    &[],
    exponential(2.0, 2.0, 15),
    "Endpoints that a turn about an Endpoints object added",
);
static UPDATED: Metric = Metric::histogram(
    "endpoint_slice_mirroring_controller_endpoints_updated_per_sync",
    Alpha,
    &[],
    exponential(2.0, 2.0, 15),
    "Endpoints that a turn about an Endpoints object changed",
);
static REMOVED: Metric = Metric::histogram(
    "endpoint_slice_mirroring_controller_endpoints_removed_per_sync",
    Alpha,
    &[],
    exponential(2.0, 2.0, 15),
    "Endpoints that a turn about an Endpoints object removed",
);
static SKIPPED: Metric = Metric::histogram(
    "endpoint_slice_mirroring_controller_addresses_skipped_per_sync",
    Alpha,
    &[],
    exponential(2.0, 2.0, 15),
    "Addresses that are in no slice, as they are invalid or too many",
);
static SYNC_SECONDS: Metric = Metric::histogram(
    "endpoint_slice_mirroring_controller_endpoints_sync_duration",
    Alpha,
    &[],
    exponential(0.001, 2.0, 15),
    "Seconds that a turn about an Endpoints object took",
);
static ENDPOINTS: Metric = Metric::gauge(
    "endpoint_slice_mirroring_controller_endpoints_desired",
    Alpha,
    &[],
    "Endpoints that there should be",
);
static SLICES: Metric = Metric::gauge(
    "endpoint_slice_mirroring_controller_num_endpoint_slices",
    Alpha,
    &[],
    "EndpointSlices",
);
static FULL_SLICES: Metric = Metric::gauge(
    "endpoint_slice_mirroring_controller_desired_endpoint_slices",
    Alpha,
    &[],
    "EndpointSlices that there would be if they were as full as may be",
);
static CHANGES: Metric = Metric::counter(
    "endpoint_slice_mirroring_controller_changes",
    Alpha,
    &["operation"],
    "EndpointSlices that were created, updated and deleted",
);

pub(crate) const METRICS: &[&Metric] = &[
    &ADDED,
    &UPDATED,
    &REMOVED,
    &SKIPPED,
    &SYNC_SECONDS,
    &ENDPOINTS,
    &SLICES,
    &FULL_SLICES,
    &CHANGES,
];

/// What a turn adds.
pub(crate) fn measure(world: &World, turn: &Turn<'_>) -> Vec<Sample> {
    let mut samples = vec![SYNC_SECONDS.of(turn.took.as_secs_f64())];
    for verb in ["create", "update", "delete"] {
        let done = turn.done(verb, Kind::of::<EndpointSlice>());
        if done > 0 {
            samples.push(CHANGES.at([verb], done as f64));
        }
    }
    match world {
        World::Mirrored(world) => mirrored(world, &mut samples),
        // What it had a share in before goes with its slices.
        World::Unmirrored(slices) if !slices.is_empty() => {
            samples.extend([&ENDPOINTS, &SLICES, &FULL_SLICES].map(|gauge| gauge.of(0.0)));
        }
        World::Unmirrored(_) => {}
    }
    samples
}

fn mirrored(world: &Mirrored, samples: &mut Vec<Sample>) {
    let (groups, skipped) = desired::groups(world);
    let mut existing = by_group(sorted(&world.slices));
    let mut totals = Totals::default();
    let (mut endpoints, mut full) = (0, 0);
    for (key, group) in &groups {
        let slices = existing.remove(key).unwrap_or_default();
        totals.add(slices.first().map(|slice| &***slice), group);
        endpoints += group.endpoints.len();
        full += group.endpoints.len().div_ceil(world.max);
    }
    let needless = existing.into_values().flatten();
    totals.removed += needless
        .map(|slice| slice.endpoints.iter().flatten().count())
        .sum::<usize>();
    samples.extend([
        SKIPPED.of(skipped.all as f64),
        ADDED.of(totals.added as f64),
        UPDATED.of(totals.updated as f64),
        REMOVED.of(totals.removed as f64),
        ENDPOINTS.of(endpoints as f64),
        SLICES.of(groups.len() as f64),
        FULL_SLICES.of(full as f64),
    ]);
}

#[derive(Default)]
struct Totals {
    added: usize,
    updated: usize,
    removed: usize,
}

impl Totals {
    /// What becomes of the slice of a group, if there is one (upstream: reconciler_helpers.go, `totalChanges`).
    fn add(&mut self, slice: Option<&EndpointSlice>, group: &Group) {
        let known = slice
            .and_then(|slice| slice.endpoints.as_deref())
            .unwrap_or_default();
        let mut kept = 0;
        for endpoint in known {
            match group.endpoints.get(&identity(endpoint)) {
                Some(wanted) => {
                    kept += 1;
                    self.updated += usize::from(!same_beyond_hints(endpoint, wanted));
                }
                None => self.removed += 1,
            }
        }
        self.added += group.endpoints.len().saturating_sub(kept);
    }
}
