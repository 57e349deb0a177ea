//! A node's object and Lease: what they should be, and the writes that make them so. Pure.
//!
//! Semantics: `pkg/kubelet/kubelet_node_status.go`, `pkg/kubelet/nodestatus/setters.go`,
//! `component-helpers/apimachinery/lease/controller.go`, `plugin/pkg/admission/nodetaint`.

use crate::ip::Cidr;
use crate::{Options, ip};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{
    DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeSpec, NodeStatus,
    NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference, Time};
use objects::{conditions, meta, node};
use plan::{Action, PatchType, Plan, Reference};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// The namespace of the nodes' Leases.
pub const LEASES: &str = "kube-node-lease";
/// How long a Lease holds.
pub const LEASE_DURATION: Duration = Duration::from_secs(40);
/// How often it is renewed: a quarter of that.
pub const RENEW: Duration = Duration::from_secs(10);
/// How often a status is written in which nothing changed.
pub const HEARTBEAT: Duration = Duration::from_mins(5);
/// The annotation by which kwok knows its nodes, with the value `fake`.
pub const KWOK: &str = "kwok.x-k8s.io/node";
/// The annotation that cuts a node off, with the value `true`: nothing is written for it and its pods.
pub const SILENT: &str = "hollow.corten.dev/silent";

/// What is known of one node.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// The node as the cache shows it.
    pub node: &'a Node,
    /// How the agent is set up.
    pub options: &'a Options,
    /// True for a node that is not ours (kwok's): what is there is kept.
    pub foreign: bool,
    /// The node's address if it has none.
    pub address: Ipv4Addr,
    /// The range that it chooses for its pods, if it chooses one.
    pub cidr: Option<Cidr>,
    /// When its status was last written.
    pub written: Option<Timestamp>,
    /// The time of the decision.
    pub now: Timestamp,
}

