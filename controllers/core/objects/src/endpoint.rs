//! What a pod and a Service say about endpoints: which pods belong, at which addresses and ports, in which
//! condition. EndpointSlices and the old Endpoints are two ways to write down the same answers.
//!
//! Upstream: `staging/src/k8s.io/endpointslice/{utils.go,util/controller_utils.go}`,
//! `pkg/controller/endpoint/endpoints_controller.go`.

mod pace;
mod slices;
mod subsets;

pub use pace::Pace;
pub use slices::{
    Identity, MANAGED_BY_LABEL, PortKey, SERVICE_NAME_LABEL, identity, port_key, same_beyond_hints,
};
pub use subsets::{repack_subsets, same_subsets};

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ObjectReference, Pod, PodCondition, Service, ServicePort,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::{Selector, meta};

/// On Endpoints that leaders are elected with: they have no Service and need none.
pub const LEADER_ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";
/// On Endpoints and EndpointSlices of Services without a cluster IP, with an empty value.
pub const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";
/// When the change happened that the last write of an Endpoints or EndpointSlice made known: an RFC 3339 time.
pub const TRIGGER_TIME_ANNOTATION: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// An IP family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// `IPv4`
    V4,
    /// `IPv6`
    V6,
}

impl Family {
    /// `IPv4` or `IPv6`: `spec.ipFamilies` of a Service and `addressType` of an EndpointSlice alike.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "IPv4" => Some(Self::V4),
            "IPv6" => Some(Self::V6),
            _ => None,
        }
    }

    /// The family of an address in its canonical form.
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

// === Services ===

/// The labels that pods of this Service carry. `None` for a Service whose endpoints are somebody else's business:
/// one without selector, and an ExternalName.
pub fn selector(service: &Service) -> Option<Selector> {
    let spec = service.spec.as_ref()?;
    let labels = spec.selector.as_ref().filter(|labels| !labels.is_empty())?;
    (spec.type_.as_deref() != Some("ExternalName")).then(|| Selector::from_labels(labels))
}

/// Whether the Service has no cluster IP.
pub fn is_headless(service: &Service) -> bool {
    matches!(cluster_ip(service), "" | "None")
}

/// What is made from a Service carries its labels, except that nobody may forge who manages it and whether it is
/// headless (`endpoints_controller.go syncService`, `utils.go setEndpointSliceLabels`).
pub fn labels(service: &Service, managed_by: (&str, &str)) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(managed_by.0.to_owned(), managed_by.1.to_owned());
    if is_headless(service) {
        labels.insert(HEADLESS_LABEL.to_owned(), String::new());
    } else {
        labels.remove(HEADLESS_LABEL);
    }
    labels
}

/// Whether addresses of pods that are not ready are published as if they were.
pub fn publishes_not_ready(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    spec.and_then(|spec| spec.publish_not_ready_addresses) == Some(true)
}

/// The IP families of a Service, the primary one first. Where the API server filled none in (a Service that an old
/// one stored), the family of the cluster IP; both for a headless one.
pub fn families(service: &Service) -> Vec<Family> {
    let mut families = Vec::new();
    for family in written_families(service) {
        if !families.contains(&family) {
            families.push(family);
        }
    }
    if families.is_empty() {
        match parse_ip(cluster_ip(service)) {
            Some(ip) => families.push(Family::of(ip)),
            None => families.extend([Family::V4, Family::V6]),
        }
    }
    families
}

/// The one family that the old Endpoints of this Service has this pod's address in.
pub fn primary_family(service: &Service, pod: &Pod) -> Family {
    written_families(service)
        .next()
        .or_else(|| parse_ip(cluster_ip(service)).map(Family::of))
        .or_else(|| {
            let status = pod.status.as_ref()?;
            parse_ip(status.pod_ip.as_deref()?).map(Family::of)
        })
        .unwrap_or(Family::V4)
}

fn written_families(service: &Service) -> impl Iterator<Item = Family> {
    let spec = service.spec.as_ref();
    let families = spec.and_then(|spec| spec.ip_families.as_ref());
    families
        .into_iter()
        .flatten()
        .filter_map(|family| Family::parse(family))
}

fn cluster_ip(service: &Service) -> &str {
    let spec = service.spec.as_ref();
    spec.and_then(|spec| spec.cluster_ip.as_deref())
        .unwrap_or_default()
}

// === Pods ===

/// Whether a pod belongs among the endpoints: it has an address and its containers may still run. Terminating pods
/// belong if `terminating` says so (`controller_utils.go ShouldPodBeInEndpoints`).
pub fn belongs(pod: &Pod, terminating: bool) -> bool {
    let Some(status) = &pod.status else {
        return false;
    };
    let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let addressed = status.pod_ip.as_ref().is_some_and(|ip| !ip.is_empty())
        || status.pod_ips.as_ref().is_some_and(|ips| !ips.is_empty());
    !ended && addressed && (terminating || !meta::is_deleting(&pod.metadata))
}

/// The addresses of a pod in one family, in their canonical spelling.
pub fn addresses(pod: &Pod, family: Family) -> Vec<String> {
    let ips = pod
        .status
        .as_ref()
        .and_then(|status| status.pod_ips.as_ref());
    ips.into_iter()
        .flatten()
        .filter_map(|ip| parse_ip(&ip.ip))
        .filter(|ip| Family::of(*ip) == family)
        .map(|ip| ip.to_string())
        .collect()
}

