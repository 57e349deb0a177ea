//! The program `garbage-collector-controller`. Its flags: `garbage-collector-controller --help`.

use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "garbage-collector-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        garbagecollector::run(runtime, WORKERS);
        Ok(())
    })
}
