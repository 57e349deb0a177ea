//! The CustomResourceDefinitions of Corten's own groups.

use crate::eventually;
use anyhow::{Context, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionCondition,
};
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::Value;
use std::path::Path;

/// Applies them, and waits until all are served.
pub(crate) async fn install(client: &Client) -> Result<()> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../crds/yaml"));
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let (mut applied, mut refused) = (0, Vec::new());
    for file in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let file = file?.path();
        let text = std::fs::read_to_string(&file)?;
        let object: Value = serde_saphyr::from_str(&text)?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let params = PatchParams::apply("test").force();
        let done = api.patch(name, &params, &Patch::Apply(&object)).await;
        if let Err(error) = done {
            refused.push(format!("{}: {error}", file.display()));
        }
        applied += 1;
    }
    ensure!(refused.is_empty(), "{}", refused.join("\n"));
    eventually("the definitions are served", async || {
        let all = api.list(&ListParams::default()).await?;
        let served = all.iter().filter(|definition| is_served(definition));
        let names: Vec<_> = all.iter().map(ResourceExt::name_any).collect();
        ensure!(served.count() == applied, "{names:?}");
        Ok(())
    })
    .await
}

fn is_served(definition: &CustomResourceDefinition) -> bool {
    let conditions = definition
        .status
        .as_ref()
        .and_then(|s| s.conditions.as_ref());
    let established = |conditions: &Vec<_>| {
        let mut all = conditions.iter();
        all.any(|c: &CustomResourceDefinitionCondition| {
            c.type_ == "Established" && c.status == "True"
        })
    };
    conditions.is_some_and(established)
}
