#![allow(clippy::unwrap_used, clippy::panic)]

//! The engine compared with [`decide`] on random clusters: the same nodes pass, with the same scores, for the same reasons.

use super::*;
use crate::cluster::Cluster;
use crate::decide::{decide, filter, score};
use crate::diagnosis::Diagnosis;
use crate::kit::{self, Random, merge, requests};
use crate::plugins::{
    InterPodAffinity, ResourcesFit, Strategy, TaintToleration, TopologySpread, Weighted,
};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use serde_json::{Value, json};

/// Three tables: the default one, one where everything is otherwise, and a short one.
fn tables() -> [Table; 3] {
    let constraint = |key: &str, skew: i32, kind: &str| {
        serde_json::from_value(
            json!({ "topologyKey": key, "maxSkew": skew, "whenUnsatisfiable": kind }),
        )
        .unwrap()
    };
    let spread = || {
        TopologySpread::with_defaults(vec![
            constraint("zone", 1, "ScheduleAnyway"),
            constraint("rack", 2, "DoNotSchedule"),
            constraint("kubernetes.io/hostname", 2, "ScheduleAnyway"),
        ])
    };
    let affinity = || InterPodAffinity {
        hard_weight: 7,
        ignore_others: true,
    };
    let mut other = Table::default();
    let mut short = Table::default();
    for filter in &mut other.filters {
        if filter.name() == "PodTopologySpread" {
            *filter = Box::new(spread());
        }
    }
    for (score, weight) in &mut other.scores {
        *weight += 2;
        match score.name() {
            "PodTopologySpread" => *score = Box::new(spread()),
            "InterPodAffinity" => *score = Box::new(affinity()),
            "NodeResourcesFit" => {
                *score = Box::new(ResourcesFit {
                    strategy: Strategy::MostAllocated,
                    resources: vec![Weighted {
                        name: "cpu".to_owned(),
                        weight: 3,
                    }],
                    ..ResourcesFit::default()
                });
            }
            _ => {}
        }
    }
    short.filters.retain(|filter| filter.name() != "NodePorts");
    short.scores.truncate(2);
    short.scores.push((Box::new(TaintToleration), 1));
    [Table::default(), other, short]
}

fn random_node(index: usize, random: &mut Random) -> Node {
    let name = format!("n{index}");
    let mut labels = json!({ "disk": random.pick(&["ssd", "hdd"]) });
    // Some share a name, some have none.
    if !random.once_in(12) {
        let host = if random.once_in(20) {
            "n0"
        } else {
            name.as_str()
        };
        labels["kubernetes.io/hostname"] = json!(host);
    }
    for (key, values) in [
        ("zone", &["x", "y", "z"][..]),
        ("topology.kubernetes.io/zone", &["x", "y", "y"]),
        ("rack", &["1", "2", "3", "4", "5", "6", "7", "8"]),
    ] {
        if !random.once_in(6) {
            labels[key] = json!(random.pick(values));
        }
    }
    let mut taints = Vec::new();
    for key in ["a", "b"] {
        if random.once_in(5) {
            let effect = random.pick(&["NoSchedule", "PreferNoSchedule", "PreferNoSchedule"]);
            taints.push(json!({ "key": key, "effect": effect }));
        }
    }
    let images = ["i:latest", "j:latest"].map(|image| {
        let megabytes = random.pick(&[20, 300, 900]);
        json!({ "names": [image], "sizeBytes": megabytes << 20 })
    });
    let images = &images[..random.below(3)];
    let node = kit::node(
        &name,
        json!({
            "metadata": { "labels": labels },
            "spec": { "taints": taints, "unschedulable": random.once_in(15) },
            "status": { "images": images, "allocatable": {
                "cpu": random.pick(&["2", "4"]), "memory": random.pick(&["4Gi", "8Gi"]),
                "pods": random.pick(&["4", "8"]), "x.io/gpu": random.pick(&["0", "2"]),
            } },
        }),
    );
    let mut node = Arc::unwrap_or_clone(node);
    if labels.get("kubernetes.io/hostname").is_none() {
        let labels = node.metadata.labels.as_mut().unwrap();
        labels.remove("kubernetes.io/hostname");
    }
    node
}

const KEYS: [&str; 4] = [
    "kubernetes.io/hostname",
    "zone",
    "rack",
    "topology.kubernetes.io/zone",
];

/// What tells some pods of one controller from each other.
const PERSONAL: &str = "statefulset.kubernetes.io/pod-name";

