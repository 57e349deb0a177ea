//! The program `ttl-after-finished-controller`. Its flags: `ttl-after-finished-controller --help`.

use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;
use ttlafterfinished::TtlAfterFinishedController;

fn main() -> ExitCode {
    let component = Component {
        name: "ttl-after-finished-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(TtlAfterFinishedController, WORKERS);
        Ok(())
    })
}
