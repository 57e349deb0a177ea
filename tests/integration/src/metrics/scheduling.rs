//! What a scheduler counts: names, kinds, stability, labels and buckets are upstream's (`pkg/scheduler/metrics`), and
//! upstream's own is asked too.

use super::differs;
use super::exposition;
use super::upstream::{Row, Shown, rows_of};
use crate::manifest::IMAGE;
use anyhow::{Context, Result, ensure};
use cluster::{Actor, Cluster, Namespace, Outcome, actor, eventually, with_namespace};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

/// As in [`super::upstream`]; which cycles are timed upstream draws by lot, and ours times the first.
const METRICS: &str = "
scheduler_schedule_attempts_total counter STABLE result,profile - always
scheduler_scheduling_attempt_duration_seconds histogram STABLE result,profile 0.001*2^15 always
scheduler_scheduling_algorithm_duration_seconds histogram ALPHA - 0.001*2^15 always
scheduler_pod_scheduling_sli_duration_seconds histogram BETA attempts 0.01*2^20 always
scheduler_pod_scheduling_attempts histogram STABLE - 1*2^5 always
scheduler_framework_extension_point_duration_seconds histogram STABLE extension_point,status,profile 0.0001*2^12 always
scheduler_event_handling_duration_seconds histogram ALPHA event 0.0001*2^12 always
scheduler_queue_incoming_pods_total counter STABLE queue,event - always
scheduler_pending_pods gauge STABLE queue - always
scheduler_preemption_attempts_total counter STABLE - - always
scheduler_preemption_victims histogram STABLE - 1*2^7 always
scheduler_cache_size gauge ALPHA type - always
scheduler_unschedulable_pods gauge BETA plugin,profile - always
scheduler_pod_scheduled_after_flush_total counter ALPHA - - always
scheduler_plugin_evaluation_total counter BETA extension_point,plugin,profile - always
scheduler_plugin_execution_duration_seconds histogram ALPHA extension_point,plugin,status 0.00001*1.5^20 ours
scheduler_queueing_hint_execution_duration_seconds histogram ALPHA event,hint,plugin 0.00001*1.5^20 always
";

/// What checks have found, on a page of its own.
const CHECKED: &str = "
kubernetes_healthcheck gauge STABLE name,type - always
kubernetes_healthchecks_total counter STABLE name,status,type - always
";

/// Gives a node a label that the waiting pod has no use for, so that it is asked whether that helps.
async fn change_a_node(ns: &Namespace) -> Result<()> {
    let nodes: Api<Node> = Api::all(ns.client());
    let list = nodes.list(&ListParams::default()).await?;
    let node = list.items.first().context("there are nodes")?;
    let label = format!("example.com/{}", ns.name());
    let labels = json!({ "metadata": { "labels": { label: "changed" } } });
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let patch = PatchParams::default();
    nodes.patch(name, &patch, &Patch::Merge(labels)).await?;
    Ok(())
}

#[test]
fn each_metric_of_a_scheduler_is_upstreams() -> Outcome {
    with_namespace("metrics-sched", async |ns| {
        let config = format!("profiles: [{{ schedulerName: {} }}]", ns.name());
        let second = Cluster::shared()?
            .second_scheduler(actor(), &config)
            .await?;
        let pod = |name: &str, spec: Value| {
            let mut pod = json!({ "metadata": { "name": name }, "spec": {
                "schedulerName": ns.name(), "containers": [{ "name": "main", "image": IMAGE }] } });
            for (field, value) in spec.as_object().into_iter().flatten() {
                pod["spec"][field] = value.clone();
            }
            pod
        };
        ns.create::<Pod>(pod("runs", json!({}))).await?;
        let nowhere = json!({ "nodeSelector": { "no": "such" } });
        ns.create::<Pod>(pod("waits", nowhere)).await?;
        eventually("the pod waits", async || {
            let shown = second.metrics().await?;
            let mut lines = shown.lines();
            let waits = lines.any(|line| line.starts_with("scheduler_unschedulable_pods{"));
            ensure!(waits, "it is not tried yet");
            Ok(())
        })
        .await?;
        change_a_node(&ns).await?;
        let rows: Vec<Row> = rows_of(METRICS);
        let expected = rows.iter().filter(|row| match row.shown {
            Shown::Always => true,
            Shown::ByOurs => actor() == Actor::Corten,
            Shown::Seldom => false,
        });
        let shown = eventually("all metrics are shown", async || {
            let shown = exposition::families(&second.metrics().await?);
            let missing = expected.clone().map(|row| row.name);
            let missing: Vec<&str> = missing.filter(|name| !shown.contains_key(*name)).collect();
            ensure!(missing.is_empty(), "{missing:?} are not there");
            Ok(shown)
        })
        .await?;
        let mut differences: Vec<String> = rows
            .iter()
            .filter_map(|row| differs(row, shown.get(row.name)?))
            .collect();
        let checked = exposition::families(&second.checked().await?);
        for row in rows_of(CHECKED) {
            let family = checked.get(row.name);
            let family = family.with_context(|| format!("{} is not there", row.name))?;
            differences.extend(differs(&row, family));
        }
        ensure!(differences.is_empty(), "{}", differences.join("\n"));
        Ok(())
    })
}
