//! Drives a [`Controller`]: queue, workers, and the turn itself.

use crate::caches::{Caches, Key};
use crate::controller::{Controller, Moment, Watches};
use crate::execute::Executor;
use crate::guard::PROBE;
use crate::ledger::{Ledger, Marks};
use crate::process::Process;
use crate::queue::Queue;
use ahash::AHashMap;
use futures::FutureExt;
use k8s_openapi::{Metadata, Resource};
use objects::meta;
use plan::{Action, Cause, Kind, Measure, Object, Outcome, Sample, Turn};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tracing::Instrument;

/// What takes long to think about is thought about more rarely: an object of thousands of pods, whose events never
/// end while it is rolled out, must not take the processor from all others. So many times as long as a turn
/// thought, but never longer than this.
const REST: u32 = 9;
const REST_MAX: Duration = Duration::from_millis(500);
/// While the caches are behind our own writes, they are asked again after this time, and more rarely the
/// longer it takes.
const HELD: Duration = Duration::from_millis(5);
const HELD_MAX: Duration = Duration::from_secs(1);

/// What became of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// It was written.
    Now,
    /// There was none, it is written later with others, or nobody needs it any more.
    Settled,
    /// It has to be tried again.
    Failed,
}

/// A controller at work.
pub(crate) struct Loop<C: Controller> {
    controller: C,
    process: Arc<Process>,
    caches: Caches,
    executor: Executor,
    queue: Queue,
    ledger: Ledger,
    /// When the status of an object was last written.
    written: Mutex<AHashMap<Key, Instant>>,
    /// Since when an object's caches are behind.
    held: Mutex<AHashMap<Key, Instant>>,
    /// What objects say of gauges, where they do.
    shares: Mutex<AHashMap<Key, Vec<Sample>>>,
}

impl<C: Controller> Loop<C> {
    /// Declares what it watches; nothing runs yet.
    pub(crate) fn new(controller: C, process: &Arc<Process>, caches: &Caches) -> Arc<Self> {
        let queue = Queue::new(C::BACKOFF, process.metrics().queue(C::QUEUE));
        let metrics = process.metrics().clone();
        metrics.declare(C::METRICS);
        let watches = Watches {
            caches,
            queue: queue.clone(),
            metrics,
        };
        watches.on::<C::Object>(|change, queue, _| {
            let mut states = change.old.iter().chain(&change.new);
            if change.new.is_none() || states.any(|object| C::matters(object)) {
                queue.add(Key::of(change.latest().metadata()));
            }
        });
        C::watch(&watches);
        controller.listen(&watches);
        Arc::new(Self {
            controller,
            process: process.clone(),
            caches: caches.clone(),
            executor: Executor::new(process.clone(), C::SOURCE),
            queue,
            ledger: Ledger::default(),
            written: Mutex::default(),
            held: Mutex::default(),
            shares: Mutex::default(),
        })
    }

