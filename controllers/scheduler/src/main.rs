//! The program `kube-scheduler`. Its flags: `kube-scheduler --help`.

use runtime::serve::{Component, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "kube-scheduler",
        port: 10259,
    };
    serve(component, |runtime, _| {
        scheduler::Scheduler::new(runtime, scheduler::Options::default()).run();
        Ok(())
    })
}
