//! What a cache keeps of a pod.
//!
//! A cluster has more pods than all else, and most of a pod says how to run it: only a node agent asks for that, and
//! its caches hold whole pods ([`Caches::whole`]). The others keep what decisions are made from: identity, placement,
//! resources, what other objects it refers to, and how it goes. Nobody may PUT a pod that was read from a cache.
//!
//! [`Caches::whole`]: crate::caches::Caches::whole

use crate::trim::{self, Part};
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, PodStatus, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::meta;
use std::any::{Any, TypeId};
use std::iter;

/// What of a pod is read.
const POD: Part<'_> = Part::But(&[
    (
        "metadata",
        Part::But(&[
            (
                "annotations",
                Part::But(&[(
                    "kubectl.kubernetes.io/last-applied-configuration",
                    Part::Nothing,
                )]),
            ),
            ("generateName", Part::Nothing),
            ("managedFields", Part::Nothing),
        ]),
    ),
    (
        "spec",
        Part::But(&[
            ("containers", CONTAINER),
            ("dnsConfig", Part::Nothing),
            ("dnsPolicy", Part::Nothing),
            ("enableServiceLinks", Part::Nothing),
            ("ephemeralContainers", Part::Nothing),
            ("hostAliases", Part::Nothing),
            ("initContainers", CONTAINER),
            ("securityContext", Part::Nothing),
            ("serviceAccount", Part::Nothing),
            ("volumes", VOLUME),
        ]),
    ),
    (
        "status",
        Part::But(&[
            ("containerStatuses", CONTAINER_STATUS),
            ("ephemeralContainerStatuses", Part::Nothing),
            ("hostIPs", Part::Nothing),
            ("initContainerStatuses", CONTAINER_STATUS),
        ]),
    ),
]);

/// What a container is called, asks for and refers to.
const CONTAINER: Part<'_> = Part::Only(&[
    (
        "env",
        Part::Only(&[
            ("name", Part::All),
            ("valueFrom", Part::Only(&[("secretKeyRef", Part::All)])),
        ]),
    ),
    ("envFrom", Part::Only(&[("secretRef", Part::All)])),
    ("image", Part::All),
    ("name", Part::All),
    ("ports", Part::All),
    ("resources", Part::All),
    ("restartPolicy", Part::All),
    ("restartPolicyRules", Part::All),
]);

/// Volumes that only carry data into the pod refer to nothing that has a life of its own. Secrets are read: whether
/// one is still used decides whether it may go; and images, as pods are better where theirs are.
const VOLUME: Part<'_> = Part::But(&[
    ("configMap", Part::Nothing),
    ("downwardAPI", Part::Nothing),
    ("emptyDir", Part::Nothing),
    ("hostPath", Part::Nothing),
    (
        "projected",
        Part::Only(&[("sources", Part::Only(&[("secret", Part::All)]))]),
    ),
]);

const CONTAINER_STATUS: Part<'_> = Part::But(&[
    ("allocatedResourcesStatus", Part::Nothing),
    ("containerID", Part::Nothing),
    ("image", Part::Nothing),
    ("imageID", Part::Nothing),
    ("user", Part::Nothing),
    ("volumeMounts", Part::Nothing),
]);

/// Conditions on the way to `Ready`, which says all that others ask.
const ON_THE_WAY: [&str; 3] = [
    "ContainersReady",
    "Initialized",
    "PodReadyToStartContainers",
];

/// What of an object is read.
pub(crate) fn part<K: Any>() -> Part<'static> {
    match TypeId::of::<K>() == TypeId::of::<Pod>() {
        true => POD,
        false => trim::OBJECT,
    }
}

/// Leaves out of a pod that was read in [`part`] what only its node asks for.
pub(crate) fn slim<K: Any>(object: &mut K) {
    let Some(pod) = (object as &mut dyn Any).downcast_mut::<Pod>() else {
        return;
    };
    let Some(spec) = &mut pod.spec else { return };
    if let Some(status) = &mut pod.status {
        slim_status(status, spec);
    }
    let is_over = pod.status.as_ref().is_some_and(has_ended) && is_of_job(&pod.metadata);
    let inits = spec.init_containers.iter_mut();
    for containers in iter::once(&mut spec.containers).chain(inits) {
        containers.iter_mut().for_each(slim_container);
        if is_over {
            containers.retain(is_remembered);
        }
    }
    if let Some(volumes) = &mut spec.volumes {
        volumes.retain_mut(refers);
    }
}

/// What a pod asked for that has come to its end nobody asks any more, but that an autoscaler may: of pods of what can
/// be scaled. Of Jobs there are thousands.
fn has_ended(status: &PodStatus) -> bool {
    matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"))
}

/// It refers to something, or is a sidecar, whose end is not that of the pod's work.
fn is_remembered(container: &Container) -> bool {
    container.env.is_some() || container.env_from.is_some() || container.restart_policy.is_some()
}

fn is_of_job(meta: &ObjectMeta) -> bool {
    meta::controller_of(meta).is_some_and(|owner| owner.kind == "Job")
}

fn slim_container(container: &mut Container) {
    if let Some(env) = &mut container.env {
        env.retain(|var| {
            let from = var.value_from.as_ref();
            from.is_some_and(|from| from.secret_key_ref.is_some())
        });
    }
    if let Some(from) = &mut container.env_from {
        from.retain(|from| from.secret_ref.is_some());
    }
    container.env = container.env.take().filter(|env| !env.is_empty());
    container.env_from = container.env_from.take().filter(|from| !from.is_empty());
}

/// Whether something is left of a volume.
fn refers(volume: &mut Volume) -> bool {
    if let Some(projected) = &volume.projected {
        let mut sources = projected.sources.iter().flatten();
        return sources.any(|source| source.secret.is_some());
    }
    let name = std::mem::take(&mut volume.name);
    let is_empty = *volume == Volume::default();
    volume.name = name;
    !is_empty
}

fn slim_status(status: &mut PodStatus, spec: &PodSpec) {
    let containers = status.container_statuses.iter_mut().flatten();
    let inits = status.init_container_statuses.iter_mut().flatten();
    for container in containers.chain(inits) {
        slim_container_status(container, spec);
    }
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| !ON_THE_WAY.contains(&&*condition.type_));
    }
}

fn slim_container_status(status: &mut ContainerStatus, spec: &PodSpec) {
    let mut all = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten());
    let asked = all.find(|container| container.name == status.name);
    let asked = asked.and_then(|container| container.resources.as_ref());
    // Where a pod has been resized, what it has is not what it asks for. Else the spec says it all.
    if status.resources.as_ref() == asked {
        status.resources = None;
    }
    if status.allocated_resources.as_ref() == asked.and_then(|asked| asked.requests.as_ref()) {
        status.allocated_resources = None;
    }
}

#[cfg(test)]
mod tests;