    /// Starts the workers. They wait for the caches, and finish their turn when the process shuts down.
    pub(crate) fn start(self: &Arc<Self>, workers: usize) {
        for _ in 0..workers {
            let this = self.clone();
            self.process.spawn_to_end(async move {
                let shutdown = this.process.shutdown().clone();
                while !this.caches.unsynced().is_empty() {
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = tokio::time::sleep(Duration::from_millis(5)) => {}
                    }
                }
                while let Some(key) = shutdown.run_until_cancelled(this.queue.next()).await {
                    let thought = this.guarded(&key).await;
                    let rest = (thought * REST).min(REST_MAX);
                    if rest > C::PAUSE {
                        this.queue.rest(&key, rest);
                    }
                    this.queue.done(&key, C::PAUSE);
                }
            });
        }
    }

    /// One turn, and how long it thought; a panic in it is a bug of one loop and no reason for the others to end.
    async fn guarded(&self, key: &Key) -> Duration {
        let mut thought = Duration::ZERO;
        // All that is said in it carries the turn, as controller-runtime's log does.
        let span = tracing::info_span!(
            "reconcile",
            controller = C::NAME,
            namespace = &*key.namespace,
            name = &*key.name,
            reconcileID = %turn_id(),
        );
        let turn = self.turn(key, &mut thought).instrument(span);
        if AssertUnwindSafe(turn).catch_unwind().await.is_err() {
            let delay = self.queue.retry(key.clone());
            tracing::error!(controller = C::NAME, object = %key, ?delay, "the loop panicked on this object; this is a bug in Corten");
            self.process.metrics().reconcile(C::NAME, "panic");
        }
        thought
    }

    /// observe → plan → execute → status
    async fn turn(&self, key: &Key, thought: &mut Duration) {
        let begun = Instant::now();
        if !self.process.manages(&key.namespace) {
            return self.queue.forget(key);
        }
        let Some(object) = self.caches.of::<C::Object>().find(key) else {
            return self.gone(key).await;
        };
        let labels = object.metadata().labels.as_ref();
        if labels.is_some_and(|labels| labels.contains_key(PROBE)) {
            return self.queue.forget(key);
        }
        let uid = meta::uid(object.metadata()).to_owned();
        if let Some(kind) = self.ledger.unseen(&self.caches, key, &uid) {
            return self.hold(key, kind);
        }
        self.held().remove(key);

        let moment = Moment {
            now: self.process.now(),
            seed: self.process.seed(),
        };
        let observed = self.controller.observe(&self.caches, object, moment);
        let world = at_work(observed, thought).await;
        let thinks = Instant::now();
        let plan = C::plan(&world);
        *thought += thinks.elapsed();
        let marks = self.caches.marks();
        let outcome = self.executor.execute(&plan).await;
        self.ledger.enter(key, &uid, &marks, &outcome);
        if !plan.is_empty() {
            self.report(key, moment, &plan, &outcome);
        }
        let thinks = Instant::now();
        let status = C::status(&world, &outcome);
        *thought += thinks.elapsed();
        let written = match &status {
            Some(status) => self.write_status(key, &uid, &world, status, &outcome).await,
            None => Written::Settled,
        };
        let success = outcome.is_success() && written != Written::Failed;
        let turn = Turn {
            status: status.as_ref().filter(|_| written == Written::Now),
            success,
            took: begun.elapsed(),
            ..Turn::new(&plan, &outcome, self.process.now())
        };
        self.count(key, C::measure(&world, &turn));

        if let Some(delay) = plan.again_after {
            self.queue.add_after(key.clone(), delay);
        }
        if success {
            self.queue.forget(key);
            self.process.metrics().reconcile(C::NAME, "success");
        } else {
            self.queue.retry(key.clone());
            self.process.metrics().reconcile(C::NAME, "error");
        }
    }

    /// Puts the status where it belongs, at once or with others.
    async fn write_status(
        &self,
        key: &Key,
        uid: &str,
        world: &C::World,
        status: &Object,
        outcome: &Outcome,
    ) -> Written {
        // The plan wrote the object itself: the status would meet a version that is no more.
        let kind = Kind::of::<C::Object>();
        let stale = outcome
            .done
            .iter()
            .any(|d| d.on.kind == kind && d.on.uid == uid);
        if stale {
            self.queue.add(key.clone());
            return Written::Settled;
        }
        if let Some(wait) = self.window(key) {
            self.queue.add_after(key.clone(), wait);
            return Written::Settled;
        }
        let marks = self.caches.marks();
        match self.executor.run(&Action::put_status(status.clone())).await {
            Ok(done) => {
                self.controller.written(world, status);
                for note in C::status_notes(world, status) {
                    self.executor.note(&note);
                }
                self.written().insert(key.clone(), Instant::now());
                self.enter(key, uid, &marks, done);
                Written::Now
            }
            Err(failure) if failure.is_benign() => Written::Settled,
            Err(failure) => {
                if failure.cause != Cause::Conflict {
                    tracing::warn!(controller = C::NAME, object = %key, error = failure.message, "status not written");
                }
                Written::Failed
            }
        }
    }

    fn enter(&self, key: &Key, uid: &str, marks: &Marks, done: plan::Done) {
        let outcome = Outcome {
            done: vec![done],
            ..Outcome::default()
        };
        self.ledger.enter(key, uid, marks, &outcome);
    }

    /// What is left of the time in which changes of this object's status are gathered.
    fn window(&self, key: &Key) -> Option<Duration> {
        let mut written = self.written();
        let since = written.get(key)?.elapsed();
        if since < C::STATUS_WINDOW {
            return Some(C::STATUS_WINDOW.saturating_sub(since));
        }
        written.remove(key);
        None
    }

    /// The caches have not shown our last writes yet.
    fn hold(&self, key: &Key, kind: Kind) {
        self.process.metrics().record(C::held(kind).as_slice());
        let since = *self.held().entry(key.clone()).or_insert_with(Instant::now);
        let delay = (since.elapsed() / 4).clamp(HELD, HELD_MAX);
        self.queue.add_after(key.clone(), delay);
    }

    /// What a turn measured: increments are added, shares take the place of those of an earlier turn.
    fn count(&self, key: &Key, samples: Vec<Sample>) {
        let is_share = |sample: &Sample| sample.metric.measure == Measure::Gauge;
        let (shares, increments): (Vec<_>, Vec<_>) = samples.into_iter().partition(is_share);
        self.process.metrics().record(&increments);
        if !shares.is_empty() {
            let old = self.shares().insert(key.clone(), shares.clone());
            let old = old.unwrap_or_default();
            self.process.metrics().exchange(&old, &shares);
        }
    }

    async fn gone(&self, key: &Key) {
        let shares = self.shares().remove(key);
        self.process
            .metrics()
            .exchange(&shares.unwrap_or_default(), &[]);
        self.ledger.forget(key);
        self.held().remove(key);
        self.written().remove(key);
        let plan = self.controller.gone(&self.caches, key);
        let outcome = self.executor.execute(&plan).await;
        if outcome.is_success() {
            self.queue.forget(key);
        } else {
            self.queue.retry(key.clone());
        }
    }

    fn report(&self, key: &Key, moment: Moment, plan: &plan::Plan, outcome: &Outcome) {
        let text = plan.to_string();
        let result = match outcome.failure() {
            None => "done".to_owned(),
            Some(failure) => format!(
                "{} {} failed: {}",
                failure.verb, failure.on, failure.message
            ),
        };
        let kind = <C::Object as Resource>::KIND;
        tracing::debug!(controller = C::NAME, kind, object = %key, outcome = result, "plan\n{text}");
        self.process
            .plans()
            .record(C::NAME, key, moment.now, &text, &result);
    }

    fn held(&self) -> std::sync::MutexGuard<'_, AHashMap<Key, Instant>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shares(&self) -> std::sync::MutexGuard<'_, AHashMap<Key, Vec<Sample>>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written(&self) -> std::sync::MutexGuard<'_, AHashMap<Key, Instant>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds to `spent` how long a future is at work, without the time in which it waits.
async fn at_work<F: Future>(future: F, spent: &mut Duration) -> F::Output {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| {
        let begun = Instant::now();
        let polled = future.as_mut().poll(context);
        *spent += begun.elapsed();
        polled
    })
    .await
}

/// A name for a turn that no other has: a random UUID. Only the log knows it.
fn turn_id() -> String {
    let bits: u128 = rand::random();
    let hex = format!("{bits:032x}");
    let (time, node) = (&hex[..8], &hex[20..]);
    let (middle, high, clock) = (&hex[8..12], &hex[13..16], &hex[17..20]);
    format!("{time}-{middle}-4{high}-8{clock}-{node}")
}
