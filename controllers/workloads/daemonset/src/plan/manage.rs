//! One pod where one belongs, none elsewhere; what has ended goes.
//!
//! Upstream: `manage` and `podsShouldBeOnNode` in `pkg/controller/daemon/daemon_controller.go`.

use super::changes::Changes;
use crate::place::Place;
use crate::world::{Settings, World};
use ::plan::Note;
use k8s_openapi::api::core::v1::Pod;
use objects::{meta, pod};
use std::sync::Arc;

pub(super) fn changes<'a>(world: &'a World, settings: &Settings) -> Changes<'a> {
    let mut changes = Changes::default();
    for place in &world.places {
        on_node(world, settings, place, &mut changes);
    }
    // A pod that waits for a node that is gone waits for ever, and nobody else would delete it.
    for (node, pods) in &world.by_node {
        if world.place(node).is_none() {
            let stranded = living(pods).filter(|pod| pod::node_name(pod).is_none());
            changes.delete.extend(stranded);
        }
    }
    changes
}

fn on_node<'a>(world: &'a World, settings: &Settings, place: &'a Place, changes: &mut Changes<'a>) {
    let pods = world.on(&place.node);
    if !place.may_stay {
        changes.delete.extend(living(pods));
        return;
    }
    if pods.is_empty() {
        if place.should_run {
            changes.create.push(&place.node);
        }
        return;
    }
    let mut running = Vec::new();
    for pod in living(pods) {
        match pod::phase(pod) {
            "Failed" if world.waiting.contains_key(meta::uid(&pod.metadata)) => {}
            "Failed" => {
                let message = found("failed", pod, place, "kill");
                let note = Note::warning(&world.me, "FailedDaemonPod", message);
                changes.notes.push(note);
                changes.delete.push(pod);
            }
            "Succeeded" => {
                let message = found("succeeded", pod, place, "delete");
                let note = Note::normal(&world.me, "SucceededDaemonPod", message);
                changes.notes.push(note);
                changes.delete.push(pod);
            }
            _ => running.push(pod),
        }
    }
    if !settings.strategy.surges() {
        // The one that was there first stays.
        changes.delete.extend(running.into_iter().skip(1));
    } else if running.is_empty() {
        // A pod on its way out keeps no other one away.
        let waits = living(pods).any(|pod| world.waiting.contains_key(meta::uid(&pod.metadata)));
        if place.should_run && !waits {
            changes.create.push(&place.node);
        }
    } else if running.len() > 1 {
        keep_a_pair(world, settings, &running, changes);
    }
}

/// The first pod of the current revision and the first of another may run together as long as the old one is ready and
/// the new one is not available yet.
fn keep_a_pair<'a>(
    world: &World,
    settings: &Settings,
    running: &[&'a Pod],
    changes: &mut Changes<'a>,
) {
    let (new, old): (Vec<&Pod>, Vec<&Pod>) =
        running.iter().partition(|pod| world.has_current_hash(pod));
    changes
        .delete
        .extend(new.iter().skip(1).chain(old.iter().skip(1)));
    if let (Some(new), Some(old)) = (new.first(), old.first()) {
        if pod::is_available(new, settings.min_ready_seconds, world.now) {
            changes.delete.push(old);
        } else if !pod::is_ready(old) {
            changes.replace.push(old);
        }
    }
}

fn living(pods: &[Arc<Pod>]) -> impl Iterator<Item = &Pod> {
    let living = pods.iter().filter(|pod| !meta::is_deleting(&pod.metadata));
    living.map(|pod| &**pod)
}

fn found(how: &str, pod: &Pod, place: &Place, verb: &str) -> String {
    let (namespace, name) = (meta::namespace(&pod.metadata), meta::name(&pod.metadata));
    let node = &place.node;
    format!("Found {how} daemon pod {namespace}/{name} on node {node}, will try to {verb} it")
}
