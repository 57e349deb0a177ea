//! The Endpoints that a Service should have.

mod truncate;

use crate::{MANAGED_BY, MANAGED_BY_LABEL, Selecting, World};
use ::plan::{Action, Plan, Reference};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::endpoint::{self, TRIGGER_TIME_ANNOTATION, repack_subsets, same_subsets};
use objects::meta;
use std::collections::BTreeSet;
use std::sync::Arc;
use truncate::truncate;

const OVER_CAPACITY_ANNOTATION: &str = "endpoints.kubernetes.io/over-capacity";
const TRUNCATED: &str = "truncated";

/// Decides.
pub(crate) fn plan(world: &World) -> Plan {
    let mut plan = Plan::none();
    match world {
        World::NotOurs => {}
        World::Resting(rest) => _ = plan.again(*rest),
        World::Selecting(world) => plan = endpoints(world),
    }
    plan
}

/// `endpoints_controller.go syncService`
fn endpoints(world: &Selecting) -> Plan {
    let mut plan = Plan::none();
    let service = &*world.service;
    let old = world.endpoints.as_deref();
    let mut wanted = repack_subsets(
        world
            .pods
            .iter()
            .flat_map(|pod| pod_subsets(pod, service))
            .collect(),
    );
    let truncated = truncate(&mut wanted);
    let labels = endpoint::labels(service, (MANAGED_BY_LABEL, MANAGED_BY));
    let current = old
        .map(|old| old.subsets.clone().unwrap_or_default())
        .unwrap_or_default();
    if let Some(old) = old {
        let marked = meta::annotation(&old.metadata, OVER_CAPACITY_ANNOTATION);
        let right = old.metadata.labels.as_ref() == Some(&labels)
            && marked == truncated.then_some(TRUNCATED)
            && (same_subsets(&current, &wanted)
                || same_subsets(&repack_subsets(current.clone()), &wanted));
        if right || meta::is_deleting(&old.metadata) {
            return plan;
        }
    }
    if old.is_none() && meta::is_deleting(&service.metadata) {
        return plan;
    }

    let trigger = match old {
        Some(_) => trigger(&world.pods, &current, &wanted),
        None => meta::created(&service.metadata),
    };
    let mut new = old.cloned().unwrap_or_else(|| Endpoints {
        metadata: ObjectMeta {
            namespace: service.metadata.namespace.clone(),
            name: service.metadata.name.clone(),
            ..ObjectMeta::default()
        },
        ..Endpoints::default()
    });
    new.subsets = (!wanted.is_empty()).then_some(wanted);
    new.metadata.labels = Some(labels);
    annotate(
        &mut new.metadata,
        TRIGGER_TIME_ANNOTATION,
        trigger.map(|time| time.to_string()),
    );
    annotate(
        &mut new.metadata,
        OVER_CAPACITY_ANNOTATION,
        truncated.then(|| TRUNCATED.to_owned()),
    );

    let key = format!(
        "{}/{}",
        meta::namespace(&new.metadata),
        meta::name(&new.metadata)
    );
    let about = Reference::to(&new);
    plan.then(vec![match old {
        None => Action::create(new).warning(
            &about,
            "FailedToCreateEndpoint",
            format!("Failed to create endpoint for service {key}"),
        ),
        Some(_) => Action::replace(new).warning(
            &about,
            "FailedToUpdateEndpoint",
            format!("Failed to update endpoint {key}"),
        ),
    }]);
    plan
}

/// The pod under each port that it has, to be repacked. A headless Service needs no ports.
fn pod_subsets(pod: &Pod, service: &Service) -> Vec<EndpointSubset> {
    if !endpoint::belongs(pod, endpoint::publishes_not_ready(service)) {
        return Vec::new();
    }
    let family = endpoint::primary_family(service, pod);
    let Some(ip) = endpoint::addresses(pod, family).into_iter().next() else {
        return Vec::new();
    };
    let conditions = endpoint::conditions(pod, service);
    let ready = endpoint::publishes_not_ready(service) || conditions.serving;
    let address = EndpointAddress {
        ip,
        hostname: endpoint::hostname(pod, service).map(str::to_owned),
        node_name: endpoint::node_name(pod).map(str::to_owned),
        target_ref: Some(endpoint::target_ref(pod)),
    };
    let subset = |port: Option<EndpointPort>| {
        let list = Some(vec![address.clone()]);
        let (addresses, not_ready_addresses) = if ready { (list, None) } else { (None, list) };
        EndpointSubset {
            addresses,
            not_ready_addresses,
            ports: port.map(|port| vec![port]),
        }
    };
    let ports = service
        .spec
        .as_ref()
        .and_then(|spec| spec.ports.as_deref())
        .unwrap_or_default();
    if ports.is_empty() && endpoint::is_headless(service) {
        return vec![subset(None)];
    }
    let ports = ports.iter().filter_map(|port| {
        Some(subset(Some(EndpointPort {
            name: port.name.clone().filter(|name| !name.is_empty()),
            port: endpoint::port(pod, port)?,
            protocol: Some(endpoint::protocol(port).to_owned()),
            app_protocol: port.app_protocol.clone(),
        })))
    });
    ports.collect()
}

/// The earliest change of readiness among the pods that are new in `wanted` or in another list than before.
fn trigger(
    pods: &[Arc<Pod>],
    current: &[EndpointSubset],
    wanted: &[EndpointSubset],
) -> Option<Timestamp> {
    fn uids(subsets: &[EndpointSubset]) -> BTreeSet<(&str, bool)> {
        let ready = subsets.iter().map(|subset| (&subset.addresses, true));
        let lists = ready.chain(
            subsets
                .iter()
                .map(|subset| (&subset.not_ready_addresses, false)),
        );
        let addresses = lists
            .flat_map(|(list, ready)| list.iter().flatten().map(move |address| (address, ready)));
        let uids = addresses.filter_map(|(address, ready)| {
            Some((address.target_ref.as_ref()?.uid.as_deref()?, ready))
        });
        uids.collect()
    }
    let (before, after) = (uids(current), uids(wanted));
    let changed: BTreeSet<&str> = after.difference(&before).map(|(uid, _)| *uid).collect();
    let changed = pods
        .iter()
        .filter(|pod| changed.contains(meta::uid(&pod.metadata)));
    changed.filter_map(|pod| endpoint::ready_since(pod)).min()
}

fn annotate(metadata: &mut ObjectMeta, key: &str, value: Option<String>) {
    let annotations = metadata.annotations.get_or_insert_default();
    match value {
        Some(value) => annotations.insert(key.to_owned(), value),
        None => annotations.remove(key),
    };
    if annotations.is_empty() {
        metadata.annotations = None;
    }
}

#[cfg(test)]
mod tests;
