//! `-f`: which files are meant. What is done with them is [`runtime::manifests`].

use anyhow::{Context, bail};
use runtime::manifests::{self, Manifest};
use std::path::{Path, PathBuf};

/// Reads all manifests; a broken one among them is told before any is applied.
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Manifest>> {
    let mut all = Vec::new();
    for path in paths {
        for file in files(path)? {
            let source = format!("-f {}", file.display());
            let text = std::fs::read_to_string(&file).with_context(|| source.clone())?;
            all.extend(manifests::read(&source, &text)?);
        }
    }
    Ok(all)
}

/// The file itself, or the manifests of a folder in order of their names.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let describe = || format!("-f {}", path.display());
    if !std::fs::metadata(path).with_context(describe)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(describe)? {
        let file = entry.with_context(describe)?.path();
        let extension = file
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default();
        if ["yaml", "yml", "json"].contains(&extension) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        bail!(
            "-f {}: no .yaml, .yml or .json file in this folder",
            path.display()
        );
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read(&["no/such.yaml".into()])
            .err()
            .map(|e| format!("{e:#}"));
        assert!(error.unwrap_or_default().starts_with("-f no/such.yaml: "));
    }
}
