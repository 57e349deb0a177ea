//! Two schedulers that both believe to lead, for a second: what holds, and who sees to it.

use crate::manifest::IMAGE;
use crate::own_nodes;
use anyhow::{Result, ensure};
use cluster::{Cluster, Namespace, Outcome, actor, eventually, with_namespace};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

const NODES: usize = 6;
/// Cores of a node, and pods of one core each that fill it.
const EACH: usize = 4;
const PODS: usize = NODES * EACH + 4;

async fn nodes(ns: &Namespace) -> Result<()> {
    let amounts = json!({ "cpu": EACH.to_string(), "memory": "8Gi", "pods": "20" });
    own_nodes::make(ns, 0..NODES, &amounts).await
}

/// How the pods are: how many run on which node, how many a node has refused, how many wait.
async fn places(ns: &Namespace) -> Result<(BTreeMap<String, usize>, usize, usize)> {
    let (mut running, mut refused, mut waiting) = (BTreeMap::new(), 0, 0);
    for pod in ns.list::<Pod>("app=full").await? {
        let status = pod.status.unwrap_or_default();
        match (status.phase.as_deref(), status.reason.as_deref()) {
            (Some("Failed"), Some("OutOfcpu")) => refused += 1,
            (Some("Running"), _) => {
                let node = pod.spec.and_then(|s| s.node_name).unwrap_or_default();
                *running.entry(node).or_default() += 1;
            }
            _ => waiting += 1,
        }
    }
    Ok((running, refused, waiting))
}

#[test]
fn two_schedulers_for_a_second_bind_no_pod_twice_and_no_node_runs_too_much() -> Outcome {
    with_namespace("sched-two", async |ns| {
        nodes(&ns).await?;
        let config = format!("profiles: [{{ schedulerName: {} }}]", ns.name());
        let cluster = Cluster::shared()?;
        let _first = cluster.second_scheduler(actor(), &config).await?;
        let second = cluster.second_scheduler(actor(), &config).await?;
        let create = |number: usize| {
            let ns = ns.clone();
            async move {
                ns.create::<Pod>(json!({
                    "metadata": { "name": format!("p{number}"), "labels": { "app": "full" } },
                    "spec": {
                        "schedulerName": ns.name(), "nodeSelector": { "test": ns.name() },
                        "tolerations": [{ "key": "test", "value": ns.name() }],
                        "containers": [{ "name": "main", "image": IMAGE,
                            "resources": { "requests": { "cpu": "1" } } }],
                    },
                }))
                .await
            }
        };
        try_join_all((0..PODS).map(create)).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(second);

        // What a node refuses is gone for good, and its place is given to one that waits.
        let (running, refused, waiting) = eventually("the nodes are full", async || {
            let (running, refused, waiting) = places(&ns).await?;
            let runs: usize = running.values().sum();
            let fit = (NODES * EACH).min(PODS - refused);
            ensure!(
                runs == fit && waiting == PODS - refused - runs,
                "{running:?}, {refused} refused, {waiting} wait"
            );
            Ok((running, refused, waiting))
        })
        .await?;
        ensure!(running.values().all(|pods| *pods <= EACH), "{running:?}");
        let mut bound: BTreeMap<String, usize> = BTreeMap::new();
        let mut losses = 0;
        for write in ns.writes()? {
            if write.resource == "pods/binding" {
                let is_done = (200..300).contains(&write.code);
                losses += usize::from(!is_done);
                *bound.entry(write.name).or_default() += usize::from(is_done);
            }
        }
        ensure!(bound.values().all(|times| *times <= 1), "{bound:?}");
        let count = bound.values().sum::<usize>();
        ensure!(count == PODS - waiting, "{count} bound, {waiting} wait");
        eprintln!(
            "two schedulers: {count} of {PODS} pods bound once each, {losses} second bindings refused by the API server, {refused} pods refused by their nodes; on nodes {:?}",
            running.values().collect::<Vec<_>>()
        );
        let nodes: Api<Node> = Api::all(ns.client());
        for node in nodes.list(&Default::default()).await? {
            if node.name_any().starts_with(ns.name()) {
                nodes
                    .delete(&node.name_any(), &DeleteParams::default())
                    .await?;
            }
        }
        Ok(())
    })
}
