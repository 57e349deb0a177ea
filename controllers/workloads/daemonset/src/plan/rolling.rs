//! Old pods give way to new ones, node by node.
//!
//! Upstream: `rollingUpdate` in `pkg/controller/daemon/update.go`. Pods that are being deleted are not looked at; a
//! node without any other lacks an available pod.

use super::changes::Changes;
use crate::world::{Settings, World};
use k8s_openapi::api::core::v1::Pod;
use objects::{meta, pod};
use std::collections::BTreeSet;

/// What is on a node.
enum Node<'a> {
    None,
    Old(&'a Pod),
    New(&'a Pod),
    Both {
        old: &'a Pod,
        new: &'a Pod,
    },
    /// Several of one kind, which the next round sees to.
    TooMany,
}

/// Without surge: old pods go, as many as leave no more than `max_unavailable` nodes without an available pod. Those
/// that are not available anyway cost nothing.
pub(super) fn replace<'a>(
    world: &'a World,
    settings: &Settings,
    max_unavailable: i32,
    changes: &mut Changes<'a>,
) {
    let mut unavailable = 0;
    let mut candidates = Vec::new();
    for name in nodes(world) {
        match on(world, settings, name) {
            Node::None | Node::Both { .. } | Node::TooMany => unavailable += 1,
            Node::New(new) if is_available(world, settings, new) => {}
            Node::New(_) => unavailable += 1,
            Node::Old(old) if is_available(world, settings, old) => candidates.push(old),
            Node::Old(old) => {
                unavailable += 1;
                changes.replace.push(old);
            }
        }
    }
    let room = max_unavailable.saturating_sub(unavailable).max(0);
    changes
        .delete
        .extend(candidates.into_iter().take(room as usize));
}

/// With surge: new pods come beside old ones, at most `max_surge` beside available ones; an old one goes when the new
/// one is available. Where a pod does not belong any more, it goes when enough others are available.
pub(super) fn surge<'a>(
    world: &'a World,
    settings: &Settings,
    max_surge: i32,
    changes: &mut Changes<'a>,
) {
    let mut surging = 0;
    let mut available = 0;
    let mut candidates = Vec::new();
    let mut misplaced = Vec::new();
    for name in nodes(world) {
        let on = on(world, settings, name);
        let counted = match on {
            Node::Old(pod) | Node::New(pod) | Node::Both { old: pod, .. } => Some(pod),
            Node::None | Node::TooMany => None,
        };
        available += i32::from(counted.is_some_and(|pod| is_available(world, settings, pod)));
        match on {
            Node::None | Node::New(_) => {}
            Node::TooMany => surging += 1,
            Node::Both { old, new } if is_available(world, settings, new) => {
                changes.delete.push(old);
            }
            Node::Both { .. } => surging += 1,
            Node::Old(old) => {
                let belongs = world.place(name).is_some_and(|place| place.should_run);
                match (belongs, is_available(world, settings, old)) {
                    (true, true) => candidates.push(name),
                    (true, false) => changes.create.push(name),
                    (false, true) => misplaced.push(old),
                    (false, false) => changes.replace.push(old),
                }
            }
        }
    }
    let spare = available.saturating_sub(world.desired()).max(0);
    changes
        .delete
        .extend(misplaced.into_iter().take(spare as usize));
    let room = max_surge.saturating_sub(surging).max(0);
    changes
        .create
        .extend(candidates.into_iter().take(room as usize));
}

/// The nodes with pods, and those that should have one.
fn nodes(world: &World) -> BTreeSet<&str> {
    let wanted = world.places.iter().filter(|place| place.should_run);
    let wanted = wanted.map(|place| place.node.as_str());
    world
        .by_node
        .keys()
        .map(String::as_str)
        .chain(wanted)
        .collect()
}

/// `findUpdatedPodsOnNode`
fn on<'a>(world: &'a World, settings: &Settings, node: &str) -> Node<'a> {
    let living = world.on(node).iter().map(|pod| &**pod);
    let living = living.filter(|pod| !meta::is_deleting(&pod.metadata));
    let (new, old): (Vec<&Pod>, Vec<&Pod>) =
        living.partition(|pod| world.is_updated(settings, pod));
    match (&new[..], &old[..]) {
        ([], []) => Node::None,
        ([new], []) => Node::New(new),
        ([], [old]) => Node::Old(old),
        ([new], [old]) => Node::Both { old, new },
        _ => Node::TooMany,
    }
}

fn is_available(world: &World, settings: &Settings, pod: &Pod) -> bool {
    pod::is_available(pod, settings.min_ready_seconds, world.now)
}
