//! Scales and metrics that make no sense: custom resources whose `scale` answers nonsense, pods that use more than
//! there is in the world.

use crate::autoscaler::patiently;
use crate::looms::Looms;
use crate::manifest::{is_ready, pod, replica_set, spec};
use anyhow::{Context, Result, ensure};
use cluster::{Namespace, Outcome, eventually, summary, upstream_fails, with_namespace};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use serde_json::{Value, json};

fn autoscaler(version: &str, kind: &str, name: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "scaleTargetRef": { "apiVersion": version, "kind": kind, "name": name },
            "minReplicas": 1, "maxReplicas": 5,
            "metrics": [{ "type": "Resource", "resource": {
                "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 },
            }}],
        },
    })
}

/// What the conditions say that are not as they should be, in one line.
fn told(hpa: &HorizontalPodAutoscaler) -> String {
    let conditions = hpa
        .status
        .clone()
        .and_then(|s| s.conditions)
        .unwrap_or_default();
    let lines = conditions.iter().filter(|c| c.status == "False").map(|c| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        format!("{} {}: {}", c.type_, text(&c.reason), text(&c.message))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_scale_that_makes_no_sense_is_told_and_nothing_is_scaled() -> Outcome {
    with_namespace("bad-scale", async |ns| {
        let looms = Looms::of(&ns);
        looms.installed(async || scales_of(&ns, &looms).await).await
    })
}

async fn scales_of(ns: &Namespace, looms: &Looms) -> Result<()> {
    // Its spec, its status, and what is said of it.
    let cases = [
        (
            "torn",
            json!({ "replicas": 2 }),
            json!({ "replicas": 2, "selector": "a in (" }),
            "FailedGetScale",
        ),
        (
            "blank",
            json!({ "replicas": 2 }),
            json!({ "replicas": 2 }),
            "InvalidSelector",
        ),
        (
            "missing",
            json!({}),
            json!({ "replicas": 2, "selector": "app=missing" }),
            "FailedGetScale",
        ),
    ];
    let version = &looms.version;
    for (name, spec, status, _) in &cases {
        let loom = json!({ "metadata": { "name": name }, "spec": spec });
        let made = eventually("the kind is served", async || {
            looms.create(loom.clone()).await
        })
        .await?;
        looms.says(name, status.clone()).await?;
        ns.create::<HorizontalPodAutoscaler>(autoscaler(version, "Loom", name))
            .await?;

        let mut member = pod(name, name);
        member["metadata"]["ownerReferences"] = json!([{
            "apiVersion": version, "kind": "Loom", "name": name, "uid": made.uid(), "controller": true,
        }]);
        ns.create::<Pod>(member).await?;
        let budget = json!({ "maxUnavailable": 1, "selector": { "matchLabels": { "app": name } } });
        ns.create::<PodDisruptionBudget>(json!({ "metadata": { "name": name }, "spec": budget }))
            .await?;
    }
    for (name, spec, _, reason) in &cases {
        let is = |hpa: &HorizontalPodAutoscaler| told(hpa).contains(reason);
        let hpa = patiently(ns, name, &format!("says {reason}"), is).await?;
        println!("{name}: {}", told(&hpa));
        ensure!(hpa.status.context("status")?.desired_replicas == 0);
        let loom = looms.api.get(name).await?;
        ensure!(
            loom.data["spec"] == *spec,
            "{name} was scaled: {}",
            loom.data
        );
        if *reason == "FailedGetScale" {
            let failed = |budget: &PodDisruptionBudget| {
                let conditions = budget.status.clone().and_then(|s| s.conditions);
                conditions.is_some_and(|all| all.iter().any(|c| c.reason == "SyncFailed"))
            };
            let budget = ns.until(name, "cannot be counted", failed).await?;
            ensure!(
                budget
                    .status
                    .and_then(|s| s.disruptions_allowed)
                    .unwrap_or(0)
                    == 0
            );
        }
    }
    let writes = ns.writes()?;
    ensure!(
        writes.len() < 150,
        "{} writes: {}",
        writes.len(),
        summary(&writes)
    );
    Ok(())
}

/// Upstream adds in 64 bits and takes pods that use the most for idle: −100000 %.
#[test]
fn pods_that_use_more_than_there_is_are_the_most_that_may_be() -> Outcome {
    let outcome = with_namespace("bad-usage", async |ns| {
        let mut set = replica_set("web", 2);
        let template = &mut set["spec"]["template"];
        // 2^63 thousandths are less than this.
        template["metadata"]["annotations"] =
            json!({ "hollow.corten.dev/cpu": "9223372036854775807" });
        template["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "1m" } });
        ns.create::<ReplicaSet>(set).await?;
        ns.until("web", "has 2 pods", is_ready).await?;
        ns.create::<HorizontalPodAutoscaler>(autoscaler("apps/v1", "ReplicaSet", "web"))
            .await?;
        // From 2 to 4, and from there to 5, 15 s later.
        let most = |set: &ReplicaSet| set.spec.as_ref().and_then(|s| s.replicas) == Some(5);
        let wants = |hpa: &HorizontalPodAutoscaler| {
            hpa.status.as_ref().map(|s| s.desired_replicas) == Some(5)
        };
        patiently(&ns, "web", "wants 5", wants).await?;
        ns.until("web", "has 5 replicas", most).await?;
        let limited = |hpa: &HorizontalPodAutoscaler| {
            let status = hpa.status.clone().unwrap_or_default();
            let mut conditions = status.conditions.into_iter().flatten();
            conditions.any(|c| c.type_ == "ScalingLimited" && c.status == "True")
        };
        patiently(&ns, "web", "is limited", limited).await?;
        // The least that can be said, in nanocores, of the most that can be used.
        let least = json!({ "metrics": [{ "type": "Resource", "resource": {
            "name": "cpu", "target": { "type": "AverageValue", "averageValue": "1n" } } }] });
        ns.merge::<HorizontalPodAutoscaler>("web", spec(least))
            .await?;
        patiently(&ns, "web", "is limited", limited).await?;
        ensure!(
            most(&ns.get::<ReplicaSet>("web").await?),
            "the most are not 5 any more"
        );
        Ok(())
    });
    upstream_fails("the overflow of what pods use", "wants 5", outcome)
}
