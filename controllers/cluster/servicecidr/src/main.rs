//! The program `service-cidr-controller`. Its flags: `service-cidr-controller --help`.

use runtime::serve::{Component, WORKERS, main as serve};
use servicecidr::ServiceCidrController;
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "service-cidr-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(ServiceCidrController, WORKERS);
        Ok(())
    })
}
