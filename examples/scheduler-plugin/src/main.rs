//! A scheduler of one's own: kube-scheduler, and one more plugin.
//!
//! The plugin is a file ([`price`]) and a line in [`TABLE`]; `config.yaml` switches it on. What a plugin is says
//! `scheduler::plugin`; all that upstream's plugins are made with is there for this one too.
//!
//! ```sh
//! cargo run -p scheduler-plugin -- --config examples/scheduler-plugin/config.yaml --kubeconfig …
//! ```
#![forbid(unsafe_code)]

mod price;

use scheduler::plugin::Own;
use std::process::ExitCode;

/// The plugins that upstream does not have.
const TABLE: [Own; 1] = [price::PLUGIN];

#[tokio::main]
async fn main() -> ExitCode {
    scheduler::program::run(&TABLE).await
}
