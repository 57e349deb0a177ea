//! Corten beside upstream, on one machine: pods per second, processor time, memory, API requests.
//!
//! Each run has an etcd and a kube-apiserver of its own. The runs of the actors are interleaved, so
//! that what else the machine does falls on all of them. Read this file (the order of things), then
//! [`actor`] (what is started), [`load`] (what is asked of it), [`measure`] (what is read off) and
//! [`report`] (what is printed).

mod actor;
mod load;
mod measure;
mod preset;
mod report;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use controlplane::{AssetOptions, Assets, Tool};

use actor::{Actor, Programs, Running};
use load::Load;
use measure::{Requests, Usage};
use report::Run;

/// Measure Corten beside kube-controller-manager, kube-scheduler and kwok
#[derive(Debug, Parser)]
struct Args {
    /// Sizes to take: small (100 nodes, 1,000 pods) or large (1,000 nodes, 5,000 pods)
    #[arg(long, default_value = "small")]
    preset: preset::Preset,
    /// Nodes, in place of the preset's
    #[arg(long)]
    nodes: Option<usize>,
    /// Pods, in place of the preset's
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
        default_value = "upstream,corten-kwok,corten"
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
    let size = args.preset.size();
    let load = Load {
        nodes: args.nodes.unwrap_or(size.nodes),
        pods: args.pods.unwrap_or(size.pods),
        deployments: args.deployments.unwrap_or(size.deployments).max(1),
        services: args.services,
    };
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
        corten: cluster::program(args.corten)?,
    };
    println!(
        "{} nodes, {} pods, {} Deployments, {} runs of each of {} actors",
        load.nodes,
        load.pods,
        load.deployments,
        args.runs,
        args.actors.len()
    );
    let mut done: Vec<Run> = Vec::new();
    for run in 0..args.runs {
        for turn in 0..args.actors.len() {
            // Nobody is always first.
            let actor = args.actors[(run + turn) % args.actors.len()];
            println!("run {} of {}: {actor}", run + 1, args.runs);
            let dir = args
                .dir
                .join(format!("{}-{run}-{actor}", std::process::id()));
            let result = one(actor, run, &load, &programs, &dir, args.idle).await;
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
async fn one(
    actor: Actor,
    number: usize,
    load: &Load,
    programs: &Programs,
    dir: &Path,
    idle: u64,
) -> anyhow::Result<Run> {
    let mut running = Running::start(actor, load.nodes, programs, dir).await?;
    let client = running.client()?;
    let measured = async {
        load.prepare(&client, actor.brings_nodes()).await?;
        let requests = Requests::read(&client).await?;
        let usage = Usage::read(&running.pids())?;
        let times = load.run(&client).await?;
        let spent = Usage::read(&running.pids())?.since(&usage);
        let asked = Requests::read(&client).await?;
        let mut made = asked.since(&requests);
        made.forget("POST deployments", load.deployments as u64);
        made.forget("LIST pods", 1);
        made.forget("LIST deployments", 1);

        println!("  idle for {idle} s");
        let (rest, quiet) = (
            Usage::read(&running.pids())?,
            Requests::read(&client).await?,
        );
        tokio::time::sleep(Duration::from_secs(idle)).await;
        let idle_usage = Usage::read(&running.pids())?.since(&rest);
        let idle_requests = Requests::read(&client).await?.since(&quiet);
        Ok(Run::new(
            actor,
            number,
            load,
            times,
            &spent,
            &made,
            idle,
            &idle_usage,
            &idle_requests,
        ))
    };
    let measured: anyhow::Result<Run> = measured.await;
    // Who died says more than who waited for it.
    let result = match running.check() {
        Ok(()) => measured.map_err(|error| anyhow::anyhow!("{error:#}\n{}", running.tails())),
        Err(error) => Err(error),
    };
    running.stop().await;
    result
}

fn append(file: &Path, run: &Run) -> anyhow::Result<()> {
    let mut out = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .with_context(|| file.display().to_string())?;
    writeln!(out, "{}", serde_json::to_string(run)?).with_context(|| file.display().to_string())
}
