//! The chart in `charts/corten`: what of it is made from the code ([`files`]), and tests that Helm and a real API server
//! take what it renders. That its pods run, and do what they are for, is in `real`: on machines with real containers.
//!
//! `UPDATE=1 cargo test -p chart` writes the files anew; without it the tests fail where one is not as it would be made.
#![forbid(unsafe_code)]

mod crds;
pub mod helm;
mod readme;
mod roles;

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// A file that is made.
#[derive(Debug)]
pub struct File {
    /// Where it is, under the chart.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// The chart's folder.
pub fn folder() -> PathBuf {
    root().join("charts/corten")
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// All files of the chart that are made from the code: roles, CRDs and the README.
///
/// # Errors
/// A file that they are made from cannot be read.
pub fn files() -> Result<Vec<File>> {
    let mut files = vec![File {
        path: "files/roles.yaml".to_owned(),
        text: roles::text(),
    }];
    files.extend(crds::files(&root().join("crds/yaml"))?);
    let values = folder().join("values.yaml");
    let values = std::fs::read_to_string(&values).with_context(|| values.display().to_string())?;
    files.push(File {
        path: "README.md".to_owned(),
        text: readme::text(&values),
    });
    Ok(files)
}

#[cfg(test)]
mod tests;
