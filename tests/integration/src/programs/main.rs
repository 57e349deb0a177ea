//! Each program that there is, run as its users run it: every part of Corten by itself, and the one program of the image
//! under the name of each part. A program of its own, so that it runs alone: it builds all of them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod alone;
mod flags;

use anyhow::{Context, Result};
use cluster::programs;
use registry::programs::names;
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// One that can be run.
#[derive(Debug)]
struct Program {
    /// What it is called.
    name: String,
    file: PathBuf,
    /// Whether it is `corten` under this name.
    is_link: bool,
    /// The flag without which it does not begin.
    needs: Option<&'static str>,
}

/// What is there for nothing else does not begin without what it needs; as a link it is one controller of many.
const NEEDS: [(&str, &str); 1] = [("node-ipam-controller", "--cluster-cidr=10.0.0.0/9")];

impl Program {
    /// How a failure calls it.
    fn said(&self) -> String {
        let how = if self.is_link { "a link" } else { "by itself" };
        format!("{} ({how})", self.name)
    }
}

/// Each part, by itself and as a link in `folder`; a part that has no program of its own is in one with others.
fn parts(folder: &Path) -> Result<Vec<Program>> {
    let mut alone: BTreeMap<String, PathBuf> = programs()?;
    let corten = alone.remove("corten").context("there is no corten")?;
    let alone = alone.into_iter().map(|(name, file)| Program {
        needs: NEEDS
            .iter()
            .find(|(one, _)| *one == name)
            .map(|(_, flag)| *flag),
        name,
        file,
        is_link: false,
    });
    let mut parts: Vec<Program> = alone.collect();
    std::fs::create_dir_all(folder)?;
    for name in names() {
        let file = folder.join(name);
        symlink(&corten, &file).with_context(|| file.display().to_string())?;
        parts.push(Program {
            name: name.to_owned(),
            file,
            is_link: true,
            needs: None,
        });
    }
    Ok(parts)
}
