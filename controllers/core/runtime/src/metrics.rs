//! What `/metrics` shows, under upstream's names, so that dashboards and alerts for upstream's components
//! work unchanged.
//!
//! A [`Metrics`] is made once and handed down; there are no globals, so many processes can live in one
//! test. prometheus-client appends `_total` to counters by itself.
//!
//! What a loop counts itself it describes as data, [`plan::Metric`], and measures as data, [`plan::Sample`]: see
//! [`crate::Controller::measure`].
//!
//! Names and buckets: `component-base/metrics/prometheus/{workqueue,restclient,clientgo}`,
//! `controller-manager/pkg/…/controllers`, and controller-runtime for `controller_runtime_*`.

mod declared;
mod health;
mod process;
mod requests;

pub(crate) use requests::{Again, Resolver};
pub use requests::{Counted, Requests, RequestsLayer};

use declared::Declared;
use health::Health;
use plan::{Metric, Sample};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Name {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Running {
    manager: String,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reconciled {
    controller: String,
    result: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    major: &'static str,
    minor: &'static str,
    git_version: &'static str,
    platform: String,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The metrics of a process. Cheap to clone; all clones count into the same families.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Mutex<Registry>,
    declared: Declared,
    queues: Arc<Queues>,
    adds: Family<Name, Counter>,
    depth: Family<Name, Gauge>,
    queued: Histograms<Name>,
    worked: Histograms<Name>,
    retries: Family<Name, Counter>,
    host: OnceLock<String>,
    health: Health,
    leading: Family<Name, Gauge>,
    running: Family<Running, Gauge>,
    reconciled: Family<Reconciled, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// All families of this crate, registered and empty.
    pub fn new() -> Self {
        let inner = Inner {
            registry: Mutex::new(Registry::default()),
            declared: Declared::default(),
            queues: Arc::default(),
            adds: Family::default(),
            depth: Family::default(),
            queued: Family::new_with_constructor(queue_histogram),
            worked: Family::new_with_constructor(queue_histogram),
            retries: Family::default(),
            host: OnceLock::new(),
            health: Health::new(),
            leading: Family::default(),
            running: Family::default(),
            reconciled: Family::default(),
        };
        inner.declared.declare(&requests::ALL);
        health::version(&inner.declared);
        let metrics = Self(Arc::new(inner));
        metrics.register(|registry| metrics.0.register(registry));
        metrics
    }

    /// Registers families of other crates. Keep a clone of what is registered to count into.
    ///
    /// ```text
    /// let pending = Gauge::<i64>::default();
    /// metrics.register(|registry| registry.register("scheduler_pending_pods", "…", pending.clone()));
    /// ```
    pub fn register<T>(&self, families: impl FnOnce(&mut Registry) -> T) -> T {
        let mut registry = self
            .0
            .registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        families(&mut registry)
    }

    /// Makes metrics known that are described as data. What has no labels is shown from now on.
    pub fn declare(&self, metrics: &[&'static Metric]) {
        self.0.declared.declare(metrics);
    }

    /// The metrics that have been declared, by name; those of [`Metrics::encode_health`] at the end.
    pub fn declared(&self) -> Vec<&'static Metric> {
        let mut all = self.0.declared.all();
        all.extend(self.0.health.declared());
        all
    }

    /// Adds to counters and histograms; a gauge is set.
    pub fn record(&self, samples: &[Sample]) {
        self.0.declared.record(samples);
    }

    /// Takes away what an object had a share in (samples of gauges), and gives it other shares.
    pub(crate) fn exchange(&self, old: &[Sample], new: &[Sample]) {
        self.0.declared.exchange(old, new);
    }

    /// The metrics of the work queue `name`. Asking again gives the same.
    pub fn queue(&self, name: &str) -> QueueMetrics {
        let inner = &self.0;
        let label = Name {
            name: name.to_owned(),
        };
        QueueMetrics {
            adds: inner.adds.get_or_create_owned(&label),
            depth: inner.depth.get_or_create_owned(&label),
            queued: inner.queued.get_or_create_owned(&label),
            worked: inner.worked.get_or_create_owned(&label),
            retries: inner.retries.get_or_create_owned(&label),
            running: inner.queues.of(name),
        }
    }

    /// The server that requests go to, the label `host`. The first call counts.
    pub fn host(&self, host: &str) {
        // A second client of the same process talks to the same server.
        let _ = self.0.host.set(host.to_owned());
    }

    /// Whether this process holds the lease `name`.
    pub fn leading(&self, name: &str, leading: bool) {
        let label = Name {
            name: name.to_owned(),
        };
        self.0.leading.get_or_create(&label).set(leading.into());
    }

    /// Whether the controller `name` runs in the binary `manager`.
    pub fn running(&self, manager: &str, name: &str, running: bool) {
        let label = Running {
            manager: manager.to_owned(),
            name: name.to_owned(),
        };
        self.0.running.get_or_create(&label).set(running.into());
    }

    /// A controller went through an object, with result `success`, `error`, `requeue`, `requeue_after`.
    pub fn reconcile(&self, controller: &str, result: &str) {
        let label = Reconciled {
            controller: controller.to_owned(),
            result: result.to_owned(),
        };
        self.0.reconciled.get_or_create(&label).inc();
    }

    /// The check `name` went well or not when the page `kind` was asked for: `healthz`, `livez` or `readyz`.
    pub(crate) fn checked(&self, name: &str, kind: &'static str, is_well: bool) {
        self.0.health.record(name, kind, is_well);
    }

    /// What the checks have found, in the format of [`Metrics::encode`]: `/metrics/slis`.
    pub fn encode_health(&self) -> String {
        self.0.health.encode()
    }

    /// Everything else in the OpenMetrics text format, [`CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        let mut out = String::new();
        let registry = self
            .0
            .registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Writing to a String does not fail; a collector that does leaves the text cut short.
        if text::encode(&mut out, &registry).is_err() {
            tracing::warn!("a metric could not be encoded");
        }
        out
    }
}

impl Inner {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "workqueue_adds",
            "Items put into the work queue",
            self.adds.clone(),
        );
        registry.register(
            "workqueue_depth",
            "Items that wait in the work queue",
            self.depth.clone(),
        );
        let help = "Seconds that an item waited in the work queue";
        registry.register(
            "workqueue_queue_duration_seconds",
            help,
            self.queued.clone(),
        );
        let help = "Seconds that the work on an item took";
        registry.register("workqueue_work_duration_seconds", help, self.worked.clone());
        let help = "Items put back after a failure";
        registry.register("workqueue_retries", help, self.retries.clone());
        let help = "1 where this process is the leader, 0 where it stands by";
        registry.register("leader_election_master_status", help, self.leading.clone());
        let help = "1 where the controller runs in this process";
        registry.register("running_managed_controllers", help, self.running.clone());
        let help = "Passes over an object by result";
        registry.register(
            "controller_runtime_reconcile",
            help,
            self.reconciled.clone(),
        );

        let build = Family::<Build, Gauge>::default();
        build.get_or_create(&Build::this()).set(1);
        registry.register(
            "kubernetes_build_info",
            "What this binary was made from",
            build,
        );
        registry.register_collector(Box::new(self.declared.clone()));
        registry.register_collector(Box::new(self.queues.clone()));
        registry.register_collector(Box::new(process::ProcessCollector));
    }
}

