//! Which taints a node should have. Pure.

use crate::{World, status};
use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use objects::node as nodes;

/// The taint of a node that is not ready by its own account.
pub(crate) const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// The taint of a node that does not answer.
pub(crate) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
const NO_SCHEDULE: &str = "NoSchedule";
const NO_EXECUTE: &str = "NoExecute";

/// Which condition in which status is which taint.
const CONDITIONS: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    (
        "MemoryPressure",
        "True",
        "node.kubernetes.io/memory-pressure",
    ),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    (
        "NetworkUnavailable",
        "True",
        "node.kubernetes.io/network-unavailable",
    ),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];

/// What is to be done about the NoExecute taints of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NoExecute {
    /// They stay as they are.
    Keep,
    /// The node is ready, or nobody knows what is wrong.
    None,
    /// This one, if the zone lets it.
    Begin(&'static str),
    /// This one, in the place of the other.
    Only(&'static str),
}

impl World {
    /// Whether what follows from the node's silence has still to be written, so that it must be certain.
    pub(crate) fn acts_on_silence(&self) -> bool {
        let opens = self.health.opens.is_some_and(|at| at <= self.now);
        status::status(self).is_some() || (opens && self.wants_taint())
    }

    /// Whether the node is to get a NoExecute taint as soon as its zone lets it.
    pub(crate) fn wants_taint(&self) -> bool {
        let says_so = status::status(self).is_none();
        says_so && matches!(no_execute(self), NoExecute::Begin(_))
    }
}

/// The taints that the node should have, or `None` if it has them.
pub(super) fn wanted(world: &World) -> Option<Vec<Taint>> {
    let node = &*world.node;
    let mut wanted = no_schedule(node);
    let ours = |taint: &Taint| {
        let no_schedule = taint.key == UNSCHEDULABLE || CONDITIONS.iter().any(|c| c.2 == taint.key);
        no_schedule && taint.effect == NO_SCHEDULE
    };
    let ours_too = |taint: &Taint| {
        matches!(&*taint.key, NOT_READY | UNREACHABLE) && taint.effect == NO_EXECUTE
    };
    let no_execute = match no_execute(world) {
        NoExecute::Keep => None,
        NoExecute::Begin(_) if !world.may_taint => None,
        NoExecute::None => Some(None),
        NoExecute::Begin(key) | NoExecute::Only(key) => Some(Some(key)),
    };
    wanted.extend(no_execute.flatten().map(|key| (key, NO_EXECUTE)));
    let mut taints = nodes::taints(node).to_vec();
    // A node that was not ready and is now unreachable has been no more ready since.
    let before = taints.iter().find(|taint| ours_too(taint));
    let before = before.and_then(|taint| taint.time_added.clone());
    taints.retain(|taint| {
        let kept = !ours(taint) && (!ours_too(taint) || no_execute.is_none());
        kept || wanted
            .iter()
            .any(|(key, effect)| taint.key == *key && taint.effect == *effect)
    });
    for (key, effect) in wanted {
        if !taints.iter().any(|t| t.key == key && t.effect == effect) {
            taints.push(Taint {
                key: key.to_owned(),
                effect: effect.to_owned(),
                time_added: before
                    .clone()
                    .filter(|_| effect == NO_EXECUTE)
                    .or(Some(Time(world.now))),
                ..Taint::default()
            });
        }
    }
    (taints != nodes::taints(node)).then_some(taints)
}

fn no_schedule(node: &Node) -> Vec<(&'static str, &'static str)> {
    let holds = |kind: &str, status: &str| {
        nodes::condition(node, kind).is_some_and(|condition| condition.status == status)
    };
    let conditions = CONDITIONS
        .iter()
        .filter(|(kind, status, _)| holds(kind, status));
    let mut keys: Vec<_> = conditions.map(|(.., key)| (*key, NO_SCHEDULE)).collect();
    if nodes::is_unschedulable(node) {
        keys.push((UNSCHEDULABLE, NO_SCHEDULE));
    }
    keys
}

/// Upstream: `processTaintBaseEviction`, `doNoExecuteTaintingPass`.
fn no_execute(world: &World) -> NoExecute {
    let has = |key: &str| {
        let mut taints = nodes::taints(&world.node).iter();
        taints.any(|taint| taint.key == key && taint.effect == NO_EXECUTE)
    };
    let Some(ready) = nodes::condition(&world.node, "Ready") else {
        return NoExecute::Keep;
    };
    let (this, other) = match ready.status.as_str() {
        _ if world.health.disrupted => return NoExecute::None,
        "False" => (NOT_READY, UNREACHABLE),
        "Unknown" => (UNREACHABLE, NOT_READY),
        _ => return NoExecute::None,
    };
    if has(this) || has(other) {
        NoExecute::Only(this)
    } else if this == NOT_READY || world.silent {
        NoExecute::Begin(this)
    } else {
        NoExecute::Keep
    }
}
