//! The files of the workspace.

use std::path::{Path, PathBuf};

/// A source file: its path from the root of the workspace, and its text.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("../..")
        .canonicalize()
        .expect("tests/tidy lies two folders below the root")
}

/// All files under `folders` whose names end in `suffix`.
pub(crate) fn files(folders: &[&str], suffix: &str) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    for folder in folders {
        walk(&root, &root.join(folder), suffix, &mut found);
    }
    assert!(
        !found.is_empty(),
        "no *{suffix} in {folders:?}: the rule looks at nothing"
    );
    found
}

fn walk(root: &Path, folder: &Path, suffix: &str, found: &mut Vec<Source>) {
    let entries = std::fs::read_dir(folder).expect("the folders that rules name are there");
    for entry in entries {
        let path = entry
            .expect("a folder that can be listed can be read")
            .path();
        if path.is_dir() {
            if !path.ends_with("target") {
                walk(root, &path, suffix, found);
            }
        } else if path.to_string_lossy().ends_with(suffix) {
            let relative = path.strip_prefix(root).unwrap_or(&path);
            found.push(Source {
                path: relative.to_string_lossy().into_owned(),
                text: std::fs::read_to_string(&path).expect("sources are UTF-8"),
            });
        }
    }
}
