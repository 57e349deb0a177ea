//! Pod templates: their hash, when two are the same, and the pod that one makes.
//!
//! Upstream: `pkg/controller/controller_utils.go` (`ComputeHash`, `GetPodFromTemplate`),
//! `pkg/controller/deployment/util/deployment_util.go` (`EqualIgnoreHash`).
//!
//! Upstream hashes a dump of Go's memory, which nobody else can repeat. The value is not part of the contract, only
//! that it is stable; what an object already carries is never computed anew, and the ReplicaSet of a template is
//! found by comparing templates. So the hash here is over canonical JSON, and the same canon decides equality.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::Value;

use crate::fnv::fnv32a;
use crate::names::safe_encode;
use crate::quantity::Quantity;

/// The label that Deployments put on what they make.
pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// A hash of the template, at most ten characters of the safe alphabet. `collision_count` gives another hash for the
/// same template, for when a name is taken by something else.
pub fn hash(template: &PodTemplateSpec, collision_count: Option<i32>) -> String {
    let count = collision_count.map(|count| i64::from(count).to_le_bytes());
    let hash = fnv32a(
        canonical(template)
            .bytes()
            .chain(count.into_iter().flatten()),
    );
    safe_encode(hash)
}

/// Whether two templates mean the same, whatever their label `pod-template-hash` says. Absent and empty maps and
/// lists are the same, and so are two notations of a quantity.
pub fn equal_ignoring_hash(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    let (a, b) = (without_hash(a), without_hash(b));
    a == b || canonical(&a) == canonical(&b)
}

/// The pod that a template makes, before the API server fills in the rest: labels, annotations, finalizers and spec
/// are the template's.
pub fn pod_from_template(
    template: &PodTemplateSpec,
    owner: &OwnerReference,
    namespace: &str,
    name: &str,
) -> Pod {
    let meta = template.metadata.as_ref();
    Pod {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: meta.and_then(|meta| meta.labels.clone()),
            annotations: meta.and_then(|meta| meta.annotations.clone()),
            finalizers: meta.and_then(|meta| meta.finalizers.clone()),
            owner_references: Some(vec![owner.clone()]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

fn without_hash(template: &PodTemplateSpec) -> Cow<'_, PodTemplateSpec> {
    let labels = template
        .metadata
        .as_ref()
        .and_then(|meta| meta.labels.as_ref());
    if !labels.is_some_and(|labels| labels.contains_key(POD_TEMPLATE_HASH)) {
        return Cow::Borrowed(template);
    }
    let mut template = template.clone();
    if let Some(labels) = template
        .metadata
        .as_mut()
        .and_then(|meta| meta.labels.as_mut())
    {
        labels.remove(POD_TEMPLATE_HASH);
    }
    Cow::Owned(template)
}

/// JSON with sorted keys, without what means nothing.
fn canonical(template: &PodTemplateSpec) -> String {
    let value =
        serde_json::to_value(template).expect("API types have string keys and finite numbers");
    canonical_value(&value)
}

/// The same for JSON that holds a template somewhere in it.
pub(crate) fn canonical_value(value: &Value) -> String {
    let mut text = String::new();
    write_value(value, &mut text);
    text
}

/// Fields whose Go type is a map, or a struct that is not a pointer: empty is the same as absent. For all others an
/// empty object means something (`emptyDir: {}`, `labelSelector: {}`).
const EMPTY_IS_ABSENT: [&str; 11] = [
    "annotations",
    "labels",
    "limits",
    "matchLabels",
    "metadata",
    "nodeSelector",
    "options",
    "overhead",
    "requests",
    "resources",
    "volumeAttributes",
];
/// Maps from names to texts, whose keys are users' words and mean nothing here.
const TEXT_MAPS: [&str; 6] = [
    "annotations",
    "labels",
    "matchLabels",
    "nodeSelector",
    "options",
    "volumeAttributes",
];
/// Maps of quantities, and single ones.
const QUANTITY_MAPS: [&str; 3] = ["limits", "overhead", "requests"];
const QUANTITIES: [&str; 2] = ["divisor", "sizeLimit"];

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Object(object) => {
            // Sorted here, as serde_json's own order depends on a feature that any crate of the build may switch on.
            let mut fields: Vec<_> = object
                .iter()
                .filter(|(key, value)| !is_absent(key, value))
                .collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (key, value) in fields {
                let _ = write!(out, "{}:", Value::from(key.as_str()));
                write_field(key, value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_value(item, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

fn write_field(key: &str, value: &Value, out: &mut String) {
    match value {
        Value::Object(amounts) if QUANTITY_MAPS.contains(&key) => {
            let amounts = amounts
                .iter()
                .map(|(name, amount)| (name.clone(), normal_quantity(amount)));
            write_value(&Value::Object(amounts.collect()), out);
        }
        Value::Object(texts) if TEXT_MAPS.contains(&key) => {
            let sorted: BTreeMap<_, _> = texts.iter().collect();
            out.push('{');
            for (name, text) in sorted {
                let _ = write!(out, "{}:{text},", Value::from(name.as_str()));
            }
            out.push('}');
        }
        Value::String(_) if QUANTITIES.contains(&key) => write_value(&normal_quantity(value), out),
        _ => write_value(value, out),
    }
}

/// The same text for the same amount. A value that is no quantity stays as it is.
fn normal_quantity(value: &Value) -> Value {
    match value
        .as_str()
        .and_then(|text| text.parse::<Quantity>().ok())
    {
        Some(quantity) => Value::String(Quantity::from_nanos(quantity.nanos()).to_string()),
        None => value.clone(),
    }
}

fn is_absent(key: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => {
            EMPTY_IS_ABSENT.contains(&key)
                && fields.iter().all(|(key, value)| is_absent(key, value))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
