//! The program `ephemeral-volume-controller`. Its flags: `ephemeral-volume-controller --help`.

use ephemeralvolume::EphemeralVolumeController;
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "ephemeral-volume-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(EphemeralVolumeController, WORKERS);
        Ok(())
    })
}
