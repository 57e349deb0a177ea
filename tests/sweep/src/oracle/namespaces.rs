//! A namespace never ends with content, and pods go before all else in it.

use crate::objects;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use sim::{State, Verb, Write};

/// What is wrong with a write; it was the namespace controller's, and nobody else's, if it was `its`.
pub(super) fn wrong(state: &State, write: &Write, its: bool) -> Option<String> {
    if write.kind == "Namespace" && write.gone {
        let all = objects::all(state);
        let (kind, left) = all
            .iter()
            .find(|(_, object)| object["metadata"]["namespace"] == *write.name)?;
        let name = &left["metadata"]["name"];
        return Some(format!("O13: the namespace is gone, {kind} {name} is left"));
    }
    if !its || write.verb != Verb::Delete {
        return None;
    }
    if !is_going(state, write) {
        return Some("O13: deleted in a namespace that nobody deletes".to_owned());
    }
    let pods = state.list::<Pod>(Some(&write.namespace));
    (write.kind != "Pod" && !pods.is_empty()).then(|| "O13: deleted before the pods".to_owned())
}

/// Whether somebody deletes the namespace of what was written, or has deleted it.
pub(super) fn is_going(state: &State, write: &Write) -> bool {
    let namespace = state.get::<Namespace>("", &write.namespace);
    !write.namespace.is_empty()
        && namespace.is_none_or(|namespace| ::objects::meta::is_deleting(&namespace.metadata))
}
