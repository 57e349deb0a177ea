//! `corten`: Kubernetes' control loops on your machine.
//!
//! `corten up` starts an API server, controllers, scheduler and nodes and shows what they do;
//! `corten controllers`, `corten scheduler` and `corten nodes` are the parts one by one, against any
//! kubeconfig; `corten why` says why a pod has no node, `corten rollout` how far a rollout is, `corten check` whether
//! loops work, `corten takeover` has them work in the place of the stock ones. Start reading at [`commands`], then `up.rs`.
#![forbid(unsafe_code)]

mod apply;
mod check;
mod commands;
mod crds;
mod kubectl;
mod names;
mod parts;
mod progress;
mod rollout;
mod state;
mod takeover;
mod up;
mod view;
mod why;

use runtime::args;
use runtime::serve::{Misuse, threads};
use std::process::ExitCode;

fn main() -> ExitCode {
    // The allocator asks for huge pages, which are resident as a whole where a tenth of one is used.
    // A kernel that has none of them refuses, which is as well.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let command = names::parse(std::env::args_os()).command;
    let result = match threads() {
        Ok(threads) => threads.block_on(command.run()),
        Err(error) => Err(anyhow::Error::from(error)),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("corten: {error:#}");
            // What is wrong with a flag, a file or the way to the API server.
            match error.is::<Misuse>() || error.is::<args::Error>() {
                true => ExitCode::from(2),
                false => ExitCode::FAILURE,
            }
        }
    }
}
