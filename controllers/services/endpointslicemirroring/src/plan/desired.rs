//! The endpoints that slices should hold.

use crate::Mirrored;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort as Port};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort};
use objects::endpoint::{self, Family, Identity, PortKey};
use std::collections::BTreeMap;

/// `addressType` and ports.
pub(crate) type GroupKey = (String, PortKey);

/// The content of one slice.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) ports: Vec<EndpointPort>,
    pub(crate) endpoints: BTreeMap<Identity, Endpoint>,
}

/// How many addresses are in no slice.
#[derive(Debug, Default)]
pub(crate) struct Skipped {
    /// Those that are no IP addresses.
    pub(crate) invalid: usize,
    /// Those, and what is beyond the limit.
    pub(crate) all: usize,
}

/// Groups by family and ports; ready addresses first, up to the limit of each subset. Families without addresses have
/// no group.
pub(crate) fn groups(world: &Mirrored) -> (BTreeMap<GroupKey, Group>, Skipped) {
    let mut groups: BTreeMap<GroupKey, Group> = BTreeMap::new();
    let mut skipped = Skipped::default();
    let subsets = world.endpoints.subsets.clone().unwrap_or_default();
    for subset in endpoint::repack_subsets(subsets) {
        let ports: Vec<_> = subset.ports.iter().flatten().map(port).collect();
        let key = endpoint::port_key(&ports);
        let ready = subset.addresses.iter().flatten().map(|a| (a, true));
        let others = subset.not_ready_addresses.iter().flatten();
        let addresses = ready.chain(others.map(|a| (a, false)));
        let mut added = 0;
        for (address, ready) in addresses {
            skipped.all += 1;
            if added >= world.max {
                continue;
            }
            let Some((family, endpoint)) = to_endpoint(address, ready) else {
                skipped.invalid += 1;
                continue;
            };
            skipped.all -= 1;
            added += 1;
            let group = groups.entry((family.as_str().to_owned(), key.clone()));
            let group = group.or_default();
            group.ports.clone_from(&ports);
            group
                .endpoints
                .insert(endpoint::identity(&endpoint), endpoint);
        }
    }
    (groups, skipped)
}

/// `utils.go addressToEndpoint`
fn to_endpoint(address: &EndpointAddress, ready: bool) -> Option<(Family, Endpoint)> {
    let ip = endpoint::parse_ip(&address.ip)?;
    let endpoint = Endpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            ..EndpointConditions::default()
        }),
        hostname: address.hostname.clone().filter(|name| !name.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    };
    Some((Family::of(ip), endpoint))
}

fn port(port: &Port) -> EndpointPort {
    EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
        app_protocol: port.app_protocol.clone(),
    }
}
