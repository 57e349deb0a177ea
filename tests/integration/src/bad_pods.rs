//! What nobody should write and somebody does: the scheduler says what is wrong, and serves the others.

use crate::manifest::pod;
use crate::scheduler::{node, remove, runs_on, there};
use anyhow::{Result, ensure};
use cluster::{Namespace, Outcome, upstream_fails, with_namespace};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{Patch, PostParams};
use serde_json::{Value, json};
use std::process::Command;

/// The API server does not let it in, for this reason.
async fn is_refused(ns: &Namespace, manifest: Value, why: &str) -> Result<()> {
    let pods: Api<Pod> = ns.api();
    let object: Pod = serde_json::from_value(manifest)?;
    let said = pods.create(&PostParams::default(), &object).await;
    let said = said.err().map(|error| error.to_string());
    ensure!(
        said.as_ref().is_some_and(|said| said.contains(why)),
        "{said:?}"
    );
    Ok(())
}

#[test]
fn pods_that_make_no_sense_wait_and_say_why_while_others_run() -> Outcome {
    with_namespace("sched-bad", async |ns| {
        let node = node(&ns, "4").await?;
        let selector = json!({ "matchLabels": { "app": "none" } });
        let mut lost = there("lost", &node, "1");
        lost["spec"]["topologySpreadConstraints"] = json!([{ "maxSkew": 1, "topologyKey": "example.com/planet",
            "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector }]);
        ns.create::<Pod>(lost).await?;
        let mut lonely = there("lonely", &node, "1");
        lonely["spec"]["affinity"] = json!({ "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
            { "topologyKey": "example.com/planet", "labelSelector": selector }] } });
        ns.create::<Pod>(lonely).await?;
        for (name, why) in [
            (
                "lost",
                "node(s) didn't match pod topology spread constraints (missing required label)",
            ),
            ("lonely", "node(s) didn't match pod affinity rules"),
        ] {
            ns.event(name, "FailedScheduling", why).await?;
        }
        ns.create::<Pod>(there("fine", &node, "1")).await?;
        ns.until("fine", "runs", runs_on(&node)).await?;

        let mut strange = pod("strange", "own");
        strange["spec"]["affinity"] = json!({ "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
            { "topologyKey": "zone", "labelSelector": { "matchExpressions": [
                { "key": "a", "operator": "Like", "values": ["b"] }] } }] } });
        is_refused(&ns, strange, "not a valid selector operator").await?;
        let nodes: Api<Node> = Api::all(ns.client());
        let less = json!({ "status": { "allocatable": { "cpu": "-1" } } });
        let said = nodes
            .patch_status(&node, &Default::default(), &Patch::Merge(less))
            .await;
        let said = said.err().map(|error| error.to_string());
        ensure!(
            said.as_ref()
                .is_some_and(|said| said.contains("greater than or equal to 0")),
            "{said:?}"
        );
        remove(&ns, &node).await
    })
}

/// Upstream's thousandths of such an amount are a small or negative number (`Quantity.MilliValue` of what is beyond its
/// range): it gives the pod a node, which refuses it.
#[test]
fn a_pod_that_asks_for_more_cores_than_numbers_hold_gets_no_node() -> Outcome {
    let outcome = with_namespace("sched-huge", async |ns| {
        let node = node(&ns, "4").await?;
        let huge = there("huge", &node, "9223372036854775807");
        ns.create::<Pod>(huge).await?;
        let told = ns
            .event("huge", "FailedScheduling", "1 Insufficient cpu")
            .await;
        remove(&ns, &node).await?;
        told.map(drop)
    });
    upstream_fails(
        "a pod that asks for 2^63-1 cores is given a node",
        "event FailedScheduling about huge",
        outcome,
    )
}

#[test]
fn a_configuration_with_an_unknown_plugin_is_told_in_a_sentence() -> Outcome {
    let run = || -> Result<()> {
        let file = std::env::temp_dir().join(format!("unknown-plugin-{}.yaml", std::process::id()));
        let text = "{ apiVersion: kubescheduler.config.k8s.io/v1, kind: KubeSchedulerConfiguration, \
                    profiles: [{ plugins: { filter: { enabled: [{ name: NoSuchPlugin }] } } }] }";
        std::fs::write(&file, text)?;
        let mut command = Command::new(cluster::program(None)?);
        let output = command
            .args(["scheduler", "--config"])
            .arg(&file)
            .output()?;
        std::fs::remove_file(&file)?;
        let said = String::from_utf8(output.stderr)?;
        ensure!(
            output.status.code() == Some(2),
            "{:?}: {said}",
            output.status
        );
        ensure!(
            said.lines().count() == 1
                && said.contains("NoSuchPlugin")
                && said.contains("profiles[0].plugins.filter"),
            "{said}"
        );
        Ok(())
    };
    Ok(run()?)
}
