//! The canonical form of subsets: each set of addresses once, with all the ports that it offers.
//!
//! Upstream: `pkg/api/v1/endpoints/util.go`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset};

/// What tells two addresses apart: the IP, and the pod's UID (pods on the host's network share an IP).
type AddressKey = (String, String);
/// `None` stands for "no ports", which is not the same as not being there.
type PortKey = Option<(Option<String>, String, i32, Option<String>)>;

/// Turns subsets upside down and back: addresses with the same ports, and the same readiness on them, share a subset
/// (`RepackSubsets`). An address that is named twice is not ready if one says so. Sorted: subsets by their ports,
/// ports by name, addresses by IP and UID.
pub fn repack_subsets(subsets: Vec<EndpointSubset>) -> Vec<EndpointSubset> {
    let mut addresses: BTreeMap<AddressKey, EndpointAddress> = BTreeMap::new();
    let mut by_port: BTreeMap<PortKey, BTreeMap<AddressKey, bool>> = BTreeMap::new();
    for subset in subsets {
        let ports = subset
            .ports
            .iter()
            .flatten()
            .map(|port| Some(port_key(port)));
        let mut ports: Vec<PortKey> = ports.collect();
        if ports.is_empty() {
            ports.push(None);
        }
        let ready = subset
            .addresses
            .into_iter()
            .flatten()
            .map(|address| (address, true));
        let others = subset.not_ready_addresses.into_iter().flatten();
        for (address, ready) in ready.chain(others.map(|address| (address, false))) {
            let key = address_key(&address);
            for port in &ports {
                let on_port = by_port.entry(port.clone()).or_default();
                *on_port.entry(key.clone()).or_insert(true) &= ready;
            }
            addresses.entry(key).or_insert(address);
        }
    }

    let mut by_addresses: BTreeMap<BTreeMap<AddressKey, bool>, Vec<PortKey>> = BTreeMap::new();
    for (port, keys) in by_port {
        by_addresses.entry(keys).or_default().push(port);
    }
    let mut packed: Vec<_> = by_addresses.into_iter().collect();
    packed.sort_by(|a, b| a.1.cmp(&b.1));
    let subsets = packed.into_iter().map(|(keys, ports)| {
        let list = |ready: bool| {
            let keys = keys.iter().filter(|(_, is)| **is == ready);
            let list: Vec<_> = keys
                .filter_map(|(key, _)| addresses.get(key).cloned())
                .collect();
            (!list.is_empty()).then_some(list)
        };
        let ports: Vec<_> = ports.into_iter().flatten().map(port).collect();
        EndpointSubset {
            addresses: list(true),
            not_ready_addresses: list(false),
            ports: (!ports.is_empty()).then_some(ports),
        }
    });
    subsets.collect()
}

/// Whether two lists of subsets say the same, whatever version of the pods they were made from.
pub fn same_subsets(a: &[EndpointSubset], b: &[EndpointSubset]) -> bool {
    fn addresses(list: Option<&Vec<EndpointAddress>>) -> Vec<EndpointAddress> {
        let mut list = list.cloned().unwrap_or_default();
        for address in &mut list {
            // Upstream writes the empty name of the node of a pod that has none.
            address.node_name.take_if(|name| name.is_empty());
            if let Some(target) = &mut address.target_ref {
                target.resource_version = None;
            }
        }
        list
    }
    let same = |a: &EndpointSubset, b: &EndpointSubset| {
        let ports = |subset: &EndpointSubset| -> Vec<_> {
            subset.ports.iter().flatten().map(port_key).collect()
        };
        addresses(a.addresses.as_ref()) == addresses(b.addresses.as_ref())
            && addresses(a.not_ready_addresses.as_ref())
                == addresses(b.not_ready_addresses.as_ref())
            && ports(a) == ports(b)
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}

fn address_key(address: &EndpointAddress) -> AddressKey {
    let uid = address
        .target_ref
        .as_ref()
        .and_then(|target| target.uid.clone());
    (address.ip.clone(), uid.unwrap_or_default())
}

fn port_key(port: &EndpointPort) -> (Option<String>, String, i32, Option<String>) {
    (
        port.name.clone().filter(|name| !name.is_empty()),
        port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
        port.port,
        port.app_protocol.clone(),
    )
}

fn port(
    (name, protocol, port, app_protocol): (Option<String>, String, i32, Option<String>),
) -> EndpointPort {
    EndpointPort {
        name,
        port,
        protocol: Some(protocol),
        app_protocol,
    }
}
