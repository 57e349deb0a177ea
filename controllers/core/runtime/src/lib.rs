//! The hands of Corten: the only crate that talks to the API server and reads the clock.
//!
//! A loop is a [`Controller`]; [`Runtime::run`] drives it:
//!
//! ```text
//!            watch (informer)            turn (drive)
//! API ──────────► Cache<K> ──────► observe → plan → execute → status
//!  ▲                 │ change              │ held until the caches show our own last writes (ledger)
//!  │                 ▼                     ▼
//!  └──────────── Queue ◄──────────── outcome: retry, again after, status window
//! ```
//!
//! Invariants: only [`Executor`] writes; a POST is never sent twice; nothing is decided on caches older
//! than our own last write; nothing is written while nothing changes.
//!
//! Start reading at [`controller`], then `drive.rs`, then `execute.rs`.
#![forbid(unsafe_code)]

pub mod admin;
pub mod args;
mod caches;
mod clock;
mod contact;
mod controller;
mod drive;
mod error;
mod execute;
pub mod groups;
pub mod guard;
mod informer;
pub mod keys;
pub mod lease;
mod ledger;
mod limit;
pub mod log;
pub mod manifests;
pub mod meta;
pub mod metrics;
pub mod outside;
pub mod plans;
mod process;
mod queue;
mod reads;
mod record;
mod scale;
mod send;
pub mod serve;
pub mod served;
mod slim;
mod trim;
mod watch;
mod watched;

pub use caches::{Cache, Caches, Change, IndexFn, Key, MetaListener, News};
pub use clock::Clock;
pub use contact::Contact;
pub use controller::{Controller, Moment, Watches, controller_key};
pub use execute::Executor;
pub use queue::{Backoff, Queue};
pub use reads::{ReadError, Reads};
pub use scale::{ScaleError, Scales};
pub use trim::Part;
pub use watched::Watched;

use crate::admin::Admin;
use crate::metrics::Metrics;
use crate::plans::Plans;
use jiff::Timestamp;
use kube::Client;
use process::Process;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What a process is told when it starts.
#[derive(Clone, Default)]
pub struct Options {
    /// Look only at this namespace.
    pub namespace: Option<String>,
    /// Work only on objects in these namespaces, if there are any: all are looked at, and the turns of others never begin.
    pub namespaces: Vec<String>,
    /// Where the time comes from; the system's clock by default.
    pub clock: Clock,
    /// Makes the names of what is created the same in each run; for tests.
    pub seed: Option<u64>,
    /// What is counted.
    pub metrics: Metrics,
    /// The last plans of each object.
    pub plans: Plans,
}

/// A process: shared caches and whatever loops run on them. Clones are the same process.
#[derive(Clone)]
pub struct Runtime {
    process: Arc<Process>,
    caches: Caches,
    admin: Admin,
}

impl Runtime {
    /// A process that speaks through `client`. Must be called within a tokio runtime.
    pub fn new(client: Client, options: Options) -> Self {
        let admin = Admin::new(options.metrics.clone(), options.plans.clone());
        let (recorder, events) = record::Recorder::new();
        let process = Arc::new(Process::new(client, options, recorder));
        process.spawn("events".to_owned(), record::send(process.clone(), events));
        let caches = Caches::new(process.clone());
        Self {
            process,
            caches,
            admin,
        }
    }

    /// What the API server holds, as far as it has been seen.
    pub fn caches(&self) -> &Caches {
        &self.caches
    }

    /// For reads that no cache can serve. Writes go through [`Runtime::executor`].
    pub fn client(&self) -> &Client {
        self.process.client()
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.process.now()
    }

    /// Where the time comes from, for what listens to a cache and must not hold the process.
    pub fn clock(&self) -> Clock {
        self.process.clock().clone()
    }

    /// Random bits, another set at each call.
    pub fn seed(&self) -> u64 {
        self.process.seed()
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        self.process.metrics()
    }

    /// What the admin server shows, to which parts of the process add what they have to show.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The last plans of each object.
    pub fn plans(&self) -> &Plans {
        self.process.plans()
    }

    /// Asks for what no cache holds.
    pub fn reads(&self) -> Reads {
        Reads::new(self.process.clone())
    }

    /// Asks for scales, of kinds that no cache holds.
    pub fn scales(&self) -> Scales {
        Scales::new(self.process.clone())
    }

    /// Writes in the name of `component`.
    pub fn executor(&self, component: &'static str) -> Executor {
        Executor::new(self.process.clone(), component)
    }

    /// From now on nothing is written while the fence is closed: another may lead then.
    pub fn fence(&self, fence: lease::Fence) {
        self.process.fence(fence);
    }

    /// Runs a controller with this many workers, once the caches are filled.
    pub fn run<C: Controller>(&self, controller: C, workers: usize) {
        drive::Loop::new(controller, &self.process, &self.caches).start(workers);
    }

    /// Runs a task that is dropped when the process shuts down.
    pub fn spawn(&self, name: impl Into<String>, task: impl Future<Output = ()> + Send + 'static) {
        self.process.spawn(name.into(), task);
    }

    /// Starts all watches that have been asked for and waits until the first lists are in.
    pub async fn start(&self) {
        self.caches.start();
        while !self.caches.unsynced().is_empty() {
            self.process.sleep(Duration::from_millis(5)).await;
        }
    }

    /// Cancelled when the process is to end.
    pub fn shutdown(&self) -> CancellationToken {
        self.process.shutdown().clone()
    }

    /// Ends in order: workers finish the plan they are at. Waits for at most `patience`.
    pub async fn stop(&self, patience: Duration) {
        self.process.stop(patience).await;
    }

    /// Ends as a kill would, in the middle of whatever is being done; for tests of crashes.
    pub fn kill(&self) {
        self.process.kill();
    }
}