/// The node of this number, to be created: with its status, as a kubelet registers, and the range of its pods if it
/// chooses one.
pub fn registration(options: &Options, index: usize, cidr: Option<Cidr>, now: Timestamp) -> Node {
    let name = options.name(index);
    let mut labels = options.labels.clone();
    for (key, value) in [
        ("kubernetes.io/arch", options.arch.as_str()),
        ("kubernetes.io/os", "linux"),
        (node::HOSTNAME, name.as_str()),
        ("beta.kubernetes.io/arch", options.arch.as_str()),
        ("beta.kubernetes.io/os", "linux"),
    ] {
        labels.entry(key.to_owned()).or_insert(value.to_owned());
    }
    if !options.zones.is_empty() {
        let zone = &options.zones[index % options.zones.len()];
        labels.entry(node::ZONE.to_owned()).or_insert(zone.clone());
    }
    let address = options.address.unwrap_or_else(|| ip::of_node(index as u32));
    Node {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            labels: Some(labels),
            annotations: Some(BTreeMap::from([(
                "volumes.kubernetes.io/controller-managed-attach-detach".to_owned(),
                "true".to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            pod_cidr: cidr.map(|cidr| cidr.to_string()),
            pod_cidrs: cidr.map(|cidr| vec![cidr.to_string()]),
            ..NodeSpec::default()
        }),
        status: Some(NodeStatus {
            addresses: Some(addresses(&name, address)),
            capacity: Some(options.capacity()),
            allocatable: Some(options.capacity()),
            conditions: Some(healthy(None, now)),
            daemon_endpoints: Some(NodeDaemonEndpoints {
                kubelet_endpoint: Some(DaemonEndpoint { port: 10250 }),
            }),
            node_info: Some(info(&options.arch, &name)),
            ..NodeStatus::default()
        }),
    }
}

/// Makes a node what it should be: a range for its pods, a status that says Ready, no taint that says
/// otherwise. Nothing, where it is all that.
pub fn plan(world: World<'_>) -> Plan {
    let mut plan = Plan::none();
    let on = Reference::to(world.node);
    let uid = meta::uid(&world.node.metadata);
    let spec = world.node.spec.as_ref();
    let lacks = spec.is_none_or(|spec| spec.pod_cidr.is_none());
    if let Some(cidr) = world.cidr.filter(|_| lacks) {
        let cidr = cidr.to_string();
        let body = json!({
            "metadata": { "uid": uid },
            "spec": { "podCIDR": cidr, "podCIDRs": [cidr] },
        });
        plan.then(vec![
            Action::patch(on.clone(), PatchType::Strategic, body).because("it has no pod range"),
        ]);
    }
    let changes = status_changes(world);
    let due = is_due(world);
    if !changes.is_empty() || due {
        let mut status = changes;
        let old = world
            .node
            .status
            .as_ref()
            .and_then(|s| s.conditions.as_deref());
        status.insert("conditions".to_owned(), json!(healthy(old, world.now)));
        let body = json!({ "metadata": { "uid": uid }, "status": status });
        let why = if due { "heartbeat" } else { "it changed" };
        plan.then(vec![
            Action::patch_status(on.clone(), PatchType::Strategic, body).because(why),
        ]);
    }
    let kept: Vec<_> = node::taints(world.node)
        .iter()
        .filter(|taint| !says_not_ready(&taint.key))
        .collect();
    if node::is_ready(world.node) && kept.len() < node::taints(world.node).len() {
        // Atomic lists are replaced whole, so only the version that was looked at may be.
        let body = json!({
            "metadata": { "uid": uid, "resourceVersion": world.node.metadata.resource_version },
            "spec": { "taints": if kept.is_empty() { Value::Null } else { json!(kept) } },
        });
        // First: a status write before it would change the version.
        plan.steps.insert(
            0,
            plan::Step {
                actions: vec![Action::patch(on, PatchType::Merge, body).because("it is ready")],
                pace: plan::Pace::AtOnce,
            },
        );
    }
    plan
}

/// When the next heartbeat is due: five minutes after the last one.
pub fn heartbeat_at(node: &Node) -> Option<Timestamp> {
    let ready = node::condition(node, "Ready")?;
    let last = ready.last_heartbeat_time.as_ref()?.0;
    last.checked_add(HEARTBEAT).ok()
}

/// Whether this node is one of kwok's.
pub fn is_kwok(node: &Node) -> bool {
    meta::annotation(&node.metadata, KWOK) == Some("fake")
}

/// Whether the node is cut off.
pub fn is_silent(node: &Node) -> bool {
    meta::annotation(&node.metadata, SILENT) == Some("true")
}

/// The Lease of a node. With a `version` it replaces that one, without it is created.
pub fn lease(node: &Node, version: Option<u64>, now: Timestamp) -> Lease {
    Lease {
        metadata: ObjectMeta {
            name: node.metadata.name.clone(),
            namespace: Some(LEASES.to_owned()),
            resource_version: version.map(|version| version.to_string()),
            owner_references: Some(vec![owner(node)]),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: node.metadata.name.clone(),
            lease_duration_seconds: Some(LEASE_DURATION.as_secs() as i32),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        }),
    }
}

/// Takes over the Lease that is there, whatever its version; the answer tells the version, after which
/// renewals are PUTs.
pub fn take_lease(node: &Node, now: Timestamp) -> Action {
    let lease = lease(node, None, now);
    let body = json!({
        "metadata": { "ownerReferences": lease.metadata.owner_references },
        "spec": lease.spec,
    });
    Action::patch(Reference::to(&lease), PatchType::Merge, body)
}

fn owner(node: &Node) -> OwnerReference {
    OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: meta::name(&node.metadata).to_owned(),
        uid: meta::uid(&node.metadata).to_owned(),
        ..OwnerReference::default()
    }
}

/// The fields of the status that are not as they should be.
fn status_changes(world: World<'_>) -> Map<String, Value> {
    let empty = NodeStatus::default();
    let status = world.node.status.as_ref().unwrap_or(&empty);
    let name = meta::name(&world.node.metadata);
    let mut changes = Map::new();
    let found = status.conditions.as_deref();
    let healthy = CONDITIONS.iter().all(|(kind, is, reason, _)| {
        conditions::find(found, kind)
            .is_some_and(|c| c.status == *is && c.reason.as_deref() == Some(reason))
    });
    if !healthy {
        changes.insert("conditions".to_owned(), Value::Null);
    }
    if status.addresses.as_ref().is_none_or(Vec::is_empty) {
        let list = addresses(name, world.address);
        changes.insert("addresses".to_owned(), json!(list));
    }
    let version = status
        .node_info
        .as_ref()
        .map(|i| i.kubelet_version.as_str());
    // A foreign node's fields are its maker's; kwok's nodes often come with "fake" as version.
    if version.is_none_or(|v| v.is_empty() || (!world.foreign && v != VERSION)) {
        let arch = meta::label(&world.node.metadata, "kubernetes.io/arch");
        let info = info(arch.unwrap_or(&world.options.arch), name);
        changes.insert("nodeInfo".to_owned(), json!(info));
    }
    if !world.foreign && status.daemon_endpoints.is_none() {
        changes.insert(
            "daemonEndpoints".to_owned(),
            json!({ "kubeletEndpoint": { "Port": 10250 } }),
        );
    }
    let mut wanted = status.capacity.clone().unwrap_or_default();
    let mut capacity = Map::new();
    for (resource, amount) in world.options.capacity() {
        let fits = match wanted.get(&resource) {
            Some(_) if world.foreign => true,
            Some(has) => equal(has, &amount),
            None => false,
        };
        if !fits {
            capacity.insert(resource.clone(), json!(amount));
            wanted.insert(resource, amount);
        }
    }
    // setters.go MachineInfo: what somebody added to the capacity (extended resources) is allocatable, and
    // what was taken out of it no more.
    let has = status.allocatable.clone().unwrap_or_default();
    let mut allocatable = Map::new();
    for (resource, amount) in &wanted {
        let fits = match has.get(resource) {
            Some(_) if world.foreign => true,
            Some(has) => equal(has, amount),
            None => false,
        };
        if !fits {
            allocatable.insert(resource.clone(), json!(amount));
        }
    }
    for resource in has
        .keys()
        .filter(|resource| !wanted.contains_key(*resource))
    {
        allocatable.insert(resource.clone(), Value::Null);
    }
    for (field, change) in [("capacity", capacity), ("allocatable", allocatable)] {
        if !change.is_empty() {
            changes.insert(field.to_owned(), Value::Object(change));
        }
    }
    changes
}

