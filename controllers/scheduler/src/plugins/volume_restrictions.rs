//! VolumeRestrictions: volumes that one pod can use at a time, or the pods of one node.
//!
//! Upstream: `framework/plugins/volumerestrictions/volume_restrictions.go`.

use crate::plugin::{Check, Events, Filter, Happening, Prepared, Verdict};
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;
use crate::tracker::Tracked;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Volume};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

/// Rejects pods whose `ReadWriteOncePod` claim another pod uses, and nodes where a pod has the same disk.
pub struct VolumeRestrictions;

const DISK: u64 = 1;
const CLAIM: u64 = 1 << 1;

impl Filter for VolumeRestrictions {
    fn name(&self) -> &'static str {
        "VolumeRestrictions"
    }

    fn is_signed(&self) -> bool {
        true
    }

    /// It has something to say about claims and disks only.
    fn track(&self, _: &Arc<PodInfo>, _: &Snapshot) -> Option<Tracked> {
        Some(Tracked::nothing())
    }

    fn wakes(&self) -> Events {
        Events::POD_DELETE | Events::NODE_ADD | Events::STORAGE
    }

    fn is_local(&self) -> bool {
        false
    }

    fn is_helped(&self, pod: &PodInfo, by: &Happening<'_>, _: &Snapshot) -> bool {
        let Happening::Pod { old, .. } = by else {
            return true;
        };
        old.is_some_and(|old| {
            let (of, by) = (&pod.like.metadata, &old.like.metadata);
            let mut used = pod.claims.iter();
            let mut shares = || used.any(|used| old.claims.iter().any(|by| by.claim == used.claim));
            of.namespace == by.namespace && (shares() || disks_conflict(pod, old))
        })
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, all: &'a Snapshot) -> Prepared<'a> {
        let namespace = pod.namespace();
        let mut exclusive = Vec::new();
        for used in pod.claims.iter().filter(|used| !used.ephemeral) {
            match all.storage().claim(namespace, &used.claim) {
                None => {
                    let name = &used.claim;
                    return Prepared::Never(
                        format!("persistentvolumeclaim {name:?} not found").into(),
                    );
                }
                Some(claim) if is_exclusive(claim) => exclusive.push(used.claim.as_str()),
                Some(_) => {}
            }
        }
        let users: i64 = exclusive
            .iter()
            .map(|claim| all.users(namespace, claim))
            .sum();
        let has_disks = disks(pod).next().is_some();
        if !has_disks && users == 0 {
            return Prepared::Skip;
        }
        let users = Rc::new(Cell::new(users));
        let supposed = users.clone();
        Prepared::Check(Check {
            reasons: vec![
                "node(s) had no available disk".into(),
                "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access \
                 mode already in-use by another pod"
                    .into(),
            ],
            only: None,
            judge: Box::new(move |info, _| {
                let is_taken = has_disks && info.pods.iter().any(|old| disks_conflict(pod, old));
                let reasons = match (is_taken, users.get() > 0) {
                    (true, _) => DISK,
                    (false, true) => CLAIM,
                    (false, false) => 0,
                };
                Verdict {
                    reasons,
                    resolvable: true,
                }
            }),
            suppose: Some(Box::new(move |other, _, more| {
                if other.namespace() == namespace {
                    let theirs = other.claims.iter().filter(|used| !used.ephemeral);
                    let shared = theirs.filter(|used| exclusive.contains(&&*used.claim));
                    supposed.set(supposed.get() + more * shared.count() as i64);
                }
            })),
        })
    }
}

fn is_exclusive(claim: &PersistentVolumeClaim) -> bool {
    let spec = claim.spec.as_ref();
    let mut modes = spec
        .into_iter()
        .flat_map(|spec| spec.access_modes.iter().flatten());
    modes.any(|mode| mode == "ReadWriteOncePod")
}

/// The pod's volumes of kinds that the API servers of old attached themselves.
pub(crate) fn disks(pod: &PodInfo) -> impl Iterator<Item = &Volume> {
    let volumes = pod.spec().volumes.iter().flatten();
    volumes.filter(|volume| {
        volume.gce_persistent_disk.is_some()
            || volume.aws_elastic_block_store.is_some()
            || volume.iscsi.is_some()
            || volume.rbd.is_some()
    })
}

fn disks_conflict(pod: &PodInfo, other: &PodInfo) -> bool {
    disks(pod).any(|volume| disks(other).any(|theirs| is_same_disk(volume, theirs)))
}

