//! The program `pod-garbage-collector-controller`. Its flags: `pod-garbage-collector-controller --help`.

use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "pod-garbage-collector-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        podgc::run(runtime, podgc::THRESHOLD, WORKERS);
        Ok(())
    })
}
