//! Corten beside upstream, on one machine: things per second, processor time, memory, API requests.
//!
//! Each run has an etcd and a kube-apiserver of its own. The runs of the actors are interleaved, so
//! that what else the machine does falls on all of them. Read this file (the order of things), then
//! [`actor`] (what is started), [`prepare`] and [`workloads`] (what is asked of it), [`measure`] (what is read
//! off) and [`report`] (what is printed).

mod actor;
mod alone;
mod hand;
mod manifests;
mod measure;
mod prepare;
mod preset;
mod ready;
mod report;
mod watch;
mod workloads;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use controlplane::{AssetOptions, Assets, Tool};

use actor::{Actor, Programs, Running};
use hand::Hand;
use measure::{Requests, Usage};
use preset::{Preset, Size};
use report::{Readings, Run};
use workloads::{Controllers, Workload};

const PREPARING: Duration = Duration::from_mins(15);
const RUNNING: Duration = Duration::from_mins(15);
/// Writes that were put off, such as events, have come out when there was none in this time.
const SETTLING: Duration = Duration::from_secs(3);
/// So often this is looked at.
const ROUNDS: usize = 40;

/// Measure Corten beside kube-controller-manager, kube-scheduler and kwok
#[derive(Debug, Parser)]
struct Args {
    /// What to measure; several, separated by commas, one after another
    #[arg(long, value_delimiter = ',', default_value = "small")]
    preset: Vec<Preset>,
    /// Nodes, in place of the preset's
    #[arg(long)]
    nodes: Option<usize>,
    /// Pods (autoscalers, objects) in place of the preset's
    #[arg(long)]
    pods: Option<usize>,
    /// Deployments that the pods are spread over, in place of the preset's
    #[arg(long)]
    deployments: Option<usize>,
    /// A Service for each Deployment, so that the endpoint controllers have work too
    #[arg(long)]
    services: bool,
    /// Runs of each actor
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Who is measured
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "upstream,corten-kwok,corten,ceiling"
    )]
    actors: Vec<Actor>,
    /// Seconds without load, in which writes are counted
    #[arg(long, default_value_t = 20)]
    idle: u64,
    /// Append each run to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder of the clusters' data: on a disk, as etcd waits for it
    #[arg(long, value_name = "DIR", default_value = "target/perf")]
    dir: PathBuf,
    /// The `corten` to measure [default: built from this workspace]
    #[arg(long, value_name = "FILE")]
    corten: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("perf: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    let tools = [
        Tool::Etcd,
        Tool::KubeApiserver,
        Tool::KubeControllerManager,
        Tool::KubeScheduler,
        Tool::Kwok,
    ];
    let programs = Programs {
        upstream: Assets::locate(
            &AssetOptions::default(),
            &tools,
            &controlplane::Progress::default(),
        )
        .await?,
        corten: cluster::program(args.corten.clone())?,
    };
    for &preset in &args.preset {
        let default = preset.size();
        let size = Size {
            nodes: args.nodes.unwrap_or(default.nodes),
            count: args.pods.unwrap_or(default.count),
            deployments: args.deployments.unwrap_or(default.deployments),
            services: args.services,
        };
        compare(&args, preset, size, &programs).await?;
    }
    Ok(())
}

/// All runs of one preset.
async fn compare(
    args: &Args,
    preset: Preset,
    size: Size,
    programs: &Programs,
) -> anyhow::Result<()> {
    let workload = preset.workload(size);
    let (about, name) = (workload.about(), preset.name());
    let actors = args.actors.iter().copied();
    let actors: Vec<Actor> = actors.filter(|a| a.takes(&about)).collect();
    println!(
        "{name}: {} nodes, {} {}s, {} runs of each of {} actors",
        size.nodes,
        about.count,
        about.thing,
        args.runs,
        actors.len()
    );
    let mut done: Vec<Run> = Vec::new();
    for run in 0..args.runs {
        for turn in 0..actors.len() {
            // Nobody is always first.
            let actor = actors[(run + turn) % actors.len()];
            println!("run {} of {}: {actor}", run + 1, args.runs);
            let dir = format!("{}-{name}-{run}-{actor}", std::process::id());
            let dir = args.dir.join(dir);
            let turn = Turn {
                actor,
                size,
                workload: &*workload,
                idle: args.idle,
            };
            let result = turn.take(programs, &dir, (preset, actor, run)).await;
            let result = result.with_context(|| {
                format!(
                    "run {} of {actor}; its logs are in {}",
                    run + 1,
                    dir.display()
                )
            })?;
            std::fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
            print!("{result}");
            if let Some(file) = &args.json {
                append(file, &result)?;
            }
            done.push(result);
        }
    }
    report::compare(&done);
    Ok(())
}

