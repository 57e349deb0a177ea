//! What a pod uses (upstream: `pkg/quota/v1/evaluator/core/pods.go`).

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use objects::resources::{Side, pod_amounts};
use objects::{Quantity, pod};

const COUNT: &str = "count/pods";
/// The resources that pods are charged for.
const NAMES: &[&str] = &[
    COUNT,
    "pods",
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];
/// Extended resources that stand for a device class have names that look native.
const IMPLICIT: &str = "deviceclass.resource.kubernetes.io/";

/// Whether pods are charged for it.
pub(crate) fn counts(name: &str) -> bool {
    NAMES.contains(&name)
        || name.starts_with("hugepages-")
        || name.starts_with("requests.hugepages-")
        || name.strip_prefix("requests.").is_some_and(is_extended)
}

/// Whether a resource of a container, written without `requests.`, is an extended one.
pub(super) fn is_extended(name: &str) -> bool {
    let native = !name.contains('/') || name.contains("kubernetes.io/");
    (!native && !name.starts_with("requests.")) || name.starts_with(IMPLICIT)
}

/// All that a pod uses. `count/pods` are all that are stored; for anything else a pod counts until it has ended, or
/// hangs in its deletion beyond its grace period.
pub(crate) fn each(pod: &Pod, now: Timestamp, mut add: impl FnMut(&str, Quantity)) {
    let one = Quantity::from_units(1);
    add(COUNT, one);
    if !is_charged(pod, now) {
        return;
    }
    add("pods", one);
    for (name, amount) in pod_amounts(pod, Side::Requests) {
        match name {
            "cpu" | "memory" | "ephemeral-storage" => {
                add(name, amount);
                add(requests(name), amount);
            }
            _ if name.starts_with("hugepages-") => {
                add(name, amount);
                add(&format!("requests.{name}"), amount);
            }
            _ if is_extended(name) => add(&format!("requests.{name}"), amount),
            _ => {}
        }
    }
    for (name, amount) in pod_amounts(pod, Side::Limits) {
        match name {
            "cpu" => add("limits.cpu", amount),
            "memory" => add("limits.memory", amount),
            "ephemeral-storage" => add("limits.ephemeral-storage", amount),
            _ => {}
        }
    }
}

fn requests(name: &str) -> &'static str {
    match name {
        "cpu" => "requests.cpu",
        "memory" => "requests.memory",
        _ => "requests.ephemeral-storage",
    }
}

/// Whether the pod counts for more than its existence (upstream: `QuotaV1Pod`).
fn is_charged(pod: &Pod, now: Timestamp) -> bool {
    !pod::is_terminal(pod) && grace_ends(pod).is_none_or(|end| now <= end)
}

/// When a pod that counts now will count no more, if its deletion hangs.
pub(super) fn charged_until(pod: &Pod, now: Timestamp) -> Option<Timestamp> {
    grace_ends(pod).filter(|_| is_charged(pod, now))
}

/// The deletion timestamp is the time of the request and the grace period already; upstream adds the period again, and
/// so does the API server's admission.
fn grace_ends(pod: &Pod) -> Option<Timestamp> {
    let deleted = pod.metadata.deletion_timestamp.as_ref()?.0;
    let grace = SignedDuration::from_secs(pod.metadata.deletion_grace_period_seconds?);
    Some(deleted.saturating_add(grace).unwrap_or(Timestamp::MAX))
}

/// What of a pod decides how it counts: where this stays the same, so does what is used.
pub(crate) fn differs(old: &Pod, new: &Pod) -> bool {
    let life = |pod: &Pod| {
        let meta = &pod.metadata;
        let deadline = pod.spec.as_ref().and_then(|s| s.active_deadline_seconds);
        let deleted = meta.deletion_timestamp.as_ref().map(|t| t.0);
        let grace = meta.deletion_grace_period_seconds;
        (pod::is_terminal(pod), deleted, grace, deadline.is_some())
    };
    life(old) != life(new) || resources(old).ne(resources(new))
}

/// All that [`pod_amounts`] looks at and that can change.
fn resources(pod: &Pod) -> impl Iterator<Item = impl PartialEq> {
    let spec = pod.spec.iter();
    let wanted = spec.flat_map(|spec| {
        let containers = spec.containers.iter();
        let all = containers.chain(spec.init_containers.iter().flatten());
        let each = all.map(|c| (c.resources.as_ref(), None));
        each.chain([(spec.resources.as_ref(), None)])
    });
    let status = pod.status.iter();
    let given = status.flat_map(|status| {
        let regular = status.container_statuses.iter().flatten();
        let all = regular.chain(status.init_container_statuses.iter().flatten());
        all.map(|c| (c.resources.as_ref(), c.allocated_resources.as_ref()))
    });
    let infeasible = pod::condition(pod, "PodResizePending");
    let infeasible = infeasible.map(|pending| pending.reason.clone());
    let rest = wanted.chain(given).map(|one| (Some(one), None));
    rest.chain([(None, infeasible)])
}
