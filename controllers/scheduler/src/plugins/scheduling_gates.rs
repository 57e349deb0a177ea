//! SchedulingGates: a pod with gates is not looked at until the last is taken away (KEP-3521).
//!
//! Upstream: `framework/plugins/schedulinggates/scheduling_gates.go`.

use crate::pods::PodInfo;

/// Whether the pod has scheduling gates.
pub fn is_gated(pod: &PodInfo) -> bool {
    pod.spec()
        .scheduling_gates
        .as_ref()
        .is_some_and(|gates| !gates.is_empty())
}
