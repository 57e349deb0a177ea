//! The program `persistentvolume-protection-controller`. Its flags: `persistentvolume-protection-controller --help`.

use protection::VolumeProtection;
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "persistentvolume-protection-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(VolumeProtection, WORKERS);
        Ok(())
    })
}
