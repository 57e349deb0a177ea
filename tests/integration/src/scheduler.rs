//! The scheduler, and what it says about pods that fit nowhere.

use crate::manifest::pod;
use anyhow::{Result, ensure};
use cluster::{Namespace, Outcome, eventually, with_namespace};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

/// A node of the test's own: other pods are kept off it by a taint with the namespace's name.
pub(crate) async fn node(ns: &Namespace, cpu: &str) -> Result<String> {
    let name = ns.name().to_owned();
    let object: Node = serde_json::from_value(json!({
        "metadata": {
            "name": name,
            "labels": { "test": name },
            "annotations": { "kwok.x-k8s.io/node": "fake" },
        },
        "spec": { "taints": [{ "key": "test", "value": name, "effect": "NoSchedule" }] },
        "status": {
            "capacity": { "cpu": cpu, "memory": "1Gi", "pods": "10" },
            "allocatable": { "cpu": cpu, "memory": "1Gi", "pods": "10" },
        },
    }))?;
    let nodes: Api<Node> = Api::all(ns.client());
    nodes.create(&PostParams::default(), &object).await?;
    eventually("the node of the test is ready", async || {
        let node = nodes.get(&name).await?;
        let conditions = node.status.and_then(|s| s.conditions).unwrap_or_default();
        let taints = node.spec.and_then(|s| s.taints).unwrap_or_default();
        ensure!(
            conditions
                .iter()
                .any(|c| c.type_ == "Ready" && c.status == "True"),
            "{conditions:?}"
        );
        ensure!(taints.len() == 1, "{taints:?}");
        Ok(())
    })
    .await?;
    Ok(name)
}

/// A pod for the test's own node.
pub(crate) fn there(name: &str, node: &str, cpu: &str) -> Value {
    let mut pod = pod(name, "own");
    pod["spec"]["nodeSelector"] = json!({ "test": node });
    pod["spec"]["tolerations"] = json!([{ "key": "test", "value": node }]);
    pod["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": cpu } });
    pod
}

pub(crate) fn runs_on(node: &str) -> impl Fn(&Pod) -> bool {
    move |pod| {
        let on = pod.spec.as_ref().and_then(|s| s.node_name.as_deref());
        let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
        on == Some(node) && phase == Some("Running")
    }
}

pub(crate) async fn remove(ns: &Namespace, node: &str) -> Result<()> {
    let nodes: Api<Node> = Api::all(ns.client());
    nodes.delete(node, &DeleteParams::default()).await?;
    Ok(())
}

#[test]
fn a_pod_that_does_not_fit_waits_for_room() -> Outcome {
    with_namespace("sched-room", async |ns| {
        let node = node(&ns, "1").await?;
        ns.create::<Pod>(there("blocker", &node, "800m")).await?;
        ns.until("blocker", "runs", runs_on(&node)).await?;
        ns.create::<Pod>(there("waits", &node, "500m")).await?;
        let event = ns
            .event("waits", "FailedScheduling", "1 Insufficient cpu")
            .await?;
        let message = event.message.unwrap_or_default();
        ensure!(
            message.starts_with("0/")
                && message.contains(" nodes are available: 1 Insufficient cpu, "),
            "{message}"
        );
        ensure!(
            message.contains("node(s) didn't match Pod's node affinity/selector"),
            "{message}"
        );
        // The condition may come after the event.
        let unschedulable = |pod: &Pod| {
            let conditions = pod.status.as_ref().and_then(|s| s.conditions.clone());
            conditions.unwrap_or_default().iter().any(|c| {
                c.type_ == "PodScheduled"
                    && c.status == "False"
                    && c.reason.as_deref() == Some("Unschedulable")
            })
        };
        ns.until("waits", "is unschedulable", unschedulable).await?;
        ns.delete::<Pod>("blocker").await?;
        ns.until("waits", "runs", runs_on(&node)).await?;
        remove(&ns, &node).await
    })
}

#[test]
fn a_taint_keeps_pods_away_until_it_is_tolerated_or_gone() -> Outcome {
    with_namespace("sched-taint", async |ns| {
        let node = node(&ns, "4").await?;
        let nodes: Api<Node> = Api::all(ns.client());
        // The node's own taint stays all the time, or pods of other tests come and are left behind.
        let own = json!({ "key": "test", "value": node, "effect": "NoSchedule" });
        let taint = async |taints: Value| {
            let patch = kube::api::Patch::Merge(json!({ "spec": { "taints": taints } }));
            nodes.patch(&node, &Default::default(), &patch).await
        };
        taint(json!([own, { "key": "more", "effect": "NoSchedule" }])).await?;
        ns.create::<Pod>(there("waits", &node, "1")).await?;
        // Other tests have tainted nodes too.
        let text = "node(s) had untolerated taint(s)";
        ns.event("waits", "FailedScheduling", text).await?;
        let mut manifest = there("tolerates", &node, "1");
        manifest["spec"]["tolerations"] = json!([{ "operator": "Exists" }]);
        ns.create::<Pod>(manifest).await?;
        ns.until("tolerates", "runs", runs_on(&node)).await?;
        taint(json!([own])).await?;
        ns.until("waits", "runs", runs_on(&node)).await?;
        remove(&ns, &node).await
    })
}

#[test]
fn a_pod_waits_for_the_node_that_it_names_by_label() -> Outcome {
    with_namespace("sched-label", async |ns| {
        ns.create::<Pod>(there("waits", ns.name(), "1")).await?;
        let text = "node(s) didn't match Pod's node affinity/selector";
        ns.event("waits", "FailedScheduling", text).await?;
        let node = node(&ns, "4").await?;
        ns.until("waits", "runs", runs_on(&node)).await?;
        ns.event(
            "waits",
            "Scheduled",
            &format!("Successfully assigned {0}/waits to {0}", ns.name()),
        )
        .await?;
        remove(&ns, &node).await
    })
}
