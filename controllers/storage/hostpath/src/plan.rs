//! The volume of a claim. Pure.

use crate::{PROVISIONER, World};
use ::plan::{Action, Note, PatchType, Plan, Reference};
use k8s_openapi::api::core::v1::{
    HostPathVolumeSource, Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm,
    ObjectReference, PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec,
    VolumeNodeAffinity,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::{meta, node, volume};
use serde_json::json;

const FAILED: &str = "ProvisioningFailed";
const PATH: &str = "/var/lib/corten/volumes";

/// The name of a claim's volume.
pub fn name(claim: &PersistentVolumeClaim) -> String {
    format!("pvc-{}", meta::uid(&claim.metadata))
}

/// Makes the claim's volume, or tells why that cannot be.
pub fn plan(world: &World) -> Plan {
    let mut plan = Plan::none();
    let claim = &*world.claim;
    let about = Reference::to(claim);
    // The binder asked, so the class was there; without it nothing is known.
    let Some(class) = world
        .class
        .as_ref()
        .filter(|class| class.provisioner == PROVISIONER)
    else {
        return plan;
    };
    if world.is_made {
        return plan;
    }
    let chosen = meta::annotation(&claim.metadata, volume::SELECTED_NODE);
    if volume::waits_for_consumer(class) && chosen.is_none() {
        return plan;
    }
    if let (Some(chosen), None) = (chosen, &world.node) {
        // The scheduler chooses again.
        let body = json!({ "metadata": {
            "uid": claim.metadata.uid, "resourceVersion": claim.metadata.resource_version,
            "annotations": { volume::SELECTED_NODE: null },
        } });
        plan.then(vec![
            Action::patch(about.clone(), PatchType::Merge, body).because("the node is not there"),
        ]);
        plan.note(Note::warning(
            &about,
            FAILED,
            format!("node {chosen:?} not found"),
        ));
        return plan;
    }
    match directory(claim, class) {
        Ok(path) => {
            let made = make(claim, class, path, world.node.as_deref());
            let name = name(claim);
            let create = Action::create(made)
                .noting(
                    &about,
                    "ProvisioningSucceeded",
                    format!("Successfully provisioned volume {name}"),
                )
                .warning(&about, FAILED, format!("failed to create volume {name}"));
            plan.then(vec![create]);
        }
        Err(why) => {
            let message = format!(
                "failed to provision volume with StorageClass {:?}: {why}",
                meta::name(&class.metadata)
            );
            plan.note(Note::warning(&about, FAILED, message));
        }
    }
    plan
}

/// Where the volume's directory is; or what is asked of it that it cannot do.
fn directory(claim: &PersistentVolumeClaim, class: &StorageClass) -> Result<String, String> {
    let spec = claim.spec.clone().unwrap_or_default();
    if spec.volume_mode.as_deref() == Some("Block") {
        return Err("spec.volumeMode: a directory is no block device".to_owned());
    }
    if spec.data_source.is_some() || spec.data_source_ref.is_some() {
        return Err("spec.dataSource: a directory begins empty".to_owned());
    }
    if spec.selector.is_some() {
        return Err("spec.selector: volumes are made without labels".to_owned());
    }
    if class
        .mount_options
        .as_ref()
        .is_some_and(|options| !options.is_empty())
    {
        return Err("mountOptions: a directory is not mounted".to_owned());
    }
    let parameters = class.parameters.iter().flatten();
    if let Some((unknown, _)) = parameters.clone().find(|(key, _)| *key != "path") {
        return Err(format!("parameters.{unknown}: there is path, and no other"));
    }
    let path = parameters.last().map_or(PATH, |(_, path)| path.as_str());
    if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(format!(
            "parameters.path: {path:?} is not an absolute path without .."
        ));
    }
    Ok(format!("{}/{}", path.trim_end_matches('/'), name(claim)))
}

fn make(
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    path: String,
    on: Option<&Node>,
) -> PersistentVolume {
    let of = &claim.metadata;
    let spec = claim.spec.clone().unwrap_or_default();
    PersistentVolume {
        metadata: ObjectMeta {
            name: Some(name(claim)),
            annotations: Some([(volume::PROVISIONED_BY.to_owned(), PROVISIONER.to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            access_modes: spec.access_modes,
            capacity: spec.resources.and_then(|resources| resources.requests),
            claim_ref: Some(ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("PersistentVolumeClaim".to_owned()),
                namespace: of.namespace.clone(),
                name: of.name.clone(),
                uid: of.uid.clone(),
                ..ObjectReference::default()
            }),
            host_path: Some(HostPathVolumeSource {
                path,
                type_: Some("DirectoryOrCreate".to_owned()),
            }),
            node_affinity: on.map(only_on),
            persistent_volume_reclaim_policy: class
                .reclaim_policy
                .clone()
                .or(Some("Delete".to_owned())),
            storage_class_name: Some(meta::name(&class.metadata).to_owned()),
            volume_attributes_class_name: spec.volume_attributes_class_name,
            volume_mode: Some("Filesystem".to_owned()),
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    }
}

fn only_on(on: &Node) -> VolumeNodeAffinity {
    let by_label = meta::label(&on.metadata, node::HOSTNAME);
    let requirement = |key: &str, value: &str| {
        Some(vec![NodeSelectorRequirement {
            key: key.to_owned(),
            operator: "In".to_owned(),
            values: Some(vec![value.to_owned()]),
        }])
    };
    let term = match by_label {
        Some(host) => NodeSelectorTerm {
            match_expressions: requirement(node::HOSTNAME, host),
            match_fields: None,
        },
        None => NodeSelectorTerm {
            match_expressions: None,
            match_fields: requirement("metadata.name", meta::name(&on.metadata)),
        },
    };
    VolumeNodeAffinity {
        required: Some(NodeSelector {
            node_selector_terms: vec![term],
        }),
    }
}

/// Whether a volume was made here, its claim is gone, and it shall go too.
pub fn is_left(of: &PersistentVolume) -> bool {
    let policy = of
        .spec
        .as_ref()
        .and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    meta::annotation(&of.metadata, volume::PROVISIONED_BY) == Some(PROVISIONER)
        && policy == Some("Delete")
        && volume::volume_phase(of) == "Released"
        && !meta::is_deleting(&of.metadata)
}

/// Takes a volume away that [`is_left`].
pub fn delete(of: &PersistentVolume) -> Plan {
    let mut plan = Plan::none();
    if is_left(of) {
        let version = of.metadata.resource_version.clone();
        plan.then(vec![
            Action::delete(of)
                .at_version(version)
                .because("its claim is gone"),
        ]);
    }
    plan
}

#[cfg(test)]
mod tests;
