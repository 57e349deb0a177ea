//! What is there, object by object, and what of it is different later.

use anyhow::{Context, Result};
use cluster::Namespace;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt};
use serde_json::Value;
use std::collections::BTreeMap;

const KINDS: &[(&str, &str, &str)] = &[
    ("", "v1", "Pod"),
    ("", "v1", "ReplicationController"),
    ("", "v1", "Service"),
    ("", "v1", "Endpoints"),
    ("", "v1", "PersistentVolumeClaim"),
    ("apps", "v1", "Deployment"),
    ("apps", "v1", "ReplicaSet"),
    ("apps", "v1", "StatefulSet"),
    ("apps", "v1", "DaemonSet"),
    ("apps", "v1", "ControllerRevision"),
    ("batch", "v1", "Job"),
    ("batch", "v1", "CronJob"),
    ("autoscaling", "v2", "HorizontalPodAutoscaler"),
    ("policy", "v1", "PodDisruptionBudget"),
    ("discovery.k8s.io", "v1", "EndpointSlice"),
];

/// All objects of a namespace that loops make or look after, by kind and name, as JSON.
pub(crate) struct Record(pub(crate) BTreeMap<(&'static str, String), Value>);

impl Record {
    pub(crate) async fn of(ns: &Namespace) -> Result<Self> {
        let mut objects = BTreeMap::new();
        for (group, version, kind) in KINDS {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            let resource = ApiResource {
                // The one plural that is not made as the others are.
                plural: match *kind {
                    "Endpoints" => "endpoints".to_owned(),
                    _ => resource.plural.clone(),
                },
                ..resource
            };
            let api: Api<DynamicObject> = Api::namespaced_with(ns.client(), ns.name(), &resource);
            let list = api.list(&ListParams::default()).await;
            for object in list.with_context(|| format!("list {kind}"))? {
                let key = (*kind, object.name_any());
                objects.insert(key, serde_json::to_value(&object)?);
            }
        }
        Ok(Self(objects))
    }

    /// Those of a kind.
    pub(crate) fn all(&self, kind: &str) -> impl Iterator<Item = (&str, &Value)> {
        let of = move |((k, name), object)| (k == kind).then_some((name, object));
        let entries = self
            .0
            .iter()
            .map(|((k, name), object)| ((*k, name.as_str()), object));
        entries.filter_map(of)
    }

    /// What is no more, what is new, what was replaced, and what of it changed, but for the nodes' own words.
    pub(crate) fn differences(&self, later: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for ((kind, name), before) in &self.0 {
            let Some(after) = later.0.get(&(*kind, name.clone())) else {
                found.push(format!("{kind} {name} is gone"));
                continue;
            };
            if before["metadata"]["uid"] != after["metadata"]["uid"] {
                found.push(format!("{kind} {name} was replaced"));
                continue;
            }
            for (what, before, after) in told(kind, before, after) {
                if before != after {
                    found.push(format!("{kind} {name}: {what} was {before} and is {after}"));
                }
            }
        }
        for (kind, name) in later.0.keys() {
            if !self.0.contains_key(&(*kind, name.clone())) {
                found.push(format!("{kind} {name} is new"));
            }
        }
        found
    }
}

/// What must not change, before and after.
fn told(kind: &str, before: &Value, after: &Value) -> Vec<(&'static str, Value, Value)> {
    let of = |what: &'static str, pointer: &str| {
        let value = |of: &Value| of.pointer(pointer).cloned().unwrap_or_default();
        (what, value(before), value(after))
    };
    let mut told = vec![
        of("deletionTimestamp", "/metadata/deletionTimestamp"),
        of("labels", "/metadata/labels"),
        of("annotations", "/metadata/annotations"),
        of("ownerReferences", "/metadata/ownerReferences"),
        of("spec", "/spec"),
    ];
    match kind {
        "Pod" => told.push(("restarts", restarts(before), restarts(after))),
        "EndpointSlice" => told.push(of("endpoints", "/endpoints")),
        "Endpoints" => told.push(of("subsets", "/subsets")),
        "ControllerRevision" => told.push(of("revision", "/revision")),
        _ => told.push(of("status", "/status")),
    }
    told
}

fn restarts(pod: &Value) -> Value {
    let statuses = pod["status"]["containerStatuses"].as_array();
    let counts = statuses.into_iter().flatten();
    counts
        .filter_map(|status| status["restartCount"].as_i64())
        .sum::<i64>()
        .into()
}
