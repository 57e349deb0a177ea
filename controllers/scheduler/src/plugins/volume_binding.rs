//! VolumeBinding: the volumes that a pod needs can be used on the node, or come to be there.
//!
//! Upstream: `framework/plugins/volumebinding/volume_binding.go`.

use crate::plugin::{Check, Events, Filter, Prepared, Verdict};
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;
use crate::storage::Misfit;
use objects::volume::is_reachable;

/// Rejects pods whose claims are not bound and do not wait for the pod; then nodes where a volume cannot be used, or no
/// volume can be had for a claim that waits.
pub struct VolumeBinding;

const UNBOUND: u64 = 1;
const UNREACHABLE: u64 = 1 << 1;
const MISSING: u64 = 1 << 2;
const FULL: u64 = 1 << 3;

impl Filter for VolumeBinding {
    fn name(&self) -> &'static str {
        "VolumeBinding"
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn wakes(&self) -> Events {
        Events::STORAGE | Events::NODE_ADD | Events::NODE_LABEL
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, all: &'a Snapshot) -> Prepared<'a> {
        if pod.claims.is_empty() {
            return Prepared::Skip;
        }
        let storage = all.storage();
        let claims = match storage.claims_of(pod) {
            Ok(claims) => claims,
            Err(why) => return Prepared::Never(why.into()),
        };
        Prepared::Check(Check {
            reasons: vec![
                "node(s) didn't find available persistent volumes to bind".into(),
                "node(s) didn't match PersistentVolume's node affinity".into(),
                "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)".into(),
                "node(s) did not have enough free storage".into(),
            ],
            only: None,
            suppose: None,
            judge: Box::new(move |_, node| {
                let mut there = claims.volumes.iter().flatten();
                let mut reasons = 0;
                if claims.volumes.iter().any(Option::is_none) {
                    reasons |= MISSING;
                }
                if there.any(|volume| !is_reachable(volume, &node.metadata)) {
                    reasons |= UNREACHABLE;
                }
                match storage.place(&claims.waiting, node) {
                    Ok(_) => {}
                    Err(Misfit::NoVolume) => reasons |= UNBOUND,
                    Err(Misfit::NoSpace) => reasons |= FULL,
                }
                Verdict {
                    reasons,
                    resolvable: reasons == 0,
                }
            }),
        })
    }
}
