//! The program `persistentvolume-binder-controller`. Its flags: `persistentvolume-binder-controller --help`.

use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "persistentvolume-binder-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        persistentvolume::run(runtime, WORKERS);
        Ok(())
    })
}
