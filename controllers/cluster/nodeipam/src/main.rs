//! The program `node-ipam-controller`. Its flags: `node-ipam-controller --help`.

use clap::Parser;
use nodeipam::{Flags, NodeIpamController};
use runtime::Runtime;
use runtime::serve::{CommonArgs, Component, Misuse, WORKERS, start};
use std::process::ExitCode;

/// Gives each node ranges of addresses for its pods.
#[derive(Parser)]
#[command(name = "node-ipam-controller", version)]
struct Args {
    #[command(flatten)]
    ranges: Flags,
    #[command(flatten)]
    common: CommonArgs,
}

fn main() -> ExitCode {
    let component = Component {
        name: "node-ipam-controller",
        port: 10257,
    };
    let args = Args::parse();
    start(component, args.common, |_| {
        // Who starts this program wants it to do its work.
        let options = args.ranges.options().map_err(Misuse)?;
        Ok(move |runtime: &Runtime| {
            runtime.run(NodeIpamController::new(options), WORKERS);
            Ok(())
        })
    })
}
