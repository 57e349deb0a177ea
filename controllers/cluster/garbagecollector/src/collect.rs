//! The turn: asks the API server what the graph cannot say for sure, decides, and does it.

use crate::NAME;
use crate::graph::{Claim, Graph, Item, Life};
use crate::plan::{self, Decision, Verdict, World};
use crate::uid::Uid;
use ::plan::{Cause, Outcome};
use ahash::AHashMap;
use runtime::meta::Meta;
use runtime::served::{Served, Table};
use runtime::{Backoff, Executor, Key, Queue, Reads, Runtime};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Between two turns of one object, so that what happens to its dependents at once is seen together.
const PAUSE: Duration = Duration::from_millis(20);
/// How often an object that others write all the time is read again within a turn.
const TRIES: usize = 4;
/// How long an owner that is not there is not asked for again: a UID never comes back.
const ABSENT: Duration = Duration::from_secs(10);
/// How many absent owners are remembered.
const REMEMBERED: usize = 4096;

/// The garbage collector at work.
pub(crate) struct Collector {
    pub(crate) runtime: Runtime,
    pub(crate) reads: Reads,
    executor: Executor,
    pub(crate) queue: Queue<Uid>,
    graph: Mutex<Graph>,
    pub(crate) table: RwLock<Table>,
    absent: Mutex<AHashMap<(Place, Uid), Instant>>,
    /// Something that may change what is served has changed.
    pub(crate) kinds_changed: Notify,
    /// Whether all kinds have been listed, but for those that cannot be.
    pub(crate) listed: std::sync::atomic::AtomicBool,
}

/// Group and kind, namespace and name.
type Place = (&'static str, &'static str, Arc<str>, Arc<str>);

/// What comes after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Done,
    /// It could not be done, or not be known.
    Retry,
    After(Duration),
}

/// Why nothing can be said of an owner.
type Unknown = String;

impl Collector {
    pub(crate) fn new(runtime: &Runtime) -> Arc<Self> {
        let metrics = runtime
            .metrics()
            .queue("garbage_collector_attempt_to_delete");
        Arc::new(Self {
            runtime: runtime.clone(),
            reads: runtime.reads(),
            executor: runtime.executor(NAME),
            queue: Queue::new(Backoff::DEFAULT, metrics),
            graph: Mutex::default(),
            table: RwLock::default(),
            absent: Mutex::default(),
            kinds_changed: Notify::new(),
            listed: false.into(),
        })
    }

    /// Changes the graph, and looks at what that makes worth a look.
    pub(crate) fn learn(&self, change: impl FnOnce(&mut Graph) -> Vec<Uid>) {
        let woken = change(&mut self.graph());
        for uid in woken {
            self.queue.add(uid);
        }
    }

    /// Works until the process ends.
    pub(crate) async fn work(self: Arc<Self>) {
        while !self.is_listed() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        loop {
            let uid = self.queue.next().await;
            let item = self.graph().item(uid);
            let next = match item {
                Some(item) => self.turn(item).await,
                None => self.seek(uid).await,
            };
            match next {
                Next::Retry => {
                    self.queue.retry(uid);
                }
                Next::Done => self.queue.forget(&uid),
                Next::After(delay) => {
                    self.queue.forget(&uid);
                    self.queue.add_after(uid, delay);
                }
            }
            self.queue.done(&uid, PAUSE);
        }
    }

    /// An owner that nobody has seen: is it there? As long as it is, it is asked for again, ever more rarely.
    async fn seek(&self, owner: Uid) -> Next {
        let claims = self.graph().claims_on(owner);
        let mut next = Next::Done;
        for ((namespace, claim), dependents) in claims {
            match self.verdict(&namespace, &claim).await {
                Ok(Verdict::Solid) => next = Next::Retry,
                Ok(verdict) => {
                    if verdict != Verdict::Absent {
                        next = Next::Retry;
                    }
                    for dependent in dependents {
                        self.queue.add(dependent);
                    }
                }
                Err(unknown) => {
                    tracing::debug!(owner = %owner, kind = %claim.kind, name = %claim.name, %unknown, "owner");
                    next = Next::Retry;
                }
            }
        }
        next
    }

    /// observe → decide → plan → execute, again on what the API server has where the graph is behind.
    async fn turn(&self, item: Item) -> Next {
        let mut item = item;
        for _ in 0..TRIES {
            let world = match self.observe(&item).await {
                Ok(world) => world,
                Err(unknown) => {
                    tracing::debug!(object = %item.on, namespace = item.on.namespace, %unknown, "an owner");
                    return Next::Retry;
                }
            };
            let decision = plan::decide(&world);
            if decision == Decision::Wait {
                self.learn(|graph| graph.staying(Uid::of(&item.on.uid)));
            }
            if matches!(decision, Decision::Finish(_)) && !self.is_listed() {
                return Next::After(Duration::from_secs(1));
            }
            let live = match decision.reads() {
                false => None,
                true => match self.live(&item).await {
                    Ok(None) => return Next::Done,
                    Ok(Some(live)) if differs(&item, &live) => {
                        item = item.at(&live);
                        continue;
                    }
                    Ok(live) => live,
                    Err(()) => return Next::Retry,
                },
            };
            let plan = plan::plan(&world, decision, live.as_ref());
            if plan.is_empty() {
                return Next::Done;
            }
            let outcome = self.executor.execute(&plan).await;
            self.report(&item, &plan, &outcome);
            match outcome.failure() {
                None => return plan.again_after.map_or(Next::Done, Next::After),
                Some(failure) if failure.cause == Cause::Conflict => match self.live(&item).await {
                    Ok(Some(live)) => item = item.at(&live),
                    Ok(None) => return Next::Done,
                    Err(()) => return Next::Retry,
                },
                Some(_) => return Next::Retry,
            }
        }
        Next::Retry
    }

