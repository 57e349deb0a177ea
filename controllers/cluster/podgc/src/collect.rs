//! Looks at pods whose time may have come, and removes them.

use crate::machines::Machines;
use crate::plan::{self, Reason, Whereabouts, World};
use crate::{NAME, metrics};
use ::plan::{Kind, Outcome};
use ahash::AHashSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use objects::{meta, pod};
use runtime::{Backoff, Change, Executor, Key, Queue, Reads, Runtime};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The index of pods by their node.
const BY_NODE: &str = "spec.nodeName";
/// How often pods that have ended are counted (upstream: `gcCheckPeriod`).
const PERIOD: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);
const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(100),
    max: PERIOD,
};

/// The pod garbage collector at work.
pub(crate) struct Collector {
    runtime: Runtime,
    reads: Reads,
    executor: Executor,
    queue: Queue,
    threshold: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    machines: Machines,
    /// Pods, by UID, that have ended and are too many.
    surplus: AHashSet<String>,
    /// Pods, by UID, whose deletion was accepted and not seen yet.
    removed: AHashSet<String>,
}

impl Collector {
    pub(crate) fn new(runtime: &Runtime, threshold: usize) -> Arc<Self> {
        runtime.metrics().declare(metrics::METRICS);
        Arc::new(Self {
            runtime: runtime.clone(),
            reads: runtime.reads(),
            executor: runtime.executor(NAME),
            queue: Queue::new(BACKOFF, runtime.metrics().queue("orphaned_pods_nodes")),
            threshold,
            state: Mutex::default(),
        })
    }

    /// Says what wakes it.
    pub(crate) fn listen(self: &Arc<Self>) {
        let caches = self.runtime.caches();
        let (pods, nodes) = (caches.of::<Pod>(), caches.of::<Node>());
        pods.index(BY_NODE, |pod| {
            pod::node_name(pod).map(str::to_owned).into_iter().collect()
        });
        let this = Arc::downgrade(self);
        pods.listen(Box::new(move |change| {
            if let Some(this) = this.upgrade() {
                this.pod_changed(change);
            }
        }));
        let this = Arc::downgrade(self);
        nodes.listen(Box::new(move |change| {
            if let Some(this) = this.upgrade() {
                this.node_changed(change);
            }
        }));
    }

    fn pod_changed(&self, change: &Change<Pod>) {
        let Some(pod) = &change.new else {
            let uid = meta::uid(&change.latest().metadata);
            self.state().removed.remove(uid);
            return;
        };
        let nodes = self.runtime.caches().of::<Node>();
        let strays = || {
            let node = pod::node_name(pod);
            node.is_some_and(|node| nodes.get("", node).is_none())
        };
        if meta::is_deleting(&pod.metadata) || strays() {
            self.queue.add(Key::of(&pod.metadata));
        }
    }

    fn node_changed(&self, change: &Change<Node>) {
        let node = change.latest();
        let name = meta::name(&node.metadata);
        let replaced = match &change.new {
            None => {
                let now = self.runtime.now();
                self.state().machines.went(name, node, now);
                true
            }
            Some(node) => self.state().machines.is_there(name, node),
        };
        let old = change.old.as_deref().map(Whereabouts::of);
        if replaced || old != Some(Whereabouts::of(node)) {
            for pod in self.runtime.caches().of::<Pod>().indexed(BY_NODE, name) {
                self.queue.add(Key::of(&pod.metadata));
            }
        }
    }

    /// Counts pods that have ended, until the process ends.
    pub(crate) async fn count(self: Arc<Self>) {
        self.synced().await;
        loop {
            let pods = self.runtime.caches().of::<Pod>();
            let surplus = plan::surplus(pods.all(), self.threshold);
            {
                let mut state = self.state();
                let is_used = |node: &str| !pods.indexed(BY_NODE, node).is_empty();
                state.machines.retain(is_used);
                // What was accepted and is still there after a while is looked at again.
                state.removed.clear();
                let uids = surplus
                    .iter()
                    .map(|pod| meta::uid(&pod.metadata).to_owned());
                state.surplus = uids.collect();
            }
            if !surplus.is_empty() {
                tracing::info!(pods = surplus.len(), "more pods have ended than are kept");
            }
            for pod in surplus {
                self.queue.add(Key::of(&pod.metadata));
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Works until the process ends.
    pub(crate) async fn work(self: Arc<Self>) {
        self.synced().await;
        loop {
            let key = self.queue.next().await;
            if self.turn(&key).await {
                self.queue.forget(&key);
            } else {
                self.queue.retry(key.clone());
            }
            self.queue.done(&key, PAUSE);
        }
    }

    async fn synced(&self) {
        let caches = self.runtime.caches();
        while !caches.are_started() || !caches.unsynced().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// observe → plan → execute. False when it has to be tried again.
    async fn turn(&self, key: &Key) -> bool {
        let Some(pod) = self.runtime.caches().of::<Pod>().find(key) else {
            return true;
        };
        let uid = meta::uid(&pod.metadata).to_owned();
        if self.state().removed.contains(&uid) {
            return true;
        }
        let Some(world) = self.observe(pod).await else {
            return false;
        };
        let (reason, plan) = plan::plan(&world);
        if let Some(delay) = plan.again_after {
            self.queue.add_after(key.clone(), delay);
        }
        let Some(reason) = reason else { return true };
        let outcome = self.executor.execute(&plan).await;
        self.report(key, reason, &plan, &outcome);
        if outcome.is_success() {
            self.state().removed.insert(uid);
        }
        outcome.is_success()
    }

    /// What is known of a pod; nothing if the API server has to be asked and does not answer.
    async fn observe(&self, pod: Arc<Pod>) -> Option<World> {
        let now = self.runtime.now();
        let node = match pod::node_name(&pod) {
            None => Whereabouts::Nowhere,
            Some(name) => match self.runtime.caches().of::<Node>().get("", name) {
                Some(node) => match self.state().machines.left_behind(name, &pod) {
                    Some(since) => Whereabouts::Replaced { since },
                    None => Whereabouts::of(&node),
                },
                None => self.missing(name, now).await?,
            },
        };
        let surplus = self.state().surplus.contains(meta::uid(&pod.metadata));
        Some(World {
            pod,
            node,
            surplus,
            now,
        })
    }

    /// A cache that does not hold a node may only be behind.
    async fn missing(&self, name: &str, now: jiff::Timestamp) -> Option<Whereabouts> {
        let since = self.state().machines.missing_since(name, now);
        let mut confirmed = false;
        if since + plan::QUARANTINE <= now {
            match self.reads.meta(Kind::of::<Node>(), "", name).await {
                Ok(live) => confirmed = live.is_none(),
                Err(error) => {
                    tracing::debug!(node = name, %error, "not readable");
                    return None;
                }
            }
        }
        Some(Whereabouts::Missing { since, confirmed })
    }

    fn report(&self, key: &Key, reason: Reason, plan: &::plan::Plan, outcome: &Outcome) {
        let samples = metrics::measure(&key.namespace, reason, outcome);
        self.runtime.metrics().record(&samples);
        let result = match outcome.failure() {
            None => "done",
            Some(failure) => &failure.message,
        };
        let text = plan.to_string();
        tracing::debug!(controller = NAME, object = %key, outcome = result, "plan\n{text}");
        let (plans, now) = (self.runtime.plans(), self.runtime.now());
        plans.record(NAME, key, now, &text, result);
        let label = outcome.failure().map_or("success", |_| "error");
        self.runtime.metrics().reconcile(NAME, label);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
