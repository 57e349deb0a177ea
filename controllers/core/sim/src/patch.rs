//! The four kinds of patches. `k8s.io/apimachinery pkg/util/strategicpatch`,
//! `k8s.io/apiserver pkg/endpoints/handlers/patch.go`.

use serde_json::{Map, Value};

use crate::refusal::{self, Answer};

/// The body of a PATCH, by its content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchType {
    pub(crate) fn parse(content_type: &str) -> Answer<PatchType> {
        match content_type.split(';').next().unwrap_or("").trim() {
            "application/json-patch+json" => Ok(PatchType::Json),
            "application/merge-patch+json" => Ok(PatchType::Merge),
            "application/strategic-merge-patch+json" => Ok(PatchType::Strategic),
            "application/apply-patch+yaml" => Ok(PatchType::Apply),
            other => Err(refusal::unsupported_media(&format!(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json, \
                 application/apply-patch+yaml, not {other}"
            ))),
        }
    }
}

/// What a patch makes of an object. `applied` is what the same field manager applied last.
pub(crate) fn patched(
    object: &Value,
    patch: Value,
    how: PatchType,
    applied: Option<&Value>,
) -> Answer<Value> {
    let mut new = object.clone();
    match how {
        PatchType::Json => {
            let operations: json_patch::Patch = serde_json::from_value(patch)
                .map_err(|e| refusal::bad_request(format!("error decoding patch: {e}")))?;
            json_patch::patch(&mut new, &operations)
                .map_err(|e| refusal::unprocessable(&e.to_string()))?;
        }
        PatchType::Merge => json_patch::merge(&mut new, &patch),
        PatchType::Strategic => strategic(&mut new, patch, "")?,
        PatchType::Apply => {
            if let Some(applied) = applied {
                withdraw(&mut new, applied, &patch, "");
            }
            strategic(&mut new, patch, "")?;
        }
    }
    Ok(new)
}

