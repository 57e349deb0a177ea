//! What is counted, by upstream's names (`pkg/controller/nodelifecycle/metrics.go`).

use crate::zones::Zones;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Zone {
    zone: String,
}

type Gauges = Family<Zone, Gauge>;

/// The metrics of the controller. Clones count into the same.
#[derive(Clone)]
pub(crate) struct Metrics {
    health: Gauges,
    size: Gauges,
    unhealthy: Gauges,
    evictions: Family<Zone, Counter>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let mut family = |name: &str, help: &str| {
            let family = Gauges::default();
            registry.register(format!("node_collector_{name}"), help, family.clone());
            family
        };
        let metrics = Self {
            evictions: Family::default(),
            health: family("zone_health", "Percentage of healthy nodes per zone"),
            size: family("zone_size", "Number of registered nodes per zone"),
            unhealthy: family(
                "unhealthy_nodes_in_zone",
                "Number of not ready nodes per zone",
            ),
        };
        let help = "Number of node evictions since the controller started";
        registry.register("node_collector_evictions", help, metrics.evictions.clone());
        metrics
    }

    pub(crate) fn evicted(&self, zone: String) {
        self.evictions.get_or_create(&Zone { zone }).inc();
    }

    pub(crate) fn zones(&self, zones: &Zones) {
        for (zone, size, unready) in zones.counts() {
            let label = Zone {
                zone: zone.to_owned(),
            };
            let healthy = (100 * (size - unready)).checked_div(size).unwrap_or(100);
            self.health.get_or_create(&label).set(healthy as i64);
            self.size.get_or_create(&label).set(size as i64);
            self.unhealthy.get_or_create(&label).set(unready as i64);
        }
    }
}
