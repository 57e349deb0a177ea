//! Gives pods a node.
//!
//! One loop decides about one pod after the other and never waits for the API server: a pod that was given a node
//! counts there at once ([`cluster`]), its binding goes out beside the loop ([`bind`]), and is taken back if it
//! fails. What upstream does with a snapshot for each pod is here one model, changed by the watches and borrowed by
//! the decision.
//!
//! Pods that are alike are decided about at the cost of what changed since the last of them ([`engine`]); [`decide`] is the
//! plain form of it, which all others get, and which the tests compare it with.
//!
//! ```text
//! watch Node, Pod … ─► Cycle { Cluster, Queue } ──► engine.decide(pod, snapshot) ► Binding │ condition + event
//!                       ▲                                                             │
//!                       └───────────────── bound │ unbound ◄──────────────────────────┘
//! ```
//!
//! It promises: no pod is forgotten (whatever happens while it is in flight, it ends in the queue or on a node); no
//! node is given more than it offers, also over a restart or a lost answer, by one scheduler at a time; nothing is written
//! while nothing changes.
//!
//! A pod whose claims wait for their first consumer is given a node first; its claims are told which, and it is bound
//! when they are ([`volumes`]). The loop goes on meanwhile.
//!
//! For a pod that no node will do for, less important pods are made to leave ([`preempt`]); its place is kept for it
//! meanwhile. A pod that waits is woken by what the plugins that rejected it say can help it ([`plugin::Happening`]).
//! Several schedulerNames, each with plugins of its own, are served by one loop ([`config`]). Why a pod waits, and what
//! would let it run, is computed when somebody asks ([`explain`]).
//!
//! Programs of others that a configuration names are asked about pods over HTTP ([`extender`]); meanwhile the loop goes
//! on with pods that they are not interested in.
//!
//! It does not (yet) give pods devices, so that those with resource claims wait, nor does it look at what CSI drivers say
//! of their storage's capacity. The condition of a gated pod is the API server's to write.
//!
//! A plugin of one's own is a file and a line in a table of a program of one's own: `examples/scheduler-plugin` is one, and
//! [`plugin`] says what a plugin is.
//!
//! Upstream: `pkg/scheduler`. Start reading at [`decide`], then [`plugins`] (the table), [`cycle`] and [`queue`].
#![forbid(unsafe_code)]

pub mod bind;
pub mod budgets;
mod changes;
mod checks;
pub mod cluster;
pub mod cohorts;
pub mod config;
mod consult;
pub mod cycle;
pub mod decide;
pub mod diagnosis;
pub mod domains;
pub mod engine;
pub mod explain;
pub mod extender;
#[cfg(test)]
mod kit;
pub mod metrics;
pub mod owners;
pub mod plugin;
pub mod plugins;
pub mod pods;
pub mod preempt;
pub mod program;
pub mod queue;
mod ranks;
pub mod signature;
pub mod snapshot;
pub mod storage;
pub mod terms;
pub mod tracker;
pub mod volumes;

use crate::bind::Fate;
use crate::config::{Config, Profile};
use crate::consult::Extenders;
use crate::cycle::{Cycle, Next, Tries, scheduler_of, table_of};
use crate::extender::{Extender, Question};
use crate::metrics::{Event, Metrics, Seen};
use crate::plugin::Own;
use crate::plugins::Table;
use crate::pods::PodInfo;
use crate::preempt::Room;
use crate::queue::Backoff;
use crate::storage::Work;
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{
    Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, ReplicationController, Service,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass, VolumeAttachment};
use objects::meta;
use plan::{Action, Cause};
use runtime::admin::Shown;
use runtime::{Change, Executor, News, Part, Runtime, Watched};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// What it has to know before it begins.
const KINDS: [&str; 13] = [
    "CSINode",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "PodDisruptionBudget",
    "ReplicaSet",
    "ReplicationController",
    "Service",
    "StatefulSet",
    "StorageClass",
    "VolumeAttachment",
];

