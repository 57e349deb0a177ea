//! The history of a StatefulSet or a DaemonSet: ControllerRevisions, each of which stores one pod template.
//!
//! Upstream: `pkg/controller/history/controller_history.go`, `getPatch` in `pkg/controller/daemon/update.go` and in
//! `pkg/controller/statefulset/stateful_set_utils.go`.
//!
//! What is stored is written byte for byte as Go would write it, because `kubectl rollout undo` and upstream's
//! controllers compare bytes. What is read is compared by what it means: a revision that another version wrote, with
//! `creationTimestamp: null` or another notation of a quantity, is no reason to restart pods.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::{Map, Value, json};

use crate::fnv::fnv32;
use crate::meta;
use crate::names::safe_encode;
use crate::template::canonical_value;

/// The label of a StatefulSet's revisions that carries [`hash`].
pub const REVISION_HASH: &str = "controller.kubernetes.io/hash";
/// The label that says which revision a pod was made from. A StatefulSet's pods carry the revision's name, a
/// DaemonSet's pods and revisions the hash alone.
pub const CONTROLLER_REVISION_HASH: &str = "controller-revision-hash";

/// Room for a dash and a hash in a name of 253 bytes.
const PREFIX_LENGTH: usize = 223;

/// What a revision stores: a strategic merge patch that puts this template back
/// (`{"spec":{"template":{"$patch":"replace",…}}}`). The keys are sorted, and the structs that Go never leaves out are
/// there, so the bytes are upstream's.
pub fn data(template: &PodTemplateSpec) -> Value {
    let mut template =
        serde_json::to_value(template).expect("API types have string keys and finite numbers");
    let empty = || Value::Object(Map::new());
    template["$patch"] = Value::from("replace");
    set_default(&mut template, "metadata", empty());
    set_default(&mut template, "spec", json!({ "containers": null }));
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in items(&mut template["spec"], list) {
            set_default(container, "resources", empty());
        }
    }
    for volume in items(&mut template["spec"], "volumes") {
        if let Some(claim) = volume.pointer_mut("/ephemeral/volumeClaimTemplate") {
            set_default(claim, "metadata", empty());
            set_default(&mut claim["spec"], "resources", empty());
        }
    }
    sorted(json!({ "spec": { "template": template } }))
}

/// The template that a revision stores. `None` if it stores something else.
pub fn template(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let mut stored = revision.data.as_ref()?.0.pointer("/spec/template")?.clone();
    stored.as_object_mut()?.remove("$patch");
    serde_json::from_value(stored).ok()
}

/// The hash of what a revision stores, at most ten characters of the safe alphabet (`HashControllerRevision`; the same
/// value as upstream's for the same bytes). `collision_count` gives another hash for the same data, for when a name is
/// taken by something else; upstream gives a StatefulSet's always, 0 at first.
pub fn hash(data: &Value, collision_count: Option<i32>) -> String {
    let count = collision_count.map(|count| count.to_string());
    safe_encode(fnv32(
        go_json(data)
            .bytes()
            .chain(count.iter().flat_map(|count| count.bytes())),
    ))
}

/// The name of an owner's revision with this hash, at most 253 bytes (`ControllerRevisionName`).
pub fn name(owner: &str, hash: &str) -> String {
    let prefix = &owner[..owner.floor_char_boundary(PREFIX_LENGTH)];
    format!("{prefix}-{hash}")
}

/// Whether a revision stores this data, or what means the same: absent and empty are one where Go has no difference,
/// and so are two notations of a quantity.
pub fn stores(revision: &ControllerRevision, data: &Value) -> bool {
    match &revision.data {
        Some(stored) => stored.0 == *data || canonical_value(&stored.0) == canonical_value(data),
        None => false,
    }
}

/// The revisions that store this data, in the order given (`FindEqualRevisions`).
pub fn find_equal<'a, R: Borrow<ControllerRevision>>(
    revisions: &'a [R],
    data: &Value,
) -> Vec<&'a R> {
    revisions
        .iter()
        .filter(|revision| stores((*revision).borrow(), data))
        .collect()
}

/// Oldest first: by number, then by creation, then by name (`SortControllerRevisions`).
pub fn order(a: &ControllerRevision, b: &ControllerRevision) -> Ordering {
    a.revision
        .cmp(&b.revision)
        .then_with(|| meta::created(&a.metadata).cmp(&meta::created(&b.metadata)))
        .then_with(|| meta::name(&a.metadata).cmp(meta::name(&b.metadata)))
}

/// The number that comes after all of these; 1 after none.
pub fn next_revision<R: Borrow<ControllerRevision>>(revisions: &[R]) -> i64 {
    revisions
        .iter()
        .map(|revision| revision.borrow().revision)
        .fold(0, i64::max)
        .saturating_add(1)
}

/// Which revisions to delete so that no more than `limit` (`revisionHistoryLimit`; below 0 all stay) are left: the
/// oldest of those that `is_live` does not protect.
///
/// Live revisions count towards the limit, as in `cleanupHistory` of the DaemonSet controller. In a StatefulSet they
/// do not (`truncateHistory`): give only those that are not live, and a function that is always false.
pub fn beyond_limit<R: Borrow<ControllerRevision>>(
    revisions: &[R],
    limit: i32,
    is_live: impl Fn(&ControllerRevision) -> bool,
) -> Vec<&R> {
    let Ok(limit) = usize::try_from(limit) else {
        return Vec::new();
    };
    let excess = revisions.len().saturating_sub(limit);
    if excess == 0 {
        return Vec::new();
    }
    let mut dead: Vec<&R> = revisions
        .iter()
        .filter(|revision| !is_live((*revision).borrow()))
        .collect();
    dead.sort_by(|a, b| order((*a).borrow(), (*b).borrow()));
    dead.truncate(excess);
    dead
}

/// The items of a list, none if it is absent.
fn items<'a>(object: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    object
        .get_mut(key)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

fn set_default(object: &mut Value, key: &str, default: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.entry(key).or_insert(default);
    }
}

/// With sorted keys: serde_json's own order depends on a feature that any crate of the build may switch on.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.into_iter().collect();
            Value::Object(
                fields
                    .into_iter()
                    .map(|(key, value)| (key, sorted(value)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        scalar => scalar,
    }
}

/// As Go's `encoding/json` writes it: what HTML would take for markup is escaped. Only strings can hold it.
fn go_json(value: &Value) -> String {
    value
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests;
