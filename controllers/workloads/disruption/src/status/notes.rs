//! The events that go with a status. Pure.

use super::counts::{Counts, count};
use crate::World;
use ::plan::{Note, Reference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use objects::meta;
use std::fmt::Write;

/// What is worth an event in a status that is new.
pub(crate) fn notes(world: &World) -> Vec<Note> {
    let budget = Reference::to(&*world.budget);
    match count(world) {
        Ok(counts) => told(world, &budget, &counts),
        Err(failed) => {
            let message = format!("{}: {}", failed.attempt, failed.message);
            vec![Note::warning(&budget, failed.reason, message)]
        }
    }
}

fn told(world: &World, budget: &Reference, counts: &Counts) -> Vec<Note> {
    let mut notes = Vec::new();
    if world.pods.as_ref().is_ok_and(Vec::is_empty) {
        notes.push(Note::normal(budget, "NoPods", "No matching pods found"));
    }
    if counts.unmanaged {
        let spec = world.budget.spec.as_ref();
        let selector = spec.and_then(|s| s.selector.clone()).unwrap_or_default();
        let message = format!(
            "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, the \
             status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for \
             these pods please set \".spec.minAvailable\" field of the PDB to an integer value.",
            as_go(&selector)
        );
        notes.push(Note::warning(budget, "UnmanagedPods", message));
    }
    for pod in &counts.undeleted {
        let message = format!(
            "Pod was expected by PDB {}/{} to be deleted but it wasn't",
            meta::namespace(&world.budget.metadata),
            meta::name(&world.budget.metadata)
        );
        notes.push(Note::warning(&Reference::to(&**pod), "NotDeleted", message));
    }
    notes
}

/// A selector as Go prints it, which is what the message has.
fn as_go(selector: &LabelSelector) -> String {
    let mut text = "&LabelSelector{MatchLabels:map[string]string{".to_owned();
    for (key, value) in selector.match_labels.iter().flatten() {
        let _ = write!(text, "{key}: {value},");
    }
    text.push_str("},MatchExpressions:[]LabelSelectorRequirement{");
    for expression in selector.match_expressions.iter().flatten() {
        let values = expression.values.as_deref().unwrap_or_default().join(" ");
        let _ = write!(
            text,
            "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},",
            expression.key, expression.operator
        );
    }
    text.push_str("},}");
    text
}
