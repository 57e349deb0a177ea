//! Manifests as a user has them, and their server-side apply, as `kubectl apply --server-side` does it.
//!
//! The one thing here that is written and is no plan: what the user says is done as he says it.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Client, ResourceExt};
use serde_json::Value;

/// Why a manifest is none, or was not applied: a sentence that says where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misapplied(pub String);

/// One object of a manifest, and where it stands.
#[derive(Clone, Debug)]
pub struct Manifest {
    source: String,
    object: DynamicObject,
}

impl Manifest {
    /// The object.
    pub fn object(&self) -> &DynamicObject {
        &self.object
    }

    /// What it is, as `deployment/web`.
    pub fn name(&self) -> String {
        let kind = self
            .object
            .types
            .as_ref()
            .map(|types| types.kind.to_lowercase());
        format!("{}/{}", kind.unwrap_or_default(), self.object.name_any())
    }

    /// Applies it in the name of `manager`, whoever else owns its fields; an object of a namespace that names none goes
    /// to `namespace`. Gives what became of it.
    ///
    /// # Errors
    /// The API server does not know its kind, or refuses it.
    pub async fn apply(
        &self,
        client: &Client,
        manager: &str,
        namespace: &str,
    ) -> Result<DynamicObject, Misapplied> {
        let (source, object) = (&self.source, &self.object);
        let types = object.types.clone().unwrap_or_default();
        let gvk = GroupVersionKind::try_from(&types)
            .map_err(|error| Misapplied(format!("{source}: apiVersion: {error}")))?;
        let (resource, capabilities) = pinned_kind(client, &gvk).await.map_err(|error| {
            let (version, kind) = (&types.api_version, &types.kind);
            Misapplied(format!(
                "{source}: the API server does not know {version} {kind}: {error}"
            ))
        })?;
        let api: Api<DynamicObject> = match capabilities.scope {
            Scope::Cluster => Api::all_with(client.clone(), &resource),
            Scope::Namespaced => {
                let home = object.metadata.namespace.as_deref().unwrap_or(namespace);
                Api::namespaced_with(client.clone(), home, &resource)
            }
        };
        let params = PatchParams::apply(manager).force();
        let name = object.name_any();
        let applied = api.patch(&name, &params, &Patch::Apply(object)).await;
        applied.map_err(|error| {
            let said = match error {
                kube::Error::Api(status) => format!("was refused: {}", status.message),
                error => error.to_string(),
            };
            Misapplied(format!("{source}: {} {said}", self.name()))
        })
    }
}

/// The manifests of a text, YAML or JSON, of which `source` says where it stands.
///
/// # Errors
/// A sentence that says which document is wrong, and how.
pub fn read(source: &str, text: &str) -> Result<Vec<Manifest>, Misapplied> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)
        .map_err(|error| Misapplied(format!("{source}: this is not YAML or JSON: {error}")))?;
    let mut manifests = Vec::new();
    for (n, document) in documents.into_iter().enumerate() {
        let source = format!("{source} (document {})", n + 1);
        flatten(document, &source, &mut manifests)?;
    }
    Ok(manifests)
}

/// A list is its items; an empty document is nothing.
fn flatten(document: Value, source: &str, manifests: &mut Vec<Manifest>) -> Result<(), Misapplied> {
    if document.is_null() {
        return Ok(());
    }
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
    if text("/kind").is_some_and(|kind| kind.ends_with("List"))
        && let Value::Array(items) = &document["items"]
    {
        for item in items {
            flatten(item.clone(), source, manifests)?;
        }
        return Ok(());
    }
    for field in ["apiVersion", "kind"] {
        if text(&format!("/{field}")).unwrap_or_default().is_empty() {
            return Err(Misapplied(format!(
                "{source}: {field} is missing; every manifest needs apiVersion, kind and metadata.name"
            )));
        }
    }
    if text("/metadata/name").unwrap_or_default().is_empty() {
        return Err(Misapplied(format!(
            "{source}: metadata.name is missing; an applied object has a name"
        )));
    }
    let object = serde_json::from_value(document)
        .map_err(|error| Misapplied(format!("{source}: {error}")))?;
    manifests.push(Manifest {
        source: source.to_owned(),
        object,
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Manifest, read};

    #[test]
    fn a_list_is_its_items_and_an_empty_document_nothing() {
        let item = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}";
        let list = format!("apiVersion: v1\nkind: List\nitems: [{item}, {item}]\n---\n");
        let names = read("here", &list).map(|all| all.iter().map(Manifest::name).collect());
        assert_eq!(names, Ok(vec!["configmap/a".to_owned(); 2]));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (document, field) in [
            ("{kind: ConfigMap}", "apiVersion"),
            ("{apiVersion: v1, metadata: {name: a}}", "kind"),
            (
                "{apiVersion: v1, kind: ConfigMap, metadata: {}}",
                "metadata.name",
            ),
        ] {
            let said = read("here", document).err().map(|error| error.0);
            let said = said.unwrap_or_default();
            let expected = format!("here (document 1): {field} is missing");
            assert!(said.starts_with(&expected), "{said}");
        }
    }
}
