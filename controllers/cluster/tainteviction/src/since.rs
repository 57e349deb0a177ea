//! Since when taints are there. Pure but for its memory.

use crate::Taint;
use crate::plan::NO_EXECUTE;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{self, Node};
use objects::node as nodes;
use serde_json::Value;
use std::collections::HashMap;

/// When each NoExecute taint of a node was first seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Since(HashMap<Name, Timestamp>);

/// Key, value, and the time that it says: one that came back is another one.
type Name = (String, Option<String>, Option<Timestamp>);

impl Since {
    /// Whether there is a taint that does not say since when, and of which nothing is known.
    pub(crate) fn misses(&self, node: &Node) -> bool {
        let mut taints = no_execute(node);
        taints.any(|taint| taint.time_added.is_none() && !self.0.contains_key(&key(taint)))
    }

    /// The NoExecute taints of a node. One that does not say its time has come when somebody last changed the list,
    /// by the node as the API server has it, or now. Future times are not believed.
    pub(crate) fn of(&mut self, node: &Node, live: Option<&Value>, now: Timestamp) -> Vec<Taint> {
        let known = std::mem::take(&mut self.0);
        let changed = live.and_then(last_changed);
        let mut taints = Vec::new();
        for taint in no_execute(node) {
            let first = known.get(&key(taint)).copied();
            let first = first.unwrap_or_else(|| changed.map_or(now, |at| at.min(now)));
            let since = taint
                .time_added
                .as_ref()
                .map_or(first, |at| at.0.min(first));
            self.0.insert(key(taint), first);
            taints.push(Taint {
                taint: taint.clone(),
                since,
            });
        }
        taints
    }
}

fn no_execute(node: &Node) -> impl Iterator<Item = &v1::Taint> {
    let taints = nodes::taints(node).iter();
    taints.filter(|taint| taint.effect == NO_EXECUTE)
}

fn key(taint: &v1::Taint) -> Name {
    let added = taint.time_added.as_ref().map(|at| at.0);
    (taint.key.clone(), taint.value.clone(), added)
}

/// When the list of taints was last changed.
fn last_changed(node: &Value) -> Option<Timestamp> {
    let fields = node["metadata"]["managedFields"].as_array()?.iter();
    let fields = fields.filter(|entry| entry["fieldsV1"]["f:spec"]["f:taints"].is_object());
    let times = fields.filter_map(|entry| entry["time"].as_str()?.parse().ok());
    times.max()
}
