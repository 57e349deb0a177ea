//! `-f`: server-side apply of manifests, as `kubectl apply --server-side` does.

use anyhow::{Context, bail};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Client, ResourceExt};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A manifest and where it stands.
pub(crate) struct Manifest {
    source: String,
    object: DynamicObject,
}

/// Reads all manifests; a broken one among them is told before any is applied.
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Manifest>> {
    let mut manifests = Vec::new();
    for path in paths {
        for file in files(path)? {
            let text =
                std::fs::read_to_string(&file).with_context(|| format!("-f {}", file.display()))?;
            let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
                .with_context(|| format!("-f {}: this is not YAML or JSON", file.display()))?;
            for (n, document) in documents.into_iter().enumerate() {
                let source = format!("{} (document {})", file.display(), n + 1);
                flatten(document, &source, &mut manifests)?;
            }
        }
    }
    Ok(manifests)
}

/// Applies them in the order in which they stand.
pub(crate) async fn apply(client: &Client, manifests: &[Manifest]) -> anyhow::Result<Vec<String>> {
    let params = PatchParams::apply("corten").force();
    let mut applied = Vec::new();
    for Manifest { source, object } in manifests {
        let types = object.types.clone().unwrap_or_default();
        let gvk = GroupVersionKind::try_from(&types)
            .with_context(|| format!("-f {source}: apiVersion"))?;
        let (resource, capabilities) = pinned_kind(client, &gvk).await.with_context(|| {
            format!(
                "-f {source}: the API server does not know {} {}",
                types.api_version, types.kind
            )
        })?;
        let api: Api<DynamicObject> = match capabilities.scope {
            Scope::Cluster => Api::all_with(client.clone(), &resource),
            Scope::Namespaced => {
                let namespace = object.namespace().unwrap_or_else(|| "default".to_owned());
                Api::namespaced_with(client.clone(), &namespace, &resource)
            }
        };
        let name = object.name_any();
        let kind = types.kind.to_lowercase();
        match api.patch(&name, &params, &Patch::Apply(object)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) => {
                bail!("-f {source}: {kind}/{name} was refused: {}", status.message)
            }
            Err(error) => return Err(error).with_context(|| format!("-f {source}: {kind}/{name}")),
        }
        applied.push(format!("{}/{name}", types.kind.to_lowercase()));
    }
    Ok(applied)
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

/// A list is its items; an empty document is nothing.
fn flatten(document: Value, source: &str, manifests: &mut Vec<Manifest>) -> anyhow::Result<()> {
    if document.is_null() {
        return Ok(());
    }
    if document["kind"]
        .as_str()
        .is_some_and(|kind| kind.ends_with("List"))
        && let Value::Array(items) = &document["items"]
    {
        for item in items {
            flatten(item.clone(), source, manifests)?;
        }
        return Ok(());
    }
    for field in ["apiVersion", "kind"] {
        if document[field].as_str().unwrap_or_default().is_empty() {
            bail!(
                "-f {source}: {field} is missing; every manifest needs apiVersion, kind and metadata.name"
            );
        }
    }
    if document["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .is_empty()
    {
        bail!("-f {source}: metadata.name is missing; an applied object has a name");
    }
    let object = serde_json::from_value(document).with_context(|| format!("-f {source}"))?;
    manifests.push(Manifest {
        source: source.to_owned(),
        object,
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{flatten, read};
    use serde_json::json;

    #[test]
    fn a_list_is_its_items() {
        let mut manifests = Vec::new();
        let item = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [item, item]});
        assert!(flatten(list, "here", &mut manifests).is_ok());
        assert_eq!(manifests.len(), 2);
    }

    #[test]
    fn what_is_missing_is_named() {
        for (document, field) in [
            (json!({"kind": "ConfigMap"}), "apiVersion"),
            (
                json!({"apiVersion": "v1", "metadata": {"name": "a"}}),
                "kind",
            ),
            (
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}),
                "metadata.name",
            ),
        ] {
            let error = flatten(document, "here", &mut Vec::new()).err();
            let text = error.map(|e| e.to_string()).unwrap_or_default();
            assert!(
                text.starts_with(&format!("-f here: {field} is missing")),
                "{text}"
            );
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read(&["no/such.yaml".into()])
            .err()
            .map(|e| format!("{e:#}"));
        assert!(error.unwrap_or_default().starts_with("-f no/such.yaml: "));
    }
}
