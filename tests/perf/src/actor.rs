//! Who is measured, and the processes that each consists of.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use controlplane::process::Spec;
use controlplane::upstream::Upstream;
use controlplane::{Assets, ControlPlane, Options, Process};
use kube::Client;
use kubelet::Profiles;
use kubelet::metrics::serve::Server;
use runtime::Runtime;
use tokio::task::JoinHandle;

use crate::alone::{self, Decisions};
use crate::hand::Hand;
use crate::workloads::{About, Controllers};

/// What a Deployment's pod needs to come to life. Both run these, those that the workload is about, and no
/// other.
const ALWAYS: [&str; 4] = [
    "deployment-controller",
    "replicaset-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
];
/// They need keys and ranges of a cluster's own, which `corten up --kubeconfig` has not; at rest they do nothing.
const LEFT_OUT: [&str; 3] = [
    "node-ipam-controller",
    "certificatesigningrequest-signing-controller",
    "serviceaccount-token-controller",
];
/// What of the metrics' server is still under way when the run ends is given up.
const LAST: Duration = Duration::from_secs(1);

/// Controllers, scheduler and nodes of one make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Actor {
    /// kube-controller-manager, kube-scheduler, kwok
    Upstream,
    /// Controllers and scheduler in one process, on shared caches (`corten up --kubeconfig`), kwok
    CortenKwok,
    /// The same with hollow nodes in that process
    Corten,
    /// `corten controllers`, `corten scheduler`, `corten nodes`
    CortenApart,
    /// Nobody who decides: each pod is bound to the next node in turn. What the API server can take, where only a
    /// scheduler is measured
    Ceiling,
}

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) upstream: Assets,
    pub(crate) corten: PathBuf,
}

/// An actor at work on a cluster of its own.
pub(crate) struct Running {
    parts: Vec<(&'static str, Process)>,
    /// Where the scheduler shows its metrics, if it runs alone.
    scheduler: Option<String>,
    /// Who binds without deciding.
    binder: Option<JoinHandle<anyhow::Result<()>>>,
    /// The harness' own: serves what hollow pods use, whoever's nodes they are on.
    metrics: Option<Runtime>,
    plane: ControlPlane,
}

impl Actor {
    /// Whether it can be asked for a workload that is about these.
    pub(crate) fn takes(self, about: &About) -> bool {
        match about.controllers {
            // Whoever decides nothing is never wrong.
            Controllers::OnlyScheduler if about.late => {
                matches!(self, Self::Upstream | Self::Corten)
            }
            Controllers::OnlyScheduler => {
                matches!(self, Self::Upstream | Self::Corten | Self::Ceiling)
            }
            _ => self != Self::Ceiling,
        }
    }

    /// Whether Node objects come from the actor and not from the harness.
    pub(crate) fn brings_nodes(self) -> bool {
        matches!(self, Self::Corten | Self::CortenApart)
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upstream => "upstream",
            Self::CortenKwok => "corten-kwok",
            Self::Corten => "corten",
            Self::CortenApart => "corten-apart",
            Self::Ceiling => "ceiling",
        })
    }
}

impl Running {
    /// Starts etcd and kube-apiserver on `dir`, then the actor's processes, unless these begin late.
    pub(crate) async fn start(
        actor: Actor,
        nodes: usize,
        about: &About,
        programs: &Programs,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        let plane = ControlPlane::start(Options::new(dir)).await?;
        let metrics = match about.metrics {
            true => Some(serve_metrics(&plane).await?),
            false => None,
        };
        let mut running = Self {
            parts: Vec::new(),
            scheduler: None,
            binder: None,
            metrics,
            plane,
        };
        if !about.late {
            running.act(actor, nodes, about, programs)?;
        }
        Ok(running)
    }

