//! The program `volumeattributesclass-protection-controller`. Its flags: `volumeattributesclass-protection-controller
//! --help`.

use protection::AttributesClassProtection;
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "volumeattributesclass-protection-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(AttributesClassProtection, WORKERS);
        Ok(())
    })
}