fn is_due(world: World<'_>) -> bool {
    let recent = world
        .written
        .is_some_and(|at| crate::hollow::plus(at, HEARTBEAT) > world.now);
    !recent && heartbeat_at(world.node).is_none_or(|due| due <= world.now)
}

fn equal(
    one: &k8s_openapi::apimachinery::pkg::api::resource::Quantity,
    other: &k8s_openapi::apimachinery::pkg::api::resource::Quantity,
) -> bool {
    let read = |q| objects::Quantity::try_from(q).ok();
    one == other || read(one) == read(other)
}

/// The taints of a node that does not answer; who posts Ready answers.
fn says_not_ready(key: &str) -> bool {
    matches!(
        key,
        "node.kubernetes.io/not-ready" | "node.kubernetes.io/unreachable"
    )
}

const VERSION: &str = "v1.36.3";

/// Type, status, reason, message.
const CONDITIONS: [(&str, &str, &str, &str); 4] = [
    (
        "MemoryPressure",
        "False",
        "KubeletHasSufficientMemory",
        "kubelet has sufficient memory available",
    ),
    (
        "DiskPressure",
        "False",
        "KubeletHasNoDiskPressure",
        "kubelet has no disk pressure",
    ),
    (
        "PIDPressure",
        "False",
        "KubeletHasSufficientPID",
        "kubelet has sufficient PID available",
    ),
    (
        "Ready",
        "True",
        "KubeletReady",
        "kubelet is posting ready status",
    ),
];

fn healthy(old: Option<&[NodeCondition]>, now: Timestamp) -> Vec<NodeCondition> {
    let condition = |(kind, status, reason, message): &(&str, &str, &str, &str)| {
        let since = conditions::find(old, kind)
            .filter(|old| old.status == *status)
            .and_then(|old| old.last_transition_time.clone());
        NodeCondition {
            type_: (*kind).to_owned(),
            status: (*status).to_owned(),
            reason: Some((*reason).to_owned()),
            message: Some((*message).to_owned()),
            last_heartbeat_time: Some(Time(now)),
            last_transition_time: since.or(Some(Time(now))),
        }
    };
    CONDITIONS.iter().map(condition).collect()
}

fn addresses(name: &str, address: Ipv4Addr) -> Vec<NodeAddress> {
    let addresses = [
        ("InternalIP", address.to_string()),
        ("Hostname", name.to_owned()),
    ];
    let addresses = addresses.into_iter().map(|(kind, address)| NodeAddress {
        type_: kind.to_owned(),
        address,
    });
    addresses.collect()
}

fn info(arch: &str, name: &str) -> NodeSystemInfo {
    NodeSystemInfo {
        architecture: arch.to_owned(),
        operating_system: "linux".to_owned(),
        kubelet_version: VERSION.to_owned(),
        container_runtime_version: "hollow://0.1.0".to_owned(),
        kernel_version: "hollow".to_owned(),
        os_image: "Corten hollow node".to_owned(),
        boot_id: name.to_owned(),
        machine_id: name.to_owned(),
        system_uuid: name.to_owned(),
        ..NodeSystemInfo::default()
    }
}

#[cfg(test)]
mod tests;
