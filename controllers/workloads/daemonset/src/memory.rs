//! What the loop remembers from turn to turn: when failed pods may be replaced, and what was on a node before.
//!
//! Both make it gentler and neither makes it right: after a restart a failed pod is replaced at once and the delays
//! begin anew, as upstream's do (`failedPodsBackoff` in `pkg/controller/daemon/daemon_controller.go`).

use crate::World;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use objects::{meta, pod};
use runtime::Key;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const FIRST: SignedDuration = SignedDuration::from_secs(1);
const LONGEST: SignedDuration = SignedDuration::from_mins(15);
/// A node that had no failure for so long after the last delay begins anew.
const FORGIVEN: SignedDuration = SignedDuration::from_mins(30);

/// The memory of all DaemonSets.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<HashMap<Key, Of>>);

/// What is remembered of one incarnation.
#[derive(Debug, Default)]
struct Of {
    uid: String,
    /// A new template gets its chance at once.
    generation: i64,
    nodes: HashMap<String, OnNode>,
}

#[derive(Debug, Default)]
struct OnNode {
    /// The UID of the newest pod that was seen.
    newest: String,
    /// The failed pods that are there, and when each may be replaced.
    failed: Vec<(String, Timestamp)>,
    /// When the next one that fails may be replaced, and how long the one after that will wait.
    next: Option<(Timestamp, SignedDuration)>,
}

impl Memory {
    /// Takes in what is seen, and tells the world what it needs to know of before.
    pub(crate) fn recall(&self, world: &mut World) {
        let mut all = self.lock();
        let of = all.entry(Key::of(&world.set.metadata)).or_default();
        let uid = meta::uid(&world.set.metadata);
        if of.uid != uid {
            *of = Of {
                uid: uid.to_owned(),
                ..Of::default()
            };
        }
        let generation = world.set.metadata.generation.unwrap_or(0);
        if of.generation != generation {
            of.generation = generation;
            for node in of.nodes.values_mut() {
                node.next = None;
                node.failed.clear();
            }
        }
        // A node that is gone and has no pods is not remembered.
        let (places, by_node) = (&world.places, &world.by_node);
        of.nodes.retain(|name, _| {
            by_node.contains_key(name)
                || places
                    .binary_search_by(|place| place.node.cmp(name))
                    .is_ok()
        });
        for (name, pods) in by_node {
            let node = of.nodes.entry(name.clone()).or_default();
            node.see(pods, world.now);
            let failed = node.failed.iter().cloned();
            world
                .waiting
                .extend(failed.filter(|(_, at)| *at > world.now));
        }
        let seen = of.nodes.iter();
        world.predecessors = seen
            .map(|(name, node)| (name.clone(), node.newest.clone()))
            .collect();
    }

    /// The DaemonSet is gone.
    pub(crate) fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Of>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OnNode {
    fn see(&mut self, pods: &[Arc<Pod>], now: Timestamp) {
        let newest = pods.iter().max_by_key(|pod| {
            let pod = &pod.metadata;
            (meta::created(pod), meta::name(pod))
        });
        if let Some(newest) = newest {
            meta::uid(&newest.metadata).clone_into(&mut self.newest);
        }
        let failed = pods
            .iter()
            .filter(|pod| pod::phase(pod) == "Failed" && !meta::is_deleting(&pod.metadata))
            .map(|pod| meta::uid(&pod.metadata));
        let failed: Vec<&str> = failed.collect();
        self.failed
            .retain(|(uid, _)| failed.contains(&uid.as_str()));
        for uid in failed {
            if !self.failed.iter().any(|(known, _)| known == uid) {
                let at = self.fail(now);
                self.failed.push((uid.to_owned(), at));
            }
        }
    }

    /// One more failure: when may that pod be replaced?
    fn fail(&mut self, now: Timestamp) -> Timestamp {
        let later = |at: Timestamp, delay| at.saturating_add(delay).unwrap_or(Timestamp::MAX);
        let known = self.next.filter(|(at, _)| later(*at, FORGIVEN) > now);
        let (at, delay) = known.unwrap_or((now, FIRST));
        let at = at.max(now);
        self.next = Some((later(at, delay), (delay * 2).min(LONGEST)));
        at
    }
}

#[cfg(test)]
mod tests;
