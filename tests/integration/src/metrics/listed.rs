//! Upstream's own list of metrics (`test/instrumentation/documentation/documentation-list.yaml` at v1.36.3), those of
//! kube-controller-manager and kube-scheduler: each is shown here by the same name, kind and labels, or stands below with
//! the reason why not. A dashboard or alert that reads a metric of the list is read here first.

use super::exposition::{self, Family};
use crate::manifest::IMAGE;
use anyhow::{Context, ensure};
use cluster::{Actor, Cluster, Outcome, actor, eventually, with_namespace};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// A metric a line: name, kind, stability, labels, and whose it is.
const LISTED: &str = include_str!("listed.txt");

const NOT_HERE: &str = "what it counts is not here";
const GO: &str = "about the inside of client-go or of upstream's own registry of metrics";
const ELSEWHERE: &str = "shown at /metrics/resources, as upstream's are";

/// Metrics that are not shown, by what their names begin with, and why.
const ABSENT: &[(&str, &str)] = &[
    ("attach_detach_controller_", NOT_HERE),
    ("attachdetach_controller_", NOT_HERE),
    ("storage_count_attachable_", NOT_HERE),
    ("clustertrustbundle_publisher_", NOT_HERE),
    ("device_taint_eviction_controller_", NOT_HERE),
    ("resourceclaim_controller_", NOT_HERE),
    ("scheduler_resourceclaim_", NOT_HERE),
    ("scheduler_podgroup_", NOT_HERE),
    ("selinux_warning_controller_", NOT_HERE),
    ("kubernetes_feature_enabled", NOT_HERE),
    ("scheduler_async_api_call_", NOT_HERE),
    ("scheduler_pending_async_api_calls", NOT_HERE),
    ("scheduler_batch_", NOT_HERE),
    ("scheduler_get_node_hint_", NOT_HERE),
    ("scheduler_store_schedule_results_", NOT_HERE),
    ("scheduler_goroutines", NOT_HERE),
    ("scheduler_preemption_goroutines_", NOT_HERE),
    ("scheduler_permit_wait_", NOT_HERE),
    ("scheduler_inflight_events", NOT_HERE),
    ("scheduler_volume_binder_cache_", NOT_HERE),
    ("leader_election_slowpath_total", NOT_HERE),
    ("rest_client_rate_limiter_", NOT_HERE),
    ("rest_client_exec_plugin_", NOT_HERE),
    ("kube_pod_resource_", ELSEWHERE),
    ("disabled_metrics_total", GO),
    ("hidden_metrics_total", GO),
    ("registered_metrics_total", GO),
    ("informer_", GO),
    ("rest_client_transport_", GO),
];

/// Metrics with fewer labels than upstream's: a program that no Go compiler has made has nothing to say there.
const FEWER_LABELS: [&str; 1] = ["kubernetes_build_info"];

struct Listed {
    name: &'static str,
    kind: &'static str,
    labels: BTreeSet<String>,
}

fn listed() -> Vec<Listed> {
    let line = |line: &'static str| {
        let words: Vec<&'static str> = line.split(' ').collect();
        let [name, kind, _, labels, _] = words[..] else {
            panic!("{line}: five words");
        };
        let labels = labels.split(',').filter(|label| *label != "-");
        Listed {
            name,
            kind,
            labels: labels.map(str::to_owned).collect(),
        }
    };
    LISTED.lines().map(line).collect()
}

/// Whether upstream has a metric of this name.
pub(super) fn is_listed(name: &str) -> bool {
    listed().iter().any(|row| row.name == name)
}

/// The kinds that the text tells, of families without samples too.
fn kinds(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    lines.filter_map(|line| line.split_once(' ')).collect()
}

/// What is wrong with how a metric is shown; nothing if it is right.
fn wrong(
    row: &Listed,
    shown: &BTreeMap<String, Family>,
    declared: &BTreeMap<&str, Family>,
    kinds: &BTreeMap<&str, &str>,
) -> Option<String> {
    let absent = ABSENT
        .iter()
        .any(|(prefix, _)| row.name.starts_with(prefix));
    let base = row.name.strip_suffix("_total").unwrap_or(row.name);
    let kind = kinds.get(row.name).or(kinds.get(base)).copied();
    let family = shown.get(row.name).or(declared.get(row.name));
    match (absent, kind.or(family.map(|family| &*family.kind))) {
        (true, None) => None,
        (true, Some(_)) => Some(format!("{} is shown: it is not absent any more", row.name)),
        (false, None) => Some(format!("{} is not there", row.name)),
        (false, Some(kind)) => {
            // A gauge that upstream computes when it is asked is `custom` there; OpenMetrics knows no counter whose
            // name does not say that it is one.
            let same = kind == row.kind
                || (row.kind == "custom" && kind == "gauge")
                || (row.kind == "counter" && kind == "unknown" && base == row.name);
            let labels = family.is_none_or(|family| {
                let fewer = FEWER_LABELS.contains(&row.name);
                family.labels == row.labels || (fewer && family.labels.is_subset(&row.labels))
            });
            let said = family.map(|family| &family.labels);
            (!same || !labels).then(|| {
                format!(
                    "{} is a {kind} of {said:?}, not a {} of {:?}",
                    row.name, row.kind, row.labels
                )
            })
        }
    }
}

#[test]
fn each_metric_of_upstreams_list_is_shown_or_said_to_be_absent() -> Outcome {
    with_namespace("metrics-list", async |ns| {
        if actor() == Actor::Upstream {
            return Ok(());
        }
        // Some are shown from the first pod on that is given a node.
        let spec = json!({ "containers": [{ "name": "main", "image": IMAGE }] });
        ns.create::<Pod>(json!({ "metadata": { "name": "one" }, "spec": spec }))
            .await?;
        eventually("each metric of the list is shown", async || {
            let text = ns.metrics().await?;
            let declared = Cluster::shared()?
                .declared()?
                .context("ours describe them")?;
            let declared = declared
                .iter()
                .map(|metric| (metric.name, Family::of(metric)));
            let (declared, shown, kinds) = (
                declared.collect(),
                exposition::families(&text),
                kinds(&text),
            );
            let wrong: Vec<String> = listed()
                .iter()
                .filter_map(|row| wrong(row, &shown, &declared, &kinds))
                .collect();
            ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
            Ok(())
        })
        .await?;
        Ok(())
    })
}

#[test]
fn each_reason_is_about_a_metric_of_the_list() {
    let listed = listed();
    for (prefix, why) in ABSENT {
        let is_listed = listed.iter().any(|row| row.name.starts_with(prefix));
        assert!(is_listed, "{prefix} ({why}) is no metric of the list");
    }
}
