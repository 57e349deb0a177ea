//! The pod garbage collector.
//!
//! The nodes are objects of the tests' own, behind which nothing runs, and on which nothing else is scheduled.

use crate::manifest::pod;
use anyhow::{Context, Result, ensure};
use cluster::{Namespace, Outcome, upstream_fails, with_namespace, within};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A finalizer: with it one sees what becomes of a pod.
const HELD: &str = "test/held";
/// Upstream looks every 20 s.
const TURN: Duration = Duration::from_secs(45);
/// A node has to be gone for 40 s, and then upstream looks twice.
const QUARANTINE: Duration = Duration::from_secs(100);

fn nodes(ns: &Namespace) -> Api<Node> {
    Api::all(ns.client())
}

/// A node of the test's own that is `machine`.
async fn node(ns: &Namespace, machine: &str) -> Result<String> {
    let name = format!("node-of-{}", ns.name());
    let info = json!({
        "architecture": "", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "",
        "kubeletVersion": "", "machineID": "", "operatingSystem": "", "osImage": "", "systemUUID": machine,
    });
    let manifest = serde_json::from_value(json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/os": "linux" } },
        "spec": { "taints": [{ "key": "test", "effect": "NoSchedule" }] },
        "status": {
            "nodeInfo": info,
            "conditions": [{ "type": "Ready", "status": "True", "reason": "Test", "message": "a test" }],
        },
    }))?;
    nodes(ns).create(&PostParams::default(), &manifest).await?;
    Ok(name)
}

async fn delete_node(ns: &Namespace, name: &str) -> Result<()> {
    nodes(ns).delete(name, &DeleteParams::default()).await?;
    Ok(())
}

/// A pod on a node.
fn on(name: &str, node: &str) -> Value {
    let mut pod = pod(name, "stray");
    pod["spec"]["nodeName"] = node.into();
    pod["spec"]["tolerations"] = json!([{ "operator": "Exists" }]);
    pod
}

fn held(mut pod: Value) -> Value {
    pod["metadata"]["finalizers"] = json!([HELD]);
    pod
}

async fn let_go(ns: &Namespace, name: &str) -> Result<()> {
    ns.merge::<Pod>(name, json!({ "metadata": { "finalizers": null } }))
        .await?;
    gone(ns, name, Duration::from_secs(10)).await
}

async fn gone(ns: &Namespace, name: &str, patience: Duration) -> Result<()> {
    within(patience, &format!("{name} is gone"), async || {
        let found = ns.api::<Pod>().get_opt(name).await?;
        ensure!(found.is_none(), "it is there");
        Ok(())
    })
    .await
}

/// Waits until a held pod is deleted without a grace period, and has failed.
async fn removed(ns: &Namespace, name: &str, patience: Duration) -> Result<Pod> {
    within(patience, &format!("{name} is removed"), async || {
        let pod = ns.get::<Pod>(name).await?;
        let meta = &pod.metadata;
        let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
        let now =
            meta.deletion_timestamp.is_some() && meta.deletion_grace_period_seconds == Some(0);
        ensure!(now && phase == Some("Failed"), "{phase:?} {meta:?}");
        Ok(pod)
    })
    .await
}

/// What announces the end of a pod: reason and message.
fn announced(pod: &Pod) -> Option<(String, String)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let found = conditions
        .iter()
        .find(|c| c.type_ == "DisruptionTarget" && c.status == "True")?;
    Some((found.reason.clone()?, found.message.clone()?))
}

#[test]
fn pods_of_a_node_that_is_gone_go_after_forty_seconds() -> Outcome {
    with_namespace("podgc-orphans", async |ns| {
        let node = node(&ns, "a").await?;
        ns.create::<Pod>(on("plain", &node)).await?;
        ns.create::<Pod>(held(on("held", &node))).await?;
        delete_node(&ns, &node).await?;
        let begun = Instant::now();
        let held = removed(&ns, "held", QUARANTINE).await?;
        let took = begun.elapsed();
        ensure!(took > Duration::from_secs(38), "it went after {took:?}");
        let wanted = (
            "DeletionByPodGC".to_owned(),
            "PodGC: node no longer exists".to_owned(),
        );
        ensure!(announced(&held) == Some(wanted), "{:?}", held.status);
        gone(&ns, "plain", TURN).await?;
        let_go(&ns, "held").await
    })
}

