//! Helm itself, got as the control plane is.

use anyhow::{Context, Result, ensure};
use controlplane::{AssetOptions, Assets, Progress, Tool};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

fn program() -> Result<&'static PathBuf> {
    static HELM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let get = || -> Result<PathBuf> {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build()?;
        let from = AssetOptions::default();
        let progress = Progress::default();
        let assets = Assets::locate(&from, &[Tool::Helm], &progress);
        let assets = runtime.block_on(assets)?;
        Ok(assets.path(Tool::Helm).context("helm")?.to_owned())
    };
    let helm = HELM.get_or_init(|| get().map_err(|error| format!("{error:#}")));
    helm.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

/// Runs it, in a home of its own. The first call gets it, which may take a minute, and must not be made where blocking is
/// forbidden.
///
/// # Errors
/// It cannot be had or started.
pub fn helm<S: AsRef<OsStr>>(arguments: &[S]) -> Result<Output> {
    let home = std::env::temp_dir().join(format!("corten-helm-{}", std::process::id()));
    let mut helm = Command::new(program()?);
    helm.args(arguments)
        .env("HELM_CACHE_HOME", home.join("cache"));
    helm.env("HELM_CONFIG_HOME", home.join("config"));
    helm.env("HELM_DATA_HOME", home.join("data"));
    Ok(helm.output()?)
}

/// The same; gives what it wrote.
///
/// # Errors
/// It did not end well; with what it said.
pub fn ok<S: AsRef<OsStr>>(arguments: &[S]) -> Result<String> {
    let output = helm(arguments)?;
    let (out, error) = (&output.stdout, &output.stderr);
    let (out, error) = (String::from_utf8_lossy(out), String::from_utf8_lossy(error));
    ensure!(output.status.success(), "helm: {error}{out}");
    Ok(out.into_owned())
}
