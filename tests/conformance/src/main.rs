//! Kubernetes' own e2e suite against a cluster of ours: which tests pass, by name.
//!
//! Read this file (the order of things), then [`sets`] (which tests, and why not others), [`corten`] (the
//! cluster), [`suite`] (upstream's `e2e.test`) and [`report`] (what is made of its report).

mod corten;
mod report;
mod sets;
mod suite;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Parser;
use controlplane::{AssetOptions, Assets, Event, Progress, Tool};

use corten::Corten;
use report::Outcome;
use sets::Set;

/// Run Kubernetes' own e2e tests against a cluster of Corten
#[derive(Debug, Parser)]
struct Args {
    /// Tests to run: a set of the table, or `all`
    #[arg(long, value_name = "NAME", default_value = "all")]
    set: String,
    /// Tests to run: those whose name fits this regular expression, in place of a set
    #[arg(long, value_name = "REGEX", conflicts_with = "set")]
    focus: Option<String>,
    /// Say which tests would run, and of a set which are left out and why
    #[arg(long)]
    list: bool,
    /// Leave the cluster's data, the logs and the suite's report behind
    #[arg(long)]
    keep: bool,
    /// Write the table to this file, too
    #[arg(long, value_name = "FILE.md")]
    report: Option<PathBuf>,
    /// Hollow nodes of the cluster
    #[arg(long, value_name = "N", default_value_t = 3)]
    nodes: u32,
    /// The `corten` to test [default: built from this workspace]
    #[arg(long, value_name = "FILE")]
    corten: Option<PathBuf>,
    /// Test a cluster that runs already, such as one of upstream's to compare with
    #[arg(long, value_name = "FILE", conflicts_with = "corten")]
    kubeconfig: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("conformance: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether all tests passed.
async fn run(args: Args) -> anyhow::Result<bool> {
    let sets: Vec<&Set> = match (&args.focus, args.set.as_str()) {
        (Some(_), _) => Vec::new(),
        (None, "all") => sets::SETS.iter().collect(),
        (None, name) => vec![sets::find(name).map_err(|error| anyhow!(error))?],
    };
    if args.list && args.focus.is_none() {
        println!("{}", table(&sets));
        return Ok(true);
    }
    let tests: Vec<&str> = sets.iter().flat_map(|set| set.tests).copied().collect();
    let focus = args.focus.clone().unwrap_or_else(|| sets::focus(&tests));
    let suite = Assets::locate(&AssetOptions::default(), &[Tool::E2e], &progress()).await?;
    let suite = suite.path(Tool::E2e).context("e2e.test was not found")?;
    let dir = std::env::temp_dir().join(format!("corten-conformance-{}", std::process::id()));
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let good = if args.list {
        let names = suite::list(suite, &dir, &focus).await;
        names.map(|names| {
            println!("{}", names.join("\n"));
            true
        })
    } else {
        judge(&args, suite, &dir, &focus, &tests).await
    };
    // What went wrong is in there.
    if args.keep || (!args.list && !matches!(good, Ok(true))) {
        eprintln!("logs, report and data are in {}", dir.display());
    } else {
        std::fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
    }
    good
}

/// Runs the tests and tells how they ended.
async fn judge(
    args: &Args,
    suite: &Path,
    dir: &Path,
    focus: &str,
    tests: &[&str],
) -> anyhow::Result<bool> {
    let outcomes = if let Some(kubeconfig) = &args.kubeconfig {
        let kubeconfig = std::path::absolute(kubeconfig)?;
        suite::run(suite, dir, &kubeconfig, focus).await?
    } else {
        let program = cluster::program(args.corten.clone())?;
        let mut corten = Corten::start(&program, dir, args.nodes).await?;
        eprintln!(
            "a cluster with {} nodes runs; the suite's log is {}",
            args.nodes,
            dir.join("e2e.log").display()
        );
        let kubeconfig = corten.kubeconfig().to_owned();
        let outcomes: anyhow::Result<Vec<Outcome>> = tokio::select! {
            outcomes = suite::run(suite, dir, &kubeconfig, focus) => outcomes,
            error = corten.failed() => Err(error),
            _ = tokio::signal::ctrl_c() => Err(anyhow!("interrupted")),
        };
        corten.stop().await;
        outcomes?
    };
    let outcomes = report::complete(outcomes, tests);
    print!("{}", report::text(&outcomes));
    println!("{}", report::summary(&outcomes));
    if let Some(file) = &args.report {
        std::fs::write(file, report::markdown(&outcomes))
            .with_context(|| file.display().to_string())?;
    }
    Ok(report::is_good(&outcomes))
}

/// The tests of the sets, and those left out.
fn table(sets: &[&Set]) -> String {
    let mut lines = Vec::new();
    for set in sets {
        lines.push(format!("{}: run", set.name));
        lines.extend(set.tests.iter().map(|test| format!("  {test}")));
        lines.push(format!("{}: left out", set.name));
        let left_out = set.left_out.iter();
        lines.extend(left_out.map(|(test, why)| format!("  {test}\n    {why}")));
    }
    lines.join("\n")
}

/// Getting the suite may take minutes: each step is told.
fn progress() -> Progress {
    Progress::new(|report| match report.event {
        Event::Started => eprintln!("{}", report.what),
        Event::Finished { took } => eprintln!("{} took {:.0} s", report.step, took.as_secs_f64()),
        Event::Bytes { .. } | Event::Line(_) => {}
    })
}
