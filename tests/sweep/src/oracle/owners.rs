//! Nothing goes that has an owner, and no owner goes before those that it waits for.

use crate::objects;
use serde_json::Value;
use sim::{State, Verb, Write};

/// What is wrong with a write, which is one of the controllers' if it is `ours`.
pub(super) fn wrong(state: &State, write: &Write, ours: bool) -> Option<&'static str> {
    let before = write.before.as_deref()?;
    let all = objects::all(state);
    let finalizers = |object: &Value, name: &str| {
        let mut all = object["metadata"]["finalizers"]
            .as_array()
            .into_iter()
            .flatten();
        all.any(|finalizer| finalizer == name)
    };
    let lets_go =
        |name| finalizers(before, name) && (write.gone || !finalizers(&write.object, name));
    let owners = |object: &Value| -> Vec<Value> {
        let owners = object["metadata"]["ownerReferences"].as_array();
        owners.cloned().unwrap_or_default()
    };
    let mut dependents = all.iter().flat_map(|(_, object)| owners(object));
    let is_ours = |owner: &Value| owner["uid"] == *write.uid;
    if lets_go("foregroundDeletion")
        && dependents.any(|owner| is_ours(&owner) && owner["blockOwnerDeletion"] == true)
    {
        return Some("O12: gone before those that it waits for");
    }
    let mut dependents = all.iter().flat_map(|(_, object)| owners(object));
    if lets_go("orphan") && dependents.any(|owner| is_ours(&owner)) {
        return Some("O12: gone before those that it leaves have let go of it");
    }
    if !ours || write.verb != Verb::Delete {
        return None;
    }
    let stays = |owner: &Value| {
        let held = all
            .iter()
            .find(|(_, object)| object["metadata"]["uid"] == owner["uid"]);
        held.is_some_and(|(_, object)| {
            let going = object["metadata"]["deletionTimestamp"].is_string();
            !(going && finalizers(object, "foregroundDeletion"))
        })
    };
    let owners = owners(before);
    (owners.is_empty() || owners.iter().any(stays)).then_some("O12: deleted what has an owner")
}
