//! What is in a namespace, a line an object: printed when a test fails.

use crate::Namespace;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt;

/// Deployments, ReplicaSets, Pods and events.
pub(crate) async fn namespace(ns: &Namespace) -> String {
    let mut text = format!("--- namespace {}\n", ns.name());
    let mut line = |kind: &str, rest: String| {
        text.push_str(&format!("{kind:10} {rest}\n"));
    };
    for d in ns.list::<Deployment>("").await.unwrap_or_default() {
        line("deployment", deployment(&d));
    }
    for rs in ns.list::<ReplicaSet>("").await.unwrap_or_default() {
        line("replicaset", replica_set(&rs));
    }
    for p in ns.list::<Pod>("").await.unwrap_or_default() {
        line("pod", pod(&p));
    }
    for e in ns.list::<Event>("").await.unwrap_or_default() {
        line("event", event(&e));
    }
    text
}

fn deployment(d: &Deployment) -> String {
    let (spec, status) = (
        d.spec.clone().unwrap_or_default(),
        d.status.clone().unwrap_or_default(),
    );
    let conditions = status.conditions.unwrap_or_default();
    let conditions: Vec<_> = conditions
        .iter()
        .map(|c| {
            format!(
                "{}={} {}",
                c.type_,
                c.status,
                c.reason.as_deref().unwrap_or_default()
            )
        })
        .collect();
    format!(
        "{} wanted={:?} replicas={:?} updated={:?} available={:?} generation={:?}/{:?} [{}]",
        d.name_any(),
        spec.replicas,
        status.replicas,
        status.updated_replicas,
        status.available_replicas,
        status.observed_generation,
        d.metadata.generation,
        conditions.join(", "),
    )
}

fn replica_set(rs: &ReplicaSet) -> String {
    let status = rs.status.clone().unwrap_or_default();
    let revision = rs.annotations().get("deployment.kubernetes.io/revision");
    format!(
        "{} wanted={:?} replicas={} ready={:?} available={:?} revision={revision:?}",
        rs.name_any(),
        rs.spec.as_ref().and_then(|s| s.replicas),
        status.replicas,
        status.ready_replicas,
        status.available_replicas,
    )
}

fn pod(p: &Pod) -> String {
    let (spec, status) = (
        p.spec.clone().unwrap_or_default(),
        p.status.clone().unwrap_or_default(),
    );
    let conditions = status.conditions.unwrap_or_default();
    let ready = conditions.iter().find(|c| c.type_ == "Ready");
    format!(
        "{} on {} {} ready={} deleting={}",
        p.name_any(),
        spec.node_name.as_deref().unwrap_or("no node"),
        status.phase.unwrap_or_default(),
        ready.map_or("?", |c| &c.status),
        p.metadata.deletion_timestamp.is_some(),
    )
}

/// An event in one line.
pub(crate) fn event(e: &Event) -> String {
    let about = &e.involved_object;
    format!(
        "{} {} {} {}: {} (×{})",
        e.type_.as_deref().unwrap_or_default(),
        e.reason.as_deref().unwrap_or_default(),
        about.kind.as_deref().unwrap_or_default(),
        about.name.as_deref().unwrap_or_default(),
        e.message.as_deref().unwrap_or_default(),
        e.count
            .or(e.series.as_ref().and_then(|s| s.count))
            .unwrap_or(1),
    )
}
