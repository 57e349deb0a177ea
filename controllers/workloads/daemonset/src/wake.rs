//! What besides its own pods and revisions wakes a DaemonSet.

use crate::place::{Demand, target};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod, PodSpec};
use objects::{Selector, meta, node};
use runtime::{Caches, Change, Key, Queue, Watched};

/// An orphan that appears, or whose labels or owner changed, wakes every DaemonSet that selects it.
pub(crate) fn adopters<K: Watched>(change: &Change<K>, queue: &Queue, caches: &Caches) {
    let Some(new) = &change.new else { return };
    let new = new.metadata();
    if meta::controller_of(new).is_some() || meta::is_deleting(new) {
        return;
    }
    let unchanged = change.old.as_ref().is_some_and(|old| {
        let old = old.metadata();
        meta::controller_of(old).is_none() && old.labels == new.labels
    });
    if unchanged {
        return;
    }
    for set in caches.of::<DaemonSet>().in_namespace(meta::namespace(new)) {
        let selector = set
            .spec
            .as_ref()
            .map(|spec| Selector::parse(&spec.selector));
        let selects = |s: Selector| !s.is_empty() && s.matches(new.labels.as_ref());
        if selector.and_then(Result::ok).is_some_and(selects) {
            queue.add(Key::of(&set.metadata));
        }
    }
}

/// A node that comes, goes, or whose labels or taints change wakes every DaemonSet to which that makes a difference.
/// What a node reports of itself several times a minute makes none.
pub(crate) fn by_node(change: &Change<Node>, queue: &Queue, caches: &Caches) {
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && old.metadata.labels == new.metadata.labels
        && node::taints(old) == node::taints(new)
    {
        return;
    }
    let bare = PodSpec::default();
    for set in caches.of::<DaemonSet>().all() {
        let template = set
            .spec
            .as_ref()
            .and_then(|spec| spec.template.spec.as_ref());
        let demand = Demand::of(template.unwrap_or(&bare));
        let before = change.old.as_ref().map(|node| demand.place(node));
        let after = change.new.as_ref().map(|node| demand.place(node));
        let matters = match (&before, &after) {
            (Some(before), Some(after)) => before != after,
            // Pods may be where they do not belong, on one that came back with other labels for instance.
            (Some(place), None) | (None, Some(place)) => {
                place.is_any() || has_pods(&set, &place.node, caches)
            }
            (None, None) => false,
        };
        if matters {
            queue.add(Key::of(&set.metadata));
        }
    }
}

fn has_pods(set: &DaemonSet, node: &str, caches: &Caches) -> bool {
    let pods = caches.of::<Pod>().owned_by(meta::uid(&set.metadata));
    pods.iter().any(|pod| target(pod) == Some(node))
}
