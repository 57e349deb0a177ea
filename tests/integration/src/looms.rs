//! Custom resources: a kind that a test installs for itself, in a group of its own.

use anyhow::Result;
use cluster::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};

/// The kind `Loom` of a test. Its objects take any fields, and have a status and a scale.
pub(crate) struct Looms {
    /// `GROUP/v1`.
    pub(crate) version: String,
    /// Its objects in the namespace of the test.
    pub(crate) api: Api<DynamicObject>,
    client: Client,
    group: String,
}

impl Looms {
    /// As they will be in this namespace; they are not served yet.
    pub(crate) fn of(ns: &Namespace) -> Self {
        let group = format!("{}.corten.dev", ns.name());
        let kind = GroupVersionKind::gvk(&group, "v1", "Loom");
        let resource = ApiResource::from_gvk_with_plural(&kind, "looms");
        Self {
            version: format!("{group}/v1"),
            api: Api::namespaced_with(ns.client(), ns.name(), &resource),
            client: ns.client(),
            group,
        }
    }

    /// `looms.GROUP`: as quotas and the API server name them.
    pub(crate) fn name(&self) -> String {
        format!("looms.{}", self.group)
    }

    /// Installs the kind, tells the story, and removes it whatever came of that.
    pub(crate) async fn installed(&self, story: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
        let crds: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let crd = serde_json::from_value(json!({
            "metadata": { "name": self.name() },
            "spec": {
                "group": self.group, "scope": "Namespaced",
                "names": { "plural": "looms", "singular": "loom", "kind": "Loom" },
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": { "openAPIV3Schema": {
                        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    }},
                    "subresources": { "status": {}, "scale": {
                        "specReplicasPath": ".spec.replicas",
                        "statusReplicasPath": ".status.replicas",
                        "labelSelectorPath": ".status.selector",
                    }},
                }],
            },
        }))?;
        crds.create(&PostParams::default(), &crd).await?;
        let outcome = story().await;
        crds.delete(&self.name(), &DeleteParams::default()).await?;
        outcome
    }

    /// Creates one: `object` says all but its kind. It fails until the kind is served.
    pub(crate) async fn create(&self, mut object: Value) -> Result<DynamicObject> {
        object["apiVersion"] = self.version.clone().into();
        object["kind"] = "Loom".into();
        let object = serde_json::from_value(object)?;
        Ok(self.api.create(&PostParams::default(), &object).await?)
    }

    /// Sets the status of one.
    pub(crate) async fn says(&self, name: &str, status: Value) -> Result<()> {
        let (params, patch) = (PatchParams::default(), json!({ "status": status }));
        self.api
            .patch_status(name, &params, &Patch::Merge(&patch))
            .await?;
        Ok(())
    }
}
