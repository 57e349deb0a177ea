//! Writes the image: `cargo run -p image -- --program target/…/release/corten --archive corten.tar`.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use image::layout::layout;
use image::{bill, contents, elf, label, tar, unpack};
use std::path::{Path, PathBuf};

/// Makes the container image of Corten from the built program, without an engine.
#[derive(Parser)]
#[command(name = "image", version)]
struct Args {
    /// The program `corten`, linked statically
    #[arg(long, value_name = "FILE")]
    program: PathBuf,
    /// Name and tag of the image
    #[arg(long, value_name = "NAME", default_value = concat!("docker.io/library/corten:", env!("CARGO_PKG_VERSION")))]
    name: String,
    /// Write an OCI layout into this folder
    #[arg(long, value_name = "DIR")]
    layout: Option<PathBuf>,
    /// Write an OCI layout as an archive, for `ctr images import` and `kind load image-archive`
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
    /// Write what is in the image into this folder, for a Dockerfile
    #[arg(long, value_name = "DIR")]
    rootfs: Option<PathBuf>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let chosen = [&args.layout, &args.archive, &args.rootfs];
    ensure!(
        chosen.iter().any(|chosen| chosen.is_some()),
        "give --layout, --archive or --rootfs"
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let bill = bill::of(root.context("the workspace")?, "corten")?;
    let entries = contents(&args.program, &bill)?;
    let program = std::fs::read(&args.program)?;
    let label = label(&args.name, elf::of(&program)?);
    let files = layout(&entries, &label);
    if let Some(folder) = &args.rootfs {
        unpack(&entries, folder)?;
    }
    if let Some(folder) = &args.layout {
        unpack(&files, folder)?;
    }
    if let Some(file) = &args.archive {
        std::fs::write(file, tar::archive(&files)).with_context(|| file.display().to_string())?;
    }
    let size = program.len() >> 20;
    println!(
        "{} for {}: a program of {size} MiB, {} names",
        args.name,
        label.machine,
        entries.len()
    );
    Ok(())
}
