//! What nobody may have twice, and what nobody may take away.

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use objects::cidr::Cidr;
use objects::meta;
use sim::{State, Write};
use std::collections::HashMap;
use std::net::IpAddr;

/// What is wrong after a write of whoever it was.
pub(super) fn wrong(state: &State, write: &Write) -> Option<String> {
    match write.kind {
        "Node" => twice(state),
        "ServiceCIDR" if write.gone => orphan(state),
        "CertificateSigningRequest" if !write.gone => unasked(write),
        _ => None,
    }
}

/// Two nodes with one range.
fn twice(state: &State) -> Option<String> {
    let mut seen = HashMap::new();
    for node in state.list::<Node>(None) {
        let spec = node.spec.as_ref();
        let range = spec.and_then(|spec| spec.pod_cidr.clone());
        let name = meta::name(&node.metadata).to_owned();
        if let Some(range) = range
            && let Some(other) = seen.insert(range.clone(), name.clone())
        {
            return Some(format!("{name} and {other} have the range {range}"));
        }
    }
    None
}

/// An address of no range, once a range that was protected is gone.
fn orphan(state: &State) -> Option<String> {
    let ranges = state.list::<ServiceCIDR>(None);
    let ranges = ranges.iter().filter_map(|cidr| cidr.spec.as_ref());
    let ranges = ranges.flat_map(|spec| spec.cidrs.iter().flatten());
    let ranges: Vec<Cidr> = ranges.filter_map(|text| text.parse().ok()).collect();
    let addresses = state.list::<IPAddress>(None);
    let addresses = addresses
        .iter()
        .map(|address| meta::name(&address.metadata).to_owned());
    let mut lost = addresses.filter(|name| {
        let address: Result<IpAddr, _> = name.parse();
        address.is_ok_and(|address| !ranges.iter().any(|range| range.serves(address)))
    });
    Some(format!("{} is of no range", lost.next()?))
}

/// A certificate without approval.
fn unasked(write: &Write) -> Option<String> {
    let status = &write.object["status"];
    let conditions = status["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let approved = conditions.any(|condition| condition["type"] == "Approved");
    let bare = status["certificate"].is_string() && !approved;
    bare.then(|| "a certificate for a request that nobody approved".to_owned())
}
