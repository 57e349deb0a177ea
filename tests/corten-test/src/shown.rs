//! What is in a cluster, for people: a line an object, why pods are pending, and the last events. It is part of what a
//! wait says that was in vain.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{DynamicObject, ListParams};
use kube::core::discovery::{Scope, verbs};
use kube::discovery::ApiGroup;
use kube::{Api, Client, Discovery, ResourceExt};
use serde_json::Value;
use std::fmt::Write;

/// Kinds that say nothing, or what must not be said.
const NOISE: [&str; 13] = [
    "APIService",
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "ControllerRevision",
    "CSINode",
    "EndpointSlice",
    "Event",
    "Lease",
    "PodMetrics",
    "NodeMetrics",
    "Secret",
    "ServiceAccount",
];
/// Kinds of the cluster that are shown; of others there are many that nobody asks for.
const OF_CLUSTER: [&str; 4] = [
    "Node",
    "PersistentVolume",
    "CustomResourceDefinition",
    "StorageClass",
];
/// So many events are shown, the last ones.
const EVENTS: usize = 30;
/// Of so many pods it is said why they are pending; the others are pods like them, as a rule.
const EXPLAINED: usize = 3;

/// What there is, in one namespace or in all. What cannot be read is left out.
pub async fn describe(client: &Client, namespace: Option<&str>) -> String {
    let mut text = String::from("--- objects\n");
    let discovery = Discovery::new(client.clone()).run().await;
    let groups = discovery.iter().flat_map(Discovery::groups);
    for (kind, capabilities) in groups.flat_map(ApiGroup::recommended_resources) {
        let own = capabilities.scope == Scope::Cluster;
        let custom = kind.group.contains('.') && !kind.group.ends_with(".k8s.io");
        let wanted = match own {
            true => OF_CLUSTER.contains(&&*kind.kind) || custom,
            false => !NOISE.contains(&&*kind.kind),
        };
        if !wanted || !capabilities.supports_operation(verbs::LIST) {
            continue;
        }
        let api: Api<DynamicObject> = match namespace.filter(|_| !own) {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
            None => Api::all_with(client.clone(), &kind),
        };
        let objects = api.list(&ListParams::default()).await;
        for object in objects.into_iter().flat_map(|list| list.items) {
            let _ = writeln!(text, "{:24} {}", kind.kind, line(&object));
        }
    }
    pending(client, namespace, &mut text).await;
    text.push_str("--- events\n");
    let mut events: Vec<Event> = list(client, namespace).await;
    events.sort_by_key(|event| {
        event
            .metadata
            .resource_version
            .as_ref()?
            .parse::<u64>()
            .ok()
    });
    for event in events.iter().skip(events.len().saturating_sub(EVENTS)) {
        let _ = writeln!(text, "{}", self::event(event));
    }
    text
}

/// Says why pods have no node.
async fn pending(client: &Client, namespace: Option<&str>, text: &mut String) {
    let mut pods: Vec<Pod> = list(client, namespace).await;
    pods.retain(|pod| objects::pod::node_name(pod).is_none() && !objects::pod::is_terminal(pod));
    if pods.is_empty() {
        return;
    }
    text.push_str("--- why pods are pending\n");
    for pod in pods.iter().take(EXPLAINED) {
        let name = format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
        let options = scheduler::Options::default();
        match registry::why::why(client, pod, &options).await {
            Ok(answer) => text.push_str(&answer.text(&name)),
            Err(said) => text.push_str(&format!("{name}: {said}\n")),
        }
    }
}

async fn list<K>(client: &Client, namespace: Option<&str>) -> Vec<K>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let list = api.list(&ListParams::default()).await;
    list.map(|list| list.items).unwrap_or_default()
}

/// An object in a line: its name, whether it is observed, what its status counts, and its conditions.
pub(crate) fn line(object: &DynamicObject) -> String {
    let mut words = vec![match object.namespace() {
        Some(namespace) => format!("{namespace}/{}", object.name_any()),
        None => object.name_any(),
    }];
    let meta = &object.metadata;
    if meta.deletion_timestamp.is_some() {
        let finalizers = meta.finalizers.clone().unwrap_or_default();
        words.push(format!("deleting{finalizers:?}"));
    }
    let (spec, status) = (&object.data["spec"], &object.data["status"]);
    if let (Some(made), Some(observed)) = (meta.generation, status.get("observedGeneration")) {
        words.push(format!("generation={observed}/{made}"));
    }
    for field in ["replicas", "nodeName", "suspend"] {
        if let Some(value) = spec.get(field).filter(|value| is_plain(value)) {
            words.push(format!("spec.{field}={}", plain(value)));
        }
    }
    for (field, value) in status.as_object().into_iter().flatten() {
        let told = [
            "observedGeneration",
            "podIP",
            "hostIP",
            "startTime",
            "qosClass",
        ];
        if is_plain(value) && !told.contains(&field.as_str()) {
            words.push(format!("{field}={}", plain(value)));
        }
    }
    let conditions = status["conditions"].as_array().into_iter().flatten();
    words.extend(conditions.map(condition));
    let containers = status["containerStatuses"].as_array().into_iter().flatten();
    for container in containers {
        let waits = &container["state"]["waiting"];
        if let (Some(reason), message) = (waits["reason"].as_str(), plain(&waits["message"])) {
            words.push(format!(
                "{} waits: {reason} {message}",
                plain(&container["name"])
            ));
        }
    }
    words.join(" ")
}

/// `Available=False(MinimumReplicasUnavailable: Deployment does not have minimum availability.)`; what is as it should
/// be is not explained.
fn condition(condition: &Value) -> String {
    let of = |field: &str| plain(&condition[field]);
    let (kind, status, reason, message) = (of("type"), of("status"), of("reason"), of("message"));
    let bad = ["Failure", "Pressure", "Unavailable", "Failed"];
    let is_bad = bad.iter().any(|word| kind.ends_with(word));
    if status == if is_bad { "False" } else { "True" } {
        return format!("{kind}={status}");
    }
    let said = [reason, message];
    let said: Vec<_> = said.iter().filter(|word| !word.is_empty()).collect();
    match said.as_slice() {
        [] => format!("{kind}={status}"),
        [one] => format!("{kind}={status}({one})"),
        more => format!("{kind}={status}({}: {})", more[0], more[1]),
    }
}

fn is_plain(value: &Value) -> bool {
    value.is_string() || value.is_number() || value.is_boolean()
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// An event in a line.
pub fn event(event: &Event) -> String {
    let about = &event.involved_object;
    format!(
        "{} {} {} {}: {} (×{})",
        event.type_.as_deref().unwrap_or_default(),
        event.reason.as_deref().unwrap_or_default(),
        about.kind.as_deref().unwrap_or_default(),
        about.name.as_deref().unwrap_or_default(),
        event.message.as_deref().unwrap_or_default(),
        event
            .count
            .or(event.series.as_ref().and_then(|series| series.count))
            .unwrap_or(1),
    )
}
