//! Does Helm take the chart, and does it refuse what is wrong.

use crate::folder;
use crate::helm::{helm, ok};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// Values that the chart is tried with, and the Kubernetes that it is rendered for.
pub(super) fn values() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(folder().join("ci")).unwrap();
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
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