fn selector(random: &mut Random) -> Value {
    match random.below(60) {
        0..8 => json!({}),
        8 => json!({ "matchLabels": { PERSONAL: "p1" } }),
        9 => {
            json!({ "matchExpressions": [{ "key": PERSONAL, "operator": "NotIn", "values": ["p2"] }] })
        }
        10..18 => json!({ "matchExpressions": [{ "key": "tier", "operator": "Exists" }] }),
        _ => json!({ "matchLabels": { "app": random.pick(&["r1", "r2", "r3"]) } }),
    }
}

fn term(random: &mut Random) -> Value {
    let mut term = json!({ "topologyKey": random.pick(&KEYS), "labelSelector": selector(random) });
    match random.below(8) {
        0 => term["namespaces"] = json!(["ns", "other"]),
        1 => term["namespaceSelector"] = json!({ "matchLabels": { "team": "t" } }),
        _ => {}
    }
    term
}

fn wishes(random: &mut Random) -> Value {
    let mut wishes = json!({});
    for _ in 0..=random.below(2) {
        let required = [term(random)];
        let required = json!({ "requiredDuringSchedulingIgnoredDuringExecution": required });
        let preferred = json!({ "preferredDuringSchedulingIgnoredDuringExecution": [
            { "weight": 1 + random.below(20), "podAffinityTerm": term(random) }] });
        match random.below(5) {
            0 => wishes["podAffinity"] = required,
            1 | 2 => wishes["podAntiAffinity"] = required,
            3 => wishes["podAffinity"] = preferred,
            _ => wishes["podAntiAffinity"] = preferred,
        }
    }
    wishes
}

fn constraints(random: &mut Random) -> Vec<Value> {
    let mut each = Vec::new();
    for _ in 0..=random.below(2) {
        let mut one = json!({
            "topologyKey": random.pick(&KEYS), "maxSkew": 1 + random.below(3), "labelSelector": selector(random),
            "whenUnsatisfiable": random.pick(&["DoNotSchedule", "ScheduleAnyway"]) });
        if random.once_in(4) {
            one["nodeTaintsPolicy"] = json!("Honor");
        }
        if random.once_in(4) {
            one["nodeAffinityPolicy"] = json!("Ignore");
        }
        if random.once_in(4) && one["whenUnsatisfiable"] == "DoNotSchedule" {
            one["minDomains"] = json!(3);
        }
        if random.once_in(4) {
            one["matchLabelKeys"] = json!(["tier"]);
        }
        each.push(one);
    }
    each
}

