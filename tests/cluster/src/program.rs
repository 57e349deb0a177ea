//! The program `corten`, for those who test it as its users run it.

use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::process::Command;

/// The program given by hand, or the one that Cargo builds beside the one that asks.
///
/// # Errors
/// There is none.
pub fn program(given: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(file) = given {
        return std::path::absolute(&file).with_context(|| file.display().to_string());
    }
    let me = std::env::current_exe().context("where this program is")?;
    let profile: &[&str] = match cfg!(debug_assertions) {
        true => &[],
        false => &["--release"],
    };
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        build
            .args(["build", "--quiet", "--package", "corten"])
            .args(profile);
        let built = build.status().context("cargo")?.success();
        ensure!(built, "corten could not be built");
    }
    // Tests are a folder further down than programs.
    let beside = me.parent().context("where this program is")?;
    let dir = match beside.file_name() {
        Some(name) if name == "deps" => beside.parent().unwrap_or(beside),
        _ => beside,
    };
    let file = dir.join("corten");
    ensure!(
        file.is_file(),
        "there is no {}; build it with: cargo build -p corten {}",
        file.display(),
        profile.join(" ")
    );
    Ok(file)
}
