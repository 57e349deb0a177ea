//! Nodes that only one test's pods may come to.

use anyhow::{Result, ensure};
use cluster::{Namespace, eventually};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

/// Makes the nodes `NAMESPACE-NUMBER` with these amounts, and waits until they are ready. They have the label and the taint
/// `test`, whose value is the namespace's name.
pub(crate) async fn make(
    ns: &Namespace,
    numbers: impl IntoIterator<Item = usize>,
    amounts: &Value,
) -> Result<()> {
    let nodes: Api<Node> = Api::all(ns.client());
    for number in numbers {
        let name = format!("{}-{number}", ns.name());
        let object: Node = serde_json::from_value(json!({
            "metadata": {
                "name": name, "labels": { "test": ns.name() },
                "annotations": { "kwok.x-k8s.io/node": "fake" },
            },
            "spec": { "taints": [{ "key": "test", "value": ns.name(), "effect": "NoSchedule" }] },
            "status": { "capacity": amounts, "allocatable": amounts },
        }))?;
        nodes.create(&PostParams::default(), &object).await?;
        eventually("the node of the test is ready", async || {
            let taints = nodes.get(&name).await?.spec.and_then(|s| s.taints);
            ensure!(taints.unwrap_or_default().len() == 1, "it is not ready");
            Ok(())
        })
        .await?;
    }
    Ok(())
}
