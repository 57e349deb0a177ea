//! The images that machines have: made here, as no registry is asked. Each is an archive of an OCI layout.

use crate::files::PAUSE;
use crate::packages::busybox;
use anyhow::{Context, Result};
use image::layout::{Label, layout};
use image::tar::{Entry, What, archive};
use image::{bill, contents, elf, label};
use serde_json::json;
use std::path::Path;

/// The image of Corten, as the chart names it.
pub const CORTEN: &str = concat!("docker.io/library/corten:", env!("CARGO_PKG_VERSION"));
/// An image with a shell: all programs of busybox. What it runs by itself ends at once.
pub const BUSYBOX: &str = "corten.test/busybox:1";

/// An image that a machine can be given: its name, and the archive.
#[derive(Clone, Debug)]
pub struct Image {
    /// The name with its tag.
    pub name: String,
    /// What `ctr images import` reads.
    pub archive: Vec<u8>,
}

/// The image of Corten from `program`, linked statically (see [`cluster::standalone`]).
///
/// # Errors
/// It is no such program.
pub fn corten(program: &Path) -> Result<Image> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let bill = bill::of(root.context("the workspace")?, "corten")?;
    let entries = contents(program, &bill)?;
    let machine = elf::of(&std::fs::read(program)?)?;
    Ok(made(&entries, &label(CORTEN, machine)))
}

/// What holds a pod's namespaces, with busybox's shell: it waits, and for processes that lost their parents too. And
/// [`BUSYBOX`].
pub(crate) fn shells() -> Result<[Image; 2]> {
    let program = busybox()?;
    let machine = elf::of(&program)?;
    let list = crate::command::output(&["busybox", "--list"])?;
    let links = list.lines().filter(|name| *name != "busybox");
    let mut entries: Vec<Entry> = links
        .map(|name| Entry {
            path: format!("bin/{name}"),
            what: What::Link("/bin/busybox".to_owned()),
        })
        .collect();
    entries.push(Entry {
        path: "bin/busybox".to_owned(),
        what: What::File {
            mode: 0o755,
            bytes: program,
        },
    });
    let image = |name: &str, words: &[&str]| {
        let label = Label {
            name,
            machine,
            config: json!({ "Cmd": words, "Env": ["PATH=/bin"], "WorkingDir": "/" }),
            about: json!({}),
        };
        made(&entries, &label)
    };
    let wait = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done";
    Ok([
        image(PAUSE, &["/bin/sh", "-c", wait]),
        image(BUSYBOX, &["/bin/true"]),
    ])
}

fn made(entries: &[Entry], label: &Label<'_>) -> Image {
    Image {
        name: label.name.to_owned(),
        archive: archive(&layout(entries, label)),
    }
}
