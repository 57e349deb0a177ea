//! What a loop must remember when another process goes on with its work.

use anyhow::ensure;
use cluster::{Cluster, Outcome, actor, upstream_fails};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use serde_json::json;
use std::time::Duration;

/// Upstream counts in memory what it has scaled, and a new process knows nothing of it.
#[test]
fn a_policy_of_an_autoscaler_holds_across_a_restart() -> Outcome {
    let cluster = Cluster::start(actor(), 1)?;
    let outcome = cluster.with_namespace("restart", async |ns| {
        let labels = json!({ "app": "web" });
        ns.create::<ReplicaSet>(json!({
            "metadata": { "name": "web" },
            "spec": { "replicas": 1, "selector": { "matchLabels": labels }, "template": {
                "metadata": { "labels": labels, "annotations": { "hollow.corten.dev/cpu-shared": "500m" } },
                "spec": { "terminationGracePeriodSeconds": 1, "containers": [{
                    "name": "main", "image": "registry.k8s.io/pause:3.10",
                    "resources": { "requests": { "cpu": "100m" } } }] },
            } },
        }))
        .await?;
        let ready = |n: i32| {
            move |set: &ReplicaSet| set.status.as_ref().and_then(|s| s.ready_replicas) == Some(n)
        };
        ns.until("web", "has a pod", ready(1)).await?;
        // One pod in twenty minutes.
        ns.create::<HorizontalPodAutoscaler>(json!({
            "metadata": { "name": "web" },
            "spec": {
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web" },
                "minReplicas": 1, "maxReplicas": 5,
                "metrics": [{ "type": "Resource", "resource": {
                    "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 } } }],
                "behavior": { "scaleUp": { "policies": [{ "type": "Pods", "value": 1, "periodSeconds": 1200 }] } },
            },
        }))
        .await?;
        ns.until("web", "has 2 pods", ready(2)).await?;
        cluster.hand_over(actor())?;
        // A new process looks at each autoscaler within 15 s.
        tokio::time::sleep(Duration::from_secs(20)).await;
        let size = ns.get::<ReplicaSet>("web").await?.spec.and_then(|spec| spec.replicas);
        ensure!(size == Some(2), "the policy is exceeded: {size:?} replicas");
        Ok(())
    });
    upstream_fails(
        "its memory of what it has scaled",
        "the policy is exceeded",
        outcome,
    )
}
