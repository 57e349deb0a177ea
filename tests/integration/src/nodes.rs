//! The hollow nodes.

use anyhow::{Context, Result, ensure};
use cluster::{Outcome, eventually, with_namespace};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;

#[test]
fn nodes_are_ready_and_keep_their_leases() -> Outcome {
    with_namespace("nodes", async |ns| {
        let nodes: Api<Node> = Api::all(ns.client());
        let node = nodes.get("node-0").await?;
        let conditions = node.status.and_then(|s| s.conditions).unwrap_or_default();
        let ready = conditions
            .iter()
            .find(|c| c.type_ == "Ready")
            .context("Ready")?;
        ensure!(ready.status == "True" && ready.reason.as_deref() == Some("KubeletReady"));
        let leases: Api<Lease> = Api::namespaced(ns.client(), "kube-node-lease");
        let renewed = async || -> Result<_> {
            let spec = leases.get("node-0").await?.spec.context("spec")?;
            ensure!(spec.holder_identity.as_deref() == Some("node-0"));
            spec.renew_time.context("renewTime")
        };
        let first = renewed().await?;
        eventually("the lease is renewed", async || {
            let last = renewed().await?;
            ensure!(last.0 > first.0, "{}", last.0);
            Ok(())
        })
        .await
    })
}

#[test]
fn a_pod_runs_with_an_address_and_ends_when_deleted() -> Outcome {
    with_namespace("pods", async |ns| {
        ns.create::<Pod>(crate::manifest::pod("one", "one")).await?;
        let runs = |pod: &Pod| {
            let status = pod.status.clone().unwrap_or_default();
            status.phase.as_deref() == Some("Running") && status.pod_ip.is_some()
        };
        ns.until("one", "runs", runs).await?;
        ns.delete::<Pod>("one").await?;
        ns.until_all::<Pod>("app=one", "are gone", <[_]>::is_empty)
            .await?;
        Ok(())
    })
}
