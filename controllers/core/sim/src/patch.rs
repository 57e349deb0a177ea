//! The four kinds of patches. `k8s.io/apimachinery pkg/util/strategicpatch`,
//! `k8s.io/apiserver pkg/endpoints/handlers/patch.go`.

use json_patch::{AddOperation, PatchOperation};
use serde_json::{Map, Value};

use crate::refusal::{self, Answer};
use crate::schema::Lists;

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
            _ => Err(refusal::unknown_patch()),
        }
    }
}

/// What a patch makes of an object. `applied` is what the same field manager applied last; `lists` says how the lists of
/// a custom kind are merged.
pub(crate) fn patched(
    object: &Value,
    patch: Value,
    how: PatchType,
    applied: Option<&Value>,
    lists: Option<&Lists>,
) -> Answer<Value> {
    let mut new = object.clone();
    match how {
        PatchType::Json => {
            let operations: json_patch::Patch = serde_json::from_value(patch)
                .map_err(|e| refusal::bad_request(format!("error decoding patch: {e}")))?;
            json_steps(&mut new, operations)?;
        }
        PatchType::Merge => json_patch::merge(&mut new, &patch),
        PatchType::Strategic => strategic(&mut new, patch, "", (Order::PatchFirst, lists))?,
        PatchType::Apply => {
            if let Some(applied) = applied {
                withdraw(&mut new, applied, &patch, "", lists);
            }
            strategic(&mut new, patch, "", (Order::Appended, lists))?;
        }
    }
    Ok(new)
}

/// As `gopkg.in/evanphx/json-patch.v4` does: a replacement of what is absent is an addition.
fn json_steps(object: &mut Value, operations: json_patch::Patch) -> Answer<()> {
    for operation in operations.0 {
        let operation = match operation {
            PatchOperation::Replace(step) if step.path.resolve(object).is_err() => {
                PatchOperation::Add(AddOperation {
                    path: step.path,
                    value: step.value,
                })
            }
            other => other,
        };
        json_patch::patch(object, &[operation])
            .map_err(|e| refusal::unprocessable(&e.to_string()))?;
    }
    Ok(())
}

/// Where the items of a patch go that are new in their list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Before what follows on the server: strategic merge.
    PatchFirst,
    /// Behind: apply.
    Appended,
}

/// In which order lists are merged, and how those of a custom kind are.
type How<'a> = (Order, Option<&'a Lists>);

/// How the items of a list are told apart.
enum Items<'a> {
    /// Objects that have this key.
    Key(&'a str),
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

fn items<'a>(parent: &str, field: &str, lists: Option<&'a Lists>) -> Items<'a> {
    if let Some(lists) = lists.filter(|_| parent != "metadata") {
        return match lists.get(&(parent.to_owned(), field.to_owned())) {
            Some(Some(key)) => Items::Key(key),
            Some(None) => Items::Set,
            None => Items::Atomic,
        };
    }
    match (parent, field) {
        ("containers" | "initContainers", "ports") => Items::Key("containerPort"),
        ("spec", "ports") => Items::Key("port"),
        // Of a ServiceAccount.
        ("", "imagePullSecrets") => Items::Atomic,
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
fn strategic(target: &mut Value, patch: Value, parent: &str, how: How<'_>) -> Answer<()> {
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
            merge_list(map, parent, key, list, how)?;
        } else if value.is_object() {
            let entry = map.entry(key.clone()).or_insert(Value::Null);
            // Nulls inside a new map mean nothing, so it is merged into an empty one.
            strategic(entry, value, &key, how)?;
        } else {
            map.insert(key, value);
        }
    }
    for (field, wanted) in orders {
        reorder(map, parent, &field, wanted, how.1);
    }
    Ok(())
}

