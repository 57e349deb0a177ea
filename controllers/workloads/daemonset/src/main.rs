//! The program `daemonset-controller`. Its flags: `daemonset-controller --help`.

use daemonset::DaemonSetController;
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "daemonset-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(DaemonSetController::default(), WORKERS);
        Ok(())
    })
}
