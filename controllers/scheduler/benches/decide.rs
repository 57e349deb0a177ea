//! How long decisions take and what memory they need: decision only, assumption included, without any API server.
//!
//! `cargo bench -p scheduler [-- PART OF A NAME …]`. Beside each stands what the same decision costs when all nodes are
//! looked at for it (`plain`), over some hundred decisions in the middle of the run.
#![allow(clippy::print_stdout, missing_docs)]

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use scheduler::Options;
use scheduler::cluster::Cluster;
use scheduler::cycle::{Cycle, Next};
use scheduler::decide::{Decision, decide};
use scheduler::engine::Engine;
use scheduler::meter::Meter;
use scheduler::plugins::Table;
use scheduler::pods::PodInfo;
use scheduler::preempt::{Preemption, preempt};
use scheduler::queue::Backoff;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A workload: a name, nodes, pods, what all pods have, and how many controllers they are of.
struct Workload {
    name: &'static str,
    nodes: usize,
    pods: usize,
    pod: Value,
    owners: usize,
}

const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

fn node() -> Node {
    let value = json!({
        "metadata": { "name": "", "labels": {
            "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "node.kubernetes.io/instance-type": "m" } },
        "status": { "allocatable": { "cpu": "64", "memory": "256Gi", "pods": "110", "ephemeral-storage": "100Gi" } },
    });
    serde_json::from_value(value).expect("a valid node")
}

fn pod(more: &Value) -> Pod {
    let mut value = json!({
        "metadata": { "namespace": "ns", "labels": { "app": "a" } },
        "spec": { "containers": [{ "name": "c", "image": "registry.k8s.io/pause:3.10",
            "resources": { "requests": { "cpu": "100m", "memory": "500Mi" } } }] },
    });
    for (key, part) in more.as_object().into_iter().flatten() {
        value["spec"][key] = part.clone();
    }
    serde_json::from_value(value).expect("a valid pod")
}

fn set(index: usize) -> ReplicaSet {
    let value = json!({ "metadata": { "name": format!("r{index}"), "namespace": "ns" },
        "spec": { "selector": { "matchLabels": { "app": format!("r{index}") } } } });
    serde_json::from_value(value).expect("a valid set")
}

fn workloads() -> Vec<Workload> {
    let plain = || json!({});
    let selector = || json!({ "matchLabels": { "app": "a" } });
    let term = |key: &str| json!({ "topologyKey": key, "labelSelector": selector() });
    let required = |kind: &str, key: &str| json!({ "affinity": { kind: { "requiredDuringSchedulingIgnoredDuringExecution": [term(key)] } } });
    let preferred = |kind: &str, key: &str| {
        json!({ "affinity": { kind: { "preferredDuringSchedulingIgnoredDuringExecution": [
            { "weight": 1, "podAffinityTerm": term(key) }] } } })
    };
    let spread = |kind: &str| {
        json!({ "topologySpreadConstraints": [
            { "maxSkew": 5, "topologyKey": ZONE, "whenUnsatisfiable": kind, "labelSelector": selector() }] })
    };
    let of = |name, nodes, pods, pod| Workload {
        name,
        nodes,
        pods,
        pod,
        owners: 0,
    };
    let on = json!({ "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{ "matchExpressions": [{ "key": ZONE, "operator": "In", "values": ["z1", "z2"] }] }] } } } });
    let huge =
        json!({ "containers": [{ "name": "c", "resources": { "requests": { "cpu": "100" } } }] });
    let owned = |name, owners| Workload {
        owners,
        ..of(name, 5000, 20_000, plain())
    };
    vec![
        of("basic", 5000, 50_000, plain()),
        owned("one ReplicaSet", 1),
        owned("20 ReplicaSets", 20),
        owned("500 ReplicaSets", 500),
        of("nodeAffinity", 5000, 20_000, on),
        of("spread", 5000, 20_000, spread("DoNotSchedule")),
        of("preferred spread", 5000, 20_000, spread("ScheduleAnyway")),
        of("affinity", 5000, 20_000, required("podAffinity", ZONE)),
        of(
            "anti-affinity",
            5000,
            5000,
            required("podAntiAffinity", HOSTNAME),
        ),
        of(
            "preferred affinity",
            5000,
            20_000,
            preferred("podAffinity", HOSTNAME),
        ),
        of(
            "preferred anti-affinity",
            5000,
            20_000,
            preferred("podAntiAffinity", HOSTNAME),
        ),
        of("unschedulable", 5000, 20_000, huge),
        of("basic", 100_000, 100_000, plain()),
        of("basic", 1_000_000, 1_000_000, plain()),
    ]
}

/// The memory of this process in bytes.
fn memory() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0_usize) * 4096
}

fn run(workload: &Workload) {
    let (table, mut cluster, mut engine) =
        (Table::default(), Cluster::default(), Engine::default());
    let start = Instant::now();
    let meter = Meter::new([&table]).timing(Arc::new(move || start.elapsed()));
    let empty = memory();
    let template = node();
    for index in 0..workload.nodes {
        let mut node = template.clone();
        let name = format!("n{index}");
        let labels = node.metadata.labels.get_or_insert_default();
        labels.insert(HOSTNAME.to_owned(), name.clone());
        labels.insert(ZONE.to_owned(), format!("z{}", index % 3));
        node.metadata.name = Some(name);
        cluster.put_node(Arc::new(node));
    }
    (0..workload.owners).for_each(|index| cluster.owners_mut().put(&set(index)));
    let ready = memory();
    let template = pod(&workload.pod);
    let make = |index: usize| {
        let mut pod = template.clone();
        pod.metadata.name = Some(format!("p{index}"));
        pod.metadata.uid = Some(format!("00000000-0000-0000-0000-{index:012}"));
        if workload.owners > 0 {
            let owner = format!("r{}", index % workload.owners);
            let labels = pod.metadata.labels.get_or_insert_default();
            labels.insert("app".to_owned(), owner.clone());
            let owner = json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner, "controller": true }]);
            pod.metadata.owner_references = serde_json::from_value(owner).ok();
        }
        Arc::new(PodInfo::of(&pod))
    };
    let (mut took, mut plain, mut tried, mut bound) = (Duration::ZERO, Duration::ZERO, 0, 0);
    let (mut times, mut slowest) = (Vec::with_capacity(workload.pods), Duration::ZERO);
    for index in 0..workload.pods {
        let pod = make(index);
        if workload.nodes <= 5000 && index >= workload.pods / 2 && tried < 200 {
            let began = Instant::now();
            std::hint::black_box(decide(&table, &pod, cluster.snapshot(), index as u64));
            plain += began.elapsed();
            tried += 1;
        }
        let began = Instant::now();
        let decision = engine.decide(0, &table, &pod, cluster.snapshot(), index as u64, &meter);
        if let Decision::Bind { node, .. } = decision {
            cluster.assume(pod, &node);
            bound += 1;
        }
        let each = began.elapsed();
        took += each;
        slowest = slowest.max(each);
        times.push(each);
    }
    times.sort_unstable();
    let at = |part: usize| times[times.len() * part / 100];
    let (all, beside) = (memory(), took.as_secs_f64() / workload.pods as f64 * 1e6);
    let plain = plain.as_secs_f64() * 1e6 / f64::from(tried.max(1));
    println!(
        "decision only: {:<24} {:>7} nodes {:>7} pods ({bound} bound): {:>7.2} s, {beside:>6.2} µs each (p50 {:?}, p99 {:?}, most {slowest:?}); \
         plain {plain:.0} µs; {} MB of nodes, {} MB more in the end",
        workload.name,
        workload.nodes,
        workload.pods,
        took.as_secs_f64(),
        at(50),
        at(99),
        (ready.saturating_sub(empty)) >> 20,
        (all.saturating_sub(ready)) >> 20,
    );
}

