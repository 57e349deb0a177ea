//! A pod's time on a tainted node, counted by two processes.

use anyhow::{Result, ensure};
use cluster::{Cluster, Outcome, actor, upstream_fails, within};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use std::time::{Duration, Instant};

/// What the pod tolerates.
const TIME: Duration = Duration::from_secs(30);
/// When another process goes on.
const RESTART: Duration = Duration::from_secs(15);
/// Deciding and deleting take less.
const MARGIN: Duration = Duration::from_secs(8);

/// Upstream begins to count when it sees the taint, and a new process sees it anew.
#[test]
fn the_time_that_a_pod_has_goes_on_across_a_restart() -> Outcome {
    let cluster = Cluster::start(actor(), 1)?;
    let outcome = cluster.with_namespace("countdown", async |ns| {
        ns.create::<Pod>(json!({
            "metadata": { "name": "web" },
            "spec": {
                "nodeName": "node-0",
                "terminationGracePeriodSeconds": 1,
                "containers": [{ "name": "main", "image": "registry.k8s.io/pause:3.10" }],
                "tolerations": [{
                    "key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TIME.as_secs(),
                }],
            },
        }))
        .await?;
        ns.until::<Pod>("web", "is ready", objects::pod::is_ready)
            .await?;
        let nodes: Api<Node> = Api::all(ns.client());
        let taint = json!({ "key": "k", "effect": "NoExecute", "timeAdded": Timestamp::now().to_string() });
        let patch = Patch::Merge(json!({ "spec": { "taints": [taint] } }));
        nodes
            .patch("node-0", &PatchParams::default(), &patch)
            .await?;
        let begun = Instant::now();
        tokio::time::sleep(RESTART).await;
        let there: Result<Pod> = ns.get("web").await;
        ensure!(there?.metadata.deletion_timestamp.is_none(), "it went early");
        cluster.hand_over(actor())?;
        let rest = (TIME + MARGIN).saturating_sub(begun.elapsed());
        within(rest, "the pod goes when its time is over", async || {
            let pod = ns.api::<Pod>().get_opt("web").await?;
            let deleted = pod.is_none_or(|pod| pod.metadata.deletion_timestamp.is_some());
            ensure!(deleted, "it stays after {:?}", begun.elapsed());
            Ok(())
        })
        .await?;
        let took = begun.elapsed();
        ensure!(took + Duration::from_secs(2) > TIME, "it went after {took:?}");
        Ok(())
    });
    upstream_fails("kubernetes#108268", "when its time is over", outcome)
}
