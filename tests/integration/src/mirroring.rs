//! The EndpointSlice mirroring controller.

use crate::manifest::uid;
use anyhow::{Context, Result, ensure};
use cluster::{Namespace, Outcome, with_namespace};
use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const SLICES: &str = "kubernetes.io/service-name=web,endpointslice.kubernetes.io/managed-by=endpointslicemirroring-controller.k8s.io";

fn service() -> Value {
    json!({ "metadata": { "name": "web" }, "spec": { "ports": [{ "name": "http", "port": 80 }] } })
}

fn endpoints(subsets: Value) -> Value {
    json!({
        "metadata": {
            "name": "web",
            "labels": { "team": "a" },
            "annotations": { "note": "n", "endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z" },
        },
        "subsets": subsets,
    })
}

fn subset(ips: &[&str], ports: &[i32]) -> Value {
    let addresses: Vec<_> = ips.iter().map(|ip| json!({ "ip": ip })).collect();
    let ports: Vec<_> = ports
        .iter()
        .map(|port| json!({ "name": format!("p{port}"), "port": port }))
        .collect();
    json!({ "addresses": addresses, "ports": ports })
}

/// Family, ports, address and readiness, by line.
fn content(slices: &[EndpointSlice]) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for slice in slices {
        let ports = slice.ports.iter().flatten().filter_map(|port| port.port);
        let mut ports: Vec<_> = ports.collect();
        ports.sort_unstable();
        for endpoint in slice.endpoints.iter().flatten() {
            let ready = endpoint.conditions.as_ref().and_then(|c| c.ready);
            lines.insert(format!(
                "{} {ports:?} {} {}",
                slice.address_type,
                endpoint.addresses.join(","),
                ready == Some(true)
            ));
        }
    }
    lines
}

async fn mirrored(ns: &Namespace, lines: &[&str]) -> Result<Vec<EndpointSlice>> {
    let wanted: BTreeSet<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let what = format!("hold {wanted:?}");
    ns.until_all(SLICES, &what, |slices| content(slices) == wanted)
        .await
}

#[test]
fn endpoints_of_a_service_without_selector_become_slices() -> Outcome {
    with_namespace("mirror", async |ns| {
        ns.create::<Service>(service()).await?;
        let mut first = subset(&["10.1.2.3", "10.1.2.4"], &[80, 443]);
        first["notReadyAddresses"] = json!([{ "ip": "2001:db8::1", "hostname": "h" }]);
        let made = ns.create::<Endpoints>(endpoints(json!([first]))).await?;
        let slices = mirrored(
            &ns,
            &[
                "IPv4 [80, 443] 10.1.2.3 true",
                "IPv4 [80, 443] 10.1.2.4 true",
                "IPv6 [80, 443] 2001:db8::1 false",
            ],
        )
        .await?;
        ensure!(slices.len() == 2);
        for slice in &slices {
            let labels = slice.metadata.labels.clone().unwrap_or_default();
            ensure!(labels["team"] == "a", "{labels:?}");
            let annotations = slice.metadata.annotations.clone().unwrap_or_default();
            ensure!(
                annotations.len() == 1 && annotations["note"] == "n",
                "{annotations:?}"
            );
            let owner = &slice.metadata.owner_references.clone().context("owner")?[0];
            ensure!(owner.kind == "Endpoints" && owner.uid == uid(&made));
            ensure!(owner.controller == Some(true));
        }
        ns.merge::<Endpoints>(
            "web",
            json!({ "subsets": [subset(&["10.1.2.4"], &[8080])], "metadata": { "labels": { "team": "b" } } }),
        )
        .await?;
        let slices = mirrored(&ns, &["IPv4 [8080] 10.1.2.4 true"]).await?;
        ensure!(slices.len() == 1);
        ns.until_all::<EndpointSlice>(SLICES, "have the label", |slices| {
            slices.iter().all(|slice| {
                let labels = slice.metadata.labels.as_ref();
                labels.is_some_and(|l| l.get("team").map(String::as_str) == Some("b"))
            })
        })
        .await?;
        ns.delete::<Endpoints>("web").await?;
        ns.until_all::<EndpointSlice>(SLICES, "are gone", <[_]>::is_empty)
            .await?;
        Ok(())
    })
}

#[test]
fn slices_that_somebody_edits_are_put_right() -> Outcome {
    with_namespace("mirror-edit", async |ns| {
        ns.create::<Service>(service()).await?;
        let subsets = json!([subset(&["10.1.2.3"], &[80])]);
        ns.create::<Endpoints>(endpoints(subsets)).await?;
        let line = "IPv4 [80] 10.1.2.3 true";
        let slices = mirrored(&ns, &[line]).await?;
        let name = slices[0].metadata.name.clone().context("name")?;
        ns.merge::<EndpointSlice>(&name, json!({ "endpoints": [] }))
            .await?;
        mirrored(&ns, &[line]).await?;
        ns.delete::<EndpointSlice>(&name).await?;
        mirrored(&ns, &[line]).await?;
        Ok(())
    })
}

#[test]
fn only_endpoints_that_need_it_are_mirrored() -> Outcome {
    with_namespace("mirror-skip", async |ns| {
        let subsets = || json!([subset(&["10.1.2.3"], &[80])]);
        let line = "IPv4 [80] 10.1.2.3 true";
        // Without a Service nobody would look for them.
        ns.create::<Endpoints>(endpoints(subsets())).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        ensure!(ns.list::<EndpointSlice>(SLICES).await?.is_empty());
        ns.create::<Service>(service()).await?;
        mirrored(&ns, &[line]).await?;

        let label = |value: Value| json!({ "metadata": { "labels": { "endpointslice.kubernetes.io/skip-mirror": value } } });
        ns.merge::<Endpoints>("web", label(json!("true"))).await?;
        mirrored(&ns, &[]).await?;
        ns.merge::<Endpoints>("web", label(json!(null))).await?;
        mirrored(&ns, &[line]).await?;

        let leader = |value: Value| json!({ "metadata": { "annotations": { "control-plane.alpha.kubernetes.io/leader": value } } });
        ns.merge::<Endpoints>("web", leader(json!("{}"))).await?;
        mirrored(&ns, &[]).await?;
        ns.merge::<Endpoints>("web", leader(json!(null))).await?;
        mirrored(&ns, &[line]).await?;

        let selects = json!({ "spec": { "selector": { "app": "web" } } });
        ns.merge::<Service>("web", selects).await?;
        mirrored(&ns, &[]).await?;
        Ok(())
    })
}

#[test]
fn more_than_a_thousand_addresses_are_cut_and_told() -> Outcome {
    with_namespace("mirror-many", async |ns| {
        ns.create::<Service>(service()).await?;
        let ips: Vec<String> = (0..1003)
            .map(|n| format!("10.2.{}.{}", n / 250, n % 250 + 1))
            .collect();
        let ips: Vec<&str> = ips.iter().map(String::as_str).collect();
        ns.create::<Endpoints>(endpoints(json!([subset(&ips, &[80])])))
            .await?;
        let full = |slices: &[EndpointSlice]| {
            slices.len() == 1 && slices[0].endpoints.as_ref().map_or(0, Vec::len) == 1000
        };
        ns.until_all(SLICES, "hold a thousand", full).await?;
        let text = "A max of 1000 addresses can be mirrored to EndpointSlices per Endpoints subset. 3 addresses were skipped";
        ns.event("web", "TooManyAddressesToMirror", text).await?;
        Ok(())
    })
}
