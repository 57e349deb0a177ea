//! The container image: the program, links to it under the names of all its parts, licences and a list of what it is made
//! of. It is written as an OCI image layout, or as a folder that a Dockerfile copies; no engine is needed.
//!
//! The same program gives the same bytes: nothing has a time, and all is in order. Start reading at [`contents`], then
//! [`layout`].
#![forbid(unsafe_code)]

pub mod bill;
pub mod elf;
pub mod layout;
pub mod tar;

use anyhow::{Context, Result};
use layout::Label;
use serde_json::json;
use std::path::Path;
use tar::{Entry, What};

/// Who runs it: nobody that a node knows.
pub const USER: u32 = 65532;
/// Where the program is in the image.
pub const PROGRAM: &str = "corten";

const PASSWD: &str = "nonroot:x:65532:65532:nonroot:/:/nowhere\n";
const GROUP: &str = "nonroot:x:65532:\n";

/// All that is in the image: `program` (a file), the links, and what `bill` says of its parts.
///
/// # Errors
/// The program cannot be read, or is not one that runs in an empty image.
pub fn contents(program: &Path, bill: &bill::Bill) -> Result<Vec<Entry>> {
    let said = || program.display().to_string();
    let bytes = std::fs::read(program).with_context(said)?;
    elf::of(&bytes).with_context(said)?;
    let file = |path: &str, mode, bytes: Vec<u8>| Entry {
        path: path.to_owned(),
        what: What::File { mode, bytes },
    };
    let mut entries = vec![
        file(PROGRAM, 0o755, bytes),
        file("etc/passwd", 0o644, PASSWD.into()),
        file("etc/group", 0o644, GROUP.into()),
        file("licences/corten.txt", 0o644, bill.own.clone().into()),
        file("licences/others.txt", 0o644, bill.licences.clone().into()),
        file("sbom.cdx.json", 0o644, format!("{:#}\n", bill.sbom).into()),
    ];
    for name in registry::programs::names().chain([PROGRAM]) {
        entries.push(Entry {
            path: format!("bin/{name}"),
            what: What::Link(format!("/{PROGRAM}")),
        });
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

/// What is said of the image that is called `name`, for `machine` (OCI's word for it): the program is run, as nobody.
pub fn label<'a>(name: &'a str, machine: &'a str) -> Label<'a> {
    let about = json!({
        "org.opencontainers.image.title": "corten",
        "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.description": "Kubernetes' control loops",
    });
    let config = json!({
        "User": format!("{USER}:{USER}"), "Entrypoint": [format!("/{PROGRAM}")],
        "Env": ["PATH=/bin"], "WorkingDir": "/", "Labels": about,
    });
    Label {
        name,
        machine,
        config,
        about,
    }
}

/// Writes the contents under `folder`.
///
/// # Errors
/// It cannot be written.
pub fn unpack(entries: &[Entry], folder: &Path) -> Result<()> {
    use std::os::unix::fs::{PermissionsExt, symlink};
    for Entry { path, what } in entries {
        let path = folder.join(path);
        let said = || path.display().to_string();
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(said)?;
        }
        match what {
            What::File { mode, bytes } => {
                std::fs::write(&path, bytes).with_context(said)?;
                let mode = std::fs::Permissions::from_mode(*mode);
                std::fs::set_permissions(&path, mode).with_context(said)?;
            }
            What::Link(to) => symlink(to, &path).with_context(said)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
