//! Decisions compared with a second implementation, which is slow and plain: no model, no preparation, everything
//! summed up from the objects at each question.

use super::*;
use crate::kit::{self, Random};
use k8s_openapi::api::core::v1::{Node, Pod};
use objects::{affinity, meta, node, pod, resources, taints};
use std::collections::BTreeSet;
use std::sync::Arc;

struct World {
    nodes: BTreeMap<String, Arc<Node>>,
    pods: BTreeMap<String, (Arc<Pod>, String)>,
}

impl World {
    fn on<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a Pod> {
        self.pods
            .values()
            .filter(move |(_, on)| on == node)
            .map(|(pod, _)| &**pod)
    }

    fn siblings(&self, pod: &Pod, node: &str) -> i64 {
        let owner = |pod: &Pod| meta::controller_of(&pod.metadata).map(|owner| owner.uid.clone());
        let same = |other: &&Pod| owner(other) == owner(pod) && !meta::is_deleting(&other.metadata);
        self.on(node).filter(same).count() as i64
    }

    /// The reasons against the node, in the order of the table, none if it will do; and whether it may yet.
    fn filter(&self, new: &Pod, on: &Node) -> (Vec<String>, bool) {
        let spec = new.spec.clone().unwrap();
        let tolerations = spec.tolerations.clone().unwrap_or_default();
        let name = meta::name(&on.metadata);
        let no = |text: &str| (vec![text.to_owned()], false);
        if node::is_unschedulable(on) {
            return no("node(s) were unschedulable");
        }
        if node::taints(on)
            .iter()
            .any(|t| t.effect != "PreferNoSchedule" && !taints::tolerates(&tolerations, t))
        {
            return no("node(s) had untolerated taint(s)");
        }
        if !affinity::node_matches(&spec, &on.metadata) {
            return no("node(s) didn't match Pod's node affinity/selector");
        }
        for port in pod::host_ports(new) {
            if self
                .on(name)
                .flat_map(pod::host_ports)
                .any(|used| pod::host_port_conflicts(port, used))
            {
                return (
                    vec!["node(s) didn't have free ports for the requested pod ports".to_owned()],
                    true,
                );
            }
        }
        let mut used = objects::Resources::default();
        for old in self.on(name) {
            used += &resources::pod_requests(old.spec.as_ref().unwrap());
        }
        let (wanted, offered) = (resources::pod_requests(&spec), resources::allocatable(on));
        let gpu = |r: &objects::Resources| r.extended.get("x.io/gpu").copied().unwrap_or(0);
        let mut reasons = Vec::new();
        let mut resolvable = true;
        if used.pods + 1 > offered.pods {
            reasons.push("Too many pods".to_owned());
        }
        for (name, wanted, used, offered) in [
            ("cpu", wanted.milli_cpu, used.milli_cpu, offered.milli_cpu),
            ("memory", wanted.memory, used.memory, offered.memory),
            ("x.io/gpu", gpu(&wanted), gpu(&used), gpu(&offered)),
        ] {
            if wanted > 0 && used + wanted > offered {
                reasons.push(format!("Insufficient {name}"));
                resolvable &= wanted <= offered;
            }
        }
        (reasons, resolvable)
    }

    fn scores(&self, new: &Pod, nodes: &[&Node]) -> Vec<i64> {
        let spec = new.spec.as_ref().unwrap();
        let tolerations = spec.tolerations.clone().unwrap_or_default();
        let least = |raw: Vec<i64>| -> Vec<i64> {
            let max = *raw.iter().max().unwrap();
            raw.iter()
                .map(|s| if max == 0 { 100 } else { 100 - s * 100 / max })
                .collect()
        };
        let most = |raw: Vec<i64>| -> Vec<i64> {
            let max = *raw.iter().max().unwrap();
            raw.iter()
                .map(|s| if max == 0 { 0 } else { s * 100 / max })
                .collect()
        };
        let discouraged = |on: &&Node| {
            let bad = |t: &&_| unwelcome(t, &tolerations);
            node::taints(on).iter().filter(bad).count() as i64
        };
        let taint = least(nodes.iter().map(discouraged).collect());
        let wish = most(
            nodes
                .iter()
                .map(|on| affinity::preferred_node_score(spec, &on.metadata))
                .collect(),
        );
        let spread = self.spread(new, nodes);
        (0..nodes.len())
            .map(|i| 3 * taint[i] + 2 * wish[i] + 2 * spread[i] + self.amounts(new, nodes[i]))
            .collect()
    }

