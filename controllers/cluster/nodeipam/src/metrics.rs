//! What is counted, by upstream's names (`pkg/controller/nodeipam/ipam/cidrset/metrics.go`; the misspelt one is
//! upstream's too). Pure.

use crate::ranges::Usage;
use plan::Stability::Alpha;
use plan::{Metric, Sample, exponential};

static ALLOCATIONS: Metric = Metric::counter(
    "node_ipam_controller_cidrset_cidrs_allocations_total",
    Alpha,
    &["clusterCIDR"],
    "Ranges that were taken",
);
static RELEASES: Metric = Metric::counter(
    "node_ipam_controller_cidrset_cidrs_releases_total",
    Alpha,
    &["clusterCIDR"],
    "Ranges that came free",
);
static MOST: Metric = Metric::gauge(
    "node_ipam_controller_cirdset_max_cidrs",
    Alpha,
    &["clusterCIDR"],
    "Ranges that there are",
);
static USAGE: Metric = Metric::gauge(
    "node_ipam_controller_cidrset_usage_cidrs",
    Alpha,
    &["clusterCIDR"],
    "Part of the ranges that is taken",
);
static TRIES: Metric = Metric::histogram(
    "node_ipam_controller_cidrset_allocation_tries_per_request",
    Alpha,
    &["clusterCIDR"],
    exponential(1.0, 5.0, 5),
    "Ranges that were looked at before a free one was found",
);

pub(crate) const METRICS: &[&Metric] = &[&ALLOCATIONS, &RELEASES, &MOST, &USAGE, &TRIES];

/// What the use of the ranges adds.
pub(crate) fn measure(usage: &[Usage]) -> Vec<Sample> {
    let mut samples = Vec::new();
    for of in usage {
        let label = || [of.range.to_string()];
        samples.extend([
            ALLOCATIONS.at(label(), of.done.taken as f64),
            RELEASES.at(label(), of.done.released as f64),
            MOST.at(label(), of.pieces as f64),
            USAGE.at(label(), of.taken as f64 / of.pieces as f64),
        ]);
        let tries = of.done.tries.iter();
        samples.extend(tries.map(|tries| TRIES.at(label(), *tries as f64)));
    }
    samples
}