#[test]
fn pods_of_a_node_that_comes_back_stay() -> Outcome {
    with_namespace("podgc-back", async |ns| {
        let name = node(&ns, "a").await?;
        let made = ns.create::<Pod>(on("plain", &name)).await?;
        delete_node(&ns, &name).await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        node(&ns, "a").await?;
        tokio::time::sleep(Duration::from_mins(1)).await;
        let pod = ns.get::<Pod>("plain").await?;
        let untouched = pod.metadata.uid == made.metadata.uid && announced(&pod).is_none();
        delete_node(&ns, &name).await?;
        ensure!(untouched, "{pod:?}");
        Ok(())
    })
}

/// kubernetes#141365: upstream knows nodes by their names only.
#[test]
fn a_machine_does_not_inherit_the_pods_of_another_of_its_name() -> Outcome {
    let outcome = with_namespace("podgc-heir", async |ns| {
        let name = node(&ns, "a").await?;
        ns.create::<Pod>(held(on("held", &name))).await?;
        // The times of objects have whole seconds.
        tokio::time::sleep(Duration::from_secs(2)).await;
        delete_node(&ns, &name).await?;
        node(&ns, "b").await?;
        ns.create::<Pod>(on("new", &name)).await?;
        let outcome = removed(&ns, "held", QUARANTINE).await;
        let new = ns.get::<Pod>("new").await?;
        delete_node(&ns, &name).await?;
        ensure!(announced(&outcome?).is_some());
        ensure!(announced(&new).is_none() && new.metadata.deletion_timestamp.is_none());
        let_go(&ns, "held").await
    });
    upstream_fails("kubernetes#141365", "held is removed", outcome)
}

#[test]
fn pods_that_are_deleted_on_a_node_out_of_service_go() -> Outcome {
    with_namespace("podgc-out", async |ns| {
        let name = node(&ns, "a").await?;
        ns.create::<Pod>(on("deleted", &name)).await?;
        ns.create::<Pod>(held(on("held", &name))).await?;
        ns.create::<Pod>(on("stays", &name)).await?;
        let grace = DeleteParams::default().grace_period(3600);
        for name in ["deleted", "held"] {
            ns.api::<Pod>().delete(name, &grace).await?;
        }
        let lost = json!({
            "status": { "conditions": [{ "type": "Ready", "status": "False", "reason": "Test", "message": "a test" }] },
        });
        let params = PatchParams::default();
        nodes(&ns)
            .patch_status(&name, &params, &Patch::Merge(lost))
            .await?;
        let out = json!({ "spec": { "taints": [
            { "key": "test", "effect": "NoSchedule" },
            { "key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoSchedule" },
        ] } });
        nodes(&ns).patch(&name, &params, &Patch::Merge(out)).await?;
        let outcome = async {
            gone(&ns, "deleted", TURN).await?;
            let held = removed(&ns, "held", TURN).await?;
            ensure!(announced(&held).is_none(), "{:?}", held.status);
            let stays = ns.get::<Pod>("stays").await?;
            ensure!(
                stays.metadata.deletion_timestamp.is_none(),
                "nobody deleted it"
            );
            let_go(&ns, "held").await
        };
        let outcome = outcome.await;
        delete_node(&ns, &name).await?;
        outcome
    })
}

#[test]
fn a_pod_that_is_deleted_and_has_no_node_goes() -> Outcome {
    with_namespace("podgc-pending", async |ns| {
        let mut pending = held(pod("pending", "pending"));
        pending["spec"]["schedulerName"] = "nobody".into();
        let made = ns.create::<Pod>(pending).await?;
        ns.delete::<Pod>("pending").await?;
        let pod = removed(&ns, "pending", TURN).await?;
        ensure!(pod.metadata.uid == made.metadata.uid && announced(&pod).is_none());
        let version = pod.metadata.resource_version.clone().context("a version")?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let later = ns.get::<Pod>("pending").await?.metadata.resource_version;
        ensure!(later == Some(version), "it is written again and again");
        let_go(&ns, "pending").await
    })
}
