//! `corten check`, as a user or `helm test` runs it.

use anyhow::{Context, Result, ensure};
use cluster::{Cluster, Namespace, Outcome, with_namespace};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::ListParams;
use serde_json::json;
use std::process::Command;

/// Its exit code and what it prints.
fn check(ns: &Namespace, flags: &[&str]) -> Result<(i32, String)> {
    let output = Command::new(cluster::program(None)?)
        .args(["check", "--namespace", ns.name(), "--kubeconfig"])
        .arg(Cluster::shared()?.kubeconfig())
        .args(flags)
        .output()?;
    let code = output.status.code().context("it was killed")?;
    let text = [output.stdout, output.stderr].concat();
    Ok((code, String::from_utf8(text)?))
}

#[test]
fn where_loops_work_a_deployment_comes_and_goes() -> Outcome {
    with_namespace("check", async |ns| {
        let (code, text) = check(&ns, &["--timeout=60s"])?;
        ensure!(code == 0, "{code}: {text}");
        for said in ["one replica is available after", "are gone after"] {
            ensure!(text.contains(said), "{said}: {text}");
        }
        Ok(())
    })
}

#[test]
fn where_they_do_not_it_says_who_has_not_done_his_part_and_leaves_nothing() -> Outcome {
    with_namespace("check-not", async |ns| {
        let (code, text) = check(&ns, &["--timeout=3s", "--scheduler-name=nobody"])?;
        ensure!(
            code == 1 && text.contains("its pod has no node"),
            "{code}: {text}"
        );
        let quota = json!({ "metadata": { "name": "none" }, "spec": { "hard": { "pods": "0" } } });
        ns.create::<ResourceQuota>(quota).await?;
        ns.until::<ResourceQuota>("none", "is counted", |quota| quota.status.is_some())
            .await?;
        let (code, text) = check(&ns, &["--timeout=5s"])?;
        ensure!(
            code == 1 && text.contains("exceeded quota"),
            "{code}: {text}"
        );
        let (code, text) = check(&ns, &["--group=corten.dev.example"])?;
        ensure!(code == 2 && text.contains("--group"), "{code}: {text}");
        let left = ns.api::<Deployment>().list(&ListParams::default()).await?;
        ensure!(left.items.is_empty(), "{} are left", left.items.len());
        Ok(())
    })
}
