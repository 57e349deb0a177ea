//! What is counted, by upstream's names, labels and buckets (`pkg/scheduler/metrics/metrics.go`).
//!
//! Not there are metrics of what is not: goroutines, permits, batches, devices. What is counted and timed of single plugins
//! says [`crate::meter`].

mod resources;

pub(crate) use resources::text as resources;

use crate::meter::{BOUNDS, Runs, Spread};
use crate::queue::Counts;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric, LabelValueEncoder,
    MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
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

/// How often it was tried.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Tries {
    attempts: String,
}

/// What was done on the way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Point {
    extension_point: &'static str,
    status: &'static str,
    profile: &'static str,
}

/// What is in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    r#type: &'static str,
}

/// To which queue pods come, by what.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Way {
    queue: &'static str,
    event: &'static str,
}

/// What was heard of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Heard {
    event: Event,
}

/// Of what kind it was, and what happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Event(pub(crate) &'static str, pub(crate) &'static str);

impl EncodeLabelValue for Event {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let Self(kind, action) = self;
        encoder.write_str(kind)?;
        encoder.write_str(action)
    }
}

/// Who rejects pods.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Rejecting {
    plugin: &'static str,
    profile: String,
}

/// A plugin, where it was run, and for the pods of which profile.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Evaluated {
    plugin: &'static str,
    extension_point: &'static str,
    profile: String,
}

/// A plugin, where it was run, and how that ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Executed {
    plugin: &'static str,
    extension_point: &'static str,
    status: &'static str,
}

/// A plugin, what happened, and whether that may help.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Hinted {
    plugin: &'static str,
    event: &'static str,
    hint: &'static str,
}

/// What failed about volumes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stage {
    operation: &'static str,
}

const BIND: Stage = Stage { operation: "bind" };

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The metrics of a scheduler.
pub(crate) struct Metrics {
    attempts: Family<Attempt, Counter>,
    took: Histograms<Attempt>,
    algorithm: Histogram,
    sli: Histograms<Tries>,
    tries: Histogram,
    late: Counter,
    volumes: Family<Stage, Counter>,
    points: Histograms<Point>,
    handling: Histograms<Heard>,
    pending: Family<Part, Gauge>,
    preemptions: Counter,
    victims: Histogram,
}

impl Metrics {
    /// Registers the families.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let attempt = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let metrics = Self {
            attempts: Family::default(),
            took: Family::new_with_constructor(attempt),
            algorithm: attempt(),
            sli: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.01, 2.0, 20))
            }),
            tries: Histogram::new(exponential_buckets(1.0, 2.0, 5)),
            late: Counter::default(),
            volumes: Family::default(),
            points: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.0001, 2.0, 12))
            }),
            handling: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.0001, 2.0, 12))
            }),
            pending: Family::default(),
            preemptions: Counter::default(),
            victims: Histogram::new(exponential_buckets(1.0, 2.0, 7)),
        };
        put(
            registry,
            "schedule_attempts",
            "[STABLE] Attempts to schedule pods, by the result",
            &metrics.attempts,
        );
        put(
            registry,
            "scheduling_attempt_duration_seconds",
            "[STABLE] Seconds that an attempt took, the binding included",
            &metrics.took,
        );
        put(
            registry,
            "scheduling_algorithm_duration_seconds",
            "[ALPHA] Seconds that a decision took",
            &metrics.algorithm,
        );
        put(
            registry,
            "pod_scheduling_sli_duration_seconds",
            "[BETA] Seconds from the first attempt to schedule a pod until it was bound",
            &metrics.sli,
        );
        put(
            registry,
            "pod_scheduling_attempts",
            "[STABLE] Attempts until a pod was bound",
            &metrics.tries,
        );
        put(
            registry,
            "pod_scheduled_after_flush",
            "[ALPHA] Pods that were bound when they were tried since they had waited too long for a change",
            &metrics.late,
        );
        // From 0 on: its first failure is one more than none.
        metrics.volumes.get_or_create(&BIND).inc_by(0);
        put(
            registry,
            "volume_scheduling_stage_error",
            "[ALPHA] Failures to bring the volumes of pods to their nodes, by the stage",
            &metrics.volumes,
        );
        put(
            registry,
            "framework_extension_point_duration_seconds",
            "[STABLE] Seconds that all plugins of an extension point took",
            &metrics.points,
        );
        put(
            registry,
            "event_handling_duration_seconds",
            "[ALPHA] Seconds that it took to take note of a change that a watch showed",
            &metrics.handling,
        );
        put(
            registry,
            "pending_pods",
            "[STABLE] Pods that wait, by the queue",
            &metrics.pending,
        );
        put(
            registry,
            "preemption_attempts",
            "[STABLE] Attempts to make room for a pod",
            &metrics.preemptions,
        );
        put(
            registry,
            "preemption_victims",
            "[STABLE] Pods that had to leave for another",
            &metrics.victims,
        );
        metrics
    }

    /// A decision was made.
    pub(crate) fn decided(&self, took: Duration) {
        self.algorithm.observe(took.as_secs_f64());
    }

    /// An attempt for a pod of this profile that ended with `scheduled`, `unschedulable` or `error` after this long.
    pub(crate) fn attempt(&self, profile: &'static str, result: &'static str, took: Duration) {
        let attempt = Attempt { profile, result };
        self.attempts.get_or_create(&attempt).inc();
        self.took
            .get_or_create(&attempt)
            .observe(took.as_secs_f64());
    }

    /// A pod was bound so long after its first attempt, of so many; the last as it had waited too long, or not.
    pub(crate) fn bound(&self, since: Duration, tries: u32, late: bool) {
        const MANY: u32 = 15;
        let attempts = match tries {
            MANY.. => format!("{MANY}+"),
            few => few.to_string(),
        };
        self.sli
            .get_or_create(&Tries { attempts })
            .observe(since.as_secs_f64());
        self.tries.observe(f64::from(tries));
        self.late.inc_by(u64::from(late));
    }

    /// The volumes of a pod were not brought to its node. Upstream's other stages (`predicate`, `assume`) do not fail here:
    /// they ask what is known, and that a claim or class is not known is an answer.
    pub(crate) fn volumes_failed(&self) {
        self.volumes.get_or_create(&BIND).inc();
    }

    /// What was done at an extension point (`PreBind`, `Bind`) took so long, and went well or not.
    pub(crate) fn point(
        &self,
        extension_point: &'static str,
        profile: &'static str,
        well: bool,
        took: Duration,
    ) {
        let point = Point {
            extension_point,
            status: if well { "Success" } else { "Error" },
            profile,
        };
        self.points
            .get_or_create(&point)
            .observe(took.as_secs_f64());
    }

    /// It took so long to take note of something.
    pub(crate) fn heard(&self, event: Event, took: Duration) {
        self.handling
            .get_or_create(&Heard { event })
            .observe(took.as_secs_f64());
    }

    /// Room was looked for; if it is made, for so many pods that have to leave.
    pub(crate) fn preempted(&self, victims: Option<usize>) {
        self.preemptions.inc();
        if let Some(victims) = victims {
            self.victims.observe(victims as f64);
        }
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

fn put<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: &M) {
    registry.register(format!("scheduler_{name}"), help, metric.clone());
}