/// What is read of a node, where nobody else reads more.
const NODE: Part<'_> = Part::Only(&[
    (
        "metadata",
        Part::But(&[
            ("annotations", Part::Nothing),
            ("managedFields", Part::Nothing),
        ]),
    ),
    (
        "spec",
        Part::Only(&[("taints", Part::All), ("unschedulable", Part::All)]),
    ),
    (
        "status",
        Part::Only(&[
            ("allocatable", Part::All),
            ("declaredFeatures", Part::All),
            ("images", Part::All),
        ]),
    ),
]);

/// Writes under way at once: the process's limit lets fewer of them through, and each costs memory.
const FLYING: usize = 64;

/// Upstream's name of the default scheduler: what pods name without being told otherwise, and the source of events.
pub const DEFAULT: &str = "default-scheduler";

/// What a scheduler is told when it starts.
pub struct Options {
    /// What is done about the pods of which schedulerName, which is also the source of their events; at least one.
    pub profiles: Vec<Profile>,
    /// How long pods wait after failed attempts.
    pub backoff: Backoff,
    /// Who is asked about pods besides, those that are not gone on without first.
    pub extenders: Vec<Extender>,
    /// What else the file says, for `/configz`.
    pub extras: serde_json::Map<String, serde_json::Value>,
}

impl Default for Options {
    fn default() -> Self {
        Self::named(DEFAULT)
    }
}

impl Options {
    /// The default plugins for the pods of this schedulerName.
    pub fn named(name: &str) -> Self {
        Self {
            profiles: vec![Profile {
                name: name.to_owned(),
                table: Table::default(),
                plugin_config: Vec::new(),
            }],
            backoff: Backoff::default(),
            extenders: Vec::new(),
            extras: serde_json::Map::new(),
        }
    }

    /// What the file at this path says (`--config`).
    ///
    /// # Errors
    /// A sentence that names the file, and the field that is wrong.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        Self::from_file_with(path, &[])
    }

    /// The same where these plugins are known too.
    ///
    /// # Errors
    /// As [`Options::from_file`].
    pub fn from_file_with(path: &Path, own: &[Own]) -> Result<Self, String> {
        let at = path.display();
        let text =
            std::fs::read_to_string(path).map_err(|error| format!("--config {at}: {error}"))?;
        let config =
            Config::read_with(&text, own).map_err(|error| format!("--config {at}: {error}"))?;
        let times = |of: Duration| SignedDuration::try_from(of).unwrap_or(SignedDuration::MAX);
        Ok(Self {
            profiles: config.profiles,
            backoff: Backoff {
                initial: times(config.initial_backoff),
                max: times(config.max_backoff),
            },
            extenders: config.extenders,
            extras: config.extras,
        })
    }
}

/// A scheduler on the caches of a process.
pub struct Scheduler(Arc<Shell>);

/// What the loop has decided and does not wait for.
enum Errand {
    Bind(Arc<PodInfo>, Arc<str>, Began),
    Tell(Arc<PodInfo>, Arc<str>, Option<Arc<str>>),
    /// That something went wrong.
    Confess(Arc<PodInfo>, Arc<str>),
    Preempt(Arc<PodInfo>, Room),
}

/// The beginning of an attempt that may succeed.
#[derive(Clone, Copy, Debug)]
struct Began {
    at: Timestamp,
    tries: Tries,
}

