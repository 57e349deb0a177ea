//! PodTopologySpread, its system defaults: pods of one controller go to different nodes and zones.
//!
//! Upstream: `framework/plugins/podtopologyspread/scoring.go` with `systemDefaultConstraints` (hostname, skew 3; zone,
//! skew 5; `ScheduleAnyway`). Upstream finds a pod's siblings by the selectors of the Services, ReplicaSets,
//! ReplicationControllers and StatefulSets that match it; here they are the pods with the same controller.

use crate::plugin::{Normalise, Score, Scorer};
use crate::snapshot::{PodInfo, Snapshot};
use objects::affinity::Required;

/// Prefers nodes and zones with few pods of the same controller. Has no wish for pods without one.
pub struct TopologySpread;

/// The skew of each default constraint less one: how much it is watered down.
const HOSTNAME: f64 = 2.0;
const ZONE: f64 = 4.0;

impl Score for TopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn prepare<'a>(
        &self,
        pod: &'a PodInfo,
        all: &'a Snapshot,
        feasible: &[u32],
    ) -> Option<Scorer<'a>> {
        let group = pod.group.as_ref()?;
        let mut on_node = vec![0_u32; all.slots.len()];
        let mut in_zone = vec![0_u32; all.zones.len()];
        let required = Required::of(pod.spec());
        for (slot, count) in all.groups.get(group).into_iter().flatten() {
            on_node[*slot as usize] = *count;
            // Nodes that the pod could never be on do not count (nodeAffinityPolicy: Honor).
            if let Some((info, node)) = all.at(*slot)
                && required.matches(node)
            {
                in_zone[info.zone as usize] += count;
            }
        }

        let mut seen = vec![false; all.zones.len()];
        for slot in feasible {
            seen[all.slots[*slot as usize].zone as usize] = true;
        }
        let zones = seen.iter().filter(|seen| **seen).count();
        let (node_weight, zone_weight) = (weight(feasible.len()), weight(zones));
        Some(Scorer {
            normalise: Normalise::Spread,
            score: Box::new(move |info, _| {
                let mut score = 0.0;
                if info.has_hostname {
                    score += f64::from(on_node[info.slot as usize]) * node_weight + HOSTNAME;
                }
                if info.zone != 0 {
                    score += f64::from(in_zone[info.zone as usize]) * zone_weight + ZONE;
                }
                score.round() as i64
            }),
        })
    }
}

/// scoring.go `topologyNormalizingWeight`: pods weigh more where there are more domains to choose from.
fn weight(domains: usize) -> f64 {
    (domains as f64 + 2.0).ln()
}