/// The state of a pod as an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// It should get traffic.
    pub ready: bool,
    /// It would answer.
    pub serving: bool,
    /// Its deletion was asked for.
    pub terminating: bool,
}

/// The conditions of a pod as an endpoint of this Service (`utils.go podToEndpoint`).
pub fn conditions(pod: &Pod, service: &Service) -> Conditions {
    let serving = is_ready(pod);
    let terminating = meta::is_deleting(&pod.metadata);
    Conditions {
        ready: publishes_not_ready(service) || (serving && !terminating),
        serving,
        terminating,
    }
}

/// The host name under which DNS shall know the pod: only where its subdomain is this Service.
pub fn hostname<'a>(pod: &'a Pod, service: &Service) -> Option<&'a str> {
    let spec = pod.spec.as_ref()?;
    let hostname = spec.hostname.as_deref().filter(|name| !name.is_empty())?;
    let ours = spec
        .subdomain
        .as_deref()
        .is_some_and(|subdomain| !subdomain.is_empty())
        && spec.subdomain == service.metadata.name
        && pod.metadata.namespace == service.metadata.namespace;
    ours.then_some(hostname)
}

/// The name of the node that a pod is on.
pub fn node_name(pod: &Pod) -> Option<&str> {
    let name = pod.spec.as_ref()?.node_name.as_deref()?;
    (!name.is_empty()).then_some(name)
}

/// The reference by which endpoints name their pod. No resourceVersion: it would change with each heartbeat.
pub fn target_ref(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// When the pod became as ready, or as unready, as it is.
pub fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let condition = ready_condition(pod)?;
    condition.last_transition_time.as_ref().map(|time| time.0)
}

/// Whether a change of a pod may matter to the endpoints of a Service that selects it before and after: addresses,
/// readiness, deletion, end, node, host name (`controller_utils.go podEndpointsChanged`, which trusts the kubelet
/// never to end a pod that is still ready).
pub fn changed(old: &Pod, new: &Pod) -> bool {
    fn view(pod: &Pod) -> impl PartialEq {
        let (spec, status) = (pod.spec.as_ref(), pod.status.as_ref());
        (
            (
                is_ready(pod),
                belongs(pod, true),
                meta::is_deleting(&pod.metadata),
                &pod.metadata.uid,
            ),
            status.map(|status| (&status.pod_ips, &status.pod_ip)),
            spec.map(|spec| (&spec.node_name, &spec.hostname, &spec.subdomain)),
        )
    }
    view(old) != view(new)
}

/// Whether the Service's selector takes pods with these labels.
pub fn selects(service: &Service, labels: Option<&BTreeMap<String, String>>) -> bool {
    selector(service).is_some_and(|selector| selector.matches(labels))
}

/// Whether a change of a pod, of which an addition has no `old` and a deletion no `new`, may change the endpoints
/// of a Service in the pod's namespace.
pub fn concerns(service: &Service, old: Option<&Pod>, new: Option<&Pod>) -> bool {
    let takes =
        |pod: Option<&Pod>| pod.is_some_and(|pod| selects(service, pod.metadata.labels.as_ref()));
    match (takes(old), takes(new)) {
        (false, false) => false,
        (true, true) => old.zip(new).is_some_and(|(old, new)| changed(old, new)),
        _ => true,
    }
}

fn is_ready(pod: &Pod) -> bool {
    ready_condition(pod).is_some_and(|condition| condition.status == "True")
}

fn ready_condition(pod: &Pod) -> Option<&PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
}

/// Go's `ParseIPSloppy`: also IPv4 with leading zeros, and IPv4 in the clothes of IPv6.
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    let strict = text.parse::<IpAddr>().ok();
    let ip = strict.or_else(|| {
        let parts = text.split('.').map(|part| part.parse().ok());
        let parts: Vec<u8> = parts.collect::<Option<_>>()?;
        Some(Ipv4Addr::from(<[u8; 4]>::try_from(parts).ok()?).into())
    })?;
    Some(ip.to_canonical())
}

// === Ports ===

/// The number of the port of this pod that a port of a Service leads to: the number itself, or the container port of
/// that name and protocol, of which sidecars may have one too. `None` if there is none (`utils.go FindPort`).
pub fn port(pod: &Pod, service_port: &ServicePort) -> Option<i32> {
    let name = match &service_port.target_port {
        None => return Some(service_port.port),
        Some(IntOrString::Int(number)) => return Some(*number),
        Some(IntOrString::String(name)) => name,
    };
    let spec = pod.spec.as_ref()?;
    let sidecars = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|container| container.restart_policy.as_deref() == Some("Always"));
    spec.containers
        .iter()
        .chain(sidecars)
        .find_map(|container| named_port(container, name, protocol(service_port)))
}

fn named_port(container: &Container, name: &str, protocol: &str) -> Option<i32> {
    let ports = container.ports.iter().flatten();
    ports
        .filter(|port| port.name.as_deref() == Some(name))
        .find(|port| port.protocol.as_deref().unwrap_or("TCP") == protocol)
        .map(|port| port.container_port)
}

/// The protocol of a Service's port; TCP if it says nothing.
pub fn protocol(service_port: &ServicePort) -> &str {
    service_port.protocol.as_deref().unwrap_or("TCP")
}

#[cfg(test)]
mod tests;
