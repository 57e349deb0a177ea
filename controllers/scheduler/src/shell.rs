//! Carries out what the cycle decides, and tells it what became of it.

use crate::bind::{self, Fate};
use crate::config::{self, Profile};
use crate::consult::Extenders;
use crate::cycle::{Cycle, Next, Tries, scheduler_of, table_of};
use crate::extender::{Extender, Question};
use crate::meter::{Point, Status};
use crate::metrics::{self, Metrics, Seen};
use crate::plugins::VOLUME_TIMEOUT;
use crate::pods::PodInfo;
use crate::preempt::Room;
use crate::storage::Work;
use crate::{Options, explain, volumes};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use plan::{Action, Cause};
use runtime::admin::Shown;
use runtime::{Executor, Runtime};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// Writes under way at once: the process's limit lets fewer of them through, and each costs memory.
const FLYING: usize = 64;

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
    /// Whether the plugins that are run in it are timed.
    is_timed: bool,
}

/// What the loop, the watches and the bindings under way share.
pub(crate) struct Shell {
    pub(crate) runtime: Runtime,
    /// By schedulerName.
    executors: Vec<(&'static str, Executor)>,
    pub(crate) metrics: Metrics,
    extenders: Extenders,
    profiles: Arc<[Profile]>,
    /// Held for a decision or a change of the model: microseconds, and never over a wait.
    cycle: Mutex<Cycle>,
    pub(crate) changed: Notify,
    /// Tells those who wait for volumes that something has changed about them.
    pub(crate) moved: Notify,
}

impl Shell {
    /// The hands and the state of a scheduler; it does nothing yet.
    pub(crate) fn new(runtime: &Runtime, options: Options) -> Result<Arc<Self>, String> {
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
        let start = Instant::now();
        let shown = config::shown(&profiles, options.backoff, &options.extras);
        let admin = runtime.admin();
        admin.config("componentconfig", move || shown.clone());
        Ok(Arc::new(Self {
            runtime: runtime.clone(),
            executors,
            metrics: runtime.metrics().register(Metrics::register),
            cycle: Mutex::new(
                Cycle::new(profiles.clone(), options.backoff)
                    .asking(options.extenders.into())
                    .timing(Arc::new(move || start.elapsed()))
                    .keeping(whole),
            ),
            extenders,
            profiles,
            changed: Notify::new(),
            moved: Notify::new(),
        }))
    }

    /// Shows on the process's pages what there is, and why pods wait.
    pub(crate) fn show(self: &Arc<Self>) {
        let (metrics, admin) = (self.runtime.metrics(), self.runtime.admin());
        let asked = Arc::downgrade(self);
        let seen = Seen(move || Some(asked.upgrade()?.cycle().sizes()));
        metrics.register(|registry| registry.register_collector(Box::new(seen)));
        let asked = Arc::downgrade(self);
        admin.resources(move || {
            let pods = asked.upgrade().map(|shell| shell.cycle().pods());
            metrics::resources(&pods.unwrap_or_default())
        });
        let asked = Arc::downgrade(self);
        admin.page("explain", move |namespace, name| {
            asked.upgrade()?.explain(namespace, name)
        });
    }

    /// Decides, and has carried out what was decided, for ever.
    pub(crate) async fn work(self: &Arc<Self>) {
        let (errands, mut waiting) = mpsc::unbounded_channel();
        let shell = self.clone();
        self.runtime.spawn("bindings", async move {
            let waiting = stream::poll_fn(|cx| waiting.poll_recv(cx));
            let run = |errand| shell.run(errand);
            waiting.for_each_concurrent(FLYING, run).await;
        });
        self.decide(&errands).await;
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

    /// Lets the cycle say what to do next, and how often the pod was tried that gets a node, and whether plugins were timed.
    fn step(&self, step: impl FnOnce(&mut Cycle) -> Next) -> (Next, Option<(Tries, bool)>) {
        let (next, counts, tries) = {
            let mut cycle = self.cycle();
            let next = step(&mut cycle);
            let tries = match &next {
                Next::Bind { info, .. } => cycle
                    .tries(&info.uid)
                    .map(|tries| (tries, cycle.meter().is_timing())),
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
        tries: Option<(Tries, bool)>,
        errands: &mpsc::UnboundedSender<Errand>,
    ) {
        let took = self.since(began);
        match next {
            Next::Bind { info, node, work } => {
                self.metrics.decided(took);
                let first = Tries {
                    first: began,
                    count: 1,
                    late: false,
                };
                let (tries, is_timed) = tries.unwrap_or((first, false));
                let began = Began {
                    at: began,
                    tries,
                    is_timed,
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
                let action = bind::failed(&info, &message, self.runtime.now());
                self.write_status(&info, &action).await;
            }
            Errand::Preempt(info, room) => self.make_room(&info, &room).await,
        }
    }

    async fn bind(&self, info: &PodInfo, node: &str, work: &Work, began: Began) {
        let (profile, executor) = self.profile(info);
        let mut runs = Vec::new();
        let watch = self.runtime.now();
        let volumes = self.bind_volumes(info, node, work).await;
        if !work.is_empty() {
            let took = self.since(watch);
            self.metrics
                .point("PreBind", profile, volumes.is_ok(), took);
            runs.push(("VolumeBinding", Point::PreBind, volumes.is_ok(), took));
        }
        let fate = match volumes {
            Ok(()) => {
                let watch = self.runtime.now();
                let outside = self.extenders.bind(info, node).await;
                let is_ours = outside.is_none();
                let fate = match outside {
                    None => bind::bind(&self.runtime, executor, info, node).await,
                    Some(outcome) => {
                        bind::bound(&self.runtime, executor, info, node, outcome).await
                    }
                };
                let (well, took) = (fate == Fate::Bound, self.since(watch));
                self.metrics.point("Bind", profile, well, took);
                if is_ours {
                    runs.push(("DefaultBinder", Point::Bind, well, took));
                }
                fate
            }
            Err(why) => {
                let message = format!("running PreBind plugin \"VolumeBinding\": {why}");
                executor.note(&bind::failed_scheduling(info, &message));
                self.metrics.volumes_failed();
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
            let Tries { first, count, late } = began.tries;
            self.metrics.bound(self.since(first), count, late);
        }
        {
            let now = self.runtime.now();
            let mut cycle = self.cycle();
            for (plugin, point, well, took) in runs.into_iter().filter(|_| began.is_timed) {
                let status = if well { Status::Success } else { Status::Error };
                cycle.meter().took(plugin, point, status, took);
            }
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
        let table = table_of(&self.profiles, info);
        let longest = table.map_or(VOLUME_TIMEOUT, |table| table.volume_timeout);
        tokio::time::timeout(longest, wait)
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

    pub(crate) fn since(&self, then: Timestamp) -> Duration {
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

    pub(crate) fn cycle(&self) -> MutexGuard<'_, Cycle> {
        self.cycle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn send(errands: &mpsc::UnboundedSender<Errand>, errand: Errand) {
    // Nobody listens once the process ends, and what is not written then, the next one decides anew.
    let _ = errands.send(errand);
}