fn merge_list(
    map: &mut Map<String, Value>,
    parent: &str,
    field: String,
    list: Vec<Value>,
    how: How<'_>,
) -> Answer<()> {
    let (order, lists) = how;
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
    let key = match items(parent, &field, lists) {
        Items::Atomic => {
            map.insert(field, Value::Array(list));
            return Ok(());
        }
        Items::Set => {
            let entry = map.entry(field).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(present) = entry {
                let server = present.clone();
                for item in &list {
                    if !present.contains(item) {
                        present.push(item.clone());
                    }
                }
                if order == Order::PatchFirst {
                    arrange(present, &list, &server, |item| Some(item));
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
    let (server, wanted) = (present.clone(), list.clone());
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
            strategic(&mut present[at], item, &field, how)?;
        } else {
            let mut new = Value::Null;
            strategic(&mut new, item, &field, how)?;
            present.push(new);
        }
    }
    if order == Order::PatchFirst {
        arrange(present, &wanted, &server, |item| item.get(key));
    }
    Ok(())
}

/// Puts the items of the patch in its order and the others in theirs, and merges the two: one of
/// the others goes first only if the server had it before the next of the patch.
/// patch.go normalizeElementOrder.
fn arrange(
    list: &mut Vec<Value>,
    patch: &[Value],
    server: &[Value],
    id: impl Fn(&Value) -> Option<&Value>,
) {
    let place = |items: &[Value], item: &Value| items.iter().position(|i| id(i) == id(item));
    let (mut ours, others): (Vec<Value>, Vec<Value>) = std::mem::take(list)
        .into_iter()
        .partition(|item| place(patch, item).is_some());
    ours.sort_by_key(|item| place(patch, item));
    let (mut ours, mut others) = (ours.into_iter().peekable(), others.into_iter().peekable());
    loop {
        let other_first = match (others.peek(), ours.peek()) {
            (None, None) => return,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(other), Some(own)) => {
                place(server, own).is_some_and(|own| place(server, other).is_some_and(|o| o < own))
            }
        };
        list.extend(if other_first {
            others.next()
        } else {
            ours.next()
        });
    }
}

fn reorder(
    map: &mut Map<String, Value>,
    parent: &str,
    field: &str,
    wanted: Value,
    lists: Option<&Lists>,
) {
    let key = match items(parent, field, lists) {
        Items::Key(key) => Some(key),
        _ => None,
    };
    if let (Some(Value::Array(list)), Value::Array(wanted)) = (map.get_mut(field), wanted) {
        let server = list.clone();
        arrange(list, &wanted, &server, |item| match key {
            Some(key) => item.get(key),
            None => Some(item),
        });
    }
}

/// Takes away what a field manager applied before and no longer does.
fn withdraw(
    target: &mut Value,
    applied: &Value,
    patch: &Value,
    parent: &str,
    lists: Option<&Lists>,
) {
    let (Some(map), Some(applied)) = (target.as_object_mut(), applied.as_object()) else {
        return;
    };
    for (key, old) in applied {
        let new = patch.get(key);
        match (old, map.get_mut(key)) {
            (Value::Object(_), Some(_)) if new.is_none() && !shared(key) => {
                map.remove(key);
            }
            (Value::Object(_), Some(below)) => {
                withdraw(below, old, new.unwrap_or(&Value::Null), key, lists);
                if new.is_none() && below.as_object().is_some_and(Map::is_empty) {
                    map.remove(key);
                }
            }
            (Value::Array(items_before), Some(Value::Array(list))) => {
                let items_now = new.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                match items(parent, key, lists) {
                    Items::Atomic if new.is_none() => {
                        map.remove(key);
                    }
                    Items::Atomic => {}
                    Items::Set => {
                        list.retain(|i| !items_before.contains(i) || items_now.contains(i));
                    }
                    Items::Key(id) => {
                        let find = |items: &[Value], item: &Value| {
                            items.iter().find(|i| i.get(id) == item.get(id)).cloned()
                        };
                        list.retain_mut(|item| {
                            let now = find(items_now, item);
                            match (find(items_before, item), now) {
                                (Some(_), None) => false,
                                (Some(before), Some(now)) => {
                                    withdraw(item, &before, &now, key, lists);
                                    true
                                }
                                (None, _) => true,
                            }
                        });
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

/// Maps whose members usually come from several writers; another map goes as a whole.
fn shared(field: &str) -> bool {
    [
        "metadata",
        "spec",
        "status",
        "labels",
        "annotations",
        "data",
        "selector",
        "matchLabels",
    ]
    .contains(&field)
}

/// What a field manager owns alone after it applied a patch: not what was there before with the
/// same value, unless it had applied that itself.
pub(crate) fn owned(
    patch: &Value,
    old: &Value,
    before: &Value,
    parent: &str,
    lists: Option<&Lists>,
) -> Value {
    let mut own = Map::new();
    for (key, value) in patch.as_object().into_iter().flatten() {
        let (there, mine) = (old.get(key), before.get(key).unwrap_or(&Value::Null));
        let kept = match (value, there) {
            (Value::Object(_), Some(there)) => Some(owned(value, there, mine, key, lists)),
            (Value::Array(list), Some(Value::Array(there))) => {
                let new = |same: &dyn Fn(&Value) -> bool| {
                    !there.iter().any(same) || mine.as_array().is_some_and(|m| m.iter().any(same))
                };
                let alone = |item: &&Value| match items(parent, key, lists) {
                    Items::Key(id) => new(&|i| i.get(id) == item.get(id)),
                    Items::Set => new(&|i| i == *item),
                    Items::Atomic => there != list || !mine.is_null(),
                };
                Some(Value::Array(list.iter().filter(alone).cloned().collect()))
            }
            (_, Some(there)) if there == value && mine.is_null() => None,
            _ => Some(value.clone()),
        };
        if let Some(kept) = kept {
            own.insert(key.clone(), kept);
        }
    }
    Value::Object(own)
}
