//! The metrics of upstream's controllers at v1.36 (`pkg/controller/**/metrics*.go`,
//! `staging/src/k8s.io/endpointslice/metrics`, `pkg/volume/util/metrics.go`), and those that all of its programs have of
//! their requests, version and checks (`component-base/metrics/prometheus`; checks are on a page of their own).

use std::collections::BTreeSet;

/// A metric: name, kind, stability, labels, bounds of the buckets (`start*factor^count`), and when it is shown.
const METRICS: &str = "
job_controller_job_sync_duration_seconds histogram STABLE completion_mode,result,action 0.004*2^15 always
job_controller_job_syncs_total counter STABLE completion_mode,result,action - always
job_controller_jobs_finished_total counter STABLE completion_mode,result,reason - always
job_controller_job_pods_finished_total counter STABLE completion_mode,result - always
job_controller_pod_failures_handled_by_failure_policy_total counter BETA action - always
job_controller_terminated_pods_tracking_finalizer_total counter BETA event - always
job_controller_jobs_by_external_controller_total counter ALPHA controller_name - always
job_controller_job_finished_indexes_total counter ALPHA status,backoffLimit - always
job_controller_job_pods_creation_total counter ALPHA reason,status - always
job_controller_stale_sync_skips_total counter ALPHA group,resource - seldom
ttl_after_finished_controller_job_deletion_duration_seconds histogram ALPHA - 0.1*2^14 always
cronjob_controller_job_creation_skew_duration_seconds histogram STABLE - 1*2^10 always
statefulset_controller_statefulset_max_unavailable gauge ALPHA statefulset_namespace,statefulset_name,pod_management_policy - ours
statefulset_controller_statefulset_unavailable_replicas gauge ALPHA statefulset_namespace,statefulset_name,pod_management_policy - ours
statefulset_controller_stale_sync_skips_total counter ALPHA group,resource - seldom
daemonset_controller_stale_sync_skips_total counter ALPHA group,resource - seldom
replicaset_controller_sorting_deletion_age_ratio histogram ALPHA - 0.25*2^6 always
replicaset_controller_stale_sync_skips_total counter ALPHA group,resource - seldom
horizontal_pod_autoscaler_controller_reconciliations_total counter BETA action,error - always
horizontal_pod_autoscaler_controller_reconciliation_duration_seconds histogram BETA action,error 0.001*2^15 always
horizontal_pod_autoscaler_controller_metric_computation_total counter BETA action,error,metric_type - always
horizontal_pod_autoscaler_controller_metric_computation_duration_seconds histogram BETA action,error,metric_type 0.001*2^15 always
horizontal_pod_autoscaler_controller_num_horizontal_pod_autoscalers gauge ALPHA - - always
horizontal_pod_autoscaler_controller_desired_replicas gauge ALPHA namespace,hpa_name - seldom
endpoint_slice_controller_endpoints_added_per_sync histogram BETA - 2*2^15 always
endpoint_slice_controller_endpoints_removed_per_sync histogram BETA - 2*2^15 always
endpoint_slice_controller_endpoints_desired gauge BETA - - always
endpoint_slice_controller_num_endpoint_slices gauge BETA - - always
endpoint_slice_controller_desired_endpoint_slices gauge BETA - - always
endpoint_slice_controller_changes counter ALPHA operation - always
endpoint_slice_controller_endpointslices_changed_per_sync histogram ALPHA topology,traffic_distribution 0.005,0.01,0.025,0.05,0.1,0.25,0.5,1,2.5,5,10 always
endpoint_slice_controller_syncs counter ALPHA result - always
endpoint_slice_controller_services_count_by_traffic_distribution gauge BETA traffic_distribution - always
endpoint_slice_mirroring_controller_endpoints_added_per_sync histogram ALPHA - 2*2^15 always
endpoint_slice_mirroring_controller_endpoints_updated_per_sync histogram ALPHA - 2*2^15 always
endpoint_slice_mirroring_controller_endpoints_removed_per_sync histogram ALPHA - 2*2^15 always
endpoint_slice_mirroring_controller_addresses_skipped_per_sync histogram ALPHA - 2*2^15 always
endpoint_slice_mirroring_controller_endpoints_sync_duration histogram ALPHA - 0.001*2^15 always
endpoint_slice_mirroring_controller_endpoints_desired gauge ALPHA - - always
endpoint_slice_mirroring_controller_num_endpoint_slices gauge ALPHA - - always
endpoint_slice_mirroring_controller_desired_endpoint_slices gauge ALPHA - - always
endpoint_slice_mirroring_controller_changes counter ALPHA operation - always
garbagecollector_controller_resources_sync_error_total counter ALPHA - - always
root_ca_cert_publisher_sync_total counter ALPHA code - always
root_ca_cert_publisher_sync_duration_seconds histogram ALPHA code 0.001*2^15 always
pod_gc_collector_force_delete_pods_total counter ALPHA namespace,reason - seldom
pod_gc_collector_force_delete_pod_errors_total counter ALPHA namespace,reason - seldom
taint_eviction_controller_pod_deletions_total counter ALPHA - - always
taint_eviction_controller_pod_deletion_duration_seconds histogram ALPHA - 0.005,0.025,0.1,0.5,1,2.5,10,30,60,120,180,240 always
node_collector_zone_health gauge ALPHA zone - always
node_collector_zone_size gauge ALPHA zone - always
node_collector_unhealthy_nodes_in_zone gauge ALPHA zone - always
node_collector_evictions_total counter STABLE zone - always
node_collector_update_node_health_duration_seconds histogram ALPHA - 0.001*4^8 always
node_collector_update_all_nodes_health_duration_seconds histogram ALPHA - 0.01*4^8 always
node_ipam_controller_cidrset_cidrs_allocations_total counter ALPHA clusterCIDR - always
node_ipam_controller_cidrset_cidrs_releases_total counter ALPHA clusterCIDR - seldom
node_ipam_controller_cirdset_max_cidrs gauge ALPHA clusterCIDR - always
node_ipam_controller_cidrset_usage_cidrs gauge ALPHA clusterCIDR - always
node_ipam_controller_cidrset_allocation_tries_per_request histogram ALPHA clusterCIDR 1*5^5 always
ephemeral_volume_controller_create_total counter ALPHA - - always
ephemeral_volume_controller_create_failures_total counter ALPHA - - always
pv_collector_total_pv_count gauge ALPHA plugin_name,volume_mode - always
pv_collector_bound_pv_count gauge ALPHA storage_class - seldom
pv_collector_unbound_pv_count gauge ALPHA storage_class - always
pv_collector_bound_pvc_count gauge ALPHA namespace,storage_class,volume_attributes_class - seldom
pv_collector_unbound_pvc_count gauge ALPHA namespace,storage_class,volume_attributes_class - always
retroactive_storageclass_total counter ALPHA - - always
retroactive_storageclass_errors_total counter ALPHA - - always
volume_operation_errors_total counter ALPHA plugin_name,operation_name - seldom
rest_client_requests_total counter ALPHA code,host,method - always
rest_client_request_duration_seconds histogram ALPHA host,verb 0.005,0.025,0.1,0.25,0.5,1,2,4,8,15,30,60 always
rest_client_request_size_bytes histogram ALPHA host,verb 64,256,512,1024,4096,16384,65536,262144,1048576,4194304,16777216 always
rest_client_response_size_bytes histogram ALPHA host,verb 64,256,512,1024,4096,16384,65536,262144,1048576,4194304,16777216 always
rest_client_request_retries_total counter ALPHA code,host,verb - seldom
rest_client_dns_resolution_duration_seconds histogram ALPHA host 0.005,0.025,0.1,0.25,0.5,1,2,4,8,15,30 seldom
version_info gauge ALPHA binary,component,emulation,min_compat - always
kubernetes_healthcheck gauge STABLE name,type - seldom
kubernetes_healthchecks_total counter STABLE name,status,type - seldom
volume_operation_total_errors counter ALPHA plugin_name,operation_name - seldom
";

