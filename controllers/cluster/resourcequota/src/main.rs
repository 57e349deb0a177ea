//! The program `resourcequota-controller`. Its flags: `resourcequota-controller --help`.

use resourcequota::ResourceQuotaController;
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "resourcequota-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(ResourceQuotaController::new(runtime), WORKERS);
        Ok(())
    })
}
