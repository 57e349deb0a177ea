//! What holds a namespace up (upstream: status_condition_utils.go).

use crate::{Content, State, World};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::BTreeMap;

/// Type; reason and message if all is well; reason if not.
const CONDITIONS: [(&str, &str, &str, &str); 5] = [
    (
        "NamespaceDeletionDiscoveryFailure",
        "ResourcesDiscovered",
        "All resources successfully discovered",
        "DiscoveryFailed",
    ),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
        "GroupVersionParsingFailed",
    ),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
        "ContentDeletionFailed",
    ),
    (
        "NamespaceContentRemaining",
        "ContentRemoved",
        "All content successfully removed",
        "SomeResourcesRemain",
    ),
    (
        "NamespaceFinalizersRemaining",
        "ContentHasNoFinalizers",
        "All content-preserving finalizers finished",
        "SomeFinalizersRemain",
    ),
];

pub(crate) fn status(world: &World) -> Option<Namespace> {
    let mut namespace = (*world.namespace).clone();
    let mut status = namespace.status.take().unwrap_or_default();
    match &world.state {
        State::Early(_) => {}
        State::Going(content) if content.hangs() => {
            let conditions = status.conditions.get_or_insert_default();
            for ((kind, good, well, bad), wrong) in CONDITIONS.into_iter().zip(wrongs(content)) {
                let (status, reason) = match wrong {
                    Some(_) => ("True", bad),
                    None => ("False", good),
                };
                let message = wrong.unwrap_or_else(|| well.to_owned());
                set(conditions, kind, status, reason, message, world.now);
            }
        }
        // It goes, or there is more to be said in a moment.
        State::Settled | State::Going(_) => return None,
    }
    status.phase = Some("Terminating".to_owned());
    namespace.status = Some(status);
    (namespace.status != world.namespace.status).then_some(namespace)
}

/// What is wrong, in the order of [`CONDITIONS`].
fn wrongs(content: &Content) -> [Option<String>; 5] {
    let failed = &content.unlisted;
    let failed = (!failed.is_empty()).then(|| {
        let (count, failed) = (failed.len(), failed.join(", "));
        format!("Failed to delete all resource types, {count} remaining: {failed}")
    });
    let mut left = Vec::new();
    let mut finalizers = BTreeMap::<&str, usize>::new();
    for (kind, objects) in &content.left {
        let (plural, group, count) = (kind.plural, kind.group, objects.len());
        left.push(format!("{plural}.{group} has {count} resource instances"));
        for finalizer in objects.iter().flat_map(|object| &object.finalizers) {
            *finalizers.entry(finalizer).or_default() += 1;
        }
    }
    left.sort();
    let finalizers = finalizers.into_iter();
    let finalizers =
        finalizers.map(|(name, count)| format!("{name} in {count} resource instances"));
    let finalizers: Vec<_> = finalizers.collect();
    let some = |what: &str, list: Vec<String>| {
        (!list.is_empty()).then(|| format!("{what}: {}", list.join(", ")))
    };
    [
        content.undiscovered.clone(),
        None,
        failed,
        some("Some resources are remaining", left),
        some(
            "Some content in the namespace has finalizers remaining",
            finalizers,
        ),
    ]
}

fn set(
    conditions: &mut Vec<NamespaceCondition>,
    kind: &str,
    status: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) {
    let at = conditions.iter().position(|c| c.type_ == kind);
    let at = at.unwrap_or_else(|| {
        conditions.push(NamespaceCondition {
            type_: kind.to_owned(),
            ..NamespaceCondition::default()
        });
        conditions.len() - 1
    });
    let condition = &mut conditions[at];
    if condition.status != status {
        condition.last_transition_time = Some(Time(now));
        status.clone_into(&mut condition.status);
    }
    condition.reason = Some(reason.to_owned());
    condition.message = Some(message);
}
