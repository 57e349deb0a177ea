//! What all loops of a process share: client, clock, in-flight limit, event queue, metrics, tasks.

use crate::clock::Clock;
use crate::contact::Answers;
use crate::lease::Fence;
use crate::limit::Limit;
use crate::metrics::Metrics;
use crate::plans::Plans;
use crate::record::{Recorder, Stamped};
use jiff::Timestamp;
use kube::Client;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What a process is told when it starts. See [`crate::Options`].
pub(crate) struct Process {
    client: Client,
    clock: Clock,
    namespace: Option<String>,
    namespaces: Vec<String>,
    limit: Limit,
    recorder: Recorder,
    metrics: Metrics,
    plans: Plans,
    seed: AtomicU64,
    contact: OnceLock<Arc<Mutex<Answers>>>,
    fence: OnceLock<Fence>,
    shutdown: CancellationToken,
    tasks: Mutex<JoinSet<()>>,
}

impl Process {
    pub(crate) fn new(client: Client, options: crate::Options, recorder: Recorder) -> Self {
        Self {
            client,
            clock: options.clock,
            namespace: options.namespace,
            namespaces: options.namespaces,
            limit: Limit::default(),
            recorder,
            metrics: options.metrics,
            plans: options.plans,
            seed: AtomicU64::new(options.seed.unwrap_or_else(rand::random)),
            contact: OnceLock::new(),
            fence: OnceLock::new(),
            shutdown: CancellationToken::new(),
            tasks: Mutex::new(JoinSet::new()),
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Whether objects of this namespace are worked on.
    pub(crate) fn manages(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|name| name == namespace)
    }

    pub(crate) fn limit(&self) -> &Limit {
        &self.limit
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn plans(&self) -> &Plans {
        &self.plans
    }

    pub(crate) fn recorder(&self) -> Stamped<'_> {
        Stamped {
            recorder: &self.recorder,
            now: self.now(),
        }
    }

    /// The answers of the API server, and whether nobody has asked for them before.
    pub(crate) fn contact(&self) -> (Arc<Mutex<Answers>>, bool) {
        let mut first = false;
        let answers = self.contact.get_or_init(|| {
            first = true;
            Arc::default()
        });
        (answers.clone(), first)
    }

    /// From now on nothing is written while the fence is closed.
    pub(crate) fn fence(&self, fence: Fence) {
        // A process stands for election once.
        let _ = self.fence.set(fence);
    }

    /// Whether another may lead by now.
    pub(crate) fn is_fenced(&self) -> bool {
        self.fence.get().is_some_and(|fence| !fence.is_open())
    }

    pub(crate) fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Random bits, another set at each call (splitmix64).
    pub(crate) fn seed(&self) -> u64 {
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut bits = self.seed.fetch_add(GOLDEN, Ordering::Relaxed);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    pub(crate) async fn sleep(&self, delay: Duration) {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    /// A task that is dropped when the process shuts down.
    pub(crate) fn spawn(&self, name: String, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.spawn_to_end(async move {
            if shutdown.run_until_cancelled(task).await.is_none() {
                tracing::trace!(task = name, "ended");
            }
        });
    }

    /// A task that sees to its own end when the process shuts down.
    pub(crate) fn spawn_to_end(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Asks all tasks to end and waits for them; those that have not ended after `patience` are dropped.
    pub(crate) async fn stop(&self, patience: Duration) {
        self.shutdown.cancel();
        let mut tasks = {
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *tasks)
        };
        let ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, ended).await.is_err() {
            tasks.abort_all();
        }
    }

    /// Drops all tasks wherever they are, as a kill would.
    pub(crate) fn kill(&self) {
        self.shutdown.cancel();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.abort_all();
        *tasks = JoinSet::new();
    }
}
