//! The program `horizontal-pod-autoscaler-controller`. Its flags:
//! `horizontal-pod-autoscaler-controller --help`.

use hpa::HorizontalPodAutoscalerController;
use runtime::serve::{Component, WORKERS, main as serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let component = Component {
        name: "horizontal-pod-autoscaler-controller",
        port: 10257,
    };
    serve(component, |runtime, _| {
        runtime.run(HorizontalPodAutoscalerController::new(runtime), WORKERS);
        Ok(())
    })
}
