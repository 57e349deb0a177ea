//! The program `hostpath-provisioner-controller`. Its flags: `hostpath-provisioner-controller --help`.

use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "hostpath-provisioner-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        hostpath::run(runtime, WORKERS);
        Ok(())
    })
}
