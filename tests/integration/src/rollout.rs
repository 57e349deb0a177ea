//! The bounds of a rollout, observed by a watch all the way.

use crate::manifest::{
    UNPULLABLE, condition, deployment, image, is_complete, living, spec, uid, version,
};
use anyhow::{Context, Result, bail, ensure};
use cluster::{Namespace, Outcome, with_namespace};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{WatchEvent, WatchParams};
use serde_json::json;
use std::collections::BTreeMap;

/// The pods `app=web` of a namespace, as they are after each change of one of them.
type Pods = BTreeMap<String, Pod>;

/// Checks the pods after each change until `change` and what follows it are done.
async fn all_the_way(
    ns: &Namespace,
    check: impl Fn(&Pods) -> Result<()>,
    change: impl AsyncFnOnce() -> Result<()>,
) -> Result<()> {
    let listed = ns
        .api::<Pod>()
        .list(&kube::api::ListParams::default().labels("app=web"))
        .await?;
    let version = listed
        .metadata
        .resource_version
        .clone()
        .context("a list has a version")?;
    let mut pods: Pods = listed.into_iter().map(|pod| (uid(&pod), pod)).collect();
    check(&pods).context("before")?;
    let params = WatchParams::default().labels("app=web");
    let api = ns.api::<Pod>();
    let mut events = api.watch(&params, &version).await?.boxed();
    let watching = async {
        while let Some(event) = events.try_next().await? {
            match event {
                WatchEvent::Added(pod) | WatchEvent::Modified(pod) => {
                    pods.insert(uid(&pod), pod);
                }
                WatchEvent::Deleted(pod) => {
                    pods.remove(&uid(&pod));
                }
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(status) => bail!("{status}"),
            }
            check(&pods)?;
        }
        bail!("the watch has ended")
    };
    tokio::select! {
        outcome = watching => outcome,
        outcome = change() => outcome,
    }
}

