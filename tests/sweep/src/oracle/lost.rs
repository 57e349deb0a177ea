//! No node is called silent that is not, and no pod goes from a node that is not tainted.

use crate::nodes::LEASES;
use ::objects::taints::tolerates;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use sim::{State, Verb, Write};

/// A node that has been heard of within this time is not silent.
const HEARD: SignedDuration = SignedDuration::from_secs(49);

/// What is wrong with a write of the controllers.
pub(super) fn wrong(state: &State, write: &Write) -> Option<&'static str> {
    let name = write.object["metadata"]["name"].as_str()?;
    match (write.kind, write.verb) {
        ("Node", Verb::Update | Verb::Patch) if write.subresource == "status" => {
            let lease = state.get::<Lease>(LEASES, name)?;
            let renewed: Timestamp = lease.spec.as_ref()?.renew_time.as_ref()?.0;
            let silent = write.at.duration_since(renewed) > HEARD;
            (!silent).then_some("O13: a node is called silent that is not")
        }
        ("Pod", Verb::Delete) => {
            let before = write.before.as_deref()?.clone();
            let pod: Pod = serde_json::from_value(before).ok()?;
            let spec = pod.spec.as_ref()?;
            let node = state.get::<Node>("", spec.node_name.as_deref()?)?;
            let mut taints = ::objects::node::taints(&node).iter();
            let forever: Vec<_> = spec.tolerations.iter().flatten().cloned().collect();
            let forever: Vec<_> = forever
                .into_iter()
                .filter(|toleration| toleration.toleration_seconds.is_none())
                .collect();
            let ends = taints.any(|t| t.effect == "NoExecute" && !tolerates(&forever, t));
            (!ends).then_some("O13: a pod goes that may stay")
        }
        _ => None,
    }
}
