//! What a process leaves behind that died between two of its writes.

use crate::manifest::pod;
use anyhow::Result;
use cluster::{Outcome, eventually, upstream_fails, with_namespace};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use objects::pod as pods;
use serde_json::json;

/// A node is Unknown, which is written first, and its pods are ready as before. Upstream keeps in memory whose pods are
/// still to be marked (`nodesToRetry`); whoever first sees the node when it is Unknown takes it for dealt with.
#[test]
fn the_pods_of_a_node_that_was_called_lost_are_marked() -> Outcome {
    let outcome = with_namespace("half-lost", async |ns| {
        let name = format!("node-of-{}", ns.name());
        // First: as in a process that has just begun, it is not known how its node is.
        let mut web = pod("web", "web");
        web["spec"]["nodeName"] = name.clone().into();
        ns.create::<Pod>(web).await?;
        let ready = json!({ "status": {
            "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }],
        } });
        let params = PatchParams::default();
        ns.api::<Pod>()
            .patch_status("web", &params, &Patch::Merge(ready))
            .await?;
        let nodes: Api<Node> = Api::all(ns.client());
        let unknown =
            json!({ "type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown" });
        let node = serde_json::from_value(json!({
            "metadata": { "name": name, "labels": { "topology.kubernetes.io/zone": name } },
            "status": { "conditions": [unknown] },
        }))?;
        nodes.create(&PostParams::default(), &node).await?;
        let marked = eventually("its pod is marked", async || {
            let pod: Pod = ns.get("web").await?;
            anyhow::ensure!(!pods::is_ready(&pod), "it is ready");
            Ok(())
        });
        let outcome: Result<()> = marked.await;
        nodes.delete(&name, &DeleteParams::default()).await?;
        outcome
    });
    upstream_fails("kubernetes#135205", "its pod is marked", outcome)
}