impl Build {
    fn this() -> Self {
        Self {
            major: env!("CARGO_PKG_VERSION_MAJOR"),
            minor: env!("CARGO_PKG_VERSION_MINOR"),
            git_version: concat!("v", env!("CARGO_PKG_VERSION")),
            platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}

/// Ten nanoseconds to ten seconds, as upstream's work queues have it.
fn queue_histogram() -> Histogram {
    Histogram::new(exponential_buckets(1e-8, 10.0, 10))
}

// === impl QueueMetrics ===

/// The metrics of one work queue.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    adds: Counter,
    depth: Gauge,
    queued: Histogram,
    worked: Histogram,
    retries: Counter,
    running: Arc<InWork>,
}

impl QueueMetrics {
    /// A key was put in that was not there yet.
    pub fn added(&self) {
        self.adds.inc();
    }

    /// So many keys wait.
    pub fn depth(&self, depth: i64) {
        self.depth.set(depth);
    }

    /// A key was handed to a worker after it had waited for so long. From now until [`Self::worked`] it
    /// counts as unfinished work.
    pub fn queued(&self, waited: Duration) {
        self.queued.observe(waited.as_secs_f64());
        self.running.lock().push(Instant::now());
    }

    /// A worker is done with a key, which took so long.
    pub fn worked(&self, took: Duration) {
        self.worked.observe(took.as_secs_f64());
        self.running.finish(took);
    }

    /// A key was put back after a failure.
    pub fn retried(&self) {
        self.retries.inc();
    }
}

/// When the work that is going on was begun, an entry a busy worker.
#[derive(Debug, Default)]
struct InWork(Mutex<Vec<Instant>>);

impl InWork {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Strikes out the work whose beginning fits best to how long it took. Which of two equal ones it was
    /// makes no difference to a sum or a maximum.
    fn finish(&self, took: Duration) {
        let now = Instant::now();
        let mut begun = self.lock();
        let off = |at: &Instant| now.saturating_duration_since(*at).abs_diff(took);
        let best = (0..begun.len()).min_by_key(|&i| off(&begun[i]));
        if let Some(best) = best {
            begun.swap_remove(best);
        }
    }
}

/// The two metrics that are only true at the moment of a scrape.
#[derive(Debug, Default)]
struct Queues(Mutex<Vec<(String, Arc<InWork>)>>);

impl Queues {
    fn of(&self, name: &str) -> Arc<InWork> {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = queues.iter().find(|(n, _)| n == name) {
            return found.clone();
        }
        let made = Arc::<InWork>::default();
        queues.push((name.to_owned(), made.clone()));
        made
    }

    fn ages(&self) -> Vec<(Name, Vec<f64>)> {
        let now = Instant::now();
        let queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = |at: &Instant| now.saturating_duration_since(*at).as_secs_f64();
        queues
            .iter()
            .map(|(name, work)| {
                (
                    Name { name: name.clone() },
                    work.lock().iter().map(age).collect(),
                )
            })
            .collect()
    }
}

impl Collector for Queues {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let ages = self.ages();
        if ages.is_empty() {
            return Ok(());
        }
        let mut family = |name: &str, help: &str, value: fn(&[f64]) -> f64| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (label, ages) in &ages {
                let metric = ConstGauge::new(value(ages));
                metric.encode(family.encode_family(label)?)?;
            }
            Ok(())
        };
        family(
            "workqueue_unfinished_work_seconds",
            "Seconds of work that has been begun and is not done, summed over the workers",
            |ages| ages.iter().fold(0.0, |sum, age| sum + age),
        )?;
        family(
            "workqueue_longest_running_processor_seconds",
            "Seconds that the longest work has been going on",
            |ages| ages.iter().copied().fold(0.0, f64::max),
        )
    }
}

#[cfg(test)]
mod tests;
