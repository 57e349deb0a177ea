//! What the alerts, rules and dashboards of kubernetes-mixin ask of kube-controller-manager and kube-scheduler: names and
//! labels of metrics. Its alerts about the two (KubeControllerManagerDown, KubeSchedulerDown and those about instances)
//! read `up` by the label `job`, which the chart's ServiceMonitor sets (a test of the chart).

use super::exposition;
use super::listed::is_listed;
use anyhow::ensure;
use cluster::{Cluster, Outcome, actor, eventually, with_namespace};

/// A metric a line and the labels that are asked for, besides those that Prometheus adds.
const ASKED: &[(&str, &[&str])] = &[
    ("process_cpu_seconds_total", &[]),
    ("process_resident_memory_bytes", &[]),
    ("rest_client_request_duration_seconds", &["verb"]),
    ("rest_client_requests_total", &["code"]),
    ("scheduler_scheduling_algorithm_duration_seconds", &[]),
    ("workqueue_adds_total", &["name"]),
    ("workqueue_depth", &["name"]),
    ("workqueue_queue_duration_seconds", &["name"]),
];

/// Asked for too, and no metric of Kubernetes v1.36 any more.
const GONE: [&str; 3] = [
    "scheduler_binding_duration_seconds",
    "scheduler_e2e_scheduling_duration_seconds",
    "scheduler_volume_scheduling_duration_seconds",
];

#[test]
fn what_the_kubernetes_mixin_asks_for_is_shown() -> Outcome {
    with_namespace("metrics-mixin", async |ns| {
        let config = format!("profiles: [{{ schedulerName: {} }}]", ns.name());
        let scheduler = Cluster::shared()?
            .second_scheduler(actor(), &config)
            .await?;
        // That nothing has been asked of the API server yet is seen for a moment only.
        eventually("all of it is shown", async || {
            let mut shown = exposition::families(&ns.metrics().await?);
            shown.extend(exposition::families(&scheduler.metrics().await?));
            for (name, labels) in ASKED {
                let family = shown.get(*name);
                ensure!(family.is_some(), "{name} is not there");
                let has =
                    |label: &&str| family.is_some_and(|family| family.labels.contains(*label));
                ensure!(labels.iter().all(has), "{name} has not all of {labels:?}");
            }
            Ok(())
        })
        .await?;
        Ok(())
    })
}

#[test]
fn what_is_not_shown_of_it_is_not_upstreams_any_more() {
    for name in GONE {
        assert!(!is_listed(name), "{name} is a metric of upstream's");
    }
}
