//! The program `corten`, and each part as a program of its own, for those who test them as their users run them.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program given by hand, or the one that Cargo builds beside the one that asks.
///
/// # Errors
/// There is none.
pub fn program(given: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(file) = given {
        return std::path::absolute(&file).with_context(|| file.display().to_string());
    }
    let profile: &[&str] = match cfg!(debug_assertions) {
        true => &[],
        false => &["--release"],
    };
    if let Some(mut build) = cargo() {
        build
            .args(["build", "--quiet", "--package", "corten"])
            .args(profile);
        let built = build.status().context("cargo")?.success();
        ensure!(built, "corten could not be built");
    }
    let file = there()?;
    ensure!(
        file.is_file(),
        "there is no {}; build it with: cargo build -p corten {}",
        file.display(),
        profile.join(" ")
    );
    Ok(file)
}

/// Each program that Cargo makes of `controllers`, by its name: `corten`, and every part alone. Only under `cargo test`.
///
/// # Errors
/// They cannot be built.
pub fn programs() -> Result<BTreeMap<String, PathBuf>> {
    let mut ask = cargo().context("this runs under cargo test")?;
    ask.args(["metadata", "--no-deps", "--offline", "--format-version=1"]);
    let told = ask.output().context("cargo metadata")?;
    let said = String::from_utf8_lossy(&told.stderr);
    ensure!(told.status.success(), "cargo metadata: {said}");
    let Metadata { packages, root } = serde_json::from_slice(&told.stdout)?;
    let ours = root.join("controllers");
    let mut build = cargo().context("this runs under cargo test")?;
    build.args(["build", "--quiet", "--bins"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let (mut made, corten) = (BTreeMap::new(), there()?);
    for package in packages
        .iter()
        .filter(|one| one.manifest.starts_with(&ours))
    {
        let programs = package
            .targets
            .iter()
            .filter(|target| target.kind == ["bin"]);
        let before = made.len();
        made.extend(programs.map(|one| (one.name.clone(), corten.with_file_name(&one.name))));
        if made.len() > before {
            build.args(["--package", &package.name]);
        }
    }
    let built = build.status().context("cargo")?.success();
    ensure!(built, "the programs could not be built");
    for file in made.values() {
        ensure!(file.is_file(), "there is no {}", file.display());
    }
    Ok(made)
}

/// What Cargo says of the workspace.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    #[serde(rename = "workspace_root")]
    root: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    #[serde(rename = "manifest_path")]
    manifest: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// The program for a container: linked statically and without symbols, copied to `to`. Only the last step of the build is
/// another than that of [`program`].
///
/// # Errors
/// It cannot be built.
pub fn standalone(to: &Path) -> Result<()> {
    let mut build = cargo().context("this runs under cargo test")?;
    build.args(["rustc", "--quiet", "--package", "corten", "--bin", "corten"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    build.args(["--", "-Ctarget-feature=+crt-static", "-Cstrip=symbols"]);
    ensure!(
        build.status().context("cargo")?.success(),
        "corten could not be built for a container"
    );
    // Both are put into the same place, under the same name.
    std::fs::copy(there()?, to).with_context(|| to.display().to_string())?;
    program(None).map(drop)
}

/// Cargo, if it has started us, without what it has told us of our own crate: build scripts are run again when that
/// changes (ring's, and so everything that stands on it), here and in the next build by hand.
fn cargo() -> Option<Command> {
    let mut cargo = Command::new(std::env::var_os("CARGO")?);
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_"]
            .iter()
            .any(|begin| told.starts_with(begin))
        {
            cargo.env_remove(&name);
        }
    }
    Some(cargo)
}

/// Where Cargo puts it.
fn there() -> Result<PathBuf> {
    let me = std::env::current_exe().context("where this program is")?;
    // Tests are a folder further down than programs.
    let beside = me.parent().context("where this program is")?;
    let dir = match beside.file_name() {
        Some(name) if name == "deps" => beside.parent().unwrap_or(beside),
        _ => beside,
    };
    Ok(dir.join("corten"))
}
