//! Helm itself: does it take the chart, and does it refuse what is wrong.

use crate::folder;
use anyhow::{Context, Result, ensure};
use controlplane::{AssetOptions, Assets, Progress, Tool};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Values that the chart is tried with, and the Kubernetes that it is rendered for.
pub(super) fn values() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(folder().join("ci")).unwrap();
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

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

/// Runs it, in a home of its own.
pub(super) fn helm<S: AsRef<OsStr>>(arguments: &[S]) -> Result<Output> {
    let home = std::env::temp_dir().join(format!("corten-helm-{}", std::process::id()));
    let mut helm = Command::new(program()?);
    helm.args(arguments)
        .env("HELM_CACHE_HOME", home.join("cache"));
    helm.env("HELM_CONFIG_HOME", home.join("config"));
    helm.env("HELM_DATA_HOME", home.join("data"));
    Ok(helm.output()?)
}

pub(super) fn ok<S: AsRef<OsStr>>(arguments: &[S]) -> Result<String> {
    let output = helm(arguments)?;
    let (out, error) = (&output.stdout, &output.stderr);
    let (out, error) = (String::from_utf8_lossy(out), String::from_utf8_lossy(error));
    ensure!(output.status.success(), "helm: {error}{out}");
    Ok(out.into_owned())
}

/// What the chart renders with the values in `file`, for a release of that name.
pub(super) fn rendered(file: &std::path::Path) -> Result<String> {
    let release = file.file_stem().unwrap_or_default().to_string_lossy();
    let release = release.trim_end_matches("-values").to_owned();
    let (chart, file) = (folder().display().to_string(), file.display().to_string());
    let at = ["--namespace=corten-system", "--kube-version=1.36.3"];
    ok(&[&["template", &release, &chart, "--values", &file], &at[..]].concat())
}

#[test]
fn each_of_six_files_of_values_passes_lint() {
    let files = values();
    assert_eq!(files.len(), 6);
    for file in files {
        let (chart, file) = (folder(), file.display().to_string());
        let chart = chart.display().to_string();
        ok(&[
            "lint",
            "--strict",
            "--kube-version=1.36.3",
            "--values",
            &file,
            &chart,
        ])
        .with_context(|| file.clone())
        .unwrap();
    }
}

#[test]
fn what_is_misspelt_or_makes_no_sense_is_refused_by_its_name() {
    let cases = [
        ("controller.replicas=3", "controller"),
        ("controllers.replica=3", "replica"),
        ("scheduler.image=x", "image"),
        ("mode=besides", "mode"),
        ("controllers.replicas=two", "replicas"),
        (
            "controllers.controllers={deploymint-controller}",
            "deploymint-controller",
        ),
        (
            "apart.deploymint-controller.replicas=1",
            "deploymint-controller",
        ),
        ("apart.job-controller.enabled=false", "enabled"),
        (
            "controllers.controllers={garbage-collector-controller}",
            "no kind in Corten's own groups",
        ),
        ("controllers.controllers={-job-controller}", "chooses none"),
        ("image.digest=latest", "digest"),
        ("nodes.count=-1", "count"),
        ("controllers.securityContext.runAsUser=0", "securityContext"),
    ];
    for (set, named) in cases {
        let chart = folder().display().to_string();
        let output = helm(&[
            "template",
            "corten",
            &chart,
            "--kube-version=1.36.3",
            "--set",
            set,
        ])
        .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{set} is taken");
        assert!(said.contains(named), "{set}: {said}");
    }
}
