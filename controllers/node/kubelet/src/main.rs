//! The program `corten-nodes`. Its flags: `corten-nodes --help`.

use runtime::serve::{Component, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "corten-nodes",
        port: 0,
    };
    serve(component, |runtime, _| {
        runtime.spawn(
            "nodes",
            kubelet::Agent::new(runtime, kubelet::Options::default()).run(),
        );
        Ok(())
    })
}
