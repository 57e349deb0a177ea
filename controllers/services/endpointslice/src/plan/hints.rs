//! Hints for `trafficDistribution`: each ready endpoint is for its own zone, or its own node.
//!
//! Upstream: `staging/src/k8s.io/endpointslice/trafficdist/trafficdist.go`.

use crate::Routing;
use crate::plan::Drafts;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointHints, EndpointSlice, ForNode, ForZone};

/// Sets the hints of all endpoints; unchanged slices with others become updates. [`Routing::Auto`] is
/// [`super::topology`]'s: here it means no hints.
pub(crate) fn set(drafts: &mut Drafts, routing: &Routing) {
    let wrong = |slice: &EndpointSlice| {
        let mut endpoints = slice.endpoints.iter().flatten();
        endpoints.any(|endpoint| endpoint.hints != wanted(endpoint, routing))
    };
    reopen(drafts, wrong);
    for slice in drafts.create.iter_mut().chain(&mut drafts.update) {
        for endpoint in slice.endpoints.iter_mut().flatten() {
            endpoint.hints = wanted(endpoint, routing);
        }
    }
}

/// Unchanged slices that are wrong become updates.
pub(crate) fn reopen(drafts: &mut Drafts, mut wrong: impl FnMut(&EndpointSlice) -> bool) {
    let update = &mut drafts.update;
    drafts.unchanged.retain(|slice| {
        let wrong = wrong(slice);
        if wrong {
            update.push((**slice).clone());
        }
        !wrong
    });
}

/// Whether an endpoint of the slice has hints.
pub(crate) fn any(slice: &EndpointSlice) -> bool {
    let mut endpoints = slice.endpoints.iter().flatten();
    endpoints.any(|endpoint| endpoint.hints.is_some())
}

pub(crate) fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint
        .conditions
        .as_ref()
        .and_then(|conditions| conditions.ready)
        == Some(true)
}

/// A hint that the endpoint is for one zone.
pub(crate) fn for_zone(zone: &str) -> EndpointHints {
    EndpointHints {
        for_zones: Some(vec![ForZone {
            name: zone.to_owned(),
        }]),
        for_nodes: None,
    }
}

fn wanted(endpoint: &Endpoint, routing: &Routing) -> Option<EndpointHints> {
    if !is_ready(endpoint) || matches!(routing, Routing::Anywhere | Routing::Auto(_)) {
        return None;
    }
    let zone = endpoint.zone.as_deref().map(for_zone);
    let node = match (routing, &endpoint.node_name) {
        (Routing::SameNode, Some(name)) => Some(vec![ForNode { name: name.clone() }]),
        _ => None,
    };
    match (zone, node) {
        (None, None) => None,
        (zone, for_nodes) => Some(EndpointHints {
            for_nodes,
            ..zone.unwrap_or_default()
        }),
    }
}
