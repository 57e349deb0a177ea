//! Who is measured, and the processes that each consists of.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use controlplane::process::Spec;
use controlplane::upstream::Upstream;
use controlplane::{Assets, ControlPlane, Options, Process};
use kube::Client;

/// The controllers that are measured: both run these and no other.
const CONTROLLERS: [&str; 6] = [
    "deployment-controller",
    "replicaset-controller",
    "endpointslice-controller",
    "endpoints-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
];

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
}

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) upstream: Assets,
    pub(crate) corten: PathBuf,
}

/// An actor at work on a cluster of its own.
#[derive(Debug)]
pub(crate) struct Running {
    parts: Vec<(&'static str, Process)>,
    plane: ControlPlane,
}

impl Actor {
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
        })
    }
}

impl Running {
    /// Starts etcd and kube-apiserver on `dir`, then the actor's processes.
    pub(crate) async fn start(
        actor: Actor,
        nodes: usize,
        programs: &Programs,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        let plane = ControlPlane::start(Options::new(dir)).await?;
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
            own_nodes(spec.flag("controllers", CONTROLLERS.join(",")))
        };
        let controllers = apart("controllers").flag("controllers", CONTROLLERS.join(","));
        let mut parts = Vec::new();
        match actor {
            Actor::Upstream => {
                let pki = Some(plane.pki());
                parts.push((
                    "controllers",
                    upstream.controller_manager(&CONTROLLERS, pki)?,
                ));
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
        }
        if matches!(actor, Actor::Upstream | Actor::CortenKwok) {
            parts.push(("nodes", upstream.kwok()?));
        }
        Ok(Self { parts, plane })
    }

    /// The harness' own client.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let mut config = self.plane.admin_config();
        // A watch may be silent for longer than any timeout.
        config.read_timeout = None;
        Ok(Client::try_from(config)?)
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
        for (_, part) in &mut self.parts {
            part.stop(Duration::from_secs(3)).await;
        }
        self.plane.stop().await;
    }
}
