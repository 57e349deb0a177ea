//! Whether the claims of a pod have their volumes: before that nothing of it is started. Pure.
//!
//! Upstream: `pkg/kubelet/volumemanager/populator/desired_state_of_world_populator.go`.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use objects::meta;
use objects::volume::{self, Used, claims_of};
use std::sync::Arc;

/// Checks the claims that a pod uses.
///
/// # Errors
/// Which of them cannot be mounted, in the kubelet's words.
pub fn check(
    pod: &Pod,
    claim: impl Fn(&str) -> Option<Arc<PersistentVolumeClaim>>,
    volume: impl Fn(&str) -> Option<Arc<PersistentVolume>>,
) -> Result<(), String> {
    let namespace = meta::namespace(&pod.metadata);
    let (mut names, mut reasons) = (Vec::new(), Vec::new());
    for used in claims_of(pod) {
        let found = claim(&used.claim);
        if let Err(why) = usable(pod, &used, found.as_deref(), &volume) {
            reasons.push(format!(
                "error processing PVC {namespace}/{}: {why}",
                used.claim
            ));
            names.push(used.volume);
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    let names = names.join(" ");
    Err(format!(
        "Unable to attach or mount volumes: unmounted volumes=[{names}], unattached volumes=[], failed to process \
         volumes=[{names}]: {}",
        reasons.join(", ")
    ))
}

fn usable(
    pod: &Pod,
    used: &Used,
    claim: Option<&PersistentVolumeClaim>,
    volume: impl Fn(&str) -> Option<Arc<PersistentVolume>>,
) -> Result<(), String> {
    let Some(claim) = claim else {
        let name = &used.claim;
        return Err(format!(
            "failed to fetch PVC from API server: persistentvolumeclaims {name:?} not found"
        ));
    };
    if used.ephemeral {
        volume::is_for(&pod.metadata, claim)?;
    }
    if meta::is_deleting(&claim.metadata) {
        return Err("PVC is being deleted".to_owned());
    }
    if volume::claim_phase(claim) != "Bound" {
        return Err("PVC is not bound".to_owned());
    }
    let name = volume::volume_of(claim);
    let Some(found) = volume(name) else {
        return Err(format!(
            "failed to fetch PV {name} from API server: persistentvolumes {name:?} not found"
        ));
    };
    if !volume::is_bound_to(&found, claim) {
        return Err(format!(
            "found PV object {name:?} but it is bound to another claim"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::check;
    use crate::testing::pod;
    use serde_json::{Value, from_value, json};
    use std::sync::Arc;

    #[test]
    fn a_claim_has_to_be_bound_and_its_volume_there() {
        let volumes = json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "c" } }]);
        let pod = pod(json!({ "volumes": volumes }), json!({}));
        let claim = |more: Value, phase: &str| {
            let mut meta = json!({ "name": "c", "namespace": "shop", "uid": "u" });
            meta.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            json!({ "metadata": meta, "spec": { "volumeName": "v" }, "status": { "phase": phase } })
        };
        let volume = |uid: &str| {
            json!({ "metadata": { "name": "v" }, "spec": {
            "claimRef": { "name": "c", "namespace": "shop", "uid": uid } } })
        };
        let going = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" });
        for (claim, volume, wanted) in [
            (Some(claim(json!({}), "Bound")), Some(volume("u")), None),
            (
                None,
                None,
                Some("failed to fetch PVC from API server: persistentvolumeclaims \"c\" not found"),
            ),
            (
                Some(claim(going, "Bound")),
                Some(volume("u")),
                Some("PVC is being deleted"),
            ),
            (
                Some(claim(json!({}), "Pending")),
                Some(volume("u")),
                Some("PVC is not bound"),
            ),
            (
                Some(claim(json!({}), "Lost")),
                None,
                Some("PVC is not bound"),
            ),
            (
                Some(claim(json!({}), "Bound")),
                None,
                Some("failed to fetch PV v from API server: persistentvolumes \"v\" not found"),
            ),
            (
                Some(claim(json!({}), "Bound")),
                Some(volume("x")),
                Some("found PV object \"v\" but it is bound to another claim"),
            ),
        ] {
            let get = |value: &Option<Value>| value.clone();
            let told = check(
                &pod,
                |_| get(&claim).map(|value| Arc::new(from_value(value).unwrap())),
                |_| get(&volume).map(|value| Arc::new(from_value(value).unwrap())),
            );
            let wanted = wanted.map(|why| {
                format!(
                    "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed to \
                     process volumes=[data]: error processing PVC shop/c: {why}"
                )
            });
            assert_eq!(told.err(), wanted);
        }
    }
}