/// A metric of upstream's.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) stability: &'static str,
    pub(super) labels: BTreeSet<String>,
    pub(super) bounds: Vec<f64>,
    pub(super) shown: Shown,
}

/// When a metric is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// After the scene of the test.
    Always,
    /// Then, but by ours alone: upstream needs a feature gate for it.
    ByOurs,
    /// When something happens that the scene has not.
    Seldom,
}

/// All of them.
pub(super) fn rows() -> Vec<Row> {
    rows_of(METRICS)
}

/// A line each.
pub(super) fn rows_of(text: &'static str) -> Vec<Row> {
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(row).collect()
}

fn row(line: &'static str) -> Row {
    let fields: Vec<&'static str> = line.split(' ').collect();
    let [name, kind, stability, labels, bounds, shown] = fields[..] else {
        panic!("{line}: six fields");
    };
    let list = |text: &'static str| text.split(',').filter(|word| *word != "-");
    Row {
        name,
        kind,
        stability,
        labels: list(labels).map(str::to_owned).collect(),
        bounds: match bounds.split_once('*') {
            Some((start, rest)) => exponential(start, rest),
            None => list(bounds).map(|bound| bound.parse().unwrap()).collect(),
        },
        shown: match shown {
            "always" => Shown::Always,
            "ours" => Shown::ByOurs,
            _ => Shown::Seldom,
        },
    }
}

fn exponential(start: &str, rest: &str) -> Vec<f64> {
    let (factor, count) = rest.split_once('^').unwrap();
    let (start, factor): (f64, f64) = (start.parse().unwrap(), factor.parse().unwrap());
    let count: i32 = count.parse().unwrap();
    (0..count).map(|n| start * factor.powi(n)).collect()
}

/// Whether a name is one of the metrics that controllers have of their own.
pub(super) fn is_of_a_controller(name: &str) -> bool {
    let subsystems = [
        "job_controller_",
        "ttl_after_finished_controller_",
        "cronjob_controller_",
        "statefulset_controller_",
        "daemonset_controller_",
        "replicaset_controller_",
        "deployment_controller_",
        "horizontal_pod_autoscaler_controller_",
        "endpoint_slice_controller_",
        "endpoint_slice_mirroring_controller_",
        "endpoint_controller_",
        "disruption_controller_",
        "garbagecollector_controller_",
        "root_ca_cert_publisher_",
        "pod_gc_collector_",
        "taint_eviction_controller_",
        "node_collector_",
        "node_ipam_controller_",
        "ephemeral_volume_controller_",
        "pv_collector_",
        "namespace_controller_",
        "resourcequota_controller_",
        "serviceaccount_",
        "ttl_controller_",
    ];
    subsystems
        .iter()
        .any(|subsystem| name.starts_with(subsystem))
}