    fn amounts(&self, new: &Pod, on: &Node) -> i64 {
        let offered = resources::allocatable(on);
        let (wanted, nonzero) = {
            let spec = new.spec.as_ref().unwrap();
            (resources::pod_requests(spec), resources::nonzero(spec))
        };
        let (mut used, mut counted) = (objects::Resources::default(), nonzero);
        for old in self.on(meta::name(&on.metadata)) {
            used += &resources::pod_requests(old.spec.as_ref().unwrap());
            counted += &resources::nonzero(old.spec.as_ref().unwrap());
        }
        let left = |counted: i64, offered: i64| ((offered - counted) * 100 / offered).max(0);
        let free = |counted: i64, offered: i64| {
            if counted > offered {
                0
            } else {
                left(counted, offered)
            }
        };
        let least = i64::midpoint(
            free(counted.milli_cpu, offered.milli_cpu),
            free(counted.memory, offered.memory),
        );
        if wanted.milli_cpu == 0 && wanted.memory == 0 {
            return least;
        }
        let balance = |cpu: i64, memory: i64| {
            let cpu = f64::min(1.0, cpu as f64 / offered.milli_cpu as f64);
            let memory = f64::min(1.0, memory as f64 / offered.memory as f64);
            ((1.0 - f64::abs((cpu - memory) / 2.0)) * 100.0) as i64
        };
        let with = balance(
            used.milli_cpu + wanted.milli_cpu,
            used.memory + wanted.memory,
        );
        least + 50 + (50 + with - balance(used.milli_cpu, used.memory)) / 2
    }

    fn spread(&self, new: &Pod, nodes: &[&Node]) -> Vec<i64> {
        if meta::controller_of(&new.metadata).is_none() {
            return vec![0; nodes.len()];
        }
        let zone = |on: &Node| meta::label(&on.metadata, node::ZONE).map(str::to_owned);
        let zones: BTreeSet<_> = nodes.iter().map(|on| zone(on)).collect();
        let weight = |domains: usize| ((domains + 2) as f64).ln();
        let raw: Vec<i64> = nodes
            .iter()
            .map(|on| {
                let here = self.siblings(new, meta::name(&on.metadata)) as f64;
                let mut score = here * weight(nodes.len()) + 2.0;
                if zone(on).is_some() {
                    let eligible = |other: &&Arc<Node>| {
                        zone(other) == zone(on)
                            && affinity::node_matches(new.spec.as_ref().unwrap(), &other.metadata)
                    };
                    let there = self.nodes.values().filter(eligible);
                    let there: i64 = there
                        .map(|other| self.siblings(new, meta::name(&other.metadata)))
                        .sum();
                    score += there as f64 * weight(zones.len()) + 4.0;
                }
                score.round() as i64
            })
            .collect();
        let (max, min) = (*raw.iter().max().unwrap(), *raw.iter().min().unwrap());
        raw.iter()
            .map(|score| 100 * (max + min - score) / max)
            .collect()
    }
}

fn unwelcome(
    taint: &k8s_openapi::api::core::v1::Taint,
    tolerations: &[k8s_openapi::api::core::v1::Toleration],
) -> bool {
    taint.effect == "PreferNoSchedule" && !taints::tolerates(tolerations, taint)
}

fn random_node(name: &str, random: &mut Random) -> Arc<Node> {
    let mut taints = Vec::new();
    for key in ["a", "b"] {
        if random.once_in(4) {
            taints.push(json!({ "key": key, "effect": random.pick(&["NoSchedule", "NoExecute", "PreferNoSchedule", "PreferNoSchedule"]) }));
        }
    }
    let mut labels =
        json!({ "kubernetes.io/hostname": name, "disk": random.pick(&["ssd", "hdd"]) });
    if !random.once_in(4) {
        labels["topology.kubernetes.io/zone"] = json!(random.pick(&["x", "y"]));
    }
    kit::node(
        name,
        json!({
            "metadata": { "labels": labels },
            "spec": { "taints": taints, "unschedulable": random.once_in(12) },
            "status": { "allocatable": {
                "cpu": random.pick(&["2", "4"]), "memory": random.pick(&["4Gi", "8Gi"]),
                "pods": random.pick(&["5", "10"]), "x.io/gpu": random.pick(&["0", "1", "4"]),
            } },
        }),
    )
}

