#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::config::Profile;
use crate::cycle::{Cycle, Next};
use crate::decide::Decision;
use crate::engine::Engine;
use crate::explain::explain;
use crate::kit::{at, cluster, info, node, pod, requests};
use crate::queue::Backoff;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// A stopwatch on which each look takes 20 µs.
fn ticking() -> Stopwatch {
    let looks = AtomicU64::new(0);
    Arc::new(move || Duration::from_micros(20 * looks.fetch_add(1, Ordering::Relaxed)))
}

fn wants(cpu: &str) -> Value {
    requests(json!({ "cpu": cpu }))
}

/// How often a plugin was run at these points, for the profile `p`.
fn evaluations(meter: &Meter, table: &Table, plugin: &'static str) -> [u64; 4] {
    let runs = meter.runs([("p", table)]);
    ["PreFilter", "Filter", "PreScore", "Score"].map(|point| {
        let of = (plugin, point, "p".to_owned());
        runs.evaluations.get(&of).copied().unwrap_or_default()
    })
}

#[test]
fn each_run_counts_and_of_pods_that_are_alike_only_what_changed_is_looked_at() {
    let table = Table::default();
    let mut all = cluster(["a", "b", "c"].map(|name| node(name, json!({}))));
    let (mut engine, meter) = (Engine::patient(1), Meter::new([&table]));
    let mut seen = Vec::new();
    for index in 0..4 {
        let pod = info(&format!("p{index}"), wants("1"));
        let decision = engine.decide(0, &table, &pod, all.snapshot(), 0, &meter);
        let Decision::Bind { node, .. } = decision else {
            panic!("{decision:?}");
        };
        all.assume(pod, &node);
        seen.push(evaluations(&meter, &table, "NodeResourcesFit"));
    }
    // By itself, all nodes for the class, and then the one that the last came to.
    let expected = [[1, 3, 1, 3], [2, 6, 2, 6], [3, 7, 3, 7], [4, 8, 4, 8]];
    assert_eq!(seen, expected);
    // It has nothing to say of this pod.
    assert_eq!(evaluations(&meter, &table, "VolumeBinding"), [0; 4]);
}

#[test]
fn plugins_that_count_pods_are_run_once_for_nodes_that_are_alike() {
    let table = Table::default();
    let mut all = cluster((0..8).map(|index| node(&format!("n{index}"), json!({}))));
    let (mut engine, meter) = (Engine::patient(0), Meter::new([&table]));
    let spread = json!({
        "metadata": { "labels": { "app": "a" } },
        "spec": { "topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": { "matchLabels": { "app": "a" } } }] },
    });
    let mut seen = Vec::new();
    for index in 0..3 {
        let pod = info(&format!("p{index}"), spread.clone());
        let decision = engine.decide(0, &table, &pod, all.snapshot(), 0, &meter);
        let Decision::Bind { node, .. } = decision else {
            panic!("{decision:?}");
        };
        all.assume(pod, &node);
        seen.push(evaluations(&meter, &table, "PodTopologySpread")[1]);
    }
    // By itself; then the nodes that have a pod and those that have none.
    assert_eq!(seen, [8, 10, 12]);
}

#[test]
fn a_filter_is_not_run_where_one_before_it_rejects() {
    let table = Table::default();
    let cordoned = node("b", json!({ "spec": { "unschedulable": true } }));
    let all = cluster([node("a", json!({})), cordoned]);
    let (mut engine, meter) = (Engine::default(), Meter::new([&table]));
    let pod = info("p", wants("1"));
    engine.decide(0, &table, &pod, all.snapshot(), 0, &meter);
    assert_eq!(evaluations(&meter, &table, "NodeUnschedulable")[1], 2);
    assert_eq!(evaluations(&meter, &table, "NodeResourcesFit")[1], 1);
}