/// What the loop, the watches and the bindings under way share.
struct Shell {
    runtime: Runtime,
    /// By schedulerName.
    executors: Vec<(&'static str, Executor)>,
    metrics: Metrics,
    extenders: Extenders,
    profiles: Arc<[Profile]>,
    /// Held for a decision or a change of the model: microseconds, and never over a wait.
    cycle: Mutex<Cycle>,
    changed: Notify,
    /// Tells those who wait for volumes that something has changed about them.
    moved: Notify,
}

impl Scheduler {
    /// A scheduler that asks `runtime` for the watches it needs; call it before [`Runtime::start`].
    ///
    /// # Errors
    /// A sentence about an extender that cannot be asked: a certificate that is not there.
    pub fn new(runtime: &Runtime, options: Options) -> Result<Self, String> {
        let extenders = Extenders::new(&options.extenders)?;
        // They are shown pods and nodes as they are.
        let whole = options.extenders.iter().any(Extender::decides);
        if whole {
            runtime.caches().whole::<Pod>();
            runtime.caches().whole::<Node>();
        }
        // They name event sources, which live as long as the process; there are few.
        let names = options.profiles.iter();
        let names = names.map(|profile| -> &'static str { profile.name.clone().leak() });
        let executors: Vec<(&str, Executor)> =
            names.map(|name| (name, runtime.executor(name))).collect();
        let profiles: Arc<[Profile]> = options.profiles.into();
        let shell = Arc::new(Shell {
            runtime: runtime.clone(),
            executors,
            metrics: runtime.metrics().register(Metrics::register),
            cycle: Mutex::new(
                Cycle::new(profiles.clone(), options.backoff)
                    .asking(options.extenders.into())
                    .keeping(whole),
            ),
            extenders,
            profiles,
            changed: Notify::new(),
            moved: Notify::new(),
        });
        let counted = Arc::downgrade(&shell);
        let seen = Seen(move || Some(counted.upgrade()?.cycle().sizes()));
        runtime
            .metrics()
            .register(|registry| registry.register_collector(Box::new(seen)));
        let shown = config::shown(&shell.profiles, options.backoff, &options.extras);
        runtime
            .admin()
            .config("componentconfig", move || shown.clone());
        let asked = Arc::downgrade(&shell);
        runtime.admin().resources(move || {
            let pods = asked.upgrade().map(|shell| shell.cycle().pods());
            metrics::resources(&pods.unwrap_or_default())
        });
        let asked = Arc::downgrade(&shell);
        runtime.admin().page("explain", move |namespace, name| {
            asked.upgrade()?.explain(namespace, name)
        });
        shell.hear::<PersistentVolumeClaim>(Cycle::claim);
        shell.hear::<PersistentVolume>(Cycle::volume);
        shell.hear::<StorageClass>(Cycle::class);
        shell.hear::<CSINode>(Cycle::csi_node);
        shell.hear::<VolumeAttachment>(Cycle::attachment);
        shell.hear::<PodDisruptionBudget>(Cycle::budget);
        shell.hear::<Namespace>(Cycle::namespace);
        shell.hear::<Service>(Cycle::owner);
        shell.hear::<ReplicationController>(Cycle::owner);
        shell.hear::<ReplicaSet>(Cycle::owner);
        shell.hear::<StatefulSet>(Cycle::owner);
        let (nodes, pods) = (Arc::downgrade(&shell), Arc::downgrade(&shell));
        runtime.caches().hear::<Node>(Some(NODE), move |news| {
            if let Some(shell) = nodes.upgrade() {
                shell.node(&news);
            }
        });
        runtime.caches().hear::<Pod>(None, move |news| {
            if let Some(shell) = pods.upgrade() {
                shell.pod(&news);
            }
        });
        Ok(Self(shell))
    }

    /// Starts the loop. It begins once all nodes and pods are known, so that no node is filled twice after a
    /// restart, and ends with the runtime.
    pub fn run(self) {
        let runtime = self.0.runtime.clone();
        runtime.spawn("scheduler", async move {
            let caches = self.0.runtime.caches();
            let waits = |kind: &&str| KINDS.contains(kind);
            while caches.unsynced().iter().any(waits) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let (errands, mut waiting) = mpsc::unbounded_channel();
            let shell = self.0.clone();
            self.0.runtime.spawn("bindings", async move {
                let waiting = stream::poll_fn(|cx| waiting.poll_recv(cx));
                let run = |errand| shell.run(errand);
                waiting.for_each_concurrent(FLYING, run).await;
            });
            self.0.decide(&errands).await;
        });
    }
}

impl Shell {
    /// Lets the cycle know of the changes of a kind that volumes depend on.
    fn hear<K: Watched>(self: &Arc<Self>, tell: fn(&mut Cycle, &Change<K>, Timestamp)) {
        let shell = Arc::downgrade(self);
        let hear = move |change: &Change<K>| {
            if let Some(shell) = shell.upgrade() {
                let began = shell.runtime.now();
                tell(&mut shell.cycle(), change, began);
                let action = match &change.new {
                    Some(_) => add_or_update(change.old.is_some()),
                    None => "Delete",
                };
                shell.heard(K::KIND, action, began);
                shell.changed.notify_one();
                shell.moved.notify_waiters();
            }
        };
        self.runtime.caches().of::<K>().listen(Box::new(hear));
    }