    /// Starts the actor's processes.
    pub(crate) fn act(
        &mut self,
        actor: Actor,
        nodes: usize,
        about: &About,
        programs: &Programs,
    ) -> anyhow::Result<()> {
        let plane = &self.plane;
        let names = names(about.controllers);
        let kubeconfig = plane.kubeconfig_path();
        let upstream = Upstream::new(&programs.upstream, &kubeconfig, plane.data_dir());
        let corten = |part: &str| {
            let mut spec = Spec::new(part, &programs.corten, plane.data_dir());
            spec.arguments.push(part.into());
            spec.flag("kubeconfig", &kubeconfig)
        };
        let apart = |part| {
            corten(part)
                .flag("leader-elect", "false")
                .flag("secure-port", "0")
        };
        let own_nodes = |spec: Spec| spec.flag("manage-kwok-nodes", "false");
        let together = |nodes: usize| {
            let mut spec = corten("up").flag("nodes", nodes.to_string());
            spec.arguments.push("--plain".into());
            own_nodes(spec.flag("controllers", names.join(",")))
        };
        let parts = &mut self.parts;
        if matches!(about.controllers, Controllers::OnlyScheduler) {
            let (process, address) = match actor {
                Actor::Upstream => alone::theirs(&upstream, cluster::free_port()?)?,
                Actor::Ceiling => {
                    self.binder = Some(tokio::spawn(alone::bind_all(hand_of(plane)?)));
                    return Ok(());
                }
                _ => alone::ours(corten("scheduler"), cluster::free_port()?)?,
            };
            parts.push(("scheduler", process));
            self.scheduler = Some(address);
            return Ok(());
        }
        let controllers = apart("controllers").flag("controllers", names.join(","));
        match actor {
            Actor::Upstream => {
                let pki = Some(plane.pki());
                parts.push(("controllers", upstream.controller_manager(&names, pki)?));
                parts.push(("scheduler", upstream.scheduler()?));
            }
            Actor::CortenKwok => parts.push(("both", Process::start(&together(0))?)),
            Actor::Corten => parts.push(("all", Process::start(&together(nodes))?)),
            Actor::CortenApart => {
                parts.push(("controllers", Process::start(&controllers)?));
                parts.push(("scheduler", Process::start(&apart("scheduler"))?));
                let spec = apart("nodes").flag("count", nodes.to_string());
                parts.push(("nodes", Process::start(&own_nodes(spec))?));
            }
            Actor::Ceiling => anyhow::bail!("`ceiling` is for a scheduler alone"),
        }
        if matches!(actor, Actor::Upstream | Actor::CortenKwok) {
            parts.push(("nodes", upstream.kwok()?));
        }
        Ok(())
    }

    /// The harness' own client.
    pub(crate) fn hand(&self) -> anyhow::Result<Hand> {
        hand_of(&self.plane)
    }

    /// What the decisions of a scheduler that runs alone have taken so far.
    pub(crate) async fn decisions(&self) -> anyhow::Result<Option<Decisions>> {
        match &self.scheduler {
            Some(address) => Ok(Some(Decisions::read(address).await?)),
            None => Ok(None),
        }
    }

    /// Names and process ids.
    pub(crate) fn pids(&self) -> Vec<(&'static str, u32)> {
        let [etcd, apiserver] = self.plane.pids();
        let parts = self.parts.iter().map(|(name, part)| (*name, part.pid()));
        parts
            .chain([("apiserver", apiserver), ("etcd", etcd)])
            .collect()
    }

    /// An error with the end of its log if one of the actor's processes has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        for (_, part) in &mut self.parts {
            part.check()?;
        }
        Ok(())
    }

    /// The last lines of each log.
    pub(crate) fn tails(&self) -> String {
        let tail = |(name, part): &(&str, Process)| {
            let text = std::fs::read_to_string(part.log()).unwrap_or_default();
            let lines: Vec<&str> = text.lines().rev().take(4).collect();
            let lines: Vec<&str> = lines.into_iter().rev().collect();
            format!("{name} wrote last:\n{}\n", lines.join("\n"))
        };
        self.parts.iter().map(tail).collect()
    }

    /// Ends everything.
    pub(crate) async fn stop(mut self) {
        if let Some(binder) = &self.binder {
            binder.abort();
        }
        for (_, part) in &mut self.parts {
            part.stop(Duration::from_secs(3)).await;
        }
        if let Some(metrics) = &self.metrics {
            metrics.stop(LAST).await;
        }
        self.plane.stop().await;
    }
}

fn hand_of(plane: &ControlPlane) -> anyhow::Result<Hand> {
    let mut config = plane.admin_config();
    // A watch may be silent for longer than any timeout.
    config.read_timeout = None;
    Ok(Hand::new(Client::try_from(config)?))
}

/// Those that run, by upstream's names.
fn names(about: Controllers) -> Vec<&'static str> {
    match about {
        Controllers::These(more) => ALWAYS.iter().chain(more).copied().collect(),
        Controllers::All => {
            let all = registry::upstreams().into_iter();
            all.filter(|name| !LEFT_OUT.contains(name)).collect()
        }
        Controllers::OnlyScheduler => Vec::new(),
    }
}

async fn serve_metrics(plane: &ControlPlane) -> anyhow::Result<Runtime> {
    let client = Client::try_from(plane.admin_config())?;
    let runtime = Runtime::new(client, runtime::Options::default());
    let server = Server::new(&runtime, Profiles::default());
    runtime.spawn("metrics", server.run());
    runtime.start().await;
    Ok(runtime)
}