fn random_pod(name: &str, random: &mut Random) -> Arc<Pod> {
    let mut list = json!({});
    for (name, amounts) in [
        ("cpu", ["100m", "500m", "1500m"]),
        ("memory", ["64Mi", "1Gi", "3Gi"]),
    ] {
        if !random.once_in(3) {
            list[name] = json!(random.pick(&amounts));
        }
    }
    if random.once_in(6) {
        list["x.io/gpu"] = json!(random.pick(&["1", "2"]));
    }
    let mut more = requests(list);
    if random.once_in(6) {
        let port = json!({ "containerPort": 1, "hostPort": random.pick(&[80, 81]), "hostIP": random.pick(&["", "10.0.0.1"]) });
        more["spec"]["containers"][0]["ports"] = json!([port]);
    }
    if random.once_in(4) {
        merge(
            &mut more,
            json!({ "spec": { "nodeSelector": { "disk": random.pick(&["ssd", "hdd", "tape"]) } } }),
        );
    }
    if random.once_in(3) {
        let wish = |key: &str, value: &str, weight: usize| {
            json!({ "weight": weight, "preference": { "matchExpressions": [
                { "key": key, "operator": "In", "values": [value] }] } })
        };
        let wishes = [
            wish("disk", "ssd", 1 + random.below(5)),
            wish("topology.kubernetes.io/zone", "x", 1 + random.below(5)),
        ];
        merge(
            &mut more,
            json!({ "spec": { "affinity": { "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": wishes } } } }),
        );
    }
    if random.once_in(3) {
        let key = random.pick(&["a", "b"]);
        merge(
            &mut more,
            json!({ "spec": { "tolerations": [{ "key": key, "operator": "Exists" }] } }),
        );
    }
    if !random.once_in(4) {
        let uid = random.pick(&["r1", "r2"]);
        merge(
            &mut more,
            json!({ "metadata": { "labels": { "app": uid }, "ownerReferences": [
            { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": uid, "uid": uid, "controller": true }] } }),
        );
    }
    kit::pod(name, more)
}

#[test]
fn decisions_are_those_of_the_oracle() {
    const CLUSTERS: u64 = 420;
    const DECISIONS: usize = 50;
    let table = Table::default();
    let (mut bound, mut rejected) = (0, 0);
    for seed in 0..CLUSTERS {
        let mut random = Random(seed);
        let mut world = World {
            nodes: BTreeMap::new(),
            pods: BTreeMap::new(),
        };
        let mut model = Cluster::default();
        for name in ["r1", "r2"] {
            model.owners_mut().put(&kit::replica_set(name));
        }
        for i in 0..2 + random.below(8) {
            let node = random_node(&format!("n{i}"), &mut random);
            model.put_node(node.clone());
            world.nodes.insert(format!("n{i}"), node);
        }
        for i in 0..DECISIONS {
            change(&mut world, &mut model, &mut random);
            let pod = random_pod(&format!("p{i}"), &mut random);
            let pod_info = Arc::new(PodInfo::of(&pod));
            let decision = decide(&table, &pod_info, model.snapshot(), random.next());
            let verdicts: Vec<_> = world
                .nodes
                .values()
                .map(|node| (node, world.filter(&pod, node)))
                .collect();
            let passed = verdicts
                .iter()
                .filter(|(_, (reasons, _))| reasons.is_empty());
            let passed: Vec<&Node> = passed.map(|(node, _)| &***node).collect();
            match decision {
                Decision::Bind { node, .. } => {
                    let scores = world.scores(&pod, &passed);
                    let best = *scores.iter().max().unwrap();
                    let here = passed
                        .iter()
                        .position(|passed| meta::name(&passed.metadata) == &*node);
                    let names: Vec<_> = passed
                        .iter()
                        .map(|node| meta::name(&node.metadata))
                        .zip(&scores)
                        .collect();
                    assert_eq!(
                        here.map(|here| scores[here]),
                        Some(best),
                        "{seed}/{i}: {node} of {names:?}"
                    );
                    model.assume(pod_info.clone(), &node);
                    world
                        .pods
                        .insert(format!("u-p{i}"), (pod, node.to_string()));
                    bound += 1;
                }
                Decision::Nobody(diagnosis) => {
                    assert!(passed.is_empty(), "{seed}/{i}");
                    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
                    for reason in verdicts.iter().flat_map(|(_, (reasons, _))| reasons) {
                        *reasons.entry(reason.clone()).or_default() += 1;
                    }
                    assert_eq!(diagnosis.reasons, reasons, "{seed}/{i}");
                    let resolvable = verdicts
                        .iter()
                        .filter(|(_, (_, resolvable))| *resolvable)
                        .count();
                    assert_eq!(diagnosis.resolvable.len(), resolvable, "{seed}/{i}");
                    rejected += 1;
                }
            }
        }
    }
    assert!(
        bound + rejected >= 20_000 && bound > 5_000 && rejected > 2_000,
        "{bound} bound, {rejected} rejected"
    );
}

/// Pods and nodes come and go, are confirmed, start to leave, or change.
fn change(world: &mut World, model: &mut Cluster, random: &mut Random) {
    let uids: Vec<String> = world.pods.keys().cloned().collect();
    for uid in uids {
        match random.below(25) {
            0 | 1 => {
                model.remove_pod(&uid);
                world.pods.remove(&uid);
            }
            2 => {
                let (pod, on) = world.pods[&uid].clone();
                model.put_pod(Arc::new(PodInfo::of(&pod)), &on);
            }
            3 => {
                let (pod, on) = world.pods[&uid].clone();
                let mut leaving = (*pod).clone();
                leaving.metadata.deletion_timestamp = Some(
                    k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(kit::at(0.0)),
                );
                let leaving = Arc::new(leaving);
                model.put_pod(Arc::new(PodInfo::of(&leaving)), &on);
                world.pods.insert(uid, (leaving, on));
            }
            _ => {}
        }
    }
    if random.once_in(5) {
        let name = format!("n{}", random.below(10));
        if random.once_in(3) && world.nodes.len() > 1 {
            model.remove_node(&name);
            world.nodes.remove(&name);
        } else {
            let node = random_node(&name, random);
            model.put_node(node.clone());
            world.nodes.insert(name, node);
        }
    }
}
