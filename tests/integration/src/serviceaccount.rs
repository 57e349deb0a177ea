//! The default ServiceAccount and the CA certificates of each namespace.

use crate::manifest::uid;
use anyhow::{Context, ensure};
use cluster::{Outcome, with_namespace};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use serde_json::json;

#[test]
fn the_default_account_comes_back() -> Outcome {
    with_namespace("sa-default", async |ns| {
        let first = ns.get::<ServiceAccount>("default").await?;
        ns.delete::<ServiceAccount>("default").await?;
        let another = |account: &ServiceAccount| uid(account) != uid(&first);
        ns.until("default", "is back", another).await?;
        Ok(())
    })
}

#[test]
fn the_root_ca_comes_back_and_stays_as_it_is() -> Outcome {
    with_namespace("root-ca", async |ns| {
        let name = "kube-root-ca.crt";
        let first = ns.until::<ConfigMap>(name, "is there", |_| true).await?;
        let data = first.data.clone().context("data")?;
        ensure!(data["ca.crt"].contains("BEGIN CERTIFICATE"));
        let is_whole = |map: &ConfigMap| map.data.as_ref() == Some(&data);
        ns.merge::<ConfigMap>(name, json!({ "data": { "ca.crt": "edited" } }))
            .await?;
        ns.until(name, "is mended", is_whole).await?;
        ns.delete::<ConfigMap>(name).await?;
        ns.until(name, "is back", is_whole).await?;
        Ok(())
    })
}
