//! The program `disruption-controller`. Its flags: `disruption-controller --help`.

use disruption::{DisruptionController, StaleDisruptionController};
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "disruption-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(DisruptionController::new(runtime.scales()), WORKERS);
        runtime.run(StaleDisruptionController, WORKERS);
        Ok(())
    })
}
