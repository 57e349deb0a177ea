//! The program `persistentvolumeclaim-protection-controller`. Its flags: `persistentvolumeclaim-protection-controller
//! --help`.

use protection::ClaimProtection;
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "persistentvolumeclaim-protection-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(ClaimProtection::new(runtime.reads()), WORKERS);
        Ok(())
    })
}
