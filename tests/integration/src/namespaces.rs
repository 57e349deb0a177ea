//! The namespace controller.

use crate::manifest::{deployment, is_complete, pod};
use anyhow::{Result, ensure};
use cluster::{Namespace, Outcome, eventually, with_namespace};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace as NamespaceObject, Pod};
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;

fn namespaces(ns: &Namespace) -> Api<NamespaceObject> {
    Api::all(ns.client())
}

async fn delete(ns: &Namespace) -> Result<()> {
    let namespaces = namespaces(ns);
    namespaces
        .delete(ns.name(), &DeleteParams::default())
        .await?;
    Ok(())
}

async fn goes(ns: &Namespace) -> Result<()> {
    eventually("the namespace is gone", async || {
        let found = namespaces(ns).get_opt(ns.name()).await?;
        ensure!(found.is_none(), "{:?}", found.and_then(|ns| ns.status));
        Ok(())
    })
    .await
}

#[test]
fn a_namespace_goes_with_all_that_is_in_it() -> Outcome {
    with_namespace("ns-goes", async |ns| {
        ns.create::<Deployment>(deployment("web", 2)).await?;
        ns.until("web", "is complete", is_complete).await?;
        ns.create::<ConfigMap>(json!({ "metadata": { "name": "map" } }))
            .await?;
        delete(&ns).await?;
        goes(&ns).await?;
        Ok(())
    })
}

#[test]
fn pods_go_first_and_what_holds_one_up_is_told() -> Outcome {
    with_namespace("ns-order", async |ns| {
        let mut held = pod("held", "held");
        held["metadata"]["finalizers"] = json!(["example.com/hold"]);
        ns.create::<Pod>(held).await?;
        ns.create::<ConfigMap>(json!({ "metadata": { "name": "map" } }))
            .await?;
        delete(&ns).await?;
        eventually("the namespace says how it stands", async || {
            let status = namespaces(&ns).get(ns.name()).await?.status;
            let status = status.unwrap_or_default();
            let mut conditions = status.conditions.iter().flatten();
            let told = conditions.any(|c| c.type_ == "NamespaceDeletionContentFailure");
            ensure!(
                told && status.phase.as_deref() == Some("Terminating"),
                "{status:?}"
            );
            Ok(())
        })
        .await?;
        let is_going = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
        ns.until("held", "is being deleted", is_going).await?;
        let map = ns.get::<ConfigMap>("map").await?;
        ensure!(map.metadata.deletion_timestamp.is_none());
        let free = json!({ "metadata": { "finalizers": null } });
        ns.merge::<Pod>("held", free).await?;
        goes(&ns).await?;
        Ok(())
    })
}

#[test]
fn a_finalizer_in_a_namespace_holds_it_up_and_is_told() -> Outcome {
    with_namespace("ns-holds", async |ns| {
        let hold = json!({ "metadata": { "name": "map", "finalizers": ["example.com/hold"] } });
        ns.create::<ConfigMap>(hold).await?;
        delete(&ns).await?;
        eventually("the namespace says what holds it up", async || {
            let status = namespaces(&ns).get(ns.name()).await?.status;
            let status = status.unwrap_or_default();
            let told = |kind: &str, text: &str| {
                status.conditions.iter().flatten().any(|c| {
                    c.type_ == kind
                        && c.status == "True"
                        && c.message.as_deref().unwrap_or_default() == text
                })
            };
            let left = "Some resources are remaining: configmaps. has 1 resource instances";
            let finalizers = "Some content in the namespace has finalizers remaining: \
                example.com/hold in 1 resource instances";
            ensure!(told("NamespaceContentRemaining", left), "{status:?}");
            ensure!(
                told("NamespaceFinalizersRemaining", finalizers),
                "{status:?}"
            );
            Ok(())
        })
        .await?;
        let free = json!({ "metadata": { "finalizers": null } });
        ns.merge::<ConfigMap>("map", free).await?;
        goes(&ns).await?;
        Ok(())
    })
}