    async fn observe(&self, item: &Item) -> Result<World, Unknown> {
        let mut world = World {
            item: item.clone(),
            owners: Vec::new(),
            strays: Vec::new(),
        };
        if item.life.deleting {
            return Ok(world);
        }
        for claim in item.owners.iter() {
            let seen = {
                let graph = self.graph();
                let seen = graph.owner(claim);
                seen.map(|(namespace, life)| (stray(namespace, item), life))
            };
            if seen.is_some_and(|(stray, _)| stray) {
                world.strays.push(claim.clone());
            }
            // It has been said, and is not taken back.
            let verdict = match seen.is_some_and(|(_, life)| life.is_orphaning()) {
                true => Verdict::Orphaning,
                false => self.verdict(&item.on.namespace, claim).await?,
            };
            world.owners.push(verdict);
        }
        Ok(world)
    }

    /// What the API server says of the owner that an object of `namespace` names (upstream: `isDangling`).
    async fn verdict(&self, namespace: &str, claim: &Claim) -> Result<Verdict, Unknown> {
        let Some(Served {
            kind, namespaced, ..
        }) = self.find(claim)
        else {
            let Claim {
                kind, api_version, ..
            } = claim;
            return Err(format!("no kind {kind} is served in {api_version}"));
        };
        if namespaced && namespace.is_empty() {
            return Ok(Verdict::Misplaced);
        }
        let namespace = if namespaced { namespace } else { "" };
        let place = (kind.group, kind.kind, namespace.into(), claim.name.clone());
        let place = (place, claim.uid);
        if self.is_absent(&place) {
            return Ok(Verdict::Absent);
        }
        let live = self.reads.meta(kind, namespace, &claim.name).await;
        let live = live.map_err(|error| error.message)?;
        let Some(live) = live.filter(|live| Uid::of(&live.uid) == claim.uid) else {
            self.remember(place);
            return Ok(Verdict::Absent);
        };
        Ok(match Life::of_meta(&live) {
            life if life.is_waiting() => Verdict::Waiting,
            life if life.is_orphaning() => Verdict::Orphaning,
            _ => Verdict::Solid,
        })
    }

    /// The object as the API server has it now; none if this incarnation is gone.
    async fn live(&self, item: &Item) -> Result<Option<Meta>, ()> {
        let on = &item.on;
        let live = self.reads.meta(on.kind, &on.namespace, &on.name).await;
        let live = live.map_err(|error| tracing::debug!(object = %on, %error, "not readable"))?;
        Ok(live.filter(|live| Uid::of(&live.uid) == Uid::of(&on.uid)))
    }

    fn report(&self, item: &Item, plan: &::plan::Plan, outcome: &Outcome) {
        let text = plan.to_string();
        let result = match outcome.failure() {
            None => "done",
            Some(failure) => &failure.message,
        };
        let key = Key::new(&item.on.namespace, &item.on.name);
        tracing::debug!(controller = NAME, object = %key, outcome = result, "plan\n{text}");
        let (plans, now) = (self.runtime.plans(), self.runtime.now());
        plans.record(NAME, &key, now, &text, result);
        let label = outcome.failure().map_or("success", |_| "error");
        self.runtime.metrics().reconcile(NAME, label);
    }

    fn find(&self, claim: &Claim) -> Option<Served> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.find(&claim.api_version, &claim.kind)
    }

    fn is_absent(&self, place: &(Place, Uid)) -> bool {
        let absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        absent.get(place).is_some_and(|at| at.elapsed() < ABSENT)
    }

    fn remember(&self, place: (Place, Uid)) {
        let mut absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        if absent.len() >= REMEMBERED {
            absent.retain(|_, at| at.elapsed() < ABSENT);
        }
        if absent.len() < REMEMBERED {
            absent.insert(place, Instant::now());
        }
    }

    pub(crate) fn is_listed(&self) -> bool {
        self.listed.load(std::sync::atomic::Ordering::Acquire)
    }

    pub(crate) fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an owner that was seen in `namespace` is none that this object can have.
fn stray(namespace: &str, item: &Item) -> bool {
    !namespace.is_empty() && namespace != item.on.namespace
}

/// Whether something else may have to be decided now.
fn differs(item: &Item, live: &Meta) -> bool {
    let now = item.clone().at(live);
    now.life != item.life || now.owners != item.owners
}