/// What there is, counted when somebody asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Nodes.
    pub nodes: usize,
    /// Pods on nodes, assumed ones too.
    pub pods: usize,
    /// Assumed ones.
    pub assumed: usize,
    /// By plugin and profile, the pods that it rejected and that wait for a change.
    pub unschedulable: BTreeMap<(&'static str, String), usize>,
    /// How often pods came to a queue by an event: their names, how often.
    pub incoming: Vec<(&'static str, &'static str, u64)>,
    /// The runs of plugins.
    pub runs: Runs,
}

/// Shows [`Sizes`].
pub(crate) struct Seen<F>(pub(crate) F);

impl<F> fmt::Debug for Seen<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seen")
    }
}

impl<F: Fn() -> Option<Sizes> + Send + Sync + 'static> Collector for Seen<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(sizes) = (self.0)() else {
            return Ok(());
        };
        let kinds = [
            ("nodes", sizes.nodes),
            ("pods", sizes.pods),
            ("assumed_pods", sizes.assumed),
        ];
        let help = "[ALPHA] Nodes, pods and assumed pods in the cache";
        let mut family =
            encoder.encode_descriptor("scheduler_cache_size", help, None, MetricType::Gauge)?;
        for (r#type, count) in kinds {
            let gauge = ConstGauge::new(count as i64);
            gauge.encode(family.encode_family(&Kind { r#type })?)?;
        }
        let help = "[BETA] Pods that wait for a change, by the plugins that rejected them";
        let mut family = encoder.encode_descriptor(
            "scheduler_unschedulable_pods",
            help,
            None,
            MetricType::Gauge,
        )?;
        for ((plugin, profile), count) in sizes.unschedulable {
            let gauge = ConstGauge::new(count as i64);
            gauge.encode(family.encode_family(&Rejecting { plugin, profile })?)?;
        }
        let help = "[STABLE] Pods that came to a queue, by what happened to them";
        let name = "scheduler_queue_incoming_pods";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (queue, event, count) in sizes.incoming {
            let counter = ConstCounter::new(count);
            counter.encode(family.encode_family(&Way { queue, event })?)?;
        }
        sizes.runs.encode(&mut encoder)
    }
}

impl Runs {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "[BETA] Runs of plugins, by what for";
        let name = "scheduler_plugin_evaluation";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for ((plugin, extension_point, profile), count) in &self.evaluations {
            let counter = ConstCounter::new(*count);
            counter.encode(family.encode_family(&Evaluated {
                plugin,
                extension_point,
                profile: profile.clone(),
            })?)?;
        }
        let help = "[ALPHA] Seconds that runs of plugins took, of those that were timed";
        let name = "scheduler_plugin_execution_duration_seconds";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for ((plugin, extension_point, status), spread) in &self.durations {
            spread.encode(family.encode_family(&Executed {
                plugin,
                extension_point,
                status,
            })?)?;
        }
        let help = "[ALPHA] Seconds that plugins took to say whether a change may help a pod that they rejected, of those that were timed";
        let name = "scheduler_queueing_hint_execution_duration_seconds";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for ((plugin, event, hint), spread) in &self.hints {
            spread.encode(family.encode_family(&Hinted {
                plugin,
                event,
                hint,
            })?)?;
        }
        Ok(())
    }
}

impl Spread {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(self.counts).collect();
        let (sum, count) = (self.sum.as_secs_f64(), self.counts.iter().sum());
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}
