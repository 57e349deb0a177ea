//! The program `replicationcontroller-controller`. Its flags: `replicationcontroller-controller --help`.

use replicaset::ReplicationManager;
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "replicationcontroller-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(ReplicationManager, WORKERS);
        Ok(())
    })
}
