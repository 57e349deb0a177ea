//! The program `endpoints-controller`. Its flags: `endpoints-controller --help`.

use endpoints::EndpointsController;
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "endpoints-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(EndpointsController::default(), WORKERS);
        Ok(())
    })
}
