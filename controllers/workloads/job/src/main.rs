//! The program `job-controller`. Its flags: `job-controller --help`.

use job::JobController;
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "job-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(JobController::default(), WORKERS);
        Ok(())
    })
}
