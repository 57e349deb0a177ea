//! The program `endpointslice-controller`. Its flags: `endpointslice-controller --help`.

use endpointslice::EndpointSliceController;
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "endpointslice-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(EndpointSliceController::default(), WORKERS);
        Ok(())
    })
}
