//! Upstream's suite as a child process.

use crate::report::{self, Outcome};
use anyhow::Context;
use controlplane::Process;
use controlplane::process::Spec;
use std::path::Path;

const NAME: &str = "e2e";

/// Runs the tests that `focus` fits against the cluster of `kubeconfig`; log and report go to `dir`.
///
/// # Errors
/// The suite could not be started or has left no report.
pub(crate) async fn run(
    program: &Path,
    dir: &Path,
    kubeconfig: &Path,
    focus: &str,
) -> anyhow::Result<Vec<Outcome>> {
    let spec = spec(program, dir, focus)
        .flag("kubeconfig", kubeconfig)
        // The pods of kube-system, of which there are none, and nodes are ready before.
        .flag("system-pods-startup-timeout", "1m")
        .flag("node-schedulable-timeout", "1m")
        .flag("disable-log-dump", "true");
    finish(&spec, dir).await
}

/// The names that `focus` fits; nothing is run.
pub(crate) async fn list(program: &Path, dir: &Path, focus: &str) -> anyhow::Result<Vec<String>> {
    let spec = spec(program, dir, focus).flag("ginkgo.dry-run", "true");
    let outcomes = finish(&spec, dir).await?;
    Ok(outcomes.into_iter().map(|outcome| outcome.name).collect())
}

fn spec(program: &Path, dir: &Path, focus: &str) -> Spec {
    Spec::new(NAME, program, dir)
        // No cloud; nothing that would need a shell on a node is asked.
        .flag("provider", "skeleton")
        .flag("ginkgo.no-color", "true")
        .flag("ginkgo.silence-skips", "true")
        .flag("ginkgo.focus", focus)
        .flag("ginkgo.json-report", dir.join(REPORT))
}

const REPORT: &str = "report.json";

async fn finish(spec: &Spec, dir: &Path) -> anyhow::Result<Vec<Outcome>> {
    let file = dir.join(REPORT);
    // A report of another run would be taken for that of this one.
    drop(std::fs::remove_file(&file));
    // The report says what the exit status says, and more.
    let ended = Process::start(spec)?.ended().await;
    let Ok(text) = std::fs::read_to_string(&file) else {
        return Err(ended).context("the suite has left no report");
    };
    report::parse(&text).with_context(|| file.display().to_string())
}
