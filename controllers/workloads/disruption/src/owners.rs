//! How many pods the owners of pods want: from the caches for the built-in workloads, from the API server for others.

use crate::Size;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use objects::meta;
use runtime::{Caches, ScaleError, Scales};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The size of each workload that controls one of these pods of one namespace, by UID of the controller. A controller
/// is asked about once, however many pods it has.
pub(crate) async fn sizes(
    caches: &Caches,
    scales: &Scales,
    pods: &[Arc<Pod>],
) -> BTreeMap<String, Result<Size, ScaleError>> {
    let mut sizes = BTreeMap::new();
    for pod in pods {
        let Some(owner) = meta::controller_of(&pod.metadata) else {
            continue;
        };
        if sizes.contains_key(&owner.uid) {
            continue;
        }
        let namespace = meta::namespace(&pod.metadata);
        let size = match cached(caches, namespace, owner) {
            Some(size) => Ok(Some(size)),
            None => asked(scales, namespace, owner).await,
        };
        let none = || ScaleError {
            message: format!(
                "found no controllers for pod \"{}\"",
                meta::name(&pod.metadata)
            ),
            transient: false,
        };
        let size = size.and_then(|size| size.ok_or_else(none));
        sizes.insert(owner.uid.clone(), size);
    }
    sizes
}

/// A built-in workload, as far as the caches have it. A ReplicaSet stands for its Deployment, as long as that is there.
fn cached(caches: &Caches, namespace: &str, owner: &OwnerReference) -> Option<Size> {
    let group = owner.api_version.split_once('/').map_or("", |(g, _)| g);
    match (group, owner.kind.as_str()) {
        ("", "ReplicationController") => {
            let rc = caches
                .of::<ReplicationController>()
                .get(namespace, &owner.name)?;
            size(&rc.metadata, rc.spec.as_ref()?.replicas, &owner.uid)
        }
        ("apps" | "extensions", "ReplicaSet") => {
            let set = caches.of::<ReplicaSet>().get(namespace, &owner.name)?;
            let own = size(&set.metadata, set.spec.as_ref()?.replicas, &owner.uid)?;
            deployment(caches, &set).or(Some(own))
        }
        ("apps", "StatefulSet") => {
            let set = caches.of::<StatefulSet>().get(namespace, &owner.name)?;
            size(&set.metadata, set.spec.as_ref()?.replicas, &owner.uid)
        }
        _ => None,
    }
}

fn deployment(caches: &Caches, set: &ReplicaSet) -> Option<Size> {
    let owner = meta::controller_of(&set.metadata)?;
    let group = owner.api_version.split_once('/')?.0;
    if owner.kind != "Deployment" || !matches!(group, "apps" | "extensions") {
        return None;
    }
    let namespace = meta::namespace(&set.metadata);
    let deployment = caches.of::<Deployment>().get(namespace, &owner.name)?;
    let replicas = deployment.spec.as_ref()?.replicas;
    size(&deployment.metadata, replicas, &owner.uid)
}

/// The size of this object, if it is the one with this UID.
fn size(object: &ObjectMeta, replicas: Option<i32>, uid: &str) -> Option<Size> {
    (meta::uid(object) == uid).then(|| Size {
        uid: uid.to_owned(),
        replicas: replicas.unwrap_or(1),
    })
}

/// Whatever has a scale.
async fn asked(
    scales: &Scales,
    namespace: &str,
    owner: &OwnerReference,
) -> Result<Option<Size>, ScaleError> {
    let scale = scales
        .get(&owner.api_version, &owner.kind, namespace, &owner.name)
        .await?;
    Ok(scale.and_then(|scale| {
        let replicas = scale.spec.as_ref().and_then(|spec| spec.replicas);
        size(&scale.metadata, Some(replicas.unwrap_or(0)), &owner.uid)
    }))
}
