//! `corten why`, as a user runs it. It computes from the API server's objects, so it is right whoever schedules.

use crate::manifest::pod;
use crate::scheduler::{node, remove, runs_on, there};
use anyhow::{Context, Result, ensure};
use cluster::{Cluster, Namespace, Outcome, eventually, with_namespace};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use std::process::Command;

/// Its exit code and what it prints.
fn why(ns: &Namespace, object: &str) -> Result<(i32, String)> {
    let output = Command::new(cluster::program(None)?)
        .args(["why", object, "-n", ns.name(), "--kubeconfig"])
        .arg(Cluster::shared()?.kubeconfig())
        .output()?;
    let code = output.status.code().context("it was killed")?;
    let text = [output.stdout, output.stderr].concat();
    Ok((code, String::from_utf8(text)?))
}

#[test]
fn a_pending_pod_is_explained_and_the_change_lets_it_run() -> Outcome {
    with_namespace("why-room", async |ns| {
        let node = node(&ns, "1").await?;
        ns.create::<Pod>(there("blocker", &node, "800m")).await?;
        ns.until("blocker", "runs", runs_on(&node)).await?;
        ns.create::<Pod>(there("waits", &node, "500m")).await?;
        ns.event("waits", "FailedScheduling", "1 Insufficient cpu")
            .await?;
        // Pods of other tests come and go; what is said of the test's own node stays.
        let change = "by 300m to 200m";
        eventually("the pod is explained", async || {
            let (code, text) = why(&ns, "pod/waits")?;
            ensure!(code == 0, "{code}: {text}");
            let nearest = format!("Nearest is {node}:");
            let gap = "NodeResourcesFit: 300m cpu too few: asks for 500m, 200m of 1 are free";
            for part in [&*nearest, gap, "lower the cpu request of container", change] {
                ensure!(text.contains(part), "{part}: {text}");
            }
            Ok(())
        })
        .await?;
        ns.create::<Pod>(there("lower", &node, "200m")).await?;
        ns.until("lower", "runs", runs_on(&node)).await?;
        let (_, text) = why(&ns, "pod/lower")?;
        ensure!(
            text.contains(&format!("is scheduled: it is on {node}")),
            "{text}"
        );
        remove(&ns, &node).await
    })
}

#[test]
fn what_waits_for_no_node_is_told_plainly() -> Outcome {
    with_namespace("why-plain", async |ns| {
        let mut gated = pod("gated", "own");
        gated["spec"]["schedulingGates"] = json!([{ "name": "example.com/wait" }]);
        ns.create::<Pod>(gated).await?;
        let mut foreign = pod("foreign", "own");
        foreign["spec"]["schedulerName"] = json!("other");
        ns.create::<Pod>(foreign).await?;
        let cases = [
            ("pod/gated", 0, "is gated"),
            ("pod/foreign", 0, "is for the scheduler other"),
            ("pod/none", 1, "there is no pod"),
            ("deployment/web", 2, "only pods can be explained"),
        ];
        for (object, expected, part) in cases {
            let (code, text) = why(&ns, object)?;
            ensure!(
                code == expected && text.contains(part),
                "{object}: {code}: {text}"
            );
        }
        Ok(())
    })
}
