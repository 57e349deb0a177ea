//! What is counted, by upstream's names (`pkg/scheduler/metrics/metrics.go`).

use crate::queue::Counts;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::time::Duration;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    profile: &'static str,
    result: &'static str,
}

/// Which part of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Part {
    queue: &'static str,
}

/// The metrics of a scheduler.
pub(crate) struct Metrics {
    attempts: Family<Attempt, Counter>,
    took: Family<Attempt, Histogram, fn() -> Histogram>,
    pending: Family<Part, Gauge>,
    preemptions: Counter,
    victims: Histogram,
}

impl Metrics {
    /// Registers the families.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            attempts: Family::default(),
            took: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.000_01, 2.0, 20))
            }),
            pending: Family::default(),
            preemptions: Counter::default(),
            victims: Histogram::new(exponential_buckets(1.0, 2.0, 7)),
        };
        let attempts = "Number of attempts to schedule pods, by the result";
        registry.register(
            "scheduler_schedule_attempts",
            attempts,
            metrics.attempts.clone(),
        );
        let took = "Scheduling attempt latency in seconds";
        registry.register(
            "scheduler_scheduling_attempt_duration_seconds",
            took,
            metrics.took.clone(),
        );
        let pending = "Number of pending pods, by the queue type";
        registry.register("scheduler_pending_pods", pending, metrics.pending.clone());
        let preemptions = "Total preemption attempts in the cluster till now";
        registry.register(
            "scheduler_preemption_attempts",
            preemptions,
            metrics.preemptions.clone(),
        );
        let victims = "Number of selected preemption victims";
        registry.register(
            "scheduler_preemption_victims",
            victims,
            metrics.victims.clone(),
        );
        metrics
    }

    /// An attempt for a pod of this profile that ended with `scheduled`, `unschedulable` or `error` after this long.
    pub(crate) fn attempt(&self, profile: &'static str, result: &'static str, took: Duration) {
        let attempt = Attempt { profile, result };
        self.attempts.get_or_create(&attempt).inc();
        self.took
            .get_or_create(&attempt)
            .observe(took.as_secs_f64());
    }

    /// So many pods have to leave for another.
    pub(crate) fn preempted(&self, victims: usize) {
        self.preemptions.inc();
        self.victims.observe(victims as f64);
    }

    /// How many pods wait where.
    pub(crate) fn pending(&self, counts: Counts) {
        let parts = [
            ("active", counts.active + counts.in_flight),
            ("backoff", counts.backoff),
            ("unschedulable", counts.unschedulable),
            ("gated", counts.gated),
        ];
        for (queue, count) in parts {
            self.pending
                .get_or_create(&Part { queue })
                .set(count as i64);
        }
    }
}
