//! Nodes with kubelets, imitated: they renew their Leases and say that they are ready, until they are cut off.

use ::objects::{meta, node as nodes, pod as pods};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use serde_json::json;
use sim::Sim;
use std::collections::HashMap;

/// The label of nodes that have a kubelet.
pub const KUBELET: &str = "sweep/kubelet";
/// The annotation of nodes that are cut off.
pub const SILENT: &str = "sweep/silent";
/// The namespace of Leases of nodes.
pub const LEASES: &str = "kube-node-lease";
const RENEW: SignedDuration = SignedDuration::from_secs(10);
/// What a healthy kubelet says.
const CONDITIONS: [(&str, &str); 4] = [
    ("Ready", "True"),
    ("MemoryPressure", "False"),
    ("DiskPressure", "False"),
    ("PIDPressure", "False"),
];

/// The kubelets.
#[derive(Debug, Default)]
pub struct Kubelets {
    renews: HashMap<String, Timestamp>,
}

impl Kubelets {
    /// One look at the server. Says when there is something to be done next.
    pub fn step(&mut self, sim: &Sim, now: Timestamp) -> Option<Timestamp> {
        let mut due: Option<Timestamp> = None;
        for node in sim.read(|state| state.list::<Node>(None)) {
            let name = meta::name(&node.metadata);
            if meta::label(&node.metadata, KUBELET).is_none() || is_cut_off(&node) {
                self.renews.remove(name);
                continue;
            }
            let renews = self.renews.entry(name.to_owned()).or_insert(now);
            if *renews <= now {
                renew(sim, name, now);
                *renews = now + RENEW;
            }
            due = Some(due.map_or(*renews, |due| due.min(*renews)));
            if !nodes::is_ready(&node) {
                sim.update_with::<Node>("", name, |node| post(node, now));
            }
        }
        due
    }
}

/// Whether nothing is heard of a pod's node.
pub fn is_lost(sim: &Sim, pod: &Pod) -> bool {
    let node = pods::node_name(pod).and_then(|name| sim.get::<Node>("", name));
    node.is_some_and(|node| is_cut_off(&node))
}

fn is_cut_off(node: &Node) -> bool {
    meta::annotation(&node.metadata, SILENT).is_some()
}

fn renew(sim: &Sim, name: &str, now: Timestamp) {
    if sim.get::<Lease>(LEASES, name).is_none() {
        let lease = json!({ "metadata": { "name": name, "namespace": LEASES } });
        let lease: Lease = serde_json::from_value(lease).expect("a Lease");
        sim.create(lease);
    }
    sim.update_with::<Lease>(LEASES, name, |lease| {
        let spec = lease.spec.get_or_insert_default();
        spec.renew_time = Some(MicroTime(now));
    });
}

fn post(node: &mut Node, now: Timestamp) {
    let conditions = CONDITIONS.iter().map(|(kind, status)| NodeCondition {
        type_: (*kind).to_owned(),
        status: (*status).to_owned(),
        last_heartbeat_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
        ..NodeCondition::default()
    });
    let status = node.status.get_or_insert_default();
    status.conditions = Some(conditions.collect());
}