/// A full cluster with pods that wait; one after the other leaves. What a departure costs until nothing is to do.
fn waiting() {
    const NODES: usize = 1000;
    const WAITING: usize = 5000;
    let profiles = Options::default().profiles;
    let mut cycle = Cycle::new(profiles, Backoff::default());
    let now = |second: usize| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second as i64);
    for index in 0..NODES {
        let mut node = node();
        node.metadata.name = Some(format!("n{index}"));
        cycle.node(Arc::new(node), now(0));
    }
    let big =
        json!({ "containers": [{ "name": "c", "resources": { "requests": { "cpu": "40" } } }] });
    let template = pod(&big);
    let named = |index: usize| {
        let mut pod = template.clone();
        pod.metadata.name = Some(format!("p{index}"));
        pod.metadata.uid = Some(format!("u{index}"));
        pod
    };
    let settle = |cycle: &mut Cycle, second: usize| {
        let (mut tried, mut bound) = (0, Vec::new());
        loop {
            match cycle.next(now(second), tried) {
                Next::Idle(_) => return (tried, bound),
                Next::Nobody { .. } | Next::Ask(_) | Next::Failed { .. } => {}
                Next::Bind { info, node, .. } => {
                    cycle.bound(&info.uid);
                    let mut pod = info.object();
                    pod.spec.get_or_insert_default().node_name = Some(node.to_string());
                    cycle.pod(&Arc::new(pod), now(second));
                    bound.push(info.uid.clone());
                }
            }
            tried += 1;
        }
    };
    for index in 0..NODES + WAITING {
        cycle.pod(&Arc::new(named(index)), now(0));
    }
    let began = Instant::now();
    let (tried, mut bound) = settle(&mut cycle, 0);
    let all = began.elapsed();
    let began = Instant::now();
    let (mut attempts, departures) = (0, 500);
    for second in 1..=departures {
        let uid = bound.remove(0);
        cycle.pod_gone(&uid, now(second));
        let (tried, more) = settle(&mut cycle, second);
        attempts += tried;
        bound.extend(more);
    }
    println!(
        "decision only: {tried} pods of which {NODES} have room: {all:.2?}; then of each of {departures} that leave, one a second, \
         with {WAITING} waiting: {:.2?}, {} attempts",
        began.elapsed() / departures as u32,
        attempts / departures as u64,
    );
}

