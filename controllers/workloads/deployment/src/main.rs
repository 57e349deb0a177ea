//! The program `deployment-controller`. Its flags: `deployment-controller --help`.

use deployment::DeploymentController;
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "deployment-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(DeploymentController, WORKERS);
        Ok(())
    })
}
