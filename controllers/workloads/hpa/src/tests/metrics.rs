//! What each kind of metric asks for, and what is said when it asks for nothing.

use super::kit::{ago, pod, resource, samples, scene};
use crate::world::Sample;
use ::plan::Outcome;
use serde_json::{Value, json};

fn started(seconds: i64, ready: &str, since: i64) -> Value {
    json!({"status": {
        "startTime": ago(seconds),
        "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": ago(since)}],
    }})
}

#[test]
fn pods_of_which_nothing_is_known_count_as_idle_when_it_becomes_more() {
    // 3 × 900 of 4000 is 67 %: 4 × 1.35 is 6 and not 8.
    assert_eq!(scene(4).cpu(&[900; 3]).replicas(), Some(6));
    // 620 of three is 46 % of four: the answer would turn round.
    assert_eq!(scene(4).cpu(&[620; 3]).replicas(), None);
}

#[test]
fn pods_of_which_nothing_is_known_count_as_busy_when_it_becomes_less() {
    // Ten pods, six of them at 10 %: the other four count with all they request.
    assert_eq!(scene(10).cpu(&[100; 6]).replicas(), None);
    // Nine at 10 %: (900 + 1000) / 10000 is 19 %, which is 4 of 10.
    assert_eq!(scene(10).cpu(&[100; 9]).replicas(), Some(4));
}

#[test]
fn pods_that_start_count_as_idle_when_it_becomes_more() {
    // Their CPU is that of their start: 900 of 4000 is 22 %, and the answer turns round.
    let mut scene = scene(4).cpu(&[900, 990, 990, 990]);
    for name in ["p1", "p2", "p3"] {
        scene = scene.pod(pod(name, started(60, "False", 60)));
    }
    assert_eq!(scene.replicas(), None);
}

#[test]
fn cpu_counts_once_a_whole_window_lies_after_readiness() {
    // The samples are of 5 s ago and of the 30 s before that.
    for (ready_for, counts) in [(20, false), (40, true)] {
        let pod = pod("p1", started(100, "True", ready_for));
        let scene = scene(2).cpu(&[500, 3500]).pod(pod);
        assert_eq!(scene.replicas(), counts.then_some(4));
    }
}

#[test]
fn a_pod_that_was_never_ready_does_not_count_and_one_that_was_does() {
    let never = pod("p1", started(1000, "False", 990));
    let once = pod("p1", started(1000, "False", 500));
    assert_eq!(scene(2).cpu(&[500, 2000]).pod(never).replicas(), None);
    assert!(scene(2).cpu(&[500, 2000]).pod(once).replicas().is_some());
}

#[test]
fn pods_that_end_or_failed_do_not_count() {
    let ending = pod("p1", json!({"metadata": {"deletionTimestamp": ago(1)}}));
    let failed = pod("p2", json!({"status": {"phase": "Failed"}}));
    let scene = scene(3).cpu(&[500, 5000, 5000]).pod(ending).pod(failed);
    assert_eq!(scene.replicas(), None);
}

#[test]
fn memory_of_pods_that_start_counts() {
    let young = pod("p1", started(10, "False", 10));
    let gib = 1024 * 1024 * 1024 * 1000;
    let scene = scene(2)
        .metrics(json!([resource("memory", 50)]))
        .cpu(&[gib, gib])
        .pod(young);
    assert_eq!(scene.replicas(), Some(4));
    let hpa = scene.status(&Outcome::default()).unwrap();
    let metrics = hpa.status.unwrap().current_metrics.unwrap();
    let current = &metrics[0].resource.as_ref().unwrap().current;
    assert_eq!(current.average_value.as_ref().unwrap().0, "1Gi");
}

#[test]
fn a_container_without_a_request_is_named() {
    let pod = pod("p1", json!({"spec": {"containers": [{"name": "side"}]}}));
    let (reason, message) = scene(2).cpu(&[900; 2]).pod(pod).inactive();
    assert_eq!(reason, "FailedGetResourceMetric");
    assert_eq!(
        message,
        "the HPA was unable to compute the replica count: failed to get cpu utilization: missing request for cpu in container side of Pod p1"
    );
}

#[test]
fn requests_of_the_pod_as_a_whole_take_the_place_of_those_of_its_containers() {
    let whole = |name| {
        pod(
            name,
            json!({"spec": {"resources": {"requests": {"cpu": "3"}}, "containers": [{"name": "c", "resources": null}]}}),
        )
    };
    let scene = scene(2).cpu(&[1500; 2]).pod(whole("p0")).pod(whole("p1"));
    assert_eq!(scene.replicas(), None);
}

