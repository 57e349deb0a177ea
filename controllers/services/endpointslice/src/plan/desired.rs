//! The endpoints that a Service should have, by the ports that their pods listen on.

use crate::Selecting;
use crate::plan::topology;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort};
use objects::endpoint::{self, Family, Identity, PortKey, identity, port_key};
use std::collections::BTreeMap;

/// Pods that resolve the Service's ports to the same numbers. Only they may share slices.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) ports: Vec<EndpointPort>,
    pub(crate) endpoints: BTreeMap<Identity, Wanted>,
}

/// An endpoint that should be in one slice.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) endpoint: Endpoint,
    /// When the pod became as ready as it is.
    pub(crate) since: Option<Timestamp>,
}

/// The endpoints of one family.
pub(crate) fn groups(world: &Selecting, family: Family) -> BTreeMap<PortKey, Group> {
    let service = &*world.service;
    let mut groups = BTreeMap::new();
    for pod in world.pods.iter().filter(|pod| endpoint::belongs(pod, true)) {
        let node = endpoint::node_name(pod).and_then(|name| world.nodes.get(name));
        // A pod of a node that nobody knows is about to be collected. It comes back with the node, whose appearance
        // wakes the Service.
        if node.is_none() && !endpoint::publishes_not_ready(service) {
            continue;
        }
        let addresses = endpoint::addresses(pod, family);
        if addresses.is_empty() {
            continue;
        }
        let zone = node
            .and_then(|node| topology::zone(node))
            .map(str::to_owned);
        let wanted = Wanted {
            endpoint: to_endpoint(pod, service, addresses, zone),
            since: endpoint::ready_since(pod),
        };
        let ports = ports(pod, service);
        groups
            .entry(port_key(&ports))
            .or_insert_with(|| Group {
                ports,
                endpoints: BTreeMap::new(),
            })
            .endpoints
            .insert(identity(&wanted.endpoint), wanted);
    }
    groups
}

/// `utils.go podToEndpoint`
fn to_endpoint(
    pod: &Pod,
    service: &Service,
    addresses: Vec<String>,
    zone: Option<String>,
) -> Endpoint {
    let conditions = endpoint::conditions(pod, service);
    Endpoint {
        addresses,
        conditions: Some(EndpointConditions {
            ready: Some(conditions.ready),
            serving: Some(conditions.serving),
            terminating: Some(conditions.terminating),
        }),
        hostname: endpoint::hostname(pod, service).map(str::to_owned),
        node_name: endpoint::node_name(pod).map(str::to_owned),
        target_ref: Some(endpoint::target_ref(pod)),
        zone,
        ..Endpoint::default()
    }
}

/// `utils.go getEndpointPorts`: a port that the pod does not have is left out.
fn ports(pod: &Pod, service: &Service) -> Vec<EndpointPort> {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_ref());
    let ports = ports.into_iter().flatten().filter_map(|port| {
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(endpoint::port(pod, port)?),
            protocol: Some(endpoint::protocol(port).to_owned()),
            app_protocol: port.app_protocol.clone(),
        })
    });
    ports.collect()
}
