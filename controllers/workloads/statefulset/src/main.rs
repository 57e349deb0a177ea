//! The program `statefulset-controller`. Its flags: `statefulset-controller --help`.

use runtime::serve::{Component, WORKERS, main as serve};
use statefulset::StatefulSetController;
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "statefulset-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(StatefulSetController, WORKERS);
        Ok(())
    })
}