#[test]
fn one_container_can_be_what_counts() {
    let metric = json!([{"type": "ContainerResource", "containerResource": {
        "name": "cpu", "container": "c",
        "target": {"type": "Utilization", "averageUtilization": 50},
    }}]);
    let scene = || scene(2).metrics(metric.clone());
    assert_eq!(scene().cpu(&[1000; 2]).replicas(), Some(4));
    assert!(scene().cpu(&[1000; 2]).reason().ends_with(
        "reason: cpu container resource utilization (percentage of request) above target"
    ));
    let other = pod("p1", json!({"spec": {"containers": [{"name": "d"}]}}));
    let (reason, message) = scene().cpu(&[1000; 2]).pod(other).inactive();
    assert_eq!(reason, "FailedGetContainerResourceMetric");
    assert!(
        message.ends_with("container c not found in Pod p1"),
        "{message}"
    );
}

#[test]
fn a_resource_can_have_an_absolute_target() {
    let metric = json!([{"type": "Resource", "resource": {
        "name": "cpu", "target": {"type": "AverageValue", "averageValue": "300m"},
    }}]);
    let scene = scene(2).metrics(metric).cpu(&[450; 2]);
    assert_eq!(scene.replicas(), Some(3));
    assert_eq!(
        scene.reason(),
        "New size: 3; reason: cpu resource above target"
    );
}

#[test]
fn metrics_of_pods_count_for_pods_that_start_too() {
    let metric = json!([{"type": "Pods", "pods": {
        "metric": {"name": "qps"}, "target": {"type": "AverageValue", "averageValue": "10"},
    }}]);
    let young = pod("p1", started(10, "False", 10));
    let scene = scene(2).metrics(metric).cpu(&[20_000; 2]).pod(young);
    assert_eq!(scene.replicas(), Some(4));
    assert_eq!(
        scene.reason(),
        "New size: 4; reason: pods metric qps above target"
    );
}

fn object(target: Value) -> Value {
    json!([{"type": "Object", "object": {
        "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "gate"},
        "metric": {"name": "requests"}, "target": target,
    }}])
}

#[test]
fn an_object_asks_by_ready_pods_or_by_shares() {
    let whole = object(json!({"type": "Value", "value": "20"}));
    let each = object(json!({"type": "AverageValue", "averageValue": "20"}));
    let unready = pod(
        "p2",
        json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
    );
    let value = |n| vec![Ok(Sample::Object(n))];
    let one = || scene(3).metrics(whole.clone()).pod(unready.clone());
    assert_eq!(one().measured(value(40_000)).replicas(), Some(4));
    assert_eq!(one().measured(value(21_000)).replicas(), None);
    assert_eq!(
        one().measured(value(40_000)).reason(),
        "New size: 4; reason: Service metric requests above target"
    );
    assert_eq!(
        scene(3).metrics(each).measured(value(110_000)).replicas(),
        Some(6)
    );
}

fn external(target: Value) -> Value {
    json!([{"type": "External", "external": {
        "metric": {"name": "queue", "selector": {"matchLabels": {"of": "x"}}}, "target": target,
    }}])
}

#[test]
fn what_is_outside_asks_by_its_sum() {
    let each = external(json!({"type": "AverageValue", "averageValue": "10"}));
    let scene = scene(3).metrics(each);
    let scene = scene.measured(vec![Ok(Sample::External(vec![20_000, 25_000]))]);
    assert_eq!(scene.replicas(), Some(5));
    assert_eq!(
        scene.reason(),
        "New size: 5; reason: external metric queue(&LabelSelector{MatchLabels:map[string]string{of: x,},MatchExpressions:[]LabelSelectorRequirement{},}) above target"
    );
    let hpa = scene.status(&Outcome::default()).unwrap();
    let metrics = hpa.status.unwrap().current_metrics.unwrap();
    let current = &metrics[0].external.as_ref().unwrap().current;
    assert_eq!(current.average_value.as_ref().unwrap().0, "15");
}

#[test]
fn huge_sums_end_at_the_bound() {
    let whole = external(json!({"type": "Value", "value": "1"}));
    let scene = scene(3).metrics(whole);
    let scene = scene.measured(vec![Ok(Sample::External(vec![i64::MAX, i64::MAX]))]);
    assert_eq!(scene.replicas(), Some(6));
    let scene = scene.spec(json!({"behavior": {"scaleUp": {"policies": [
        {"type": "Pods", "value": i32::MAX, "periodSeconds": 60},
    ]}}}));
    assert_eq!(scene.replicas(), Some(10));
}

