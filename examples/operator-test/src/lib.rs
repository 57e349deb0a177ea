//! An operator: a `Website` gets a Deployment and a Service, and says in its status how many of its pods are ready.
//!
//! It is an operator like any other, made with kube and nothing of Corten's. What there is to see is `tests.rs`: each
//! test is a story that is told to a cluster, in memory and to a real one.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::watcher;
use kube::{Api, Client, CustomResource, Resource, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The name by which the operator owns fields.
pub const NAME: &str = "website-operator";
/// How long an object waits after a failure.
const AGAIN: Duration = Duration::from_secs(1);

/// What a website is to be.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, Serialize)]
#[kube(group = "example.com", version = "v1", kind = "Website", namespaced)]
#[kube(status = "WebsiteStatus", shortname = "site")]
#[serde(rename_all = "camelCase")]
pub struct WebsiteSpec {
    /// The image that serves it.
    #[schemars(length(min = 1))]
    pub image: String,
    /// How many pods do.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 100))]
    pub replicas: i32,
}

fn one() -> i32 {
    1
}

/// How a website is.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WebsiteStatus {
    /// So many of its pods are ready.
    pub ready: i32,
    /// The version of the spec that this is about.
    pub observed_generation: Option<i64>,
}

/// Why a website could not be looked after.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] kube::Error);

/// Looks after all websites, for ever.
pub async fn run(client: Client) {
    let all = watcher::Config::default();
    let websites: Api<Website> = Api::all(client.clone());
    Controller::new(websites, all.clone())
        .owns(Api::<Deployment>::all(client.clone()), all.clone())
        .owns(Api::<Service>::all(client.clone()), all)
        .run(
            reconcile,
            |_, _, _| Action::requeue(AGAIN),
            Arc::new(client),
        )
        // What fails is tried again.
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn reconcile(website: Arc<Website>, client: Arc<Client>) -> Result<Action, Error> {
    let home = website.namespace().unwrap_or_default();
    let (name, ours) = (website.name_any(), PatchParams::apply(NAME).force());
    let deployments: Api<Deployment> = Api::namespaced((*client).clone(), &home);
    let services: Api<Service> = Api::namespaced((*client).clone(), &home);
    let wanted = Patch::Apply(deployment(&website));
    let deployment = deployments.patch(&name, &ours, &wanted).await?;
    services
        .patch(&name, &ours, &Patch::Apply(service(&website)))
        .await?;
    let status = WebsiteStatus {
        ready: deployment
            .status
            .and_then(|status| status.ready_replicas)
            .unwrap_or(0),
        observed_generation: website.metadata.generation,
    };
    if website.status.as_ref() != Some(&status) {
        let websites: Api<Website> = Api::namespaced((*client).clone(), &home);
        let patch = Patch::Merge(json!({ "status": status }));
        websites
            .patch_status(&name, &PatchParams::default(), &patch)
            .await?;
    }
    Ok(Action::await_change())
}

/// Where both of a website's objects are, and whose they are.
fn metadata(website: &Website) -> Value {
    json!({ "name": website.name_any(), "ownerReferences": [website.controller_owner_ref(&())] })
}

fn deployment(website: &Website) -> Value {
    let labels = json!({ "website": website.name_any() });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(website),
        "spec": {
            "replicas": website.spec.replicas,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "web", "image": website.spec.image }] },
            },
        },
    })
}

fn service(website: &Website) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata(website),
        "spec": { "selector": { "website": website.name_any() }, "ports": [{ "port": 80 }] },
    })
}
