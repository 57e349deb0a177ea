//! What a loop makes of a cache that grows old while all else is well.

use anyhow::{Result, ensure};
use cluster::{Cluster, Namespace, Outcome, Writer, actor, eventually, upstream_fails};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Longer than it takes to call a node silent.
const SILENCE: Duration = Duration::from_secs(75);
/// Longer than it takes to let a pod go.
const PROMPT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);

/// Upstream reads Leases from its cache only, until v1.37.
#[test]
fn no_node_is_silent_because_the_watch_of_leases_lags() -> Outcome {
    let cluster = Cluster::behind_a_door(actor(), 2)?;
    let outcome = cluster.with_namespace("old-leases", async |_| {
        let mark = cluster.mark();
        cluster.shut(Some("leases"));
        let begun = Instant::now();
        while begun.elapsed() < SILENCE {
            let mut writes = cluster.writes_since(mark)?;
            // A node says at once that it is there, so it must be seen who said that it is not.
            writes.retain(|w| w.writer == Writer::Loops && w.resource == "nodes/status");
            let after = begun.elapsed();
            ensure!(writes.is_empty(), "a node is called silent after {after:?}");
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    });
    upstream_fails("kubernetes#138698", "is called silent", outcome)
}

/// Upstream deletes on its cache's word.
#[test]
fn no_pod_goes_for_a_taint_that_is_gone() -> Outcome {
    let cluster = Cluster::behind_a_door(actor(), 1)?;
    let outcome = cluster.with_namespace("old-nodes", async |ns| {
        let taints = async |taints: Value| -> Result<()> {
            let nodes: Api<Node> = Api::all(ns.client());
            let patch = Patch::Merge(json!({ "spec": { "taints": taints } }));
            nodes
                .patch("node-0", &PatchParams::default(), &patch)
                .await?;
            Ok(())
        };
        taints(json!([{ "key": "k", "effect": "NoExecute" }])).await?;
        bound(&ns, "before").await?;
        eventually("the taint is known: a pod goes for it", async || {
            let pod = ns.api::<Pod>().get_opt("before").await?;
            let goes = pod.is_none_or(|pod| pod.metadata.deletion_timestamp.is_some());
            ensure!(goes, "it is there");
            Ok(())
        })
        .await?;
        cluster.shut(Some("nodes"));
        taints(Value::Null).await?;
        bound(&ns, "after").await?;
        let begun = Instant::now();
        while begun.elapsed() < PROMPT {
            let pod = ns.api::<Pod>().get_opt("after").await?;
            let stays = pod.is_some_and(|pod| pod.metadata.deletion_timestamp.is_none());
            ensure!(stays, "it goes for a taint that is gone");
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    });
    upstream_fails("kubernetes#140198", "a taint that is gone", outcome)
}

/// A pod on the node, which tolerates nothing.
async fn bound(ns: &Namespace, name: &str) -> Result<()> {
    ns.create::<Pod>(json!({
        "metadata": { "name": name },
        "spec": {
            "nodeName": "node-0",
            "terminationGracePeriodSeconds": 1,
            "containers": [{ "name": "main", "image": "registry.k8s.io/pause:3.10" }],
        },
    }))
    .await?;
    Ok(())
}
