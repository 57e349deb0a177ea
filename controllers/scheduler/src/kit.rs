//! Small builders for tests: each sets only what the case is about.

use crate::cluster::Cluster;
use crate::plugin::{Filter, Prepared, Score};
use crate::pods::PodInfo;
use crate::snapshot::{NodeInfo, Snapshot};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A second of the tests' time.
pub(crate) fn at(seconds: f64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_millis(1_000_000 + (seconds * 1000.0) as i64)
}

/// A node with 4 cores, 8Gi, 10 pods; `more` is merged over it.
pub(crate) fn node(name: &str, more: Value) -> Arc<Node> {
    let mut value = json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } },
        "spec": {},
        "status": { "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "10", "ephemeral-storage": "10Gi" } },
    });
    merge(&mut value, more);
    Arc::new(serde_json::from_value(value).expect("the test's node is valid"))
}

/// The same as decisions see it.
pub(crate) fn seen(name: &str, more: Value) -> crate::node::Node {
    node(name, more).into()
}

/// A pod without requests whose UID is `u-<name>`; `more` is merged over it.
pub(crate) fn pod(name: &str, more: Value) -> Arc<Pod> {
    let mut value = json!({
        "metadata": { "name": name, "namespace": "ns", "uid": format!("u-{name}") },
        "spec": { "containers": [{ "name": "c", "image": "i" }] },
    });
    merge(&mut value, more);
    Arc::new(serde_json::from_value(value).expect("the test's pod is valid"))
}

/// The same, prepared for decisions.
pub(crate) fn info(name: &str, more: Value) -> Arc<PodInfo> {
    Arc::new(PodInfo::of(&pod(name, more)))
}

/// What to merge over a pod for these requests of its container.
pub(crate) fn requests(list: Value) -> Value {
    json!({ "spec": { "containers": [{ "name": "c", "image": "i", "resources": { "requests": list } }] } })
}

/// A cluster of these nodes.
pub(crate) fn cluster(nodes: impl IntoIterator<Item = Arc<Node>>) -> Cluster {
    let mut cluster = Cluster::default();
    for node in nodes {
        cluster.put_node(node);
    }
    cluster
}

/// Objects are merged, all else is replaced; null takes away.
pub(crate) fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                if value.is_null() {
                    into.remove(&key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (into, from) => *into = from,
    }
}

/// Random numbers, the same in each run (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// The claim `ns/<name>` of 5Gi and the class `late`, whose UID is `u-<name>`; `more` is merged over it.
pub(crate) fn claim(name: &str, more: Value) -> Arc<PersistentVolumeClaim> {
    let mut value = json!({
        "metadata": { "name": name, "namespace": "ns", "uid": format!("u-{name}"), "resourceVersion": "5" },
        "spec": { "accessModes": ["ReadWriteOnce"], "storageClassName": "late",
            "resources": { "requests": { "storage": "5Gi" } } },
        "status": { "phase": "Pending" },
    });
    merge(&mut value, more);
    Arc::new(serde_json::from_value(value).expect("the test's claim is valid"))
}

/// What to merge over a claim that has this volume.
pub(crate) fn bound_to(volume: &str) -> Value {
    json!({
        "metadata": { "annotations": { "pv.kubernetes.io/bind-completed": "yes" } },
        "spec": { "volumeName": volume },
        "status": { "phase": "Bound" },
    })
}

/// A volume of 10Gi and the class `late` that can be used on one node; `more` is merged over it.
pub(crate) fn volume(name: &str, node: &str, more: Value) -> Arc<PersistentVolume> {
    let term = json!({ "matchExpressions": [
        { "key": "kubernetes.io/hostname", "operator": "In", "values": [node] }] });
    let mut value = json!({
        "metadata": { "name": name, "uid": format!("u-{name}"), "resourceVersion": "6" },
        "spec": { "accessModes": ["ReadWriteOnce"], "storageClassName": "late", "capacity": { "storage": "10Gi" },
            "hostPath": { "path": "/x" }, "nodeAffinity": { "required": { "nodeSelectorTerms": [term] } } },
        "status": { "phase": "Available" },
    });
    merge(&mut value, more);
    Arc::new(serde_json::from_value(value).expect("the test's volume is valid"))
}

/// The class `late`, whose claims wait for their first consumer; `more` is merged over it.
pub(crate) fn class(more: Value) -> Arc<StorageClass> {
    let mut value = json!({
        "metadata": { "name": "late" }, "provisioner": "example.com/disk",
        "volumeBindingMode": "WaitForFirstConsumer",
    });
    merge(&mut value, more);
    Arc::new(serde_json::from_value(value).expect("the test's class is valid"))
}

/// What to merge over a pod that uses these claims.
pub(crate) fn uses(claims: &[&str]) -> Value {
    let volumes = claims
        .iter()
        .map(|claim| json!({ "name": claim, "persistentVolumeClaim": { "claimName": claim } }));
    json!({ "spec": { "volumes": volumes.collect::<Vec<_>>() } })
}

/// What a filter says about the pod on each node, by name: the reasons, with a `!` if no pod's leaving helps.
pub(crate) fn verdicts(
    filter: &dyn Filter,
    pod: &PodInfo,
    all: &Snapshot,
) -> BTreeMap<String, String> {
    let check = match filter.prepare(pod, all) {
        Prepared::Skip => None,
        Prepared::Never(why) => return BTreeMap::from([("all".to_owned(), why.into_owned())]),
        Prepared::Check(check) => Some(check),
    };
    let verdict = |info: &NodeInfo, node: &crate::node::Node| {
        let Some(check) = &check else {
            return String::new();
        };
        let verdict = (check.judge)(info, node);
        let each = check.reasons.iter().enumerate();
        let given = each.filter(|(bit, _)| verdict.reasons >> bit & 1 == 1);
        let mark = if verdict.resolvable { "" } else { "!" };
        let texts: Vec<&str> = given.map(|(_, reason)| &**reason).collect();
        format!("{mark}{}", texts.join(", "))
    };
    let all = all.nodes();
    all.map(|(info, node)| (info.name.to_string(), verdict(info, node)))
        .collect()
}

/// The names of the nodes that pass a filter.
pub(crate) fn passing(filter: &dyn Filter, pod: &PodInfo, all: &Snapshot) -> String {
    let verdicts = verdicts(filter, pod, all).into_iter();
    let passing = verdicts.filter(|(_, reasons)| reasons.is_empty());
    let names: Vec<String> = passing.map(|(name, _)| name).collect();
    names.join(" ")
}

/// The scores of these nodes, on the scale; none if they are all alike to the plugin.
pub(crate) fn scores(
    plugin: &dyn Score,
    pod: &PodInfo,
    all: &Snapshot,
    feasible: &[&str],
) -> Option<Vec<i64>> {
    let slots: Vec<u32> = feasible.iter().filter_map(|name| all.slot(name)).collect();
    let scorer = plugin.prepare(pod, all, &slots)?;
    let nodes = slots.iter().filter_map(|slot| all.at(*slot));
    let mut scores: Vec<i64> = nodes
        .map(|(info, node)| (scorer.score)(info, node))
        .collect();
    scorer.normalise.apply(&mut scores);
    Some(scores)
}

/// A ReplicaSet of this name that selects `app: <name>`.
pub(crate) fn replica_set(name: &str) -> ReplicaSet {
    let value = json!({ "metadata": { "name": name, "namespace": "ns" },
        "spec": { "selector": { "matchLabels": { "app": name } } } });
    serde_json::from_value(value).expect("the test's set is valid")
}