fn is_available(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions
            .is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

/// A Deployment with slow pods: a rollout takes long enough to be seen.
fn slow(replicas: i32, strategy: serde_json::Value) -> serde_json::Value {
    let mut manifest = deployment("web", replicas);
    manifest["spec"]["strategy"] = strategy;
    manifest["spec"]["template"]["metadata"]["annotations"] = json!({
        "hollow.corten.dev/ready-after": "300ms",
        "hollow.corten.dev/stop-after": "300ms",
    });
    manifest
}

fn rolling(surge: &str, unavailable: &str) -> serde_json::Value {
    let number = |text: &str| text.parse::<i32>().map_or(json!(text), |n| json!(n));
    json!({ "type": "RollingUpdate",
        "rollingUpdate": { "maxSurge": number(surge), "maxUnavailable": number(unavailable) } })
}

fn bounds(name: &str, strategy: serde_json::Value, most: usize, least: usize) -> Outcome {
    with_namespace(name, async |ns| {
        ns.create::<Deployment>(slow(4, strategy)).await?;
        ns.until("web", "is rolled out", is_complete).await?;
        let check = |pods: &Pods| {
            let all: Vec<Pod> = pods.values().cloned().collect();
            let (there, available) = (
                living(&all).len(),
                all.iter().filter(|p| is_available(p)).count(),
            );
            ensure!(there <= most, "{there} pods are there, {most} may be");
            ensure!(
                available >= least,
                "{available} pods are available, {least} must be"
            );
            Ok(())
        };
        all_the_way(&ns, check, async || {
            ns.merge::<Deployment>("web", version("one")).await?;
            ns.until("web", "is rolled out", is_complete).await?;
            // One rollout into another.
            ns.merge::<Deployment>("web", version("two")).await?;
            tokio::time::sleep(std::time::Duration::from_millis(400)).await;
            ns.merge::<Deployment>("web", version("three")).await?;
            ns.until("web", "is rolled out", is_complete).await?;
            Ok(())
        })
        .await
    })
}

#[test]
fn the_default_bounds_hold() -> Outcome {
    bounds("roll-default", rolling("25%", "25%"), 5, 3)
}

#[test]
fn without_unavailable_pods_there_are_always_enough() -> Outcome {
    bounds("roll-surge", rolling("1", "0"), 5, 4)
}

#[test]
fn without_surge_there_are_never_more() -> Outcome {
    bounds("roll-in-place", rolling("0", "1"), 4, 3)
}

#[test]
fn recreate_never_mixes_revisions() -> Outcome {
    with_namespace("roll-recreate", async |ns| {
        ns.create::<Deployment>(slow(3, json!({ "type": "Recreate" })))
            .await?;
        ns.until("web", "is rolled out", is_complete).await?;
        let check = |pods: &Pods| {
            // Deleting pods still run; those that have ended are waited for by nobody, upstream neither.
            let runs = |pod: &&Pod| {
                let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
                !matches!(phase, Some("Succeeded" | "Failed"))
            };
            let hashes: std::collections::BTreeSet<_> = pods
                .values()
                .filter(runs)
                .map(|pod| pod.labels()["pod-template-hash"].clone())
                .collect();
            ensure!(hashes.len() <= 1, "pods of {hashes:?} at once");
            Ok(())
        };
        all_the_way(&ns, check, async || {
            for to in ["one", "two"] {
                ns.merge::<Deployment>("web", version(to)).await?;
                ns.until("web", "is rolled out", is_complete).await?;
            }
            Ok(())
        })
        .await
    })
}

/// The sizes of all ReplicaSets, the biggest first.
async fn sizes(ns: &Namespace, what: &str, wanted: &[i32]) -> Result<()> {
    let size = |rs: &ReplicaSet| rs.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    let is = |sets: &[ReplicaSet]| {
        let mut sizes: Vec<_> = sets.iter().map(size).filter(|&size| size > 0).collect();
        sizes.sort_by_key(|&size| -size);
        sizes == wanted
    };
    ns.until_all::<ReplicaSet>("", &format!("have the sizes {wanted:?} {what}"), is)
        .await?;
    Ok(())
}

#[test]
fn scaling_a_stuck_rollout_keeps_the_proportions() -> Outcome {
    with_namespace("roll-scale", async |ns| {
        let mut manifest = deployment("web", 5);
        manifest["spec"]["strategy"] = rolling("3", "2");
        ns.create::<Deployment>(manifest).await?;
        ns.until("web", "is rolled out", is_complete).await?;
        ns.merge::<Deployment>("web", image(UNPULLABLE)).await?;
        // 5 + 3 may be there, and 3 must be available: 3 old ones stay.
        sizes(&ns, "when stuck", &[5, 3]).await?;
        let web = ns
            .merge::<Deployment>("web", spec(json!({ "replicas": 15 })))
            .await?;
        // 18 may be there: the 10 more are shared 5 : 3 (upstream's example is this one with 10 : 5).
        sizes(&ns, "when scaled", &[11, 7]).await?;
        let seen = |d: &Deployment| {
            d.status.as_ref().and_then(|s| s.observed_generation) == web.metadata.generation
        };
        ns.until("web", "has been seen", seen).await?;
        sizes(&ns, "a little later", &[11, 7]).await?;
        Ok(())
    })
}

#[test]
fn a_stuck_rollout_can_be_replaced() -> Outcome {
    with_namespace("roll-over", async |ns| {
        ns.create::<Deployment>(deployment("web", 2)).await?;
        ns.until("web", "is rolled out", is_complete).await?;
        ns.merge::<Deployment>("web", image(UNPULLABLE)).await?;
        sizes(&ns, "when stuck", &[2, 1]).await?;
        ns.merge::<Deployment>("web", version("good")).await?;
        ns.merge::<Deployment>("web", image(crate::manifest::IMAGE))
            .await?;
        let web = ns.until("web", "is rolled out", is_complete).await?;
        ensure!(condition(&web, "Available").is_some_and(|c| c.0 == "True"));
        sizes(&ns, "at the end", &[2]).await
    })
}
