#![allow(clippy::unwrap_used)]

mod counting;
mod deciding;

use crate::World;
use crate::recent::Young;
use crate::tally::{Content, Tally, tally};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn typed<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn all<K: DeserializeOwned>(values: Vec<Value>) -> Vec<Arc<K>> {
    values
        .into_iter()
        .map(|value| Arc::new(typed(value)))
        .collect()
}

/// A quota with these limits.
fn quota(hard: &[(&str, &str)], more: Value) -> ResourceQuota {
    let mut spec = json!({ "hard": {} });
    for (name, limit) in hard {
        spec["hard"][name] = (*limit).into();
    }
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    typed(json!({
        "metadata": { "name": "q", "namespace": "shop", "uid": "u", "resourceVersion": "10" },
        "spec": spec,
    }))
}

/// A pod of one container with these requests and limits.
fn pod(requests: Value, limits: Value) -> Value {
    let resources = json!({ "requests": requests, "limits": limits });
    json!({
        "metadata": { "name": "p", "namespace": "shop", "uid": "p" },
        "spec": { "containers": [{ "name": "c", "resources": resources }] },
    })
}

fn pods(pods: Vec<Value>) -> Content {
    Content {
        pods: all::<Pod>(pods),
        ..Content::default()
    }
}

fn counted(quota: &ResourceQuota, content: &Content) -> Tally {
    tally(quota, content, NOW)
}

/// What is used, one `name=amount` each, in the order of the names.
fn used(hard: &[&str], scopes: Value, content: &Content) -> String {
    let hard: Vec<_> = hard.iter().map(|name| (*name, "100")).collect();
    let tally = counted(&quota(&hard, scopes), content);
    let lines = tally.used.iter().map(|(name, q)| format!("{name}={q}"));
    lines.collect::<Vec<_>>().join(" ")
}

fn world(quota: ResourceQuota, content: &Content, young: Young) -> World {
    World {
        tally: Some(counted(&quota, content)),
        quota: Arc::new(quota),
        rest: Duration::ZERO,
        young,
        now: NOW,
    }
}
