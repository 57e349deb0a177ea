//! The program `cronjob-controller`. Its flags: `cronjob-controller --help`.

use cronjob::CronJobController;
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "cronjob-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(CronJobController::new(runtime.reads()), WORKERS);
        Ok(())
    })
}
