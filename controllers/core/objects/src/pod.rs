//! Questions about pods: phase, readiness, availability, restarts, ports.
//!
//! Upstream: `pkg/api/v1/pod/util.go`, `pkg/controller/controller_utils.go`; host ports
//! `kube-scheduler/framework/types.go` (`HostPortInfo`).

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodCondition, PodSpec};

use crate::{conditions, meta};

/// Pods with a lower value of this annotation are deleted first when a set shrinks.
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The `schedulerName` of a pod that is told no other: what kube-scheduler serves unless it is told otherwise.
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// The phase; `Pending` until a status says otherwise.
pub fn phase(pod: &Pod) -> &str {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    phase.filter(|phase| !phase.is_empty()).unwrap_or("Pending")
}

/// The condition of this type.
pub fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    conditions::find(pod.status.as_ref()?.conditions.as_deref(), kind)
}

/// Whether the condition `Ready` is `True`.
pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

/// Since when a ready pod is ready; nothing for a pod that is not, or whose status does not say.
pub fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let ready = condition(pod, "Ready").filter(|ready| ready.status == "True")?;
    ready.last_transition_time.as_ref().map(|time| time.0)
}

/// Whether the pod has been ready for `min_ready_seconds` at `now`.
pub fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    // Without a time to wait, no clock is compared: the node's may be ahead of ours.
    if min_ready_seconds <= 0 {
        return is_ready(pod);
    }
    available_at(pod, min_ready_seconds).is_some_and(|at| at <= now)
}

/// When a ready pod becomes, or became, available if it stays ready. Nothing for a pod that is not ready, or one that
/// has to stay ready for some time but does not say since when it is.
pub fn available_at(pod: &Pod, min_ready_seconds: i32) -> Option<Timestamp> {
    if !is_ready(pod) {
        return None;
    }
    if min_ready_seconds <= 0 {
        return Some(ready_since(pod).unwrap_or(Timestamp::MIN));
    }
    let min_ready = SignedDuration::from_secs(i64::from(min_ready_seconds));
    Some(
        ready_since(pod)?
            .saturating_add(min_ready)
            .unwrap_or(Timestamp::MAX),
    )
}

/// Whether the pod has ended for good: phase `Succeeded` or `Failed`.
pub fn is_terminal(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether the pod counts as a replica: not ended, and nobody asked for its deletion.
pub fn is_active(pod: &Pod) -> bool {
    !is_terminal(pod) && !meta::is_deleting(&pod.metadata)
}

/// Whether the pod is being deleted and has not ended yet, so that it still holds what it was given.
pub fn is_terminating(pod: &Pod) -> bool {
    !is_terminal(pod) && meta::is_deleting(&pod.metadata)
}

/// The node that the pod is bound to.
pub fn node_name(pod: &Pod) -> Option<&str> {
    let name = pod.spec.as_ref()?.node_name.as_deref()?;
    (!name.is_empty()).then_some(name)
}

/// The highest restart count among the regular containers.
pub fn restarts(pod: &Pod) -> i32 {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_deref());
    highest(statuses.unwrap_or_default().iter())
}

/// The highest restart count among the sidecars (init containers that restart always).
pub fn sidecar_restarts(pod: &Pod) -> i32 {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.init_container_statuses.as_deref());
    let is_one = |name: &str| {
        pod.spec
            .iter()
            .flat_map(sidecars)
            .any(|sidecar| sidecar.name == name)
    };
    highest(
        statuses
            .unwrap_or_default()
            .iter()
            .filter(|status| is_one(&status.name)),
    )
}

fn highest<'a>(statuses: impl Iterator<Item = &'a ContainerStatus>) -> i32 {
    statuses
        .map(|status| status.restart_count)
        .max()
        .unwrap_or(0)
        .max(0)
}

/// The init containers that restart always (KEP-753), which run beside the regular ones.
pub fn sidecars(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers
        .iter()
        .flatten()
        .filter(|container| is_sidecar(container))
}

/// Whether this init container is a sidecar.
pub fn is_sidecar(init_container: &Container) -> bool {
    init_container.restart_policy.as_deref() == Some("Always")
}

/// The deletion cost; zero if absent or not valid. A plus sign and leading zeros are not valid, as upstream
/// (`pkg/apis/core/helper/helpers.go`).
pub fn deletion_cost(pod: &Pod) -> i32 {
    let Some(text) = meta::annotation(&pod.metadata, DELETION_COST) else {
        return 0;
    };
    match text.as_bytes() {
        [b'-' | b'1'..=b'9', ..] => text.parse().unwrap_or(0),
        _ => 0,
    }
}

/// The host ports that the pod takes while it runs, as `(ip, protocol, port)`: those of its containers and sidecars.
/// An absent IP is `0.0.0.0`, an absent protocol `TCP`.
pub fn host_ports(pod: &Pod) -> Vec<(&str, &str, i32)> {
    let Some(spec) = &pod.spec else {
        return Vec::new();
    };
    let ports = spec
        .containers
        .iter()
        .chain(sidecars(spec))
        .flat_map(|container| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let number = port.host_port.filter(|number| *number > 0)?;
            let ip = port
                .host_ip
                .as_deref()
                .filter(|ip| !ip.is_empty())
                .unwrap_or(ANY_IP);
            let protocol = port
                .protocol
                .as_deref()
                .filter(|protocol| !protocol.is_empty());
            Some((ip, protocol.unwrap_or("TCP"), number))
        })
        .collect()
}

/// Whether two host ports, as [`host_ports`] gives them, cannot be taken on one node: same port and protocol, and the
/// same IP or all IPs on either side.
pub fn host_port_conflicts(one: (&str, &str, i32), other: (&str, &str, i32)) -> bool {
    one.2 == other.2
        && one.1 == other.1
        && (one.0 == other.0 || one.0 == ANY_IP || other.0 == ANY_IP)
}

const ANY_IP: &str = "0.0.0.0";

#[cfg(test)]
mod tests;
