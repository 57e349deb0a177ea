//! Small builders for tests: each sets only what the case is about.

use crate::cluster::Cluster;
use crate::snapshot::PodInfo;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};
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
    Arc::new(PodInfo::of(pod(name, more)))
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
