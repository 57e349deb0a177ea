//! The EndpointSlice and the Endpoints controller.

use crate::manifest::{is_ready, pod, replica_set, spec};
use anyhow::{Context, Result, ensure};
use cluster::{Outcome, with_namespace};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SLICES: &str = "kubernetes.io/service-name=web";

fn service(fields: Value) -> Value {
    let mut service = json!({
        "metadata": { "name": "web", "labels": { "team": "a" } },
        "spec": { "selector": { "app": "web" }, "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] },
    });
    for (name, value) in fields.as_object().into_iter().flatten() {
        service["spec"][name] = value.clone();
    }
    service
}

/// The names of the pods in slices, those that are ready only.
fn ready(slices: &[EndpointSlice]) -> BTreeSet<String> {
    let endpoints = slices
        .iter()
        .flat_map(|slice| slice.endpoints.iter().flatten());
    let ready = endpoints.filter(|e| e.conditions.as_ref().and_then(|c| c.ready) == Some(true));
    ready.filter_map(|e| e.target_ref.clone()?.name).collect()
}

/// The names of the pods in Endpoints.
fn addressed(endpoints: &Endpoints) -> BTreeSet<String> {
    let subsets = endpoints.subsets.iter().flatten();
    let addresses = subsets.flat_map(|subset| subset.addresses.iter().flatten());
    addresses
        .filter_map(|a| a.target_ref.clone()?.name)
        .collect()
}

async fn names(ns: &cluster::Namespace) -> Result<BTreeSet<String>> {
    let pods = ns.list::<Pod>("app=web").await?;
    Ok(pods.into_iter().filter_map(|p| p.metadata.name).collect())
}

#[test]
fn the_pods_of_a_service_are_listed_while_they_are_there() -> Outcome {
    with_namespace("eps-lists", async |ns| {
        ns.create::<Service>(service(json!({}))).await?;
        ns.create::<ReplicaSet>(replica_set("web", 2)).await?;
        ns.until("web", "has 2 pods", is_ready).await?;
        let two = names(&ns).await?;
        let slices = ns
            .until_all(SLICES, "list both pods", |s| ready(s) == two)
            .await?;
        ensure!(slices.len() == 1);
        let slice = &slices[0];
        let labels = slice.metadata.labels.clone().unwrap_or_default();
        ensure!(
            labels["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"
        );
        ensure!(labels["team"] == "a", "{labels:?}");
        let owner = &slice.metadata.owner_references.clone().context("owner")?[0];
        ensure!(owner.kind == "Service" && owner.name == "web" && slice.address_type == "IPv4");
        let port = &slice.ports.clone().context("ports")?[0];
        ensure!((port.name.as_deref(), port.port) == (Some("http"), Some(8080)));
        let endpoint = &slice.endpoints.clone().context("endpoints")?[0];
        ensure!(
            endpoint.node_name.is_some() && endpoint.zone.is_some(),
            "{endpoint:?}"
        );
        let listed = ns
            .until("web", "lists both pods", |e| addressed(e) == two)
            .await?;
        let port = &listed.subsets.unwrap_or_default()[0]
            .ports
            .clone()
            .context("ports")?[0];
        ensure!((port.name.as_deref(), port.port) == (Some("http"), 8080));

        ns.merge::<ReplicaSet>("web", spec(json!({ "replicas": 1 })))
            .await?;
        ns.until_all::<Pod>("app=web", "are one", |pods| pods.len() == 1)
            .await?;
        let one = names(&ns).await?;
        ns.until_all(SLICES, "list one pod", |s| ready(s) == one)
            .await?;
        ns.until("web", "lists one pod", |e| addressed(e) == one)
            .await?;
        Ok(())
    })
}

#[test]
fn a_named_port_is_looked_up_in_each_pod() -> Outcome {
    with_namespace("eps-named", async |ns| {
        let ports = json!([{ "name": "http", "port": 80, "targetPort": "web" }]);
        ns.create::<Service>(service(json!({ "ports": ports })))
            .await?;
        for (name, number) in [("a", 8001), ("b", 8002)] {
            let mut manifest = pod(name, "web");
            manifest["spec"]["containers"][0]["ports"] =
                json!([{ "name": "web", "containerPort": number }]);
            ns.create::<Pod>(manifest).await?;
        }
        let by_port = |slices: &[EndpointSlice]| -> BTreeSet<(i32, BTreeSet<String>)> {
            let port = |s: &EndpointSlice| s.ports.as_ref()?.first()?.port;
            let pair = |s: &EndpointSlice| Some((port(s)?, ready(std::slice::from_ref(s))));
            slices
                .iter()
                .filter_map(pair)
                .filter(|(_, pods)| !pods.is_empty())
                .collect()
        };
        let wanted = [(8001, "a"), (8002, "b")].map(|(n, p)| (n, BTreeSet::from([p.to_owned()])));
        let wanted = BTreeSet::from(wanted);
        ns.until_all(SLICES, "have a slice a port", |s| by_port(s) == wanted)
            .await?;
        ns.until::<Endpoints>("web", "has a subset a port", |e| {
            e.subsets.as_ref().is_some_and(|s| s.len() == 2)
        })
        .await?;
        Ok(())
    })
}

#[test]
fn addresses_that_are_not_ready_are_published_on_demand() -> Outcome {
    with_namespace("eps-not-ready", async |ns| {
        ns.create::<Service>(service(json!({}))).await?;
        let mut manifest = pod("slow", "web");
        manifest["metadata"]["annotations"] = json!({ "hollow.corten.dev/ready": "false" });
        ns.create::<Pod>(manifest).await?;
        let only = |is_ready: bool| {
            move |slices: &[EndpointSlice]| {
                let mut all = slices.iter().flat_map(|s| s.endpoints.iter().flatten());
                let condition = all
                    .next()
                    .and_then(|e| e.conditions.clone())
                    .unwrap_or_default();
                condition.ready == Some(is_ready) && condition.serving == Some(false)
            }
        };
        ns.until_all(SLICES, "list it as not ready", only(false))
            .await?;
        let is_waiting = |e: &Endpoints| {
            let subsets = e.subsets.clone().unwrap_or_default();
            subsets
                .iter()
                .any(|s| s.not_ready_addresses.iter().flatten().count() == 1)
        };
        ns.until("web", "lists it as not ready", is_waiting).await?;
        ns.merge::<Service>("web", spec(json!({ "publishNotReadyAddresses": true })))
            .await?;
        ns.until_all(SLICES, "list it as ready", only(true)).await?;
        ns.until::<Endpoints>("web", "lists it", |e| addressed(e).len() == 1)
            .await?;
        Ok(())
    })
}

#[test]
fn more_than_a_hundred_pods_need_two_slices() -> Outcome {
    with_namespace("eps-many", async |ns| {
        ns.create::<Service>(service(json!({}))).await?;
        ns.create::<ReplicaSet>(replica_set("web", 101)).await?;
        ns.until("web", "has 101 pods", is_ready).await?;
        let all = names(&ns).await?;
        let slices = ns
            .until_all(SLICES, "list all pods", |s| ready(s) == all)
            .await?;
        let mut sizes: Vec<_> = slices
            .iter()
            .map(|s| s.endpoints.iter().flatten().count())
            .collect();
        sizes.sort_unstable();
        ensure!(sizes.len() == 2 && sizes[1] <= 100, "{sizes:?}");
        let two = |s: &[EndpointSlice]| s.len() == 2;
        ns.until_all(SLICES, "stay two", two).await?;
        Ok(())
    })
}
