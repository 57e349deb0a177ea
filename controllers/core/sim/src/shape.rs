//! The shape that an object takes by going through upstream's Go types: members that are null or
//! empty and marked `omitempty` vanish, structs and pointers to structs stay even if empty.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::custom::DEFINITION;
use crate::kinds::Kind;

/// Maps of strings: their values are data, so an empty one stays; an empty map vanishes.
const STRING_MAPS: &[&str] = &[
    "labels",
    "annotations",
    "matchLabels",
    "nodeSelector",
    "data",
    "binaryData",
    "stringData",
    "limits",
    "requests",
    "capacity",
    "allocatable",
    "hard",
    "used",
    "overhead",
];

/// Numbers that are no pointers in Go: a zero vanishes.
const ZERO_VANISHES: &[&str] = &[
    "minReadySeconds",
    "readyReplicas",
    "availableReplicas",
    "fullyLabeledReplicas",
    "unavailableReplicas",
    "updatedReplicas",
    "observedGeneration",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
    "active",
    "succeeded",
    "failed",
    "hostPort",
    "nodePort",
    "initialDelaySeconds",
    "generation",
    "count",
];

/// Counters that have no `omitempty` though their name is in [`ZERO_VANISHES`] elsewhere.
const ZERO_STAYS: &[(&str, &str)] = &[("StatefulSet", "availableReplicas")];

/// Booleans that are no pointers in Go: a false vanishes.
const FALSE_VANISHES: &[&str] = &[
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "paused",
    "publishNotReadyAddresses",
    "unschedulable",
    "stdin",
    "stdinOnce",
    "tty",
];

/// Strings that are pointers in Go: an empty one stays.
const EMPTY_STAYS: &[(&str, &str)] = &[("Lease", "holderIdentity")];

/// Brings an object into shape; says what does not fit into its type.
pub(crate) fn tidy(kind: &Kind, object: &mut Value) -> serde_json::Result<()> {
    *object = (kind.typed)(object)?;
    // Its schemas and defaults are data.
    if kind.rules() == DEFINITION {
        return tidy_metadata(object);
    }
    if let Some(map) = object.as_object_mut() {
        tidy_map(map, kind.kind, 0);
    }
    Ok(())
}

/// Brings the metadata of an object into shape, and nothing else.
pub(crate) fn tidy_metadata(object: &mut Value) -> serde_json::Result<()> {
    let Some(metadata) = object.get_mut("metadata") else {
        return Ok(());
    };
    *metadata = serde_json::to_value(ObjectMeta::deserialize(&*metadata)?)?;
    if let Some(map) = metadata.as_object_mut() {
        tidy_map(map, "", 1);
    }
    Ok(())
}

fn tidy_map(map: &mut Map<String, Value>, kind: &str, depth: usize) {
    map.retain(|key, value| {
        // The payload of a ControllerRevision is raw data.
        if depth == 0 && key == "data" && kind == "ControllerRevision" {
            return true;
        }
        match value {
            Value::Null => false,
            Value::String(text) => !text.is_empty() || EMPTY_STAYS.contains(&(kind, key.as_str())),
            Value::Number(number) => {
                number.as_i64() != Some(0)
                    || !ZERO_VANISHES.contains(&key.as_str())
                    || ZERO_STAYS.contains(&(kind, key.as_str()))
            }
            Value::Bool(flag) => *flag || !FALSE_VANISHES.contains(&key.as_str()),
            Value::Array(items) => {
                for item in items.iter_mut() {
                    if let Some(map) = item.as_object_mut() {
                        tidy_map(map, kind, depth + 1);
                    }
                }
                !items.is_empty()
            }
            Value::Object(below) if STRING_MAPS.contains(&key.as_str()) => {
                below.retain(|_, value| !value.is_null());
                !below.is_empty()
            }
            Value::Object(below) => {
                tidy_map(below, kind, depth + 1);
                true
            }
        }
    });
}
