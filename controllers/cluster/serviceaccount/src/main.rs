//! The program `serviceaccount-controller`. Its flags: `serviceaccount-controller --help`.

use runtime::args;
use runtime::serve::{Component, WORKERS, main as serve};
use serviceaccount::{RootCaPublisher, ServiceAccountController};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "serviceaccount-controller",
        port: 10257,
    };
    serve(component, |runtime, config| {
        runtime.run(ServiceAccountController, WORKERS);
        if let Some(ca) = args::root_ca(config) {
            runtime.run(RootCaPublisher::new(ca), WORKERS);
        }
        Ok(())
    })
}