/// What the pods of a controller are made from.
fn template(random: &mut Random, is_plain: bool) -> Pod {
    let mut list = json!({});
    for (name, amounts) in [
        ("cpu", ["100m", "500m", "900m"]),
        ("memory", ["64Mi", "1Gi", "2Gi"]),
    ] {
        if !random.once_in(3) {
            list[name] = json!(random.pick(&amounts));
        }
    }
    if random.once_in(8) {
        list["x.io/gpu"] = json!("1");
    }
    let mut more = requests(list);
    let spec = &mut more["spec"];
    spec["priority"] = json!(random.pick(&[0, 0, 0, 5]));
    spec["containers"][0]["image"] = json!(random.pick(&["i", "j", "k"]));
    if random.once_in(8) {
        spec["containers"][0]["ports"] = json!([{ "containerPort": 1, "hostPort": 80 }]);
    }
    if random.once_in(5) {
        spec["nodeSelector"] = json!({ "disk": random.pick(&["ssd", "hdd"]) });
    }
    if random.once_in(3) {
        spec["tolerations"] = json!([{ "key": random.pick(&["a", "b"]), "operator": "Exists" }]);
    }
    let mut affinity = json!({});
    if random.once_in(5) {
        let wish =
            json!({ "matchExpressions": [{ "key": "disk", "operator": "In", "values": ["ssd"] }] });
        affinity = json!({ "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [
            { "weight": 1 + random.below(5), "preference": wish }] } });
    }
    let wishes_once_in = if is_plain { 12 } else { 2 };
    if random.once_in(wishes_once_in) {
        merge(&mut affinity, wishes(random));
    }
    spec["affinity"] = affinity;
    if random.once_in(wishes_once_in + 1) {
        spec["topologySpreadConstraints"] = json!(constraints(random));
    }
    let uid = random.pick(&["r1", "r2", "r3"]);
    merge(
        &mut more,
        json!({ "metadata": { "labels": { "app": uid }, "namespace": random.pick(&["ns", "ns", "ns", "other"]) } }),
    );
    if random.once_in(3) {
        more["metadata"]["labels"]["tier"] = json!(random.pick(&["1", "2"]));
    }
    if random.once_in(3) {
        more["metadata"]["annotations"] = json!({ "each": "differs" });
    }
    if !random.once_in(3) {
        more["metadata"]["ownerReferences"] = json!([
            { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": uid, "uid": uid, "controller": true }]);
    }
    Arc::unwrap_or_clone(kit::pod("template", more))
}

struct World {
    model: Cluster,
    nodes: usize,
    /// The pods on nodes.
    pods: Vec<(Arc<PodInfo>, Arc<str>)>,
    waiting: Vec<Arc<PodInfo>>,
    nominates: bool,
    random: Random,
}

impl World {
    fn node(&mut self) {
        let node = random_node(self.random.below(self.nodes), &mut self.random);
        self.model.put_node(Arc::new(node));
    }

    /// A pod comes, goes, begins to leave or has other labels; a node does; pods are nominated; now and then something
    /// else.
    fn change(&mut self) {
        let random = &mut self.random;
        if !self.pods.is_empty() && !random.once_in(3) {
            let at = random.below(self.pods.len());
            let (info, on) = self.pods[at].clone();
            let mut pod = info.object();
            match random.below(if self.pods.len() > 3 * self.nodes {
                4
            } else {
                8
            }) {
                0..4 => {
                    self.model.remove_pod(&info.uid);
                    self.pods.swap_remove(at);
                    return;
                }
                4 => {
                    let labels = pod.metadata.labels.get_or_insert_default();
                    labels.insert("app".to_owned(), random.pick(&["r1", "r2"]).to_owned());
                }
                5 => {
                    let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(kit::at(0.0));
                    pod.metadata.deletion_timestamp = Some(time);
                }
                _ => {}
            }
            let info = Arc::new(PodInfo::of(&pod));
            self.model.put_pod(info.clone(), &on);
            self.pods[at] = (info, on);
            return;
        }
        match random.below(24) {
            0..3 => {
                let name = format!("n{}", random.below(self.nodes));
                self.model.remove_node(&name);
            }
            3..8 => self.node(),
            8..10 => {
                let labels = json!({ "team": random.pick(&["t", "u"]) });
                let namespace = json!({ "metadata": { "name": random.pick(&["ns", "other"]), "labels": labels } });
                let namespace: Namespace = serde_json::from_value(namespace).unwrap();
                self.model.put_namespace(Arc::new(namespace));
            }
            10 => {
                let selector = json!({ PERSONAL: random.pick(&["p0", "p1"]) });
                let service = json!({ "metadata": { "name": "one", "namespace": "ns" }, "spec": { "selector": selector } });
                let service: Service = serde_json::from_value(service).unwrap();
                if random.once_in(4) {
                    self.model.owners_mut().put(&service);
                } else {
                    self.model.owners_mut().remove(&service);
                }
            }
            11 => {
                let set = kit::replica_set(random.pick(&["r1", "r2", "r3"]));
                if random.once_in(3) {
                    self.model.owners_mut().remove(&set);
                } else {
                    self.model.owners_mut().put(&set);
                }
            }
            12..15 if self.nominates && !self.waiting.is_empty() => {
                let at = random.below(self.waiting.len());
                let name = format!("n{}", random.below(self.nodes));
                let on = (!random.once_in(3)).then_some(name);
                self.model.nominate(&self.waiting[at], on.as_deref());
            }
            _ => {}
        }
    }
}

fn sorted(mut diagnosis: Diagnosis) -> Diagnosis {
    diagnosis.resolvable.sort_unstable();
    diagnosis
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    alone: usize,
    bound: usize,
    nowhere: usize,
    tracked: usize,
}

/// So many decisions in a random cluster.
fn compare(seed: u64, decisions: usize, counts: &mut Counts) {
    let tables = tables();
    let mut random = Random(seed);
    let mut world = World {
        model: Cluster::default(),
        nodes: 3 + random.below(9),
        pods: Vec::new(),
        waiting: Vec::new(),
        nominates: seed.is_multiple_of(4),
        random,
    };
    for _ in 0..world.nodes {
        world.node();
    }
    for name in ["r1", "r2"] {
        world.model.owners_mut().put(&kit::replica_set(name));
    }
    let templates: Vec<Pod> = (0..5)
        .map(|_| template(&mut world.random, world.nominates))
        .collect();
    let mut engine = Engine::patient(1);
    let profiles = 1 + (seed % 3) as usize;
    for i in 0..decisions {
        for _ in 0..world.random.below(4) {
            world.change();
        }
        let mut pod = templates[world.random.below(templates.len())].clone();
        let name = format!("p{i}");
        if pod.metadata.annotations.is_some() && !world.random.once_in(3) {
            let labels = pod.metadata.labels.get_or_insert_default();
            labels.insert(PERSONAL.to_owned(), format!("p{}", i % 3));
        }
        pod.metadata.uid = Some(name.clone());
        pod.metadata.name = Some(name);
        let pod = match world.waiting.pop().filter(|_| world.random.once_in(3)) {
            Some(pod) => pod,
            None => Arc::new(PodInfo::of(&pod)),
        };
        let profile = world.random.below(profiles);
        let (table, all) = (&tables[profile], world.model.snapshot());
        let lot = world.random.next();
        let off = Meter::default();
        let naive = filter(table, &pod, all, lot, &off);
        let at = format!("seed {seed}, decision {i}, profile {profile}");
        let decision = match engine.class(profile, table, &pod, all, &off) {
            None => {
                counts.alone += 1;
                decide(table, &pod, all, lot)
            }
            Some(class) => {
                let judged = class.judged(table, all);
                counts.tracked += usize::from(class.is_tracked());
                match &naive {
                    Ok(feasible) => {
                        let totals = score(table, &pod, all, feasible, &off);
                        let mut expected: Vec<(u32, i64)> =
                            feasible.iter().copied().zip(totals).collect();
                        expected.sort_unstable();
                        assert_eq!(judged, expected, "{at}");
                        counts.bound += 1;
                    }
                    Err(_) => {
                        assert_eq!(judged, [], "{at}");
                        counts.nowhere += 1;
                    }
                }
                let decision = class.decide(table, &pod, all, lot, &off);
                if let Decision::Bind { node, score } = &decision {
                    let most = judged.iter().map(|(_, score)| *score).max().unwrap();
                    let slot = all.slot(node).unwrap();
                    assert!(judged.contains(&(slot, most)), "{at}");
                    assert_eq!(*score, if judged.len() == 1 { 0 } else { most }, "{at}");
                }
                decision
            }
        };
        match (decision, naive) {
            (Decision::Bind { node, .. }, Ok(_)) => {
                world.model.nominate(&pod, None);
                world.model.assume(pod.clone(), &node);
                world.pods.push((pod, node));
            }
            (Decision::Nobody(found), Err(expected)) => {
                assert_eq!(sorted(found), sorted(expected), "{at}");
                world.waiting.push(pod);
            }
            (found, expected) => panic!("{at}: {found:?}, not {expected:?}"),
        }
    }
}

#[test]
fn what_is_remembered_is_what_would_be_found_out() {
    let mut counts = Counts::default();
    for seed in 0..850 {
        compare(seed, 150, &mut counts);
    }
    let compared = counts.bound + counts.nowhere;
    assert!(compared >= 100_000, "{counts:?}");
    assert!(
        counts.bound > 40_000 && counts.nowhere > 10_000 && counts.tracked > 40_000,
        "{counts:?}"
    );
}

#[test]
fn what_one_pod_of_a_controller_is_does_not_count_for_the_others() {
    let labelled = |name: &str, more: Value| {
        let mut labels = json!({ "app": "web" });
        merge(&mut labels, more);
        kit::info(name, json!({ "metadata": { "labels": labels } }))
    };
    let refusing = |name: &str, key: &str, value: &str| {
        let term = json!({ "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { key: value } } });
        let required = json!({ "requiredDuringSchedulingIgnoredDuringExecution": [term] });
        kit::info(
            name,
            json!({ "spec": { "affinity": { "podAntiAffinity": required } } }),
        )
    };
    let mut cluster = kit::cluster(["a", "b"].map(|name| kit::node(name, json!({}))));
    let (table, mut engine) = (Table::default(), Engine::patient(1));
    cluster.put_pod(refusing("x", "app", "web"), "a");
    let mut fitting = |pod: &Arc<PodInfo>, cluster: &Cluster| {
        let class = engine.class(0, &table, pod, cluster.snapshot(), &Meter::default());
        class.map(|class| class.judged(&table, cluster.snapshot()).len())
    };
    let [first, second] = ["web-0", "web-1"].map(|name| labelled(name, json!({ PERSONAL: name })));
    let other = labelled("other", json!({}));
    assert_eq!(fitting(&second, &cluster), None);
    assert_eq!(fitting(&first, &cluster), Some(1));
    cluster.put_pod(refusing("y", PERSONAL, "web-0"), "b");
    assert_eq!(fitting(&other, &cluster), Some(1));
    assert_eq!(fitting(&first, &cluster), None);
    assert_eq!(fitting(&first, &cluster), Some(0));
}
