//! Running a program to its end.

use anyhow::{Context, Result, ensure};
use std::ffi::OsStr;
use std::process::Command;

/// Runs it; gives what it wrote to stdout.
///
/// # Errors
/// There is no such program, or it did not end well: with what it said.
pub(crate) fn output<S: AsRef<OsStr>>(words: &[S]) -> Result<String> {
    let shown = || {
        let words = words.iter().map(|word| word.as_ref().to_string_lossy());
        words.collect::<Vec<_>>().join(" ")
    };
    let (program, arguments) = words.split_first().context("a program")?;
    let mut command = Command::new(program);
    let output = command.args(arguments).output().with_context(shown)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{}: {}: {}",
        shown(),
        output.status,
        said.trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The same, whatever it wrote.
pub(crate) fn run<S: AsRef<OsStr>>(words: &[S]) -> Result<()> {
    output(words).map(drop)
}