/// Each in a process of its own, so that the memory is its own.
/// More important pods on full nodes, four less important ones on each: what it costs to find out who has to leave, or
/// that it would not help.
fn preempting() {
    const NODES: usize = 5000;
    const TIMES: u32 = 200;
    for (name, lowest) in [("room on each node", 1), ("room on none", 9)] {
        let (table, mut cluster) = (Table::default(), Cluster::default());
        let wanting = |cpu: &str, priority: i32| {
            let requests = json!({ "requests": { "cpu": cpu, "memory": "1Gi" } });
            pod(
                &json!({ "priority": priority, "containers": [{ "name": "c", "resources": requests }] }),
            )
        };
        let named = |mut pod: Pod, name: String| {
            pod.metadata.name = Some(name.clone());
            pod.metadata.uid = Some(name);
            Arc::new(PodInfo::of(&pod))
        };
        for index in 0..NODES {
            let mut node = node();
            let on = format!("n{index}");
            node.metadata.name = Some(on.clone());
            cluster.put_node(Arc::new(node));
            // The fourth alone is less important in any case, and too small.
            for (number, (cpu, priority)) in
                [("20", lowest), ("20", lowest), ("20", lowest), ("4", 1)]
                    .into_iter()
                    .enumerate()
            {
                cluster.put_pod(named(wanting(cpu, priority), format!("{on}-{number}")), &on);
            }
        }
        let important = named(wanting("10", 5), "important".to_owned());
        let (mut took, mut found) = (Duration::ZERO, 0);
        for seed in 0..u64::from(TIMES) {
            let all = cluster.snapshot();
            let Decision::Nobody(diagnosis) = decide(&table, &important, all, seed) else {
                unreachable!("the nodes are full");
            };
            let began = Instant::now();
            let preemption = preempt(&table, &important, all, &diagnosis, seed);
            took += began.elapsed();
            found += usize::from(matches!(preemption, Preemption::Room(_)));
        }
        let each = took.as_secs_f64() * 1e6 / f64::from(TIMES);
        println!(
            "decision only: preemption, {name}: {NODES} nodes, {found} of {TIMES} find room, {each:.0} µs each"
        );
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    if let Some(only) = wanted.first().and_then(|first| first.strip_prefix('=')) {
        match workloads().get(only.parse().unwrap_or(usize::MAX)) {
            Some(workload) => run(workload),
            None if only.parse() == Ok(workloads().len()) => waiting(),
            None => preempting(),
        }
        return;
    }
    let workloads = workloads();
    let names = workloads.iter();
    let names = names.map(|workload| format!("{} {}", workload.name, workload.nodes));
    let program = std::env::current_exe().expect("the program knows where it is");
    for (index, name) in names
        .chain(["waiting".to_owned(), "preemption".to_owned()])
        .enumerate()
    {
        if wanted.is_empty() || wanted.iter().any(|wanted| name.contains(&**wanted)) {
            let mut child = std::process::Command::new(&program);
            let status = child.arg(format!("={index}")).status();
            assert!(status.is_ok_and(|status| status.success()), "{name} failed");
        }
    }
}