#[test]
fn some_cycles_are_timed_and_some_nodes_in_them() {
    let table = Table::default();
    let nodes = (0..=2 * NODES).map(|index| node(&format!("n{index}"), json!({})));
    let all = cluster(nodes);
    let meter = Meter::new([&table]).timing(ticking());
    // No two are alike.
    let mut engine = Engine::default();
    for index in 0..=CYCLES {
        let pod = info(&format!("p{index}"), wants(&format!("{}m", index + 1)));
        engine.decide(0, &table, &pod, all.snapshot(), 0, &meter);
    }
    let runs = meter.runs([("p", &table)]);
    let of = |plugin, point, status| {
        let spread = runs.durations.get(&(plugin, point, status));
        spread.map_or((0, 0), |spread| {
            (spread.counts.iter().sum::<u64>(), spread.counts[2])
        })
    };
    let fit = "NodeResourcesFit";
    assert_eq!(of(fit, "PreFilter", "Success"), (2, 2));
    assert_eq!(of(fit, "Filter", "Success"), (2 * 3, 2 * 3));
    assert_eq!(of(fit, "PreScore", "Success"), (2, 2));
    assert_eq!(of(fit, "Score", "Success"), (2 * 3, 2 * 3));
    assert_eq!(of("VolumeBinding", "PreFilter", "Skip"), (2, 2));
    assert_eq!(of("NodeAffinity", "PreScore", "Skip"), (2, 2));
    let taints = of("TaintToleration", "ScoreExtensionNormalize", "Success");
    assert_eq!(taints.0 % 2, 0);
    let times = runs.durations[&(fit, "PreFilter", "Success")];
    assert_eq!(times.sum, Duration::from_micros(40));
    // Without a stopwatch nothing is.
    let meter = Meter::new([&table]);
    engine.decide(0, &table, &info("p", wants("1")), all.snapshot(), 0, &meter);
    assert_eq!(meter.runs([("p", &table)]).durations.len(), 0);
}

fn cycle() -> Cycle {
    let profile = Profile {
        name: "default-scheduler".to_owned(),
        table: Table::default(),
        plugin_config: Vec::new(),
    };
    Cycle::new(vec![profile], Backoff::default()).timing(ticking())
}

#[test]
fn looking_for_room_is_a_run_of_a_plugin_too() {
    let mut cycle = cycle();
    cycle.node(node("n", json!({})), at(0.0));
    cycle.pod(&pod("big", wants("9")), at(0.0));
    assert!(matches!(cycle.next(at(0.0), 0), Next::Nobody { .. }));
    let durations = cycle.sizes().runs.durations;
    let of = |status| durations.get(&("DefaultPreemption", "PostFilter", status));
    assert_eq!(of("Unschedulable").unwrap().counts.iter().sum::<u64>(), 1);
    assert_eq!(of("Success"), None);
    let filter = ("NodeResourcesFit", "Filter", "UnschedulableAndUnresolvable");
    assert!(durations.contains_key(&filter), "{durations:?}");
}

#[test]
fn it_is_said_what_a_plugin_that_rejected_a_pod_thinks_of_a_change() {
    let mut pod = wants("1");
    crate::kit::merge(
        &mut pod,
        json!({ "spec": { "nodeSelector": { "disk": "fast" } } }),
    );
    for (label, hint) in [("slow", "QueueSkip"), ("fast", "Queue")] {
        let mut cycle = cycle();
        cycle.node(node("n", json!({})), at(0.0));
        cycle.pod(&crate::kit::pod("p", pod.clone()), at(0.0));
        assert!(matches!(cycle.next(at(0.0), 0), Next::Nobody { .. }));
        let labels = json!({ "metadata": { "labels": { "disk": label } } });
        cycle.node(node("n", labels), at(0.0));
        let hints = cycle.sizes().runs.hints;
        let found: Vec<_> = hints.keys().copied().collect();
        let expected = ("NodeAffinity", "NodeUpdateNodeLabel", hint);
        assert_eq!(found, [expected]);
        assert_eq!(hints[&expected].sum, Duration::from_micros(20));
    }
}

#[test]
fn what_is_only_tried_does_not_count() {
    let mut cycle = cycle();
    cycle.node(node("n", json!({})), at(0.0));
    let before = cycle.sizes().runs;
    explain(
        &Table::default(),
        &info("p", wants("9")),
        cycle.cluster().clone(),
    );
    assert_eq!(cycle.sizes().runs, before);
}