/// Whether two volumes are one disk, which not both of them only read.
fn is_same_disk(one: &Volume, other: &Volume) -> bool {
    let gce = one
        .gce_persistent_disk
        .as_ref()
        .zip(other.gce_persistent_disk.as_ref());
    let aws = one
        .aws_elastic_block_store
        .as_ref()
        .zip(other.aws_elastic_block_store.as_ref());
    let iscsi = one.iscsi.as_ref().zip(other.iscsi.as_ref());
    let rbd = one.rbd.as_ref().zip(other.rbd.as_ref());
    let reads = |one: Option<bool>, other: Option<bool>| one == Some(true) && other == Some(true);
    gce.is_some_and(|(a, b)| a.pd_name == b.pd_name && !reads(a.read_only, b.read_only))
        || aws.is_some_and(|(a, b)| a.volume_id == b.volume_id)
        || iscsi.is_some_and(|(a, b)| a.iqn == b.iqn && !reads(a.read_only, b.read_only))
        || rbd.is_some_and(|(a, b)| {
            let pool = |pool: &Option<String>| pool.clone().unwrap_or_else(|| "rbd".to_owned());
            a.monitors
                .iter()
                .any(|monitor| b.monitors.contains(monitor))
                && pool(&a.pool) == pool(&b.pool)
                && a.image == b.image
                && !reads(a.read_only, b.read_only)
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;
    use crate::kit::{claim, cluster, info, node, passing, uses, verdicts};
    use serde_json::{Value, json};

    fn having(volume: Value) -> Value {
        let mut volume = volume;
        volume["name"] = json!("v");
        json!({ "spec": { "volumes": [volume] } })
    }

    #[test]
    fn one_disk_is_used_on_one_node_unless_it_is_only_read() {
        let gce = |name: &str, reads: bool| {
            having(json!({ "gcePersistentDisk": { "pdName": name, "readOnly": reads } }))
        };
        let aws = |name: &str| having(json!({ "awsElasticBlockStore": { "volumeID": name } }));
        let iscsi = |iqn: &str, reads: bool| {
            having(json!({ "iscsi": {
            "iqn": iqn, "targetPortal": "p", "lun": 0, "readOnly": reads } }))
        };
        let rbd = |monitor: &str, image: &str| {
            having(json!({ "rbd": { "monitors": [monitor, "x"], "image": image } }))
        };
        for (old, new, expected) in [
            (gce("d", false), gce("d", false), "b"),
            (gce("d", true), gce("d", false), "b"),
            (gce("d", true), gce("d", true), "a b"),
            (gce("d", false), gce("e", false), "a b"),
            (aws("d"), aws("d"), "b"),
            (aws("d"), aws("e"), "a b"),
            (aws("d"), gce("d", false), "a b"),
            (iscsi("d", false), iscsi("d", true), "b"),
            (iscsi("d", true), iscsi("d", true), "a b"),
            (rbd("m", "i"), rbd("n", "i"), "b"),
            (rbd("m", "i"), rbd("m", "j"), "a b"),
        ] {
            let mut all = cluster([node("a", json!({})), node("b", json!({}))]);
            all.put_pod(info("old", old.clone()), "a");
            let pod = info("new", new.clone());
            assert_eq!(
                passing(&VolumeRestrictions, &pod, all.snapshot()),
                expected,
                "{old} {new}"
            );
        }
    }

    #[test]
    fn a_claim_for_one_pod_waits_until_the_other_is_gone() {
        let mut all = cluster([node("a", json!({})), node("b", json!({}))]);
        let once = json!({ "spec": { "accessModes": ["ReadWriteOncePod"] } });
        all.storage_mut().put_claim(claim("data", once));
        all.storage_mut().put_claim(claim("shared", json!({})));
        let pod = |name: &str, claims: &[&str]| info(name, uses(claims));
        assert_eq!(
            passing(&VolumeRestrictions, &pod("new", &["data"]), all.snapshot()),
            "a b"
        );
        all.put_pod(pod("old", &["data", "shared"]), "a");
        let new = pod("new", &["data"]);
        let said = verdicts(&VolumeRestrictions, &new, all.snapshot());
        let text = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by \
                    another pod";
        assert_eq!([&*said["a"], &*said["b"]], [text, text]);
        assert_eq!(
            passing(
                &VolumeRestrictions,
                &pod("new", &["shared"]),
                all.snapshot()
            ),
            "a b"
        );

        let old = pod("old", &["data"]);
        let by = Happening::Pod {
            old: Some(&old),
            new: None,
        };
        assert!(VolumeRestrictions.is_helped(&new, &by, all.snapshot()));
        let other = pod("other", &["shared"]);
        let by = Happening::Pod {
            old: Some(&other),
            new: None,
        };
        assert!(!VolumeRestrictions.is_helped(&new, &by, all.snapshot()));

        // Preemption asks with the other pod gone.
        {
            let Prepared::Check(check) = VolumeRestrictions.prepare(&new, all.snapshot()) else {
                panic!("the claim is in use")
            };
            let (at, node) = all.snapshot().get("a").unwrap();
            check.suppose.as_ref().unwrap()(&old, at, -1);
            assert_eq!((check.judge)(at, node), Verdict::FITS);
        }
        all.remove_pod("u-old");
        assert_eq!(passing(&VolumeRestrictions, &new, all.snapshot()), "a b");
        let said = verdicts(
            &VolumeRestrictions,
            &pod("new", &["absent"]),
            all.snapshot(),
        );
        assert_eq!(said["all"], "persistentvolumeclaim \"absent\" not found");
    }
}
