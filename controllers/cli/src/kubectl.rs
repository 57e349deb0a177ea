//! `corten kubectl …`: the real kubectl, got like the servers, against our cluster.

use crate::commands::{DataArgs, Kubectl};
use crate::progress;
use crate::state::State;
use anyhow::Context;
use controlplane::{AssetOptions, Assets, Tool};
use std::process::{Command, ExitCode};

/// Runs kubectl and passes its exit code on. Against `$KUBECONFIG` if that is set, else our cluster.
pub(crate) async fn run(args: Kubectl) -> anyhow::Result<ExitCode> {
    let assets = Assets::locate(
        &AssetOptions::default(),
        &[Tool::Kubectl],
        &progress::show(),
    )
    .await?;
    let kubectl = assets
        .path(Tool::Kubectl)
        .context("kubectl was not found")?;
    let mut command = Command::new(kubectl);
    command.args(&args.arguments);
    if std::env::var_os("KUBECONFIG").is_none() {
        let dir = DataArgs {
            data_dir: std::env::var_os("CORTEN_DATA_DIR").map(Into::into),
        }
        .path();
        let state = State::read(&dir)?.context("no cluster runs; start one with: corten up")?;
        command.env("KUBECONFIG", state.kubeconfig);
    }
    let status = command.status().context("kubectl could not be run")?;
    let code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1);
    Ok(ExitCode::from(code))
}
