//! The program `namespace-controller`. Its flags: `namespace-controller --help`.

use namespace::NamespaceController;
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "namespace-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(NamespaceController::new(runtime), WORKERS);
        Ok(())
    })
}
