//! What must hold of the pods of StatefulSets after each write.

use ::objects::{meta, pod as pods};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use serde_json::Value;
use sim::{State, Verb, Write};
use std::collections::HashMap;
use std::ops::Range;

/// What is remembered of the sets.
#[derive(Default)]
pub(super) struct Ordinals {
    /// By UID: the ordinals wanted, and since when.
    wanted: HashMap<String, Vec<(Timestamp, Range<i64>)>>,
    /// When somebody else last took a pod away, or made it fail.
    disturbed: Option<Timestamp>,
}

impl Ordinals {
    /// Looks at a write, by the controllers under test or by others, and says what is wrong with it.
    pub(super) fn write(&mut self, state: &State, write: &Write, ours: bool) -> Vec<String> {
        match write.kind {
            "StatefulSet" if !write.gone => {
                self.resized(write);
                Vec::new()
            }
            "Pod" if ours => self.ours(state, write),
            "Pod" => {
                self.others(write);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn resized(&mut self, write: &Write) {
        let spec = &write.object["spec"];
        let start = spec["ordinals"]["start"].as_i64().unwrap_or(0);
        let range = start..start + spec["replicas"].as_i64().unwrap_or(1);
        let ranges = self.wanted.entry(write.uid.clone()).or_default();
        if ranges.last().is_none_or(|(_, last)| *last != range) {
            ranges.push((write.at, range));
        }
    }

    fn others(&mut self, write: &Write) {
        let Some(before) = &write.before else { return };
        let field = |path: &str| before.pointer(path) != write.object.pointer(path);
        let failed = write.object["status"]["phase"] == "Failed";
        // The kubelet ends what the controllers have marked; that disturbs nobody.
        let ends = !before["metadata"]["deletionTimestamp"].is_string()
            && (write.gone || field("/metadata/deletionTimestamp"));
        if ends || field("/metadata/labels") || failed {
            self.disturbed = Some(write.at);
        }
    }

    fn ours(&self, state: &State, write: &Write) -> Vec<String> {
        let Some(pod) = typed(&write.object) else {
            return Vec::new();
        };
        let owner = meta::controller_of(&pod.metadata).filter(|o| o.kind == "StatefulSet");
        let namespace = meta::namespace(&pod.metadata);
        let Some(owner) = owner else {
            return Vec::new();
        };
        let Some(set) = state.get::<StatefulSet>(namespace, &owner.name) else {
            return Vec::new();
        };
        let members: HashMap<i64, _> = state
            .list::<Pod>(Some(namespace))
            .into_iter()
            .filter(|pod| meta::is_controlled_by(&pod.metadata, &owner.uid))
            .filter_map(|pod| Some((ordinal(&pod)?, pod)))
            .collect();
        let Some(ordinal) = ordinal(&pod) else {
            return vec!["O4: a pod without an ordinal".to_owned()];
        };
        let is_well = |n: &i64| {
            members
                .get(n)
                .is_some_and(|pod| pods::is_ready(pod) && pods::is_active(pod))
        };
        let policy = set
            .spec
            .as_ref()
            .and_then(|s| s.pod_management_policy.as_deref());
        let ordered = policy != Some("Parallel");
        let recent = self.recent(&owner.uid, write.at);
        let calm = self
            .disturbed
            .is_none_or(|at| at < write.at - super::BEHIND);
        let mut wrong = Vec::new();
        if write.verb == Verb::Create && write.subresource.is_empty() {
            wrong.extend(missing_claims(state, &pod));
            let start = recent.iter().map(|range| range.start).min().unwrap_or(0);
            if ordered && calm && !(start..ordinal).all(|n| is_well(&n)) {
                wrong.push("O4: created before those before it are ready".to_owned());
            }
        }
        let was_going = |before: &Value| before["metadata"]["deletionTimestamp"].is_string();
        let is_going = write.gone || meta::is_deleting(&pod.metadata);
        let Some(before) = write.before.as_ref().filter(|b| is_going && !was_going(b)) else {
            return wrong;
        };
        let last = recent.iter().map(|range| range.end).max().unwrap_or(0);
        let sure = recent.iter().all(|range| range.contains(&ordinal));
        if ordered && ordinal >= last && members.keys().any(|n| *n > ordinal) {
            wrong.push("O4: went before one after it was gone".to_owned());
        }
        let was_ready = typed(before).is_some_and(|pod| pods::is_ready(&pod));
        let others = recent.iter().flat_map(Clone::clone);
        if calm
            && ordered
            && sure
            && was_ready
            && !others.into_iter().all(|n| n == ordinal || is_well(&n))
        {
            wrong.push("O4: more than one is unavailable".to_owned());
        }
        wrong
    }

    /// The ranges that the controller may still believe to be wanted.
    fn recent(&self, uid: &str, now: Timestamp) -> Vec<Range<i64>> {
        let all = self.wanted.get(uid).map_or(&[][..], Vec::as_slice);
        let since = now - super::BEHIND;
        let recent = all.iter().enumerate();
        let recent =
            recent.filter(|(n, _)| all.get(n + 1).is_none_or(|(until, _)| *until >= since));
        recent.map(|(_, (_, range))| range.clone()).collect()
    }
}

/// O4: a pod's claims exist before it does.
fn missing_claims(state: &State, pod: &Pod) -> Vec<String> {
    let namespace = meta::namespace(&pod.metadata);
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    volumes
        .filter_map(|volume| volume.persistent_volume_claim.as_ref())
        .filter(|claim| {
            state
                .get::<PersistentVolumeClaim>(namespace, &claim.claim_name)
                .is_none()
        })
        .map(|claim| format!("O4: created before its claim {}", claim.claim_name))
        .collect()
}

fn ordinal(pod: &Pod) -> Option<i64> {
    meta::name(&pod.metadata).rsplit('-').next()?.parse().ok()
}

fn typed(pod: &Value) -> Option<Pod> {
    serde_json::from_value(pod.clone()).ok()
}
