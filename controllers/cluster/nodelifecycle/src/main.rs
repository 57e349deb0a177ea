//! The program `node-lifecycle-controller`. Its flags: `node-lifecycle-controller --help`.

use nodelifecycle::NodeLifecycleController;
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "node-lifecycle-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(NodeLifecycleController::new(runtime), WORKERS);
        Ok(())
    })
}
