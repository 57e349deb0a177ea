//! The parts of a cluster one by one: the commands `controllers`, `scheduler` and `nodes`.

use crate::commands::{Controllers, Nodes, Scheduler};
use registry::Settings;
use registry::whole::{run_controllers, run_nodes};
use runtime::Runtime;
use runtime::args::{self, CONTROLLERS_PORT, SCHEDULER_PORT};
use runtime::guard::Duties;
use runtime::serve::{Component, Misuse, serve, serve_as};
use std::process::ExitCode;

/// `corten controllers`
pub(crate) async fn controllers(flags: Controllers) -> ExitCode {
    let component = Component {
        name: "kube-controller-manager",
        port: CONTROLLERS_PORT,
    };
    let (names, workers, file, ended_pods) = (
        flags.controllers.controllers,
        flags.workers,
        flags.root_ca_file,
        flags.terminated_pod_gc_threshold,
    );
    // What is wrong with the flags is told before anybody is asked.
    let family = flags.common.group;
    let chosen = match registry::select_in(family, &names) {
        Ok(chosen) => chosen,
        Err(error) => {
            eprintln!("{}: {error}", component.name);
            return ExitCode::from(2);
        }
    };
    let manager = flags.manager;
    serve_as(component, flags.common, |config| {
        let root_ca = match file {
            Some(file) => {
                let read = std::fs::read_to_string(&file);
                Some(read.map_err(|error| {
                    Misuse(format!("--root-ca-file {}: {error}", file.display()))
                })?)
            }
            None => args::root_ca(config),
        };
        let settings = Settings {
            workers,
            ended_pods,
            ..manager.settings(root_ca)?
        };
        // Only those that do something: nobody may be told to leave the others alone.
        let working = chosen.iter().filter(|entry| entry.works(&settings));
        let duties = Duties::Controllers(working.map(|entry| entry.name.to_owned()).collect());
        let begin = move |runtime: &Runtime| run_controllers(runtime, family, &names, &settings);
        Ok((duties, begin))
    })
    .await
}

/// `corten scheduler`
pub(crate) async fn scheduler(args: Scheduler) -> ExitCode {
    let component = Component {
        name: "kube-scheduler",
        port: SCHEDULER_PORT,
    };
    // What is wrong with the file is told before anybody is asked.
    let options = match &args.config {
        None => Ok(scheduler::Options::named(&args.scheduler_name)),
        Some(file) => scheduler::Options::from_file(file),
    };
    let options = match options {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{}: {error}", component.name);
            return ExitCode::from(2);
        }
    };
    let duties = Duties::Pods(options.names());
    serve_as(component, args.common, |_| {
        let begin = |runtime: &Runtime| {
            let scheduler = scheduler::Scheduler::new(runtime, options).map_err(Misuse)?;
            scheduler.run();
            Ok(())
        };
        Ok((duties, begin))
    })
    .await
}

/// `corten nodes`
pub(crate) async fn nodes(args: Nodes) -> ExitCode {
    let component = Component {
        name: "corten-nodes",
        port: 0,
    };
    let options = match args.hollow.options(args.count) {
        Ok(options) => kubelet::Options {
            name_prefix: args.name_prefix,
            ..options
        },
        Err(error) => {
            eprintln!("{}: {error}", component.name);
            return ExitCode::from(2);
        }
    };
    serve(component, args.common, |_| {
        Ok(|runtime: &Runtime| {
            run_nodes(runtime, options);
            Ok(())
        })
    })
    .await
}