/// How the items of a list are told apart.
enum Items {
    /// Objects that have this key.
    Key(&'static str),
    /// A set of scalars.
    Set,
    /// The list is replaced as a whole.
    Atomic,
}

/// The merge keys of the lists that we use, as `patchMergeKey` in `k8s.io/api`: the field that
/// holds the list, and the key. A list that is not named is atomic (tolerations, taints, command…).
const MERGE_KEYS: &[(&str, &str)] = &[
    ("conditions", "type"),
    ("containers", "name"),
    ("initContainers", "name"),
    ("ephemeralContainers", "name"),
    ("volumes", "name"),
    ("env", "name"),
    ("volumeMounts", "mountPath"),
    ("volumeDevices", "devicePath"),
    ("imagePullSecrets", "name"),
    ("hostAliases", "ip"),
    ("topologySpreadConstraints", "topologyKey"),
    ("schedulingGates", "name"),
    ("resourceClaims", "name"),
    ("podIPs", "ip"),
    ("hostIPs", "ip"),
    ("addresses", "type"),
    ("ownerReferences", "uid"),
    ("secrets", "name"),
];

fn items(parent: &str, field: &str) -> Items {
    match (parent, field) {
        ("containers" | "initContainers", "ports") => Items::Key("containerPort"),
        ("spec", "ports") => Items::Key("port"),
        // Of EndpointSlice and Endpoints; atomic upstream.
        (_, "addresses") if parent != "status" => Items::Atomic,
        ("metadata", "finalizers") | ("spec", "podCIDRs") => Items::Set,
        _ => MERGE_KEYS
            .iter()
            .find(|(name, _)| *name == field)
            .map_or(Items::Atomic, |(_, key)| Items::Key(key)),
    }
}

const DIRECTIVE: &str = "$patch";
const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";
const RETAIN: &str = "$retainKeys";

/// Merges a strategic patch into a map; `parent` is the field that holds the map.
fn strategic(target: &mut Value, patch: Value, parent: &str) -> Answer<()> {
    let Value::Object(mut patch) = patch else {
        *target = patch;
        return Ok(());
    };
    match patch.remove(DIRECTIVE).as_ref().and_then(Value::as_str) {
        Some("replace") => {
            *target = Value::Object(patch);
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => {
            return Err(refusal::bad_request(format!(
                "unknown patch type found: {other}"
            )));
        }
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let map = target.as_object_mut().expect("made a map just above");
    if let Some(Value::Array(keep)) = patch.remove(RETAIN) {
        map.retain(|key, _| keep.iter().any(|k| k.as_str() == Some(key)));
    }
    let mut orders = Vec::new();
    for (key, value) in patch {
        if let Some(field) = key.strip_prefix(DELETE_PRIMITIVES) {
            let gone = value.as_array().cloned().unwrap_or_default();
            if let Some(Value::Array(list)) = map.get_mut(field) {
                list.retain(|item| !gone.contains(item));
            }
        } else if let Some(field) = key.strip_prefix(ORDER) {
            orders.push((field.to_owned(), value));
        } else if value.is_null() {
            map.remove(&key);
        } else if let Value::Array(list) = value {
            merge_list(map, parent, key, list)?;
        } else if value.is_object() {
            let entry = map.entry(key.clone()).or_insert(Value::Null);
            // Nulls inside a new map mean nothing, so it is merged into an empty one.
            strategic(entry, value, &key)?;
        } else {
            map.insert(key, value);
        }
    }
    for (field, order) in orders {
        reorder(map, parent, &field, &order);
    }
    Ok(())
}

fn merge_list(
    map: &mut Map<String, Value>,
    parent: &str,
    field: String,
    list: Vec<Value>,
) -> Answer<()> {
    let replaces = list
        .iter()
        .any(|item| item.get(DIRECTIVE).and_then(Value::as_str) == Some("replace"));
    if replaces {
        let items = list
            .into_iter()
            .filter(|i| i.get(DIRECTIVE).is_none())
            .collect();
        map.insert(field, Value::Array(items));
        return Ok(());
    }
    let key = match items(parent, &field) {
        Items::Atomic => {
            map.insert(field, Value::Array(list));
            return Ok(());
        }
        Items::Set => {
            let entry = map.entry(field).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(present) = entry {
                for item in list {
                    if !present.contains(&item) {
                        present.push(item);
                    }
                }
            }
            return Ok(());
        }
        Items::Key(key) => key,
    };
    let entry = map
        .entry(field.clone())
        .or_insert_with(|| Value::Array(Vec::new()));
    let Value::Array(present) = entry else {
        return Err(refusal::bad_request(format!("{field} is not a list")));
    };
    for mut item in list {
        let Some(id) = item.get(key).cloned() else {
            let message = format!("map: {item} does not contain declared merge key: {key}");
            return Err(refusal::bad_request(message));
        };
        let at = present.iter().position(|p| p.get(key) == Some(&id));
        if item.get(DIRECTIVE).and_then(Value::as_str) == Some("delete") {
            present.retain(|p| p.get(key) != Some(&id));
            continue;
        }
        if let Some(directives) = item.as_object_mut()
            && directives.get(DIRECTIVE).and_then(Value::as_str) == Some("merge")
        {
            directives.remove(DIRECTIVE);
        }
        if let Some(at) = at {
            strategic(&mut present[at], item, &field)?;
        } else {
            let mut new = Value::Null;
            strategic(&mut new, item, &field)?;
            present.push(new);
        }
    }
    Ok(())
}

fn reorder(map: &mut Map<String, Value>, parent: &str, field: &str, order: &Value) {
    let key = match items(parent, field) {
        Items::Key(key) => Some(key),
        _ => None,
    };
    let id = |item: &Value| key.map_or(Some(item.clone()), |key| item.get(key).cloned());
    let wanted: Vec<Option<Value>> = order.as_array().into_iter().flatten().map(id).collect();
    if let Some(Value::Array(list)) = map.get_mut(field) {
        list.sort_by_key(|item| {
            let this = id(item);
            wanted.iter().position(|w| *w == this).unwrap_or(usize::MAX)
        });
    }
}

/// Takes away what a field manager applied before and no longer does.
fn withdraw(target: &mut Value, applied: &Value, patch: &Value, parent: &str) {
    let (Some(map), Some(applied)) = (target.as_object_mut(), applied.as_object()) else {
        return;
    };
    for (key, old) in applied {
        let new = patch.get(key);
        match (old, map.get_mut(key)) {
            (Value::Object(_), Some(below)) => {
                withdraw(below, old, new.unwrap_or(&Value::Null), key);
                if new.is_none() && below.as_object().is_some_and(Map::is_empty) {
                    map.remove(key);
                }
            }
            (Value::Array(items_before), Some(Value::Array(list))) => {
                let items_now = new.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                match items(parent, key) {
                    Items::Atomic if new.is_none() => {
                        map.remove(key);
                    }
                    Items::Atomic => {}
                    Items::Set => {
                        list.retain(|i| !items_before.contains(i) || items_now.contains(i));
                    }
                    Items::Key(id) => {
                        let has = |items: &[Value], item: &Value| {
                            items.iter().any(|i| i.get(id) == item.get(id))
                        };
                        list.retain(|i| !has(items_before, i) || has(items_now, i));
                    }
                }
            }
            (_, Some(_)) if new.is_none() => {
                map.remove(key);
            }
            _ => {}
        }
    }
}
