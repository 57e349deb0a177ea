//! Corten's own groups beside the built-in ones: the same controllers run for both at once.
//!
//! A program of its own: it asks for a cluster of its own, with the CustomResourceDefinitions installed.
#![allow(clippy::unwrap_used, clippy::panic)]

mod manifests;
mod rollout;
mod workloads;

use anyhow::{Context, Result, anyhow, ensure};
use cluster::{Cluster, Namespace, Outcome, actor};
use controlplane::{AssetOptions, Assets, Progress, Tool};
use std::process::Command;
use std::sync::OnceLock;

/// The cluster of this program.
fn cluster() -> Result<&'static Cluster> {
    static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
    let start =
        || Cluster::with_groups(actor(), cluster::NODES).map_err(|error| format!("{error:#}"));
    let cluster = CLUSTER.get_or_init(start).as_ref();
    cluster.map_err(|error| anyhow!("the cluster did not start: {error}"))
}

/// Runs `test` in a namespace of its own.
fn with_namespace<T>(name: &str, test: T) -> Outcome
where
    T: AsyncFnOnce(Namespace) -> Result<()>,
{
    cluster()?.with_namespace(name, test)
}

/// What the real kubectl prints.
async fn kubectl(ns: &Namespace, arguments: &[&str]) -> Result<String> {
    let (options, progress) = (AssetOptions::default(), Progress::default());
    let assets = Assets::locate(&options, &[Tool::Kubectl], &progress);
    let program = assets
        .await?
        .path(Tool::Kubectl)
        .context("kubectl")?
        .to_owned();
    let mut command = Command::new(program);
    command.arg("--kubeconfig").arg(cluster()?.kubeconfig());
    command.args(["--namespace", ns.name()]).args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kubectl {arguments:?}: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
