//! What slices are told apart by, and their endpoints.
//!
//! Upstream: `staging/src/k8s.io/endpointslice/util/{controller_utils.go,endpointset.go}`.

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort};

/// Which program a slice belongs to.
pub const MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
/// Which Service a slice belongs to.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// Two lists of ports are the same group when these are equal: order does not matter, and what the API server fills
/// in is filled in.
pub type PortKey = Vec<(String, String, Option<i32>, Option<String>)>;

/// What makes an endpoint the same one after its condition changed (`endpointset.go hashEndpoint`): addresses, host
/// name, and the pod's namespace and name.
pub type Identity = (Vec<String>, String, String, String);

/// The key of a list of ports.
pub fn port_key(ports: &[EndpointPort]) -> PortKey {
    let keys = ports.iter().map(|port| {
        (
            port.name.clone().unwrap_or_default(),
            port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            port.port,
            port.app_protocol.clone(),
        )
    });
    let mut key: PortKey = keys.collect();
    key.sort();
    key
}

/// What makes this endpoint the same one tomorrow.
pub fn identity(endpoint: &Endpoint) -> Identity {
    let mut addresses = endpoint.addresses.clone();
    addresses.sort();
    let target = endpoint.target_ref.as_ref();
    let part = |part: Option<&String>| part.cloned().unwrap_or_default();
    (
        addresses,
        part(endpoint.hostname.as_ref()),
        part(target.and_then(|target| target.namespace.as_ref())),
        part(target.and_then(|target| target.name.as_ref())),
    )
}

/// Whether two endpoints of the same identity say the same (`controller_utils.go EndpointsEqualBeyondHash`). Hints are
/// judged by whoever sets them.
pub fn same_beyond_hints(old: &Endpoint, new: &Endpoint) -> bool {
    let target = |endpoint: &Endpoint| {
        let mut target = endpoint.target_ref.clone();
        if let Some(target) = &mut target {
            target.resource_version = None;
        }
        target
    };
    old.node_name == new.node_name
        && old.zone == new.zone
        && old.conditions == new.conditions
        && target(old) == target(new)
}
