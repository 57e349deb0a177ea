//! What there is before any workload: nodes, a namespace that pods can be made in, and the proof that a pod
//! goes the whole way.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use crate::hand::Hand;
use crate::manifests::{DEPLOYMENTS, NAMESPACE, NODES, PODS, deployment};
use crate::watch::{Conditions, Slim, Watch};

/// Makes the nodes (unless the actor does), waits until all are ready and one pod has gone the whole way.
pub(crate) async fn prepare(hand: &Hand, nodes: usize, nodes_come: bool) -> anyhow::Result<()> {
    if !nodes_come {
        let numbers = stream::iter(0..nodes);
        let made = numbers.map(|i| fake_node(hand, i)).buffer_unordered(16);
        made.try_collect::<Vec<()>>().await?;
    }
    wait_for_nodes(hand, nodes).await?;
    wait_for_namespace(hand, NAMESPACE).await?;
    let mut pods = Watch::<Slim<Conditions>>::begin(hand, PODS, "app=warm-up").await?;
    hand.create(DEPLOYMENTS, &deployment("warm-up", "warm-up", 1))
        .await?;
    while !pods.next_that_is().await?.is("Ready") {}
    Ok(())
}

/// The controllers have begun when the namespace has what they put into each.
pub(crate) async fn wait_for_namespace(hand: &Hand, namespace: &str) -> anyhow::Result<()> {
    let account = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
    let map = format!("/api/v1/namespaces/{namespace}/configmaps/kube-root-ca.crt");
    for path in [account, map] {
        while hand.get(&path).await?.is_none() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}

async fn wait_for_nodes(hand: &Hand, wanted: usize) -> anyhow::Result<()> {
    let mut told = 0;
    loop {
        let nodes = hand.get(NODES).await?.unwrap_or_default();
        let nodes = nodes["items"].as_array().into_iter().flatten();
        let ready = nodes.filter(|node| usable(node)).count();
        if ready >= wanted {
            return Ok(());
        }
        if ready != told {
            println!("  {ready} of {wanted} nodes ready");
            told = ready;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// A node that kwok plays. The admission plugin TaintNodesByCondition taints it; the controller that
/// would take the taint away is not among those that are always there.
async fn fake_node(hand: &Hand, number: usize) -> anyhow::Result<()> {
    let name = format!("fake-{number}");
    let capacity = json!({"cpu": "32", "memory": "256Gi", "pods": "110"});
    let node = json!({
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
        },
        "status": {"capacity": capacity, "allocatable": capacity},
    });
    hand.create(NODES, &node).await?;
    let untainted = json!({"spec": {"taints": null}});
    hand.merge(&format!("{NODES}/{name}"), &untainted).await
}

fn usable(node: &Value) -> bool {
    let taints = node["spec"]["taints"].as_array();
    let conditions = node["status"]["conditions"].as_array();
    taints.is_none_or(Vec::is_empty)
        && conditions.is_some_and(|conditions| {
            conditions
                .iter()
                .any(|c| c["type"] == "Ready" && c["status"] == "True")
        })
}
