//! The program `clusterrole-aggregation-controller`. Its flags: `clusterrole-aggregation-controller --help`.

use clusterroleaggregation::AggregationController;
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "clusterrole-aggregation-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(AggregationController, WORKERS);
        Ok(())
    })
}
