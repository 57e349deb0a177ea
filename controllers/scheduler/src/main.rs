//! The program `kube-scheduler`. Its flags: `kube-scheduler --help`.

use clap::Parser;
use runtime::serve::{CommonArgs, Component, Misuse, serve};
use scheduler::{Options, Scheduler};
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

#[tokio::main]
async fn main() -> ExitCode {
    let component = Component {
        name: "kube-scheduler",
        port: 10259,
    };
    let args = Args::parse();
    // What is wrong with the file is told before anybody is asked.
    let options = match args.config.as_deref().map(Options::from_file) {
        None => Options::default(),
        Some(Ok(options)) => options,
        Some(Err(error)) => {
            eprintln!("{}: {error}", component.name);
            return ExitCode::from(2);
        }
    };
    serve(component, args.common, |runtime, _| {
        Scheduler::new(runtime, options).map_err(Misuse)?.run();
        Ok(())
    })
    .await
}
