//! The CRDs of `crds/yaml`, for the chart: each a line of JSON, as a release is stored in one Secret with all its files and
//! what was rendered of them.

use crate::File;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;

/// One file a CRD, by its name; none where the folder is not there.
pub(crate) fn files(folder: &Path) -> Result<Vec<File>> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let said = || path.display().to_string();
        let text = std::fs::read_to_string(&path).with_context(said)?;
        let crds: Vec<Value> = serde_saphyr::from_multiple(&text).with_context(said)?;
        for crd in crds {
            let name = crd["metadata"]["name"].as_str().with_context(said)?;
            ensure!(
                crd["kind"] == "CustomResourceDefinition",
                "{} is none of a CRD",
                said()
            );
            files.push(File {
                path: format!("files/crds/{name}.json"),
                text: format!("{crd}\n"),
            });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
