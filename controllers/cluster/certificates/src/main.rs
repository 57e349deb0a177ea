//! The program `certificate-controller`. Its flags: `certificate-controller --help`.

use certificates::{CsrApprover, CsrCleaner, CsrSigner, Flags};
use clap::Parser;
use runtime::Runtime;
use runtime::serve::{CommonArgs, Component, Misuse, WORKERS, start};
use std::process::ExitCode;

/// Approves, signs and cleans up certificate signing requests.
#[derive(Parser)]
#[command(name = "certificate-controller", version)]
struct Args {
    #[command(flatten)]
    signing: Flags,
    #[command(flatten)]
    common: CommonArgs,
}

fn main() -> ExitCode {
    let component = Component {
        name: "certificate-controller",
        port: 10257,
    };
    let args = Args::parse();
    start(component, args.common, |_| {
        let authorities = args.signing.authorities().map_err(Misuse)?;
        Ok(move |runtime: &Runtime| {
            if let Some(authorities) = authorities {
                runtime.run(CsrSigner::new(authorities), WORKERS);
            }
            runtime.run(CsrApprover::new(runtime.reads()), WORKERS);
            runtime.run(CsrCleaner, WORKERS);
            Ok(())
        })
    })
}
