//! Wiring: caches wake the worker, the executor carries out its plans.

use crate::worker::{Item, View, Worker};
use crate::{NAME, Options};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use objects::volume::{self, BY_CLAIM};
use objects::{meta, pod as pods};
use plan::Outcome;
use runtime::{Cache, Change, Executor, Key, Runtime};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The index of pods by the node that they are bound to.
const BY_NODE: &str = "spec.nodeName";
/// The longest that the agent sleeps when no timer is set.
const IDLE: Duration = Duration::from_mins(1);
/// How many changes are looked at before finished writes are.
const BATCH: usize = 1024;

/// The node agent: registers its nodes and keeps them and their pods, until the process shuts down.
pub struct Agent {
    runtime: Runtime,
    executor: Executor,
    worker: Worker,
    view: Caches,
    changes: mpsc::UnboundedReceiver<Item>,
}

struct Caches {
    pods: Arc<Cache<Pod>>,
    nodes: Arc<Cache<Node>>,
    claims: Arc<Cache<PersistentVolumeClaim>>,
    volumes: Arc<Cache<PersistentVolume>>,
}

impl View for Caches {
    fn pod(&self, key: &Key) -> Option<Arc<Pod>> {
        self.pods.find(key)
    }

    fn node(&self, name: &str) -> Option<Arc<Node>> {
        self.nodes.get("", name)
    }

    fn pods_on(&self, node: &str) -> Vec<Arc<Pod>> {
        self.pods.indexed(BY_NODE, node)
    }

    fn claim(&self, namespace: &str, name: &str) -> Option<Arc<PersistentVolumeClaim>> {
        self.claims.get(namespace, name)
    }

    fn volume(&self, name: &str) -> Option<Arc<PersistentVolume>> {
        self.volumes.get("", name)
    }
}

/// Looks at the pods on nodes that use a claim.
fn tell_users(pods: &Cache<Pod>, claim: &str, tell: &mpsc::UnboundedSender<Item>) {
    let users = pods.indexed(BY_CLAIM, claim);
    for pod in users.iter().filter(|pod| pods::node_name(pod).is_some()) {
        let _ = tell.send(Item::Pod(Key::of(&pod.metadata)));
    }
}

impl Agent {
    /// Asks for the caches that it needs; nothing is written before [`Agent::run`].
    pub fn new(runtime: &Runtime, options: Options) -> Self {
        let view = Caches {
            pods: runtime.caches().whole::<Pod>(),
            nodes: runtime.caches().of::<Node>(),
            claims: runtime.caches().of::<PersistentVolumeClaim>(),
            volumes: runtime.caches().of::<PersistentVolume>(),
        };
        let (tell, changes) = mpsc::unbounded_channel();
        view.pods.index(BY_NODE, |pod| {
            pods::node_name(pod)
                .map(str::to_owned)
                .into_iter()
                .collect()
        });
        view.pods.index(BY_CLAIM, volume::claim_keys);
        let (pods, users) = (view.pods.clone(), tell.clone());
        view.claims
            .listen(Box::new(move |change: &Change<PersistentVolumeClaim>| {
                let claim = Key::of(&change.latest().metadata).to_string();
                tell_users(&pods, &claim, &users);
            }));
        let (pods, users) = (view.pods.clone(), tell.clone());
        view.volumes
            .listen(Box::new(move |change: &Change<PersistentVolume>| {
                let spec = change.latest().spec.as_ref();
                if let Some(reference) = spec.and_then(|spec| spec.claim_ref.as_ref()) {
                    let (namespace, name) =
                        (reference.namespace.as_deref(), reference.name.as_deref());
                    let claim = Key::new(namespace.unwrap_or_default(), name.unwrap_or_default());
                    tell_users(&pods, &claim.to_string(), &users);
                }
            }));
        let nodes = tell.clone();
        // A closed channel means that the agent has ended, and nobody needs to know.
        view.nodes.listen(Box::new(move |change: &Change<Node>| {
            let name = meta::name(&change.latest().metadata);
            let _ = nodes.send(Item::Node(name.into()));
        }));
        view.pods.listen(Box::new(move |change: &Change<Pod>| {
            let pod = change.latest();
            if pods::node_name(pod).is_some() {
                let _ = tell.send(Item::Pod(Key::of(&pod.metadata)));
            }
        }));
        Self {
            runtime: runtime.clone(),
            executor: runtime.executor(NAME),
            worker: Worker::new(options),
            view,
            changes,
        }
    }

    /// Runs until the process shuts down.
    pub async fn run(mut self) {
        let shutdown = self.runtime.shutdown();
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.keep() => {}
        }
    }

    async fn keep(&mut self) {
        self.runtime.start().await;
        let mut flying: JoinSet<(Item, Outcome)> = JoinSet::new();
        let mut items = Vec::new();
        while let Ok(item) = self.changes.try_recv() {
            items.push(item);
        }
        items.extend(self.worker.unregistered(&self.view));
        loop {
            self.look(&mut items, &mut flying);
            let now = self.runtime.now();
            let wait = match self.worker.next_timer() {
                Some(at) => Duration::try_from(at.duration_since(now)).unwrap_or_default(),
                None => IDLE,
            };
            tokio::select! {
                got = self.changes.recv_many(&mut items, BATCH) => {
                    if got == 0 {
                        return;
                    }
                }
                Some(done) = flying.join_next() => {
                    let now = self.runtime.now();
                    let mut done = Some(done);
                    while let Some(finished) = done {
                        if let Ok((item, outcome)) = finished {
                            Self::tell(&outcome);
                            if self.worker.done(&item, &outcome, now) {
                                items.push(item);
                            }
                        }
                        done = flying.try_join_next();
                    }
                }
                () = tokio::time::sleep(wait.min(IDLE)) => {}
            }
            items.extend(self.worker.due(self.runtime.now()));
        }
    }

    /// Looks at `items` and all that follows from them, and sends off the plans.
    fn look(&mut self, items: &mut Vec<Item>, flying: &mut JoinSet<(Item, Outcome)>) {
        let now = self.runtime.now();
        while !items.is_empty() {
            Worker::sort(items, &self.view);
            for item in std::mem::take(items) {
                let (plan, more) = self.worker.look(&item, &self.view, now);
                items.extend(more);
                if !plan.is_empty() {
                    let executor = self.executor.clone();
                    flying.spawn(async move {
                        let outcome = executor.execute(&plan).await;
                        (item, outcome)
                    });
                }
            }
        }
    }

    fn tell(outcome: &Outcome) {
        for failure in outcome
            .failures
            .iter()
            .filter(|failure| !failure.is_benign())
        {
            tracing::debug!(on = %failure.on, verb = failure.verb, error = %failure.message, "write failed");
        }
    }
}
