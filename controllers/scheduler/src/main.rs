//! The program `kube-scheduler`. Its flags: `kube-scheduler --help`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    scheduler::program::run(&[]).await
}
