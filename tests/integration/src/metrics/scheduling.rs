//! What a scheduler counts: names, kinds, stability, labels and buckets are upstream's (`pkg/scheduler/metrics`), and
//! upstream's own is asked too.

use super::differs;
use super::exposition;
use super::upstream::{Row, rows_of};
use crate::manifest::IMAGE;
use anyhow::ensure;
use cluster::{Cluster, Outcome, actor, eventually, with_namespace};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

/// As in [`super::upstream`].
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
";

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
        let rows: Vec<Row> = rows_of(METRICS);
        let shown = eventually("all metrics are shown", async || {
            let shown = exposition::families(&second.metrics().await?);
            let missing = rows.iter().map(|row| row.name);
            let missing: Vec<&str> = missing.filter(|name| !shown.contains_key(*name)).collect();
            ensure!(missing.is_empty(), "{missing:?} are not there");
            Ok(shown)
        })
        .await?;
        let differences: Vec<String> = rows
            .iter()
            .filter_map(|row| differs(row, shown.get(row.name)?))
            .collect();
        ensure!(differences.is_empty(), "{}", differences.join("\n"));
        Ok(())
    })
}
