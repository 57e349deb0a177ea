//! The end state in a form in which two right runs are equal: generated names become roles, times and versions go.

use crate::objects::{self, raw};
use serde_json::Value;
use sim::{Sim, Write};
use std::collections::{BTreeMap, HashMap};

/// Fields whose values are of one run only.
const FLEETING: &[&str] = &[
    "resourceVersion",
    "uid",
    "generation",
    "observedGeneration",
    "managedFields",
    "creationTimestamp",
    "lastTransitionTime",
    "lastUpdateTime",
    "lastProbeTime",
    "lastHeartbeatTime",
    "startTime",
    "lastScaleTime",
    "autoscaling.corten.dev/scale-events",
    "startedAt",
    "finishedAt",
    "deletionTimestamp",
    "clusterIP",
    "clusterIPs",
    "completionTime",
    "controller-uid",
    "batch.kubernetes.io/controller-uid",
    "generateName",
    "containerID",
    "bootID",
    "machineID",
    "systemUUID",
    "endpoints.kubernetes.io/last-change-trigger-time",
    "nodeName",
    "target-node",
    "hostIP",
    "hostIPs",
    "podIP",
    "podIPs",
    "images",
    "podCIDR",
    "podCIDRs",
    "certificate",
    "token",
    "kubernetes.io/service-account.uid",
    "timeAdded",
    "hostPath",
];

/// All objects, one line each, sorted.
pub fn end_state(sim: &Sim) -> Vec<String> {
    sim.read(|state| {
        let objects = objects::all(state);
        let roles = Roles::new(&objects);
        let mut lines = slices(&objects, &roles);
        for (kind, object) in &objects {
            // Slices are compared by what they hold together.
            if *kind != "EndpointSlice" {
                lines.push(format!(
                    "{} {}",
                    roles.of(kind, object),
                    roles.plain(object)
                ));
            }
        }
        lines.sort();
        lines
    })
}

/// The endpoints of each Service, however they are distributed.
fn slices(objects: &[(&str, Value)], roles: &Roles) -> Vec<String> {
    let mut lines = Vec::new();
    for (_, slice) in objects.iter().filter(|(kind, _)| *kind == "EndpointSlice") {
        let service = &slice["metadata"]["labels"]["kubernetes.io/service-name"];
        let head = format!("endpoints of {service} {}", slice["ports"]);
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            lines.push(format!("{head} {}", roles.plain(endpoint)));
        }
        lines.push(head);
    }
    lines.sort();
    lines.dedup_by(|a, b| a == b && !a.contains("addresses"));
    lines
}

/// Creates and deletes of an actor by role. Events and Leases are not counted.
pub fn summary(history: &[Write], actor: &str) -> BTreeMap<String, (usize, usize)> {
    let mut known: Vec<(&str, Value)> = Vec::new();
    for write in history {
        known.push((write.kind, (*write.object).clone()));
    }
    let roles = Roles::new(&known);
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut marked = std::collections::HashSet::new();
    for write in history.iter().filter(|w| w.actor.as_ref() == actor) {
        if matches!(write.kind, "Event" | "Lease") {
            continue;
        }
        let count = counts
            .entry(roles.of(write.kind, &write.object))
            .or_default();
        match write.verb {
            sim::Verb::Create if write.subresource.is_empty() => count.0 += 1,
            sim::Verb::Delete if marked.insert(write.uid.clone()) => count.1 += 1,
            _ => {}
        }
    }
    counts.retain(|_, count| *count != (0, 0));
    counts
}

/// What objects are to each other, by UID.
struct Roles {
    by_uid: HashMap<String, String>,
    by_name: HashMap<String, String>,
}

impl Roles {
    fn new(objects: &[(&str, Value)]) -> Self {
        let mut roles = Self {
            by_uid: HashMap::new(),
            by_name: HashMap::new(),
        };
        // Owners come before what they own in three rounds at most: Deployment, ReplicaSet, Pod.
        for _ in 0..3 {
            for (kind, object) in objects {
                let role = roles.of(kind, object);
                let meta = &object["metadata"];
                let name = meta["name"].as_str().unwrap_or_default();
                if role != format!("{kind} {name}") {
                    roles.by_name.insert(name.to_owned(), role.clone());
                }
                let uid = meta["uid"].as_str().unwrap_or_default();
                roles.by_uid.insert(uid.to_owned(), role);
            }
        }
        roles
    }

    /// `Pod of ReplicaSet web-5d8f`; objects with names of their own keep them.
    fn of(&self, kind: &str, object: &Value) -> String {
        let meta = &object["metadata"];
        let name = meta["name"].as_str().unwrap_or_default();
        if kind == "PersistentVolume" && name.starts_with("pvc-") {
            return format!("{kind} of {}", object["spec"]["claimRef"]["name"]);
        }
        let owner = meta["ownerReferences"][0]["uid"].as_str();
        let named = !matches!(kind, "Pod" | "EndpointSlice") || is_given(name);
        match owner.and_then(|uid| self.by_uid.get(uid)) {
            Some(owner) if !named => format!("{kind} of {owner}"),
            None if !named => format!("{kind} of nobody, app {}", meta["labels"]["app"]),
            _ => format!("{kind} {name}"),
        }
    }

    fn plain(&self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => fields
                .iter()
                .filter(|(key, _)| !FLEETING.contains(&key.as_str()))
                .map(|(key, value)| (key.clone(), self.plain(value)))
                // A map of which only fleeting things were left is none.
                .filter(|(_, value)| value.as_object().is_none_or(|map| !map.is_empty()))
                .collect(),
            Value::Array(values) => {
                let mut values: Vec<Value> = values.iter().map(|v| self.plain(v)).collect();
                values.sort_by_key(ToString::to_string);
                values.into()
            }
            Value::String(text) => self.by_name.get(text).unwrap_or(text).clone().into(),
            other => other.clone(),
        }
    }
}

/// For messages: what is only here, and what is only there.
pub fn difference(wanted: &[String], found: &[String]) -> String {
    let mut text = String::new();
    let mut left: Vec<&String> = wanted.iter().collect();
    for line in found {
        match left.iter().position(|w| *w == line) {
            Some(at) => drop(left.swap_remove(at)),
            None => text += &format!("\n      + {}", cut(line)),
        }
    }
    for line in left {
        text += &format!("\n      - {}", cut(line));
    }
    text
}

fn cut(line: &str) -> String {
    line.chars().take(900).collect()
}

/// One line a write, for reports.
pub fn line(write: &Write) -> String {
    let status = |o: &Value| {
        o["status"]
            .to_string()
            .chars()
            .take(160)
            .collect::<String>()
    };
    let object = raw(&*write.object);
    format!(
        "{} r{} {} {:?} {} {}/{}{} replicas={} {}",
        write.at.strftime("%M:%S%.3f"),
        write.revision,
        write.actor,
        write.verb,
        write.kind,
        write.name,
        write.subresource,
        if write.gone { " (gone)" } else { "" },
        object["spec"]["replicas"],
        if write.subresource == "status" {
            status(&object)
        } else {
            String::new()
        },
    )
}

/// Scenarios number the pods that they make.
fn is_given(name: &str) -> bool {
    let last = name.rsplit('-').next();
    last.is_some_and(|n| n.parse::<u32>().is_ok() && n.len() < 4)
}
