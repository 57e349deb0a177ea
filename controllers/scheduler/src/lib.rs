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
pub mod meter;
pub mod metrics;
pub mod node;
pub mod owners;
pub mod plugin;
pub mod plugins;
pub mod pods;
pub mod preempt;
pub mod program;
pub mod queue;
mod ranks;
mod shell;
pub mod signature;
pub mod snapshot;
pub mod storage;
pub mod terms;
pub mod tracker;
pub mod volumes;
mod watches;

use crate::config::{Config, Profile};
use crate::extender::Extender;
use crate::plugin::Own;
use crate::plugins::Table;
use crate::queue::Backoff;
use crate::shell::Shell;
use jiff::SignedDuration;
pub use objects::pod::DEFAULT_SCHEDULER;
use runtime::Runtime;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

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
        Self::named(DEFAULT_SCHEDULER)
    }
}

impl Options {
    /// The schedulerNames of all profiles.
    pub fn names(&self) -> Vec<String> {
        let names = self.profiles.iter().map(|profile| profile.name.clone());
        names.collect()
    }

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
pub struct Scheduler {
    shell: Arc<Shell>,
    /// What it has to know before it begins.
    kinds: Vec<&'static str>,
}

impl Scheduler {
    /// A scheduler that asks `runtime` for the watches it needs; call it before [`Runtime::start`].
    ///
    /// # Errors
    /// A sentence about an extender that cannot be asked: a certificate that is not there.
    pub fn new(runtime: &Runtime, options: Options) -> Result<Self, String> {
        let shell = Shell::new(runtime, options)?;
        shell.show();
        let kinds = shell.watch();
        Ok(Self { shell, kinds })
    }

    /// Starts the loop. It begins once all nodes and pods are known, so that no node is filled twice after a
    /// restart, and ends with the runtime.
    pub fn run(self) {
        let runtime = self.shell.runtime.clone();
        runtime.spawn("scheduler", async move {
            let caches = self.shell.runtime.caches();
            let waits = |kind: &&str| self.kinds.contains(kind);
            while caches.unsynced().iter().any(waits) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            self.shell.work().await;
        });
    }
}

#[cfg(test)]
mod tests;
