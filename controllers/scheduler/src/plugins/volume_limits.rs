//! NodeVolumeLimits: how many volumes a CSI driver can attach to a node.
//!
//! Upstream: `framework/plugins/nodevolumelimits/csi.go`. Volumes of the old kinds that CSI drivers have taken over
//! (CSI migration) are not counted.

use crate::plugin::{Check, Events, Filter, Prepared, Verdict};
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;
use crate::storage::Attached;
use ahash::{AHashMap, AHashSet};

/// Rejects nodes to which a driver of the pod's volumes can attach no more.
pub struct NodeVolumeLimits;

impl Filter for NodeVolumeLimits {
    fn name(&self) -> &'static str {
        "NodeVolumeLimits"
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn wakes(&self) -> Events {
        Events::STORAGE | Events::POD_DELETE | Events::NODE_ADD
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, all: &'a Snapshot) -> Prepared<'a> {
        let storage = all.storage();
        if pod.claims.is_empty() || !storage.has_limits() {
            return Prepared::Skip;
        }
        let volumes = |of: &PodInfo, into: &mut AHashSet<Attached>| {
            let namespace = of.namespace();
            let used = of.claims.iter();
            into.extend(used.filter_map(|used| storage.attached(namespace, &used.claim)));
        };
        let mut wanted = AHashSet::new();
        volumes(pod, &mut wanted);
        if wanted.is_empty() {
            return Prepared::Skip;
        }
        let reasons = vec!["node(s) exceed max volume count".into()];
        Prepared::Check(Check::local(reasons, move |info, _| {
            let Some(limits) = storage.limits(&info.name) else {
                return Verdict::FITS;
            };
            let mut there = AHashSet::new();
            let users = info.pods.iter().filter(|pod| !pod.claims.is_empty());
            users.for_each(|pod| volumes(pod, &mut there));
            let more = wanted.iter().filter(|volume| !there.contains(*volume));
            let mut added: AHashMap<&str, usize> = AHashMap::new();
            more.for_each(|volume| *added.entry(&volume.driver).or_default() += 1);
            there.extend(storage.attachments(&info.name));
            let exceeds = added.into_iter().any(|(driver, more)| {
                let count = there
                    .iter()
                    .filter(|volume| *volume.driver == *driver)
                    .count();
                limits
                    .get(driver)
                    .is_some_and(|limit| count + more > *limit)
            });
            Verdict {
                reasons: u64::from(exceeds),
                resolvable: true,
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::cluster::Cluster;
    use crate::kit::{bound_to, claim, class, cluster, info, node, passing, uses, volume};
    use serde_json::{Value, json};
    use std::sync::Arc;

    /// Nodes `a`, to which the driver can attach two, and `b` without limits; claims `c1` to `c4`, the last unbound.
    fn world() -> Cluster {
        let mut all = cluster([node("a", json!({})), node("b", json!({}))]);
        let storage = all.storage_mut();
        let limits = json!({ "metadata": { "name": "a" }, "spec": { "drivers": [
            { "name": "example.com/disk", "nodeID": "a", "allocatable": { "count": 2 } },
            { "name": "other", "nodeID": "a" }] } });
        storage.put_csi_node(&serde_json::from_value(limits).unwrap());
        for i in 1..4 {
            let csi = json!({ "spec": { "hostPath": null, "csi": {
                "driver": "example.com/disk", "volumeHandle": format!("h{i}") } } });
            storage.put_volume(volume(&format!("v{i}"), "a", csi));
            storage.put_claim(claim(&format!("c{i}"), bound_to(&format!("v{i}"))));
        }
        storage.put_claim(claim("c4", json!({})));
        storage.put_class(class(json!({})));
        all
    }

    fn attachment(
        name: &str,
        volume: &str,
    ) -> Arc<k8s_openapi::api::storage::v1::VolumeAttachment> {
        let value: Value = json!({ "metadata": { "name": name }, "spec": { "attacher": "example.com/disk", "nodeName": "a",
            "source": { "persistentVolumeName": volume } } });
        Arc::new(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn what_is_used_and_attached_counts_once() {
        let mut all = world();
        let fits = |all: &Cluster, claims: &[&str]| {
            passing(
                &NodeVolumeLimits,
                &info("new", uses(claims)),
                all.snapshot(),
            )
        };
        assert_eq!(fits(&all, &["c1", "c2"]), "a b");
        assert_eq!(fits(&all, &["c1", "c2", "c3"]), "b");
        assert_eq!(
            fits(&all, &["c1", "c2", "c4"]),
            "b",
            "what is to be made counts too"
        );
        all.put_pod(info("old", uses(&["c1"])), "a");
        assert_eq!(
            fits(&all, &["c1", "c2"]),
            "a b",
            "one of them is there already"
        );
        assert_eq!(fits(&all, &["c2", "c3"]), "b");
        all.storage_mut().put_attachment(attachment("x", "v1"));
        assert_eq!(
            fits(&all, &["c2"]),
            "a b",
            "it is attached for the pod that is there"
        );
        all.storage_mut().put_attachment(attachment("y", "v3"));
        assert_eq!(
            fits(&all, &["c2"]),
            "b",
            "it is still attached for somebody"
        );
        all.storage_mut().remove_attachment(&attachment("y", "v3"));
        assert_eq!(fits(&all, &["c2"]), "a b");
        all.storage_mut().remove_csi_node("a");
        assert_eq!(fits(&all, &["c1", "c2", "c3"]), "a b");
    }
}