    /// The loop.
    async fn decide(self: &Arc<Self>, errands: &mpsc::UnboundedSender<Errand>) {
        loop {
            let began = self.runtime.now();
            let seed = self.runtime.seed();
            let (next, tries) = self.step(|cycle| cycle.next(began, seed));
            match next {
                Next::Idle(until) => {
                    let wait =
                        until.map(|until| until.duration_since(self.runtime.now()).unsigned_abs());
                    tokio::select! {
                        () = self.changed.notified() => {}
                        () = tokio::time::sleep(wait.unwrap_or(Duration::MAX)) => {}
                    }
                }
                Next::Ask(question) => self.ask(question, began, errands),
                next => self.act(next, began, tries, errands),
            }
            // A decision takes no await: let the watches and bindings of this thread have their turn.
            tokio::task::yield_now().await;
        }
    }

    /// Lets the cycle say what to do next, and how often the pod was tried that gets a node.
    fn step(&self, step: impl FnOnce(&mut Cycle) -> Next) -> (Next, Option<Tries>) {
        let (next, counts, tries) = {
            let mut cycle = self.cycle();
            let next = step(&mut cycle);
            let tries = match &next {
                Next::Bind { info, .. } => cycle.tries(&info.uid),
                _ => None,
            };
            (next, cycle.counts(), tries)
        };
        self.metrics.pending(counts);
        (next, tries)
    }

    /// Asks the extenders beside the loop, and does what their answer leads to. `began` is when the attempt did.
    fn ask(
        self: &Arc<Self>,
        question: Question,
        began: Timestamp,
        errands: &mpsc::UnboundedSender<Errand>,
    ) {
        let (shell, errands) = (self.clone(), errands.clone());
        self.runtime.spawn("extenders", async move {
            let mut question = question;
            loop {
                let answer = shell.extenders.ask(&question).await;
                let (now, seed) = (shell.runtime.now(), shell.runtime.seed());
                let answered = |cycle: &mut Cycle| {
                    let next = cycle.answered(answer, now, seed);
                    next.unwrap_or(Next::Idle(None))
                };
                match shell.step(answered) {
                    (Next::Ask(another), _) => question = another,
                    (next, tries) => {
                        shell.act(next, began, tries, &errands);
                        break;
                    }
                }
            }
            // The next pod may be asked about.
            shell.changed.notify_one();
        });
    }

    /// Carries out what was decided in an attempt that began then.
    fn act(
        self: &Arc<Self>,
        next: Next,
        began: Timestamp,
        tries: Option<Tries>,
        errands: &mpsc::UnboundedSender<Errand>,
    ) {
        let took = self.since(began);
        match next {
            Next::Bind { info, node, work } => {
                self.metrics.decided(took);
                let first = Tries {
                    first: began,
                    count: 1,
                };
                let began = Began {
                    at: began,
                    tries: tries.unwrap_or(first),
                };
                if work.is_empty() {
                    send(errands, Errand::Bind(info, node, began));
                } else {
                    // It may wait for minutes until its volumes are there.
                    let shell = self.clone();
                    self.runtime.spawn("bind", async move {
                        shell.bind(&info, &node, &work, began).await;
                    });
                }
            }
            Next::Nobody {
                info,
                message,
                nominated,
                changed,
                room,
            } => {
                self.metrics.decided(took);
                self.metrics
                    .attempt(self.profile(&info).0, "unschedulable", took);
                self.executor(&info)
                    .note(&bind::failed_scheduling(&info, &message));
                if changed {
                    send(errands, Errand::Tell(info.clone(), message, nominated));
                }
                if self.preempts(&info) {
                    let victims = room.as_ref().map(|room| room.victims.len());
                    self.metrics.preempted(victims);
                }
                if let Some(room) = room {
                    send(errands, Errand::Preempt(info, room));
                }
            }
            Next::Failed {
                info,
                message,
                changed,
            } => {
                self.metrics.decided(took);
                self.metrics.attempt(self.profile(&info).0, "error", took);
                self.executor(&info)
                    .note(&bind::failed_scheduling(&info, &message));
                if changed {
                    send(errands, Errand::Confess(info, message));
                }
            }
            Next::Ask(_) | Next::Idle(_) => {}
        }
    }

