//! A volume is one claim's, and nothing that is in use goes.

use ::objects::volume::{claims_of, is_bound_to, volume_of};
use ::objects::{meta, pod};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sim::{State, Write};

const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";

fn typed<K: DeserializeOwned>(object: Option<&Value>) -> Option<K> {
    serde_json::from_value(object?.clone()).ok()
}

/// What is wrong with a write of the controllers.
pub(super) fn wrong(state: &State, write: &Write) -> Option<&'static str> {
    match write.kind {
        "PersistentVolume" => {
            let before: PersistentVolume = typed(write.before.as_deref())?;
            let after: PersistentVolume = typed(Some(&write.object))?;
            of_volume(state, &before, (!write.gone).then_some(&after))
        }
        "PersistentVolumeClaim" => {
            let before: PersistentVolumeClaim = typed(write.before.as_deref())?;
            let after: PersistentVolumeClaim = typed(Some(&write.object))?;
            of_claim(state, &before, &after)
        }
        _ => None,
    }
}

/// The claim that a volume is bound to, while it is there.
fn claim(state: &State, volume: &PersistentVolume) -> Option<PersistentVolumeClaim> {
    let reference = volume.spec.as_ref()?.claim_ref.as_ref()?;
    let claim = state.get::<PersistentVolumeClaim>(
        reference.namespace.as_deref()?,
        reference.name.as_deref()?,
    )?;
    (reference.uid == claim.metadata.uid).then(|| (*claim).clone())
}

fn of_volume(
    state: &State,
    before: &PersistentVolume,
    after: Option<&PersistentVolume>,
) -> Option<&'static str> {
    let had = claim(state, before)?;
    if volume_of(&had) != meta::name(&before.metadata) {
        return None;
    }
    let Some(after) = after else {
        return Some("O15: a volume goes that a claim has");
    };
    if !is_bound_to(after, &had) {
        return Some("O15: a volume is taken from its claim");
    }
    let released = after
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        == Some("Released");
    released.then_some("O15: a volume is called released that a claim has")
}

fn of_claim(
    state: &State,
    before: &PersistentVolumeClaim,
    after: &PersistentVolumeClaim,
) -> Option<&'static str> {
    let keeps = |claim: &PersistentVolumeClaim| {
        let held = claim.metadata.finalizers.as_deref().unwrap_or_default();
        held.iter().any(|held| held == CLAIM_PROTECTION)
    };
    let name = meta::name(&before.metadata);
    if keeps(before) && !keeps(after) {
        let pods = state.list::<Pod>(Some(meta::namespace(&before.metadata)));
        let uses = |pod: &Pod| {
            let done = pod.metadata.deletion_grace_period_seconds == Some(0);
            pod::node_name(pod).is_some()
                && claims_of(pod).any(|used| used.claim == name && !(used.ephemeral && done))
        };
        if pods.iter().any(|pod| uses(pod)) {
            return Some("O15: a claim goes that a pod uses");
        }
    }
    let phase = |claim: &PersistentVolumeClaim| {
        claim
            .status
            .as_ref()
            .and_then(|status| status.phase.clone())
    };
    let (was, is) = (phase(before), phase(after));
    if was == is {
        return None;
    }
    let volume = state.get::<PersistentVolume>("", volume_of(after));
    let has = volume.is_some_and(|volume| is_bound_to(&volume, after));
    match is.as_deref() {
        Some("Bound") if !has => Some("O15: a claim is called bound that has no volume"),
        Some("Lost") if has => Some("O15: a claim is called lost that has its volume"),
        _ => None,
    }
}
