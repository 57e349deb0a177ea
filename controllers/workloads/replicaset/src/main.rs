//! The program `replicaset-controller`. Its flags: `replicaset-controller --help`.

use replicaset::ReplicaSetController;
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "replicaset-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(ReplicaSetController, WORKERS);
        Ok(())
    })
}
