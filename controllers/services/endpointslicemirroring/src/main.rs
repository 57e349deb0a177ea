//! The program `endpointslice-mirroring-controller`. Its flags: `endpointslice-mirroring-controller --help`.

use endpointslicemirroring::MirroringController;
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "endpointslice-mirroring-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(MirroringController::default(), WORKERS);
        Ok(())
    })
}