/// One actor on one fresh cluster.
struct Turn<'a> {
    actor: Actor,
    size: Size,
    workload: &'a dyn Workload,
    /// Seconds without load.
    idle: u64,
}

impl Turn<'_> {
    async fn take(
        &self,
        programs: &Programs,
        dir: &Path,
        what: (Preset, Actor, usize),
    ) -> anyhow::Result<Run> {
        let (about, nodes) = (self.workload.about(), self.size.nodes);
        let mut running = Running::start(self.actor, nodes, &about, programs, dir).await?;
        let measured = self.measure(&mut running, programs, what).await;
        // Who died says more than who waited for it.
        let result = match running.check() {
            Ok(()) => measured.map_err(|error| anyhow::anyhow!("{error:#}\n{}", running.tails())),
            Err(error) => Err(error),
        };
        running.stop().await;
        result
    }

    async fn measure(
        &self,
        running: &mut Running,
        programs: &Programs,
        what: (Preset, Actor, usize),
    ) -> anyhow::Result<Run> {
        let hand = running.hand()?;
        let prepared = async {
            if !matches!(
                self.workload.about().controllers,
                Controllers::OnlyScheduler
            ) {
                prepare::prepare(&hand, self.size.nodes, self.actor.brings_nodes()).await?;
            }
            self.workload.prepare(&hand).await
        };
        within(PREPARING, "the load could not begin", prepared).await?;
        settle(&hand).await?;

        let before = read(running, &hand).await?;
        let about = self.workload.about();
        if about.late {
            running.act(self.actor, self.size.nodes, &about, programs)?;
        }
        let times = within(RUNNING, "it was not done", self.workload.run(&hand)).await?;
        settle(&hand).await?;
        let load = read(running, &hand).await?.since(&before);

        println!("  idle for {} s", self.idle);
        let before = read(running, &hand).await?;
        tokio::time::sleep(Duration::from_secs(self.idle)).await;
        let idle = read(running, &hand).await?.since(&before);
        let idle = (self.idle, &idle);
        Ok(Run::new(what, self.size, &about, times, &load, idle))
    }
}

async fn within<T>(
    limit: Duration,
    otherwise: &'static str,
    what: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let done = tokio::time::timeout(limit, what).await;
    done.with_context(|| format!("{otherwise} after {limit:?}"))?
}

/// Waits until nobody writes any more.
async fn settle(hand: &Hand) -> anyhow::Result<()> {
    let mut before = Requests::read(hand).await?;
    for _ in 0..ROUNDS {
        tokio::time::sleep(SETTLING).await;
        let now = Requests::read(hand).await?;
        if now.since(&before).writes().is_empty() {
            return Ok(());
        }
        before = now;
    }
    println!("  somebody goes on writing");
    Ok(())
}

async fn read(running: &Running, hand: &Hand) -> anyhow::Result<Readings> {
    Ok(Readings {
        requests: Requests::read(hand).await?,
        usage: Usage::read(&running.pids())?,
        decisions: running.decisions().await?,
        each: None,
    })
}

fn append(file: &Path, run: &Run) -> anyhow::Result<()> {
    let mut out = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .with_context(|| file.display().to_string())?;
    writeln!(out, "{}", serde_json::to_string(run)?).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests;
