//! The workloads of a scheduler alone, each with 1,000 nodes and few pods: that they come to their end, and that what is
//! read off them means something. What they take is not looked at here.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use controlplane::{AssetOptions, Assets, Progress, Tool};

use super::Turn;
use crate::actor::{Actor, Programs};
use crate::preset::{Preset, Size};
use crate::report::Run;
use crate::workloads::Controllers;

const NODES: usize = 1_000;
const PODS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduler_alone_ends_each_workload() -> Result<()> {
    let tools = [Tool::Etcd, Tool::KubeApiserver];
    let programs = Programs {
        upstream: Assets::locate(&AssetOptions::default(), &tools, &Progress::default()).await?,
        corten: cluster::program(None)?,
    };
    let size = Size {
        nodes: NODES,
        count: PODS,
        deployments: 1,
        services: false,
    };
    let alone = Preset::value_variants().iter().filter(|preset| {
        let about = preset.workload(size).about();
        matches!(about.controllers, Controllers::OnlyScheduler)
    });
    let mut ended = 0;
    for &preset in alone {
        let run = one(preset, size, &programs).await;
        let run = run.with_context(|| preset.name())?;
        let bound = run.requests.get("POST pods/binding").copied();
        let (asked, late) = (PODS as u64, preset == Preset::SchedRestart);
        ensure!(
            bound >= Some(if late { 1 } else { asked }),
            "{run}{}: {bound:?} bindings",
            preset.name()
        );
        let decided = run.decision_us.is_some_and(|each| each > 0.0);
        ensure!(
            decided || late,
            "{}: no decision was measured",
            preset.name()
        );
        ended += 1;
    }
    ensure!(ended == 11, "{ended} workloads of a scheduler alone");
    Ok(())
}

async fn one(preset: Preset, size: Size, programs: &Programs) -> Result<Run> {
    let folder = format!(
        "../../target/perf/test-{}-{}",
        std::process::id(),
        preset.name()
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let turn = Turn {
        actor: Actor::Corten,
        size,
        workload: &*preset.workload(size),
        idle: 0,
    };
    let run = turn
        .take(programs, &folder, (preset, Actor::Corten, 0))
        .await;
    std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    run
}
