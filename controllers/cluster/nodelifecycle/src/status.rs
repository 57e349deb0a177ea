//! The conditions of a node that is silent. Pure. (upstream: node_lifecycle_controller.go, `tryUpdateNodeHealth`)

use crate::World;
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use objects::{meta, node as nodes};
use plan::{Note, Reference};

/// The reason of a condition that no kubelet ever posted.
pub(crate) const NEVER_UPDATED: &str = "NodeStatusNeverUpdated";
/// What a kubelet says of its node. `NetworkUnavailable` is said by others.
const KINDS: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// The node with the conditions it should have, or `None` if it has them.
pub(crate) fn status(world: &World) -> Option<Node> {
    let is_known = |kind: &&str| {
        nodes::condition(&world.node, kind).is_none_or(|condition| condition.status != "Unknown")
    };
    if !world.silent || !KINDS.iter().any(is_known) {
        return None;
    }
    let mut node = (*world.node).clone();
    let created = node.metadata.creation_timestamp.clone();
    let status = node.status.get_or_insert_default();
    let conditions = status.conditions.get_or_insert_default();
    for kind in KINDS {
        let found = conditions
            .iter_mut()
            .find(|condition| condition.type_ == kind);
        let now = Some(Time(world.now));
        match found {
            Some(condition) if condition.status == "Unknown" => {}
            Some(condition) => {
                "Unknown".clone_into(&mut condition.status);
                condition.reason = Some("NodeStatusUnknown".to_owned());
                condition.message = Some("Kubelet stopped posting node status.".to_owned());
                condition.last_transition_time = now;
            }
            None => conditions.push(NodeCondition {
                type_: kind.to_owned(),
                status: "Unknown".to_owned(),
                reason: Some(NEVER_UPDATED.to_owned()),
                message: Some("Kubelet never posted node status.".to_owned()),
                last_heartbeat_time: created.clone(),
                last_transition_time: now,
            }),
        }
    }
    Some(node)
}

/// What is told once that is written.
pub(crate) fn notes(world: &World) -> Vec<Note> {
    if !nodes::is_ready(&world.node) {
        return Vec::new();
    }
    let node = Reference::to(&*world.node);
    let name = meta::name(&world.node.metadata);
    let message = format!("Node {name} status is now: NodeNotReady");
    vec![Note::normal(&node, "NodeNotReady", message)]
}
