//! What a cache keeps of a pod.
//!
//! A cluster has more pods than all else, and most of a pod says how to run it: only a node agent asks for that, and
//! its caches hold whole pods ([`Caches::whole`]). The others keep what decisions are made from: identity, placement,
//! resources, what other objects it refers to, and how it goes. Nobody may PUT a pod that was read from a cache.
//!
//! [`Caches::whole`]: crate::caches::Caches::whole

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, PodStatus, Volume};
use std::any::Any;

/// Conditions on the way to `Ready`, which says all that others ask.
const ON_THE_WAY: [&str; 3] = [
    "ContainersReady",
    "Initialized",
    "PodReadyToStartContainers",
];

/// Leaves out of a pod what only its node asks for.
pub(crate) fn slim<K: Any>(object: &mut K) {
    let Some(pod) = (object as &mut dyn Any).downcast_mut::<Pod>() else {
        return;
    };
    if let Some(annotations) = &mut pod.metadata.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    pod.metadata.generate_name = None;
    let Some(spec) = &mut pod.spec else { return };
    if let Some(status) = &mut pod.status {
        slim_status(status, spec);
    }
    slim_spec(spec);
}

fn slim_spec(spec: &mut PodSpec) {
    for container in &mut spec.containers {
        slim_container(container);
    }
    for container in spec.init_containers.iter_mut().flatten() {
        slim_container(container);
    }
    if let Some(volumes) = &mut spec.volumes {
        volumes.retain(refers);
    }
    *spec = PodSpec {
        dns_config: None,
        dns_policy: None,
        enable_service_links: None,
        ephemeral_containers: None,
        host_aliases: None,
        security_context: None,
        service_account: None,
        ..std::mem::take(spec)
    };
}

/// What a container is called, asks for and refers to.
fn slim_container(container: &mut Container) {
    let whole = std::mem::take(container);
    let env = whole.env.map(|mut env| {
        env.retain(|var| {
            let from = var.value_from.as_ref();
            from.is_some_and(|from| from.secret_key_ref.is_some())
        });
        env
    });
    let env_from = whole.env_from.map(|mut from| {
        from.retain(|from| from.secret_ref.is_some());
        from
    });
    *container = Container {
        env: env.filter(|env| !env.is_empty()),
        env_from: env_from.filter(|from| !from.is_empty()),
        image: whole.image,
        name: whole.name,
        ports: whole.ports,
        resources: whole.resources,
        restart_policy: whole.restart_policy,
        restart_policy_rules: whole.restart_policy_rules,
        ..Container::default()
    };
}

/// Volumes that only carry data into the pod refer to nothing that has a life of its own. Secrets are kept: whether
/// one is still used decides whether it may go; and images, as pods are better where theirs are.
fn refers(volume: &Volume) -> bool {
    let carries = volume.config_map.is_some()
        || volume.downward_api.is_some()
        || volume.empty_dir.is_some()
        || volume.host_path.is_some();
    let projects = volume.projected.as_ref().is_some_and(|projected| {
        let mut sources = projected.sources.iter().flatten();
        sources.all(|source| source.secret.is_none())
    });
    !carries && !projects
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
    status.ephemeral_container_statuses = None;
    status.host_ips = None;
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
    status.allocated_resources_status = None;
    status.container_id = None;
    status.image = String::new();
    status.image_id = String::new();
    status.user = None;
    status.volume_mounts = None;
}

#[cfg(test)]
mod tests;
