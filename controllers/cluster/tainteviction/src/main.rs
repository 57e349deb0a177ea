//! The program `taint-eviction-controller`. Its flags: `taint-eviction-controller --help`.

use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;
use tainteviction::TaintEvictionController;

fn main() -> ExitCode {
    let component = Component {
        name: "taint-eviction-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(TaintEvictionController::new(runtime), WORKERS);
        Ok(())
    })
}
