//! DynamicResources: devices that pods claim.
//!
//! Upstream: `framework/plugins/dynamicresources/dynamicresources.go`. Here nobody gives pods devices yet, so a pod that
//! claims some is given no node: it would wait there for what does not come. Where the plugin is switched off, it is.

use crate::plugin::{Events, Filter, Prepared, Scope};
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;

/// Rejects pods with `resourceClaims`.
pub struct DynamicResources;

const REASON: &str =
    "pod has resourceClaims, and this scheduler allocates no devices (dynamic resources)";

impl Filter for DynamicResources {
    fn name(&self) -> &'static str {
        "DynamicResources"
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn scope(&self) -> Scope {
        Scope::Node
    }

    fn wakes(&self) -> Events {
        Events::POD_UPDATE
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot) -> Prepared<'a> {
        match claims_devices(pod) {
            true => Prepared::Never(REASON.into()),
            false => Prepared::Skip,
        }
    }
}

/// Whether a pod claims devices.
pub(crate) fn claims_devices(pod: &PodInfo) -> bool {
    let claims = pod.spec().resource_claims.as_ref();
    claims.is_some_and(|claims| !claims.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::{cluster, info, node, passing, verdicts};
    use serde_json::json;

    #[test]
    fn who_claims_devices_is_given_no_node() {
        let all = cluster([node("n", json!({}))]);
        let claims = json!([{ "name": "gpu", "resourceClaimTemplateName": "gpu" }]);
        let claiming = info("a", json!({ "spec": { "resourceClaims": claims } }));
        let said = verdicts(&DynamicResources, &claiming, all.snapshot());
        assert_eq!(said["all"], REASON);
        assert!(claiming.signature().is_none(), "others are not like it");
        let plain = info("b", json!({ "spec": { "resourceClaims": [] } }));
        assert_eq!(passing(&DynamicResources, &plain, all.snapshot()), "n");
    }
}
