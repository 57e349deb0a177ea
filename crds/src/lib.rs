//! The workload kinds as CustomResourceDefinitions of the groups `apps.corten.dev`, `batch.corten.dev` and
//! `autoscaling.corten.dev`: what `--group corten.dev` serves.
//! They are made when this crate is built, in `generate/`.
//!
//! What the API server does for the built-in kinds in Go is here in the schema: defaults, bounds, and rules in CEL, with
//! errors that name the same field. `cargo run -p crds` writes the files; a test says that they are fresh. Apply them
//! with `kubectl apply --server-side -f crds/yaml`: the annotation of a client-side apply is too small for them.
//!
//! **Not as the built-in kinds.** A schema cannot compute: `imagePullPolicy` is decided when a pod is made, `READY 3/3` are
//! two columns, a Job's selector is in no field (the controller knows it), and of what a pod template may say only what
//! matters here is checked: the API server refuses the pods of a template that is wrong, and an event says so.
#![forbid(unsafe_code)]

use serde_json::Value;

/// A CustomResourceDefinition and the name of its file.
#[derive(Clone, Debug)]
pub struct Definition {
    /// `deployments.apps.corten.dev.yaml`
    pub file: String,
    /// What to apply.
    pub object: Value,
}

/// All of them, by name.
///
/// # Errors
/// What was made when the crate was built is no JSON.
pub fn definitions() -> Result<Vec<Definition>, serde_json::Error> {
    let made = include_str!(concat!(env!("OUT_DIR"), "/definitions.json"));
    let made: Vec<Value> = serde_json::from_str(made)?;
    let named = |object: Value| Definition {
        file: format!(
            "{}.yaml",
            object["metadata"]["name"].as_str().unwrap_or_default()
        ),
        object,
    };
    let mut all: Vec<_> = made.into_iter().map(named).collect();
    all.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(all)
}

/// What a file says.
///
/// # Errors
/// It cannot be written as YAML.
pub fn yaml(object: &Value) -> Result<String, serde_saphyr::ser_error::Error> {
    let text = serde_saphyr::to_string(object)?;
    Ok(format!(
        "# Made by `cargo run -p crds`; do not edit.\n{text}"
    ))
}

#[cfg(test)]
mod tests;
