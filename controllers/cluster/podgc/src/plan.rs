//! Which pods go, and how. Pure. (upstream: gc_controller.go)

use ::plan::{Action, PatchType, Plan, Reference};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use objects::{meta, pod};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a node must be gone (upstream: `quarantineTime`).
pub const QUARANTINE: SignedDuration = SignedDuration::from_secs(40);
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// What is looked at when it is decided about one pod.
#[derive(Clone, Debug)]
pub struct World {
    /// The pod as the cache holds it.
    pub pod: Arc<Pod>,
    /// What is known of its node.
    pub node: Whereabouts,
    /// Whether it has ended and there are too many such.
    pub surplus: bool,
    /// The time of the decision.
    pub now: Timestamp,
}

/// What is known of the node of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// The pod has none.
    Nowhere,
    /// It is there.
    There {
        /// It is not ready, and an administrator says that nothing runs on it.
        out_of_service: bool,
    },
    /// It has not been seen since then.
    Missing {
        /// When that was noticed.
        since: Timestamp,
        /// Whether the API server says so too; not asked before the time has come.
        confirmed: bool,
    },
    /// Another machine has its name; the pod was bound before that came.
    Replaced {
        /// When the machine that it was bound to went.
        since: Timestamp,
    },
}

/// Why a pod goes: upstream's words, in the metrics too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Too many have ended.
    Terminated,
    /// Its node is gone.
    Orphaned,
    /// Its node is out of service.
    OutOfService,
    /// It has no node.
    Unscheduled,
}

impl Reason {
    /// The value of the label `reason`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Terminated => "terminated",
            Self::Orphaned => "orphaned",
            Self::OutOfService => "out-of-service",
            Self::Unscheduled => "unscheduled",
        }
    }
}

impl Whereabouts {
    /// Whether a node is there for the pods that hang on it.
    pub fn of(node: &Node) -> Self {
        let taints = node.spec.as_ref().and_then(|s| s.taints.as_deref());
        let mut taints = taints.unwrap_or_default().iter();
        let tainted = taints.any(|taint| taint.key == OUT_OF_SERVICE);
        Self::There {
            out_of_service: tainted && !is_ready(node),
        }
    }

    /// Since when the node is gone.
    pub(crate) fn gone_since(self) -> Option<Timestamp> {
        match self {
            Self::Missing { since, .. } | Self::Replaced { since } => Some(since),
            Self::Nowhere | Self::There { .. } => None,
        }
    }
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_deref());
    let ready = objects::conditions::find(conditions, "Ready");
    ready.is_some_and(|ready| ready.status == "True")
}

/// Why the pod goes, and what is done; or when it is looked at again.
pub fn plan(world: &World) -> (Option<Reason>, Plan) {
    let mut plan = Plan::none();
    let Some(reason) = reason(world) else {
        if let Some(since) = world.node.gone_since() {
            let left = (since + QUARANTINE).duration_since(world.now);
            let left = Duration::try_from(left).unwrap_or_default();
            plan.again(left.max(Duration::from_millis(100)));
        }
        return (None, plan);
    };
    let pod = &*world.pod;
    if !pod::is_terminal(pod) {
        plan.then(vec![fail(world, reason)]);
    } else if meta::is_deleting(&pod.metadata)
        && pod.metadata.deletion_grace_period_seconds == Some(0)
    {
        // It has been said; a finalizer holds it.
        return (None, plan);
    }
    plan.then(vec![
        Action::delete(pod).with_grace(0).because(reason.name()),
    ]);
    (Some(reason), plan)
}

fn reason(world: &World) -> Option<Reason> {
    let deleting = meta::is_deleting(&world.pod.metadata);
    match world.node {
        Whereabouts::There {
            out_of_service: true,
        } if deleting => return Some(Reason::OutOfService),
        Whereabouts::Nowhere if deleting => return Some(Reason::Unscheduled),
        Whereabouts::Missing {
            since,
            confirmed: true,
        }
        | Whereabouts::Replaced { since }
            if since + QUARANTINE <= world.now =>
        {
            return Some(Reason::Orphaned);
        }
        _ => {}
    }
    (world.surplus && pod::is_terminal(&world.pod)).then_some(Reason::Terminated)
}

/// Nobody else says that the pod has ended: the node is not there to do it.
fn fail(world: &World, reason: Reason) -> Action {
    let meta = &world.pod.metadata;
    let mut status = json!({ "phase": "Failed" });
    if let Some(generation) = meta.generation {
        status["observedGeneration"] = generation.into();
    }
    if reason == Reason::Orphaned {
        status["conditions"] = json!([condition(world)]);
    }
    // The UID in the body hits this incarnation only.
    let body = json!({ "metadata": { "uid": meta.uid }, "status": status });
    Action::patch_status(Reference::to(&*world.pod), PatchType::Strategic, body)
        .because(reason.name())
}

fn condition(world: &World) -> Value {
    const TYPE: &str = "DisruptionTarget";
    let old = pod::condition(&world.pod, TYPE).filter(|old| old.status == "True");
    let since = old.and_then(|old| old.last_transition_time.as_ref());
    let since = since.map_or(world.now, |time| time.0);
    let mut condition = json!({
        "type": TYPE,
        "status": "True",
        "reason": "DeletionByPodGC",
        "message": "PodGC: node no longer exists",
        "lastTransitionTime": since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    });
    if let Some(generation) = world.pod.metadata.generation {
        condition["observedGeneration"] = generation.into();
    }
    condition
}

/// The pods that go when `threshold` of those that have ended are kept: evicted ones first, then the oldest. Those that
/// are being deleted go anyway and do not count.
pub fn surplus(mut pods: Vec<Arc<Pod>>, threshold: usize) -> Vec<Arc<Pod>> {
    if threshold == 0 {
        return Vec::new();
    }
    pods.retain(|pod| pod::is_terminal(pod) && !meta::is_deleting(&pod.metadata));
    let count = pods.len().saturating_sub(threshold);
    if count > 0 {
        pods.sort_by_cached_key(|pod| rank(pod));
    }
    pods.truncate(count);
    pods
}

/// (upstream: `byEvictionAndCreationTimestamp`)
fn rank(pod: &Pod) -> (bool, Option<Timestamp>, String, String) {
    let reason = pod.status.as_ref().and_then(|s| s.reason.as_deref());
    let evicted = pod::phase(pod) == "Failed" && reason == Some("Evicted");
    let meta = &pod.metadata;
    (
        !evicted,
        meta.creation_timestamp.as_ref().map(|t| t.0),
        meta::name(meta).to_owned(),
        meta::namespace(meta).to_owned(),
    )
}
