//! Pods whose end was announced and did not come. (upstream: `syncStalePodDisruption`)

use crate::Announced;
use ::plan::{Action, PatchType, Plan, Reference};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use objects::{meta, pod};
use serde_json::json;
use std::time::Duration;

/// How long the announcement stands.
const TIMEOUT: SignedDuration = SignedDuration::from_mins(2);
const DISRUPTION_TARGET: &str = "DisruptionTarget";

/// Since when a pod carries the announcement of an end that is not on its way. Not by the kubelet, whose word may take
/// long to come true, and not on pods that have ended by themselves.
pub(crate) fn announced(pod: &Pod) -> Option<Timestamp> {
    if meta::is_deleting(&pod.metadata) || pod::is_terminal(pod) {
        return None;
    }
    let condition = pod::condition(pod, DISRUPTION_TARGET)?;
    let by_kubelet = condition.reason.as_deref() == Some("TerminationByKubelet");
    let since = condition.last_transition_time.as_ref();
    (condition.status == "True" && !by_kubelet)
        .then(|| since.map_or(Timestamp::UNIX_EPOCH, |time| time.0))
}

/// Decides.
pub(crate) fn plan(world: &Announced) -> Plan {
    let mut plan = Plan::none();
    let Some(since) = announced(&world.pod) else {
        return plan;
    };
    let age = world.now.duration_since(since);
    if age < TIMEOUT {
        let wait = Duration::try_from(TIMEOUT.saturating_sub(age));
        plan.again(wait.unwrap_or_default().min(TIMEOUT.unsigned_abs()));
        return plan;
    }
    let metadata = &world.pod.metadata;
    // With the version: the announcement may have been renewed.
    let body = json!({
        "metadata": { "uid": metadata.uid, "resourceVersion": metadata.resource_version },
        "status": { "conditions": [{
            "type": DISRUPTION_TARGET,
            "status": "False",
            "reason": null,
            "message": null,
            "lastProbeTime": null,
            "lastTransitionTime": world.now.round(jiff::Unit::Second).unwrap_or(world.now),
            "observedGeneration": metadata.generation,
        }] },
    });
    let pod = Reference::to(&*world.pod);
    let action = Action::patch_status(pod, PatchType::Strategic, body);
    plan.then(vec![
        action.because("its end was announced and did not come"),
    ]);
    plan
}