    async fn run(&self, errand: Errand) {
        match errand {
            Errand::Bind(info, node, began) => {
                self.bind(&info, &node, &Work::default(), began).await;
            }
            Errand::Tell(info, message, nominated) => {
                self.tell(&info, &message, nominated.as_deref()).await;
            }
            Errand::Confess(info, message) => {
                let action = consult::failed(&info, &message, self.runtime.now());
                self.write_status(&info, &action).await;
            }
            Errand::Preempt(info, room) => self.make_room(&info, &room).await,
        }
    }

    async fn bind(&self, info: &PodInfo, node: &str, work: &Work, began: Began) {
        let (profile, executor) = self.profile(info);
        let watch = self.runtime.now();
        let volumes = self.bind_volumes(info, node, work).await;
        if !work.is_empty() {
            self.metrics
                .point("PreBind", profile, volumes.is_ok(), self.since(watch));
        }
        let fate = match volumes {
            Ok(()) => {
                let watch = self.runtime.now();
                let fate = match self.extenders.bind(info, node).await {
                    None => bind::bind(&self.runtime, executor, info, node).await,
                    Some(outcome) => {
                        consult::bound(&self.runtime, executor, info, node, outcome).await
                    }
                };
                self.metrics
                    .point("Bind", profile, fate == Fate::Bound, self.since(watch));
                fate
            }
            Err(why) => {
                let message = format!("running PreBind plugin \"VolumeBinding\": {why}");
                executor.note(&bind::failed_scheduling(info, &message));
                Fate::Unbound
            }
        };
        let result = if fate == Fate::Bound {
            "scheduled"
        } else {
            "error"
        };
        self.metrics.attempt(profile, result, self.since(began.at));
        if fate == Fate::Bound {
            self.metrics
                .bound(self.since(began.tries.first), began.tries.count);
        }
        {
            let now = self.runtime.now();
            let mut cycle = self.cycle();
            if fate != Fate::Bound {
                cycle.take_back(work);
            }
            match fate {
                Fate::Bound => cycle.bound(&info.uid),
                Fate::Elsewhere => cycle.lost(&info.uid, now),
                Fate::Unbound => cycle.unbound(&info.uid, now),
            }
        }
        self.changed.notify_one();
    }

    /// Brings the pod's volumes to its node, and waits until that is done.
    async fn bind_volumes(&self, info: &PodInfo, node: &str, work: &Work) -> Result<(), String> {
        if work.is_empty() {
            return Ok(());
        }
        let outcome = self
            .executor(info)
            .execute(&volumes::plan(work, node))
            .await;
        if let Some(failure) = outcome.failures.first() {
            return Err(failure.message.clone());
        }
        let written = volumes::Written::of(&outcome);
        let wait = async {
            loop {
                let mut moved = std::pin::pin!(self.moved.notified());
                moved.as_mut().enable();
                let bound = {
                    let cycle = self.cycle();
                    if !cycle.cluster().holds(&info.uid) {
                        return Err("pod does not exist any more".to_owned());
                    }
                    let at = cycle.node_named(node);
                    volumes::are_bound(cycle.storage(), info, at, work, &written)
                };
                if bound? {
                    return Ok(());
                }
                moved.await;
            }
        };
        let late = |_| Err("binding volumes: context deadline exceeded".to_owned());
        tokio::time::timeout(volumes::PATIENCE, wait)
            .await
            .unwrap_or_else(late)
    }

    async fn make_room(&self, info: &PodInfo, room: &Room) {
        let plan = bind::make_room(info, room, self.runtime.now());
        let outcome = self.executor(info).execute(&plan).await;
        // A victim that is gone already is what was wanted.
        let gone =
            |failure: &plan::Failure| failure.is_benign() || failure.cause == Cause::NotFound;
        if outcome.skipped > 0 || !outcome.failures.iter().all(gone) {
            self.cycle().kept(&info.uid, room, self.runtime.now());
            self.changed.notify_one();
        }
    }

    async fn tell(&self, info: &PodInfo, message: &str, nominated: Option<&str>) {
        let action = bind::unschedulable(info, message, nominated, self.runtime.now());
        self.write_status(info, &action).await;
    }

