//! What is counted, by upstream's names (`pkg/controller/nodelifecycle/metrics.go`). Pure.
//!
//! Nodes are looked at one by one, when something about them is due: no pass over all of them is ever observed.

use crate::World;
use crate::zones::{Zones, zone_of};
use plan::Stability::{Alpha, Stable};
use plan::{Metric, Sample, Turn, exponential};

static HEALTH: Metric = Metric::gauge(
    "node_collector_zone_health",
    Alpha,
    &["zone"],
    "Percentage of healthy nodes of a zone",
);
static SIZE: Metric = Metric::gauge(
    "node_collector_zone_size",
    Alpha,
    &["zone"],
    "Nodes of a zone",
);
static UNHEALTHY: Metric = Metric::gauge(
    "node_collector_unhealthy_nodes_in_zone",
    Alpha,
    &["zone"],
    "Nodes of a zone that are not ready",
);
static EVICTIONS: Metric = Metric::counter(
    "node_collector_evictions_total",
    Stable,
    &["zone"],
    "Nodes that were let lose their pods",
);
static NODE_SECONDS: Metric = Metric::histogram(
    "node_collector_update_node_health_duration_seconds",
    Alpha,
    &[],
    exponential(0.001, 4.0, 8),
    "Seconds that a turn about a node took",
);
static ALL_NODES_SECONDS: Metric = Metric::histogram(
    "node_collector_update_all_nodes_health_duration_seconds",
    Alpha,
    &[],
    exponential(0.01, 4.0, 8),
    "Seconds that a pass over all nodes took",
);

pub(crate) const METRICS: &[&Metric] = &[
    &HEALTH,
    &SIZE,
    &UNHEALTHY,
    &EVICTIONS,
    &NODE_SECONDS,
    &ALL_NODES_SECONDS,
];

/// What a turn adds.
pub(crate) fn measure(world: &World, turn: &Turn<'_>) -> Vec<Sample> {
    let mut samples = vec![NODE_SECONDS.of(turn.took.as_secs_f64())];
    if world.may_taint && turn.success {
        samples.push(EVICTIONS.at([zone_of(&world.node)], 1.0));
    }
    samples
}

/// How the zones are.
pub(crate) fn zones(zones: &Zones) -> Vec<Sample> {
    let each = zones.counts().flat_map(|(zone, size, unready)| {
        let zone = || [zone.to_owned()];
        let healthy = (100 * (size - unready)).checked_div(size).unwrap_or(100);
        [
            HEALTH.at(zone(), healthy as f64),
            SIZE.at(zone(), size as f64),
            UNHEALTHY.at(zone(), unready as f64),
            // So that it is seen before the first one.
            EVICTIONS.at(zone(), 0.0),
        ]
    });
    each.collect()
}
