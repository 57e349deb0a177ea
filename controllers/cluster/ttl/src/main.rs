//! The program `ttl-controller`. Its flags: `ttl-controller --help`.

use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;
use ttl::TtlController;

fn main() -> ExitCode {
    let component = Component {
        name: "ttl-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(TtlController::default(), WORKERS);
        Ok(())
    })
}
