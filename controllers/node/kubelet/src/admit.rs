//! Whether a node takes a pod on. Pure.
//!
//! Semantics: `pkg/kubelet/lifecycle/predicate.go`, which asks the scheduler's `AdmissionCheck`: resources,
//! then node affinity, then ports; the first that fails is told; then the taints `NoExecute`.

use k8s_openapi::api::core::v1::{Node, Pod, PodSpec};
use objects::{Resources, affinity, node, pod, resources, taints};

/// What pods take of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claim {
    /// Requests.
    pub requests: Resources,
    /// Host ports: address, protocol, port.
    pub ports: Vec<(String, String, i32)>,
}

/// Why a pod was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `status.reason`, `OutOfcpu`.
    pub reason: String,
    /// `status.message`, after `Pod was rejected: `.
    pub message: String,
}

impl Claim {
    /// What this pod takes.
    pub fn of(pod: &Pod) -> Self {
        let requests = pod.spec.as_ref().map(resources::pod_requests);
        let ports = pod::host_ports(pod).into_iter();
        Self {
            requests: requests.unwrap_or_default(),
            ports: ports
                .map(|(ip, protocol, port)| (ip.to_owned(), protocol.to_owned(), port))
                .collect(),
        }
    }

    /// Adds what one more pod takes.
    pub fn add(&mut self, other: &Self) {
        self.requests += &other.requests;
        self.ports.extend(other.ports.iter().cloned());
    }

    /// Gives back what a pod took.
    pub fn sub(&mut self, other: &Self) {
        self.requests -= &other.requests;
        for port in &other.ports {
            if let Some(at) = self.ports.iter().position(|held| held == port) {
                self.ports.swap_remove(at);
            }
        }
    }
}

/// Whether `node`, of which `used` is taken, takes on `pod`, which claims `claim`.
///
/// # Errors
/// The first reason against it.
pub fn admit(pod: &Pod, claim: &Claim, node: &Node, used: &Claim) -> Result<(), Refusal> {
    fits(
        &claim.requests,
        &resources::allocatable(node),
        &used.requests,
    )?;
    let empty = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    if !affinity::node_matches(spec, &node.metadata) {
        return Err(predicate(
            "NodeAffinity",
            "node(s) didn't match Pod's node affinity/selector",
        ));
    }
    let borrow = |port: &(String, String, i32)| -> bool {
        let one = (port.0.as_str(), port.1.as_str(), port.2);
        used.ports
            .iter()
            .any(|held| pod::host_port_conflicts(one, (held.0.as_str(), held.1.as_str(), held.2)))
    };
    if claim.ports.iter().any(borrow) {
        return Err(predicate(
            "NodePorts",
            "node(s) didn't have free ports for the requested pod ports",
        ));
    }
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    let evicting = |taint: &str| taint == "NoExecute";
    let untolerated = node::taints(node)
        .iter()
        .any(|taint| evicting(&taint.effect) && !taints::tolerates(tolerations, taint));
    if untolerated {
        return Err(predicate(
            "TaintToleration",
            "node(s) had taints that the pod didn't tolerate",
        ));
    }
    Ok(())
}

/// Resources that the node does not have at all are no reason: predicate.go removeMissingExtendedResources.
fn fits(asked: &Resources, has: &Resources, used: &Resources) -> Result<(), Refusal> {
    let plain = [
        ("pods", asked.pods, used.pods, has.pods),
        ("cpu", asked.milli_cpu, used.milli_cpu, has.milli_cpu),
        ("memory", asked.memory, used.memory, has.memory),
        (
            "ephemeral-storage",
            asked.ephemeral,
            used.ephemeral,
            has.ephemeral,
        ),
    ];
    let extended = asked.extended.iter().filter_map(|(name, amount)| {
        let has = *has.extended.get(name)?;
        let used = used.extended.get(name).copied().unwrap_or_default();
        Some((name.as_str(), *amount, used, has))
    });
    let short = plain
        .into_iter()
        .chain(extended)
        .find(|(_, asked, used, has)| *asked > 0 && asked + used > *has);
    match short {
        None => Ok(()),
        Some((name, asked, used, has)) => Err(Refusal {
            reason: format!("OutOf{name}"),
            message: format!(
                "Node didn't have enough resource: {name}, requested: {asked}, used: {used}, capacity: {has}"
            ),
        }),
    }
}

fn predicate(name: &str, what: &str) -> Refusal {
    Refusal {
        reason: name.to_owned(),
        message: format!("Predicate {name} failed: {what}"),
    }
}

#[cfg(test)]
mod tests;
