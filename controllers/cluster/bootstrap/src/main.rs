//! The program `bootstrap-signer-controller`, which cleans tokens up too. Its flags:
//! `bootstrap-signer-controller --help`.

use bootstrap::{BootstrapSigner, TokenCleaner};
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "bootstrap-signer-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(BootstrapSigner, WORKERS);
        runtime.run(TokenCleaner, WORKERS);
        Ok(())
    })
}
