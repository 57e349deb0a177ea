//! The chart on machines with real containers, as its users install it: our image runs under the chart's accounts on
//! upstream's kubelet, and Helm installs, tests, upgrades, rolls back and uninstalls it, in both modes. Nothing of ours runs
//! outside containers.
//!
//! It needs root, see [`machine`]; alone: `cargo test -p chart --test real`.
#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod audit;
mod stage;
mod steps;
mod workloads;

use anyhow::{Context, Result, ensure};
use cluster::Outcome;
use k8s_openapi::api::apps::v1::Deployment;
use machine::Image;
use runtime::groups::Family;
use serde_json::json;
use stage::Stage;
use std::sync::{Mutex, PoisonError};
use steps::{Cast, begins};
use workloads::SHOP;

/// Those under which the chart's components run.
const ACCOUNTS: [&str; 2] = ["corten-controllers", "corten-scheduler"];

/// Workloads of Corten's groups, and pods that ask for its scheduler; the stock ones run all the time.
#[test]
fn beside_the_stock_controllers_workloads_of_our_groups_run() -> Outcome {
    run(async |image| {
        let cast = Cast {
            family: Family::Corten,
            scheduler: "corten",
            set: &[],
        };
        let mut stage = Stage::begin(image).await?;
        stage.namespace(SHOP, json!({})).await?;
        let notes = steps::install(&stage, &cast)?;
        ensure!(notes.contains("Nothing has to be switched off"), "{notes}");
        steps::test(&stage)?;
        let kept = workloads::deployment("kept", cast.scheduler, 2);
        cast.create::<Deployment>(&stage, kept).await?;
        let kept = cast.pods(&stage, "kept", 2).await?;
        steps::all(&mut stage, &cast).await?;
        audit::nothing_was_refused(&stage.audit, &ACCOUNTS)?;
        steps::uninstall(&stage).await?;
        let left = cast.pods(&stage, "kept", 2).await?;
        ensure!(kept == left, "{kept:?} became {left:?} by uninstalling");
        Ok(())
    })
}

/// The stock ones run until the chart is installed, let go as its notes say, then go altogether; and come back before it is
/// uninstalled.
#[test]
fn in_the_place_of_the_stock_controllers_the_built_in_kinds_run() -> Outcome {
    run(async |image| {
        let cast = Cast {
            family: Family::Builtin,
            scheduler: "default-scheduler",
            set: &["mode=replace"],
        };
        let mut stage = Stage::begin(image).await?;
        stage.namespace(SHOP, json!({})).await?;
        stage::until("a Deployment can be made", async || {
            let kept = workloads::deployment("kept", cast.scheduler, 2);
            cast.create::<Deployment>(&stage, kept).await
        })
        .await?;
        let kept = cast.pods(&stage, "kept", 2).await?;
        let notes = steps::install(&stage, &cast)?;
        let flag = notes
            .lines()
            .find_map(|line| line.trim().strip_prefix("--controllers="));
        let left: Vec<&str> = flag.context("the notes name a flag")?.split(',').collect();
        stage.stock_controllers(&left)?;
        steps::test(&stage)?;
        stage
            .check()
            .context("the stock controllers, with the flag of the notes")?;
        stage.no_stock();
        steps::all(&mut stage, &cast).await?;
        steps::namespace(&stage).await?;
        let now = cast.pods(&stage, "kept", 2).await?;
        ensure!(kept == now, "{kept:?} became {now:?} by the hand-over");
        audit::nothing_was_refused(&stage.audit, &ACCOUNTS)?;
        // Who publishes the same does not write.
        audit::nobody_asked(&stage.audit, "update", "configmaps", "kube-root-ca.crt")?;
        stage.stock(&["*"])?;
        steps::uninstall(&stage).await?;
        let now = cast.pods(&stage, "kept", 2).await?;
        ensure!(
            kept == now,
            "{kept:?} became {now:?} by giving the work back"
        );
        stage.check()
    })
}

/// Runs one of them at a time, with our image.
fn run(story: impl AsyncFnOnce(&Image) -> Result<()>) -> Outcome {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let prepared = || -> Result<Image> {
        // What is got and built holds up whoever waits.
        chart::helm::ok(&["version"])?;
        let program = std::env::temp_dir().join(format!("corten-{}", std::process::id()));
        cluster::standalone(&program)?;
        let image = machine::images::corten(&program);
        std::fs::remove_file(&program)?;
        image
    };
    begins("the image is made");
    let image = prepared()?;
    begins("machines are started");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("a tokio runtime")?;
    Ok(runtime.block_on(story(&image))?)
}
