//! Answers without what differs from server to server.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::meta;

/// Names for UIDs and resourceVersions by order of appearance.
pub(super) struct Names {
    namespace: String,
    given: HashMap<String, String>,
    counts: HashMap<&'static str, usize>,
}

/// Made in every namespace by controllers that only one of the two servers may have.
const BYSTANDERS: &[&str] = &["default", "kube-root-ca.crt"];

impl Names {
    pub(super) fn new(namespace: &str) -> Names {
        Names {
            namespace: namespace.to_owned(),
            given: HashMap::new(),
            counts: HashMap::new(),
        }
    }

    pub(super) fn normal(&mut self, mut body: Value) -> Value {
        if let Some(items) = body.get_mut("items").and_then(Value::as_array_mut) {
            items.retain(|item| !BYSTANDERS.contains(&meta::name(item)));
            // Generated names fall as they may: those objects stand in the order of their writes.
            items.sort_by_key(|item| {
                let generated = meta::name(item).starts_with("gen-");
                let name = if generated { "gen-" } else { meta::name(item) };
                (
                    name.to_owned(),
                    meta::resource_version(item).parse::<u64>().ok(),
                )
            });
            for item in items.iter_mut().filter_map(Value::as_object_mut) {
                item.remove("kind");
                item.remove("apiVersion");
            }
        }
        if meta::text(&body, "/kind").ends_with("List") {
            // The revision of a list counts the writes of everybody.
            body["metadata"] = json!({});
        }
        if body["kind"] == "Status" {
            body["code"] = Value::Null;
            body["metadata"] = Value::Null;
        }
        self.walk("", &mut body);
        body
    }

    fn walk(&mut self, key: &str, value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.remove("managedFields");
                map.remove("selfLink");
                if map.get("serviceAccountName") == Some(&json!("default")) {
                    map.remove("serviceAccountName");
                    map.remove("serviceAccount");
                }
                for (list, field) in [("volumes", "name"), ("volumeMounts", "name")] {
                    if let Some(Value::Array(items)) = map.get_mut(list) {
                        items.retain(|i| {
                            i[field]
                                .as_str()
                                .is_none_or(|n| !n.starts_with("kube-api-access-"))
                        });
                        if items.is_empty() {
                            map.remove(list);
                        }
                    }
                }
                for (key, value) in map.iter_mut() {
                    self.walk(key, value);
                }
                map.retain(|_, value| !value.is_null());
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(key, item)),
            Value::String(text) => {
                let new = match key {
                    "uid" => self.name("uid", text),
                    "resourceVersion" => self.name("version", text),
                    "name" if text.starts_with("gen-") => "gen-".to_owned(),
                    "namespace" if *text == self.namespace => "namespace".to_owned(),
                    "clusterIP" | "clusterIPs" if text.starts_with("10.") => "address".to_owned(),
                    _ if key.ends_with("Timestamp") || key.ends_with("Time") => "time".to_owned(),
                    _ => return,
                };
                *text = new;
            }
            _ => {}
        }
    }

    fn name(&mut self, what: &'static str, text: &str) -> String {
        let key = format!("{what} {text}");
        if let Some(name) = self.given.get(&key) {
            return name.clone();
        }
        let count = self.counts.entry(what).or_default();
        *count += 1;
        let name = format!("{what} {count}");
        self.given.insert(key, name.clone());
        name
    }
}

/// The places at which two values differ.
pub(super) fn differences(place: &str, left: &Value, right: &Value, lines: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned();
                let (a, b) = (of(a).unwrap_or(Value::Null), of(b).unwrap_or(Value::Null));
                differences(&format!("{place}/{key}"), &a, &b, lines);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{place}/{at}"), a, b, lines);
            }
        }
        _ if left == right => {}
        _ => lines.push(format!("{place}: {left} and {right}")),
    }
}
