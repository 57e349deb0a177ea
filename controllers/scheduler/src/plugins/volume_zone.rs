//! VolumeZone: volumes whose labels say in which zone or region they are.
//!
//! Upstream: `framework/plugins/volumezone/volume_zone.go`.

use crate::plugin::{Check, Events, Filter, Prepared, Verdict};
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;
use objects::{meta, volume};

/// Rejects nodes of other zones and regions than those of the pod's volumes. Nodes that are in none will do.
pub struct VolumeZone;

/// The labels, and what they are called today.
const LABELS: [(&str, &str); 4] = [
    (
        "failure-domain.beta.kubernetes.io/zone",
        "topology.kubernetes.io/zone",
    ),
    (
        "failure-domain.beta.kubernetes.io/region",
        "topology.kubernetes.io/region",
    ),
    ("topology.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    (
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/region",
    ),
];

impl Filter for VolumeZone {
    fn name(&self) -> &'static str {
        "VolumeZone"
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn wakes(&self) -> Events {
        Events::STORAGE | Events::NODE_ADD | Events::NODE_LABEL
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, all: &'a Snapshot) -> Prepared<'a> {
        let namespace = pod.namespace();
        let mut wanted = Vec::new();
        // Claims that are made for the pod are not looked at, as upstream has it.
        for used in pod.claims.iter().filter(|used| !used.ephemeral) {
            // What is not there or not bound, VolumeBinding has judged.
            let Some(claim) = all.storage().claim(namespace, &used.claim) else {
                continue;
            };
            let name = volume::volume_of(claim);
            if name.is_empty() {
                continue;
            }
            let Some(volume) = all.storage().volume(name) else {
                return Prepared::Never(format!("persistentvolume {name:?} not found").into());
            };
            wanted.extend(LABELS.iter().filter_map(|(label, today)| {
                let zones = meta::label(&volume.metadata, label)?;
                Some((*label, *today, zones.split("__").collect::<Vec<_>>()))
            }));
        }
        if wanted.is_empty() {
            return Prepared::Skip;
        }
        let reasons = vec!["node(s) had no available volume zone".into()];
        Prepared::Check(Check::local(reasons, move |_, node| {
            let label = |key: &str| meta::label(&node.metadata, key);
            let is_somewhere = LABELS.iter().any(|(key, _)| label(key).is_some());
            let is_there = |(key, today, zones): &(&str, &str, Vec<&str>)| {
                let here = label(key).or_else(|| label(today));
                here.is_some_and(|here| zones.contains(&here))
            };
            Verdict::unless(is_somewhere && !wanted.iter().all(is_there))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::{bound_to, claim, cluster, info, node, passing, uses, verdicts, volume};
    use serde_json::{Value, json};

    #[test]
    fn a_volume_is_used_in_its_zone_or_where_there_are_none() {
        let zoned =
            |name: &str, labels: Value| node(name, json!({ "metadata": { "labels": labels } }));
        let check = |labels: Value, expected: &str| {
            let mut all = cluster([
                node("bare", json!({})),
                zoned("one", json!({ "topology.kubernetes.io/zone": "1" })),
                zoned(
                    "two",
                    json!({ "topology.kubernetes.io/zone": "2", "topology.kubernetes.io/region": "r" }),
                ),
            ]);
            all.storage_mut().put_claim(claim("data", bound_to("disk")));
            let disk = volume("disk", "x", json!({ "metadata": { "labels": labels } }));
            all.storage_mut().put_volume(disk);
            let pod = info("new", uses(&["data"]));
            assert_eq!(
                passing(&VolumeZone, &pod, all.snapshot()),
                expected,
                "{labels}"
            );
        };
        check(json!({}), "bare one two");
        check(json!({ "topology.kubernetes.io/zone": "1" }), "bare one");
        check(
            json!({ "failure-domain.beta.kubernetes.io/zone": "1" }),
            "bare one",
        );
        check(
            json!({ "topology.kubernetes.io/zone": "1__2" }),
            "bare one two",
        );
        check(json!({ "topology.kubernetes.io/region": "r" }), "bare two");
        check(
            json!({ "topology.kubernetes.io/zone": "2", "topology.kubernetes.io/region": "s" }),
            "bare",
        );
    }

    #[test]
    fn a_volume_that_is_not_there_is_nowhere() {
        let mut all = cluster([node("n", json!({}))]);
        all.storage_mut().put_claim(claim("data", bound_to("disk")));
        let pod = info("new", uses(&["data"]));
        let said = verdicts(&VolumeZone, &pod, all.snapshot());
        assert_eq!(said["all"], "persistentvolume \"disk\" not found");
    }
}
