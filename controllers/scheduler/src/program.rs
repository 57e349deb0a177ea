//! The program, with plugins of whoever builds it.

use crate::plugin::Own;
use crate::{Options, Scheduler};
use clap::Parser;
use runtime::Runtime;
use runtime::guard::Duties;
use runtime::serve::{CommonArgs, Component, Misuse, serve_as};
use std::path::PathBuf;
use std::process::ExitCode;

/// Gives each pod a node.
#[derive(Parser)]
#[command(name = "kube-scheduler", version)]
struct Args {
    /// Profiles, plugins and their arguments: a KubeSchedulerConfiguration
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    common: CommonArgs,
}

/// Runs it until it is told to end, and says how that went. Configurations may name these plugins besides upstream's.
/// Must be called within a tokio runtime.
pub async fn run(own: &[Own]) -> ExitCode {
    let component = Component {
        name: "kube-scheduler",
        port: 10259,
    };
    let args = Args::parse();
    // What is wrong with the file is told before anybody is asked.
    let file = args.config.as_deref();
    let options = match file.map(|file| Options::from_file_with(file, own)) {
        None => Options::default(),
        Some(Ok(options)) => options,
        Some(Err(error)) => {
            eprintln!("{}: {error}", component.name);
            return ExitCode::from(2);
        }
    };
    let duties = Duties::Pods(options.names());
    serve_as(component, args.common, |_| {
        let begin = |runtime: &Runtime| {
            let scheduler = Scheduler::new(runtime, options).map_err(Misuse)?;
            scheduler.run();
            Ok(())
        };
        Ok((duties, begin))
    })
    .await
}