    async fn write_status(&self, info: &PodInfo, action: &Action) {
        if let Err(failure) = self.executor(info).run(action).await {
            tracing::debug!(pod = %failure.on, error = failure.message, "condition not written");
            let soon = matches!(failure.cause, Cause::Transient | Cause::Conflict);
            self.cycle().untold(&info.uid, soon);
            self.changed.notify_one();
        }
    }

    /// Why a pod has no node; None if there is no such pod. The loop is held up while its model is copied, and no longer.
    fn explain(&self, namespace: &str, name: &str) -> Option<Shown> {
        let info = self.cycle().find(namespace, name)?;
        let ours: Vec<&str> = self.profiles.iter().map(|profile| &*profile.name).collect();
        let answer = explain::standing(&info.object(), &ours).or_else(|| {
            let table = table_of(&self.profiles, &info)?;
            let all = self.cycle().cluster().clone();
            Some(explain::explain(table, &info, all))
        })?;
        Some(Shown {
            text: answer.text(&format!("{namespace}/{name}")),
            json: serde_json::to_value(&answer).unwrap_or_default(),
        })
    }

    fn node(&self, news: &News<'_, Node>) {
        let began = self.runtime.now();
        let action = match news {
            News::Is(node) => {
                let mut cycle = self.cycle();
                let known = cycle.cluster().snapshot().get(meta::name(&node.metadata));
                let action = add_or_update(known.is_some());
                cycle.node(Arc::clone(node), began);
                action
            }
            News::Gone(of) => {
                self.cycle().node_gone(meta::name(of), began);
                self.moved.notify_waiters();
                "Delete"
            }
        };
        self.heard("Node", action, began);
        self.changed.notify_one();
    }

    fn pod(&self, news: &News<'_, Pod>) {
        let began = self.runtime.now();
        let (is_assigned, action) = match news {
            News::Is(pod) => {
                let mut cycle = self.cycle();
                let action = add_or_update(cycle.knows(meta::uid(&pod.metadata)));
                cycle.pod(pod, began);
                (objects::pod::node_name(pod).is_some(), action)
            }
            News::Gone(of) => {
                let (mut cycle, uid) = (self.cycle(), meta::uid(of));
                let is_assigned = cycle.cluster().holds(uid);
                cycle.pod_gone(uid, began);
                self.moved.notify_waiters();
                (is_assigned, "Delete")
            }
        };
        let kind = match is_assigned {
            true => "AssignedPod",
            false => "UnscheduledPod",
        };
        self.heard(kind, action, began);
        self.changed.notify_one();
    }

    /// Counts how long it took to take note of a change, by upstream's names of events.
    fn heard(&self, kind: &'static str, action: &'static str, began: Timestamp) {
        let took = self.since(began);
        self.metrics.heard(Event(kind, action), took);
    }

    fn since(&self, then: Timestamp) -> Duration {
        self.runtime.now().duration_since(then).unsigned_abs()
    }

    /// Whether room is looked for, for a pod that no node will do for.
    fn preempts(&self, info: &PodInfo) -> bool {
        table_of(&self.profiles, info).is_some_and(|table| table.preempts)
    }

    /// The name of the pod's profile, and the hands that write in its name.
    fn profile(&self, info: &PodInfo) -> (&'static str, &Executor) {
        let name = scheduler_of(&info.like);
        let mut all = self.executors.iter();
        let own = all.find(|(known, _)| *known == name);
        let (name, executor) = own.unwrap_or(&self.executors[0]);
        (name, executor)
    }

    fn executor(&self, info: &PodInfo) -> &Executor {
        self.profile(info).1
    }

    fn cycle(&self) -> MutexGuard<'_, Cycle> {
        self.cycle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn send(errands: &mpsc::UnboundedSender<Errand>, errand: Errand) {
    // Nobody listens once the process ends, and what is not written then, the next one decides anew.
    let _ = errands.send(errand);
}

/// What happened to an object that is there, by upstream's names.
fn add_or_update(known: bool) -> &'static str {
    match known {
        true => "Update",
        false => "Add",
    }
}

#[cfg(test)]
mod tests;
