//! What a ResourceClaim uses (upstream: `pkg/quota/v1/evaluator/core/resource_claims.go`).

use super::{Amounts, pods};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{DeviceClass, ResourceClaim};
use objects::{Quantity, meta};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many claims there are.
pub(crate) const COUNT: &str = "count/resourceclaims.resource.k8s.io";
/// Stands after the name of a DeviceClass: how many devices of it are claimed.
const OF_CLASS: &str = ".deviceclass.resource.k8s.io/devices";
/// Stands before the name of a DeviceClass, as that of an extended resource.
const IMPLICIT: &str = "requests.deviceclass.resource.kubernetes.io/";
/// On claims that were made for a pod that asks for extended resources.
const FOR_POD: &str = "resource.kubernetes.io/extended-resource-claim";
/// A request for all devices counts with the most that one can get (upstream: `AllocationResultsMaxSize`).
const MOST: i64 = 32;

/// The ResourceClaims of a namespace, and what is known of device classes.
#[derive(Clone, Debug, Default)]
pub struct Devices {
    /// The claims.
    pub claims: Vec<Arc<ResourceClaim>>,
    /// All device classes.
    pub classes: Vec<Arc<DeviceClass>>,
    /// Whether the API server has claims at all.
    pub served: bool,
    /// Whether they have not been listed yet.
    pub unlisted: bool,
}

/// Whether claims may be charged for it: of an extended resource only its class can tell.
pub(crate) fn may_count(name: &str) -> bool {
    name == COUNT
        || name.ends_with(OF_CLASS)
        || name
            .strip_prefix("requests.")
            .is_some_and(pods::is_extended)
}

/// All that claims use.
pub(super) fn each(
    devices: &Devices,
    pods: &[Arc<Pod>],
    now: Timestamp,
    mut add: impl FnMut(&str, Quantity),
) {
    for claim in &devices.claims {
        add(COUNT, Quantity::from_units(1));
        let by_class = by_class(claim);
        for (class, devices) in &by_class {
            add(
                &format!("{class}{OF_CLASS}"),
                Quantity::from_units(*devices),
            );
        }
        let charged = charged_to_pod(claim, &devices.claims, pods, now);
        for (class, wanted) in by_class {
            let explicit = devices
                .classes
                .iter()
                .find(|c| meta::name(&c.metadata) == class);
            let explicit = explicit.and_then(|c| c.spec.extended_resource_name.as_deref());
            let explicit = explicit.map(|name| format!("requests.{name}"));
            for name in [Some(format!("{IMPLICIT}{class}")), explicit]
                .into_iter()
                .flatten()
            {
                let paid = charged.get(&name).copied().unwrap_or_default();
                let left = Quantity::from_units(wanted) - paid;
                if left > Quantity::ZERO {
                    add(&name, left);
                }
            }
        }
    }
}

/// How many devices of each class a claim may get.
fn by_class(claim: &ResourceClaim) -> BTreeMap<&str, i64> {
    let mut by_class = BTreeMap::new();
    let requests = claim
        .spec
        .devices
        .iter()
        .flat_map(|d| d.requests.iter().flatten());
    for request in requests {
        let alternatives = request.first_available.as_deref().unwrap_or_default();
        if alternatives.is_empty() {
            if let Some(exactly) = &request.exactly {
                let mode = exactly.allocation_mode.as_deref();
                let sum: &mut i64 = by_class
                    .entry(exactly.device_class_name.as_str())
                    .or_default();
                *sum = sum.saturating_add(number(mode, exactly.count));
            }
            continue;
        }
        // Of alternatives of the same class the largest counts, of classes all.
        let mut largest = BTreeMap::new();
        for one in alternatives {
            let largest: &mut i64 = largest.entry(one.device_class_name.as_str()).or_default();
            *largest = (*largest).max(number(one.allocation_mode.as_deref(), one.count));
        }
        for (class, devices) in largest.into_iter().filter(|(_, devices)| *devices > 0) {
            let sum = by_class.entry(class).or_default();
            *sum = sum.saturating_add(devices);
        }
    }
    by_class
}

fn number(mode: Option<&str>, count: Option<i64>) -> i64 {
    match mode {
        // The API server fills both in; absent means one.
        Some("ExactCount") | None => count.unwrap_or(1),
        Some("All") => MOST,
        Some(_) => 0,
    }
}

/// What the pod that a claim was made for is charged already (upstream: `getVerifiedPodUsage`). A claim that only says
/// so gets nothing off.
fn charged_to_pod(
    claim: &ResourceClaim,
    claims: &[Arc<ResourceClaim>],
    pods: &[Arc<Pod>],
    now: Timestamp,
) -> Amounts {
    let mut charged = Amounts::new();
    let Some(owner) = owner(claim) else {
        return charged;
    };
    let found = pods
        .iter()
        .find(|pod| pod.metadata.uid.as_ref() == Some(owner));
    let Some(pod) = found else { return charged };
    let status = pod.status.as_ref();
    let named = status.and_then(|s| s.extended_resource_claim_status.as_ref());
    let name = meta::name(&claim.metadata);
    let is_the_one = match named {
        Some(named) => named.resource_claim_name == name,
        None => {
            let rank = |claim: &ResourceClaim| {
                let created = claim.metadata.creation_timestamp.as_ref().map(|t| t.0);
                (created, meta::name(&claim.metadata).to_owned())
            };
            let mut others = claims.iter().filter(|c| self::owner(c) == Some(owner));
            others.all(|other| rank(other) >= rank(claim))
        }
    };
    if is_the_one {
        pods::each(pod, now, |name, amount| {
            *charged.entry(name.to_owned()).or_default() += amount;
        });
    }
    charged
}

/// The UID of the pod that a claim says it was made for.
fn owner(claim: &ResourceClaim) -> Option<&String> {
    meta::annotation(&claim.metadata, FOR_POD).filter(|value| *value == "true")?;
    let owner = meta::controller_of(&claim.metadata)?;
    (owner.kind == "Pod" && owner.api_version == "v1").then_some(&owner.uid)
}
