//! The pod of an ordinal: how it is made, and what is set right on one that is there.
//!
//! Upstream: `newVersionedStatefulSetPod`, `initIdentity`, `updateStorage` in `stateful_set_utils.go`.

use super::revisions::Revision;
use crate::identity;
use crate::world::World;
use ::plan::{Action, PatchType, Reference};
use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Pod, PodSpec, Volume};
use objects::{history, meta, template};
use serde_json::json;

const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// Creates the pod of this ordinal.
pub(super) fn create(world: &World, ordinal: i64, revision: &Revision) -> Action {
    let owner = &world.owner;
    let name = identity::pod_name(&owner.name, ordinal);
    let mut pod = template::pod_from_template(
        &revision.template,
        &world.owner_reference,
        &owner.namespace,
        &name,
    );
    // The name is given; this says where it comes from, as upstream's pods do.
    pod.metadata.generate_name = Some(format!("{}-", owner.name));
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(POD_NAME.to_owned(), name.clone());
    labels.insert(POD_INDEX.to_owned(), ordinal.to_string());
    labels.insert(
        history::CONTROLLER_REVISION_HASH.to_owned(),
        revision.name.clone(),
    );
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(name.clone());
    let service = world.set.spec.as_ref().and_then(|s| s.service_name.clone());
    spec.subdomain = service.filter(|service| !service.is_empty());
    mount(world, spec, ordinal);
    Action::create(pod)
        .noting(owner, "SuccessfulCreate", told(world, "Create", &name))
        .warning(owner, "FailedCreate", failed(world, "Create", &name))
}

/// Deletes a pod.
pub(super) fn delete(world: &World, pod: &Pod, why: &'static str) -> Action {
    let name = meta::name(&pod.metadata);
    Action::delete(pod)
        .noting(
            &world.owner,
            "SuccessfulDelete",
            told(world, "Delete", name),
        )
        .warning(&world.owner, "FailedDelete", failed(world, "Delete", name))
        .because(why)
}

/// Puts the labels that say which pod it is back, if somebody took them away.
pub(super) fn identify(world: &World, ordinal: i64, pod: &Pod) -> Option<Action> {
    let name = meta::name(&pod.metadata);
    if meta::label(&pod.metadata, POD_NAME) == Some(name) {
        return None;
    }
    let labels = json!({ POD_NAME: name, POD_INDEX: ordinal.to_string() });
    let body = json!({ "metadata": { "uid": pod.metadata.uid, "labels": labels } });
    let patch = Action::patch(Reference::to(pod), PatchType::Merge, body);
    Some(
        patch
            .noting(
                &world.owner,
                "SuccessfulUpdate",
                told(world, "Update", name),
            )
            .warning(&world.owner, "FailedUpdate", failed(world, "Update", name))
            .because("it says who it is"),
    )
}

/// Whether each claim stands among its volumes. Those of a pod that is there cannot be changed.
pub(super) fn has_its_volumes(world: &World, ordinal: i64, pod: &Pod) -> bool {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref());
    let volumes = volumes.unwrap_or_default();
    volumes_of(world, ordinal).all(|(name, claim)| {
        let volume = volumes.iter().find(|volume| volume.name == name);
        let source = volume.and_then(|volume| volume.persistent_volume_claim.as_ref());
        source.is_some_and(|source| source.claim_name == claim)
    })
}

/// `Create Pod web-0 in StatefulSet web successful`
fn told(world: &World, verb: &str, pod: &str) -> String {
    let set = &world.owner.name;
    format!("{verb} Pod {pod} in StatefulSet {set} successful")
}

/// What stands before `: <error>`.
pub(super) fn failed(world: &World, verb: &str, pod: &str) -> String {
    let set = &world.owner.name;
    format!("{verb} Pod {pod} in StatefulSet {set} failed error")
}

/// Its claims are volumes, in the place of those of the same names.
fn mount(world: &World, spec: &mut PodSpec, ordinal: i64) {
    let mut volumes: Vec<Volume> = volumes_of(world, ordinal)
        .map(|(name, claim_name)| Volume {
            name: name.to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name,
                read_only: None,
            }),
            ..Volume::default()
        })
        .collect();
    if volumes.is_empty() {
        return;
    }
    let others = spec.volumes.take().unwrap_or_default();
    let is_other = |volume: &Volume| volumes_of(world, ordinal).all(|(n, _)| n != volume.name);
    volumes.extend(others.into_iter().filter(is_other));
    spec.volumes = Some(volumes);
}

/// The names of its volumes and of their claims.
fn volumes_of(world: &World, ordinal: i64) -> impl Iterator<Item = (&str, String)> {
    world.claim_templates().iter().map(move |template| {
        let name = meta::name(&template.metadata);
        let claim = identity::claim_name(name, &world.owner.name, ordinal);
        (name, claim)
    })
}