#[test]
fn the_metric_that_asks_for_most_counts() {
    let two = json!([resource("cpu", 50), resource("memory", 50)]);
    let gib = 1024 * 1024 * 1024 * 1000;
    let scene = scene(2)
        .metrics(two)
        .measured(vec![Ok(samples(&[750; 2])), Ok(samples(&[gib; 2]))]);
    assert_eq!(scene.replicas(), Some(4));
    assert!(scene.reason().contains("memory resource utilization"));
}

#[test]
fn with_a_metric_that_says_nothing_it_becomes_more_and_never_less() {
    let two = || scene(3).metrics(json!([resource("cpu", 50), resource("memory", 50)]));
    let up = two().measured(vec![
        Err("gone".into()),
        Ok(samples(&[i64::from(u32::MAX) * 1000; 3])),
    ]);
    assert!(up.replicas().is_some());
    assert_eq!(
        up.planned()[1],
        "note Warning FailedGetResourceMetric: failed to get cpu utilization: unable to get metrics for resource cpu: gone"
    );
    let down = two().measured(vec![Ok(samples(&[10; 3])), Err("gone".into())]);
    let (reason, _) = down.inactive();
    assert_eq!(reason, "FailedGetResourceMetric");
    assert_eq!(
        down.planned()[1],
        "note Warning FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 2), first error is: failed to get memory resource metric value: failed to get memory utilization: unable to get metrics for resource memory: gone"
    );
}

#[test]
fn each_kind_of_failure_is_told_as_upstream_tells_it() {
    let gone = || vec![Err("gone".to_owned())];
    let pods = json!([{"type": "Pods", "pods": {
        "metric": {"name": "qps"}, "target": {"type": "AverageValue", "averageValue": "10"},
    }}]);
    let cases = [
        (
            pods,
            "FailedGetPodsMetric",
            "unable to get metric qps: gone",
        ),
        (
            object(json!({"type": "Value", "value": "20"})),
            "FailedGetObjectMetric",
            "unable to get metric requests: gone on Service forge/gate",
        ),
        (
            external(json!({"type": "Value", "value": "20"})),
            "FailedGetExternalMetric",
            "unable to get external metric forge/queue/&LabelSelector{MatchLabels:map[string]string{of: x,},MatchExpressions:[]LabelSelectorRequirement{},}: gone",
        ),
        (
            json!([{"type": "Weather"}]),
            "InvalidMetricSourceType",
            "unknown metric source type \"Weather\"",
        ),
        (
            object(json!({"type": "Utilization", "averageUtilization": 50})),
            "FailedGetObjectMetric",
            "invalid object metric source: neither a value target nor an average value target was set",
        ),
    ];
    for (metric, reason, message) in cases {
        let (said, why) = scene(3).metrics(metric).measured(gone()).inactive();
        assert_eq!(said, reason);
        assert_eq!(
            why,
            format!("the HPA was unable to compute the replica count: {message}")
        );
    }
}

#[test]
fn negative_values_are_told_and_nothing_follows_from_them() {
    let (reason, message) = scene(3).cpu(&[900, -5, 900]).inactive();
    assert_eq!(reason, "FailedGetResourceMetric");
    assert!(
        message.ends_with("the value -5m of pod p1 is negative"),
        "{message}"
    );
    let metric = external(json!({"type": "Value", "value": "20"}));
    let scene = scene(3).metrics(metric);
    let scene = scene.measured(vec![Ok(Sample::External(vec![30_000, -1000]))]);
    let (reason, message) = scene.inactive();
    assert_eq!(reason, "FailedGetExternalMetric");
    assert!(message.ends_with("the value -1 is negative"), "{message}");
}

#[test]
fn targets_that_are_not_positive_are_told() {
    for target in ["0", "-3", "many"] {
        let metric = external(json!({"type": "Value", "value": target}));
        let scene = scene(3).metrics(metric);
        let scene = scene.measured(vec![Ok(Sample::External(vec![30_000]))]);
        assert_eq!(scene.inactive().0, "FailedGetExternalMetric", "{target}");
    }
}

#[test]
fn no_metrics_at_all_mean_cpu_at_80_percent() {
    let scene = scene(2).metrics(json!([])).cpu(&[1000; 2]);
    assert_eq!(scene.replicas(), Some(3));
}

#[test]
fn without_pods_there_is_nothing_to_go_by() {
    let mut scene = scene(2).cpu(&[1000; 2]);
    scene.target.as_mut().unwrap().pods.clear();
    let (_, message) = scene.inactive();
    assert!(
        message.ends_with("no pods returned by selector while calculating replica count"),
        "{message}"
    );
}
