//! Decisions about pods that are alike, at the cost of what changed since the last one.
//!
//! Pods with the same signature ([`crate::signature`]) make a class, and for a class is remembered which nodes pass and
//! what they score. The snapshot keeps a log of what changed ([`crate::changes`]); before a decision a class asks again
//! about the nodes in it, which after a binding is one. So all nodes count in each decision, and none is looked at twice.
//!
//! What a pod gets is what [`decide`] would have given it: that is asked for pods without a class, and tells why a pod
//! cannot be anywhere when that takes more than one node to say. The tests compare the two.
//!
//! No class have the first few pods of a signature (most pods that come alone stay alone), pods with claims, and
//! those that others make room for. With pods about that have a place in view, classes that count pods go the long way.

mod class;
mod index;

use crate::decide::{Decision, decide_counting};
use crate::meter::Meter;
use crate::plugins::Table;
use crate::pods::PodInfo;
use crate::signature::Signature;
use crate::snapshot::Snapshot;
use ahash::AHashMap;
use class::Class;
use std::sync::Arc;

/// The classes of a scheduler's pods.
pub struct Engine {
    /// By profile and signature.
    known: AHashMap<(usize, Signature), Known>,
    /// How many decisions there were.
    decisions: u64,
    /// After so many decisions about pods that are alike there is a class.
    patience: u32,
}

impl Default for Engine {
    fn default() -> Self {
        Self::patient(PATIENCE)
    }
}

/// What is known of a signature.
struct Known {
    class: Option<Box<Class>>,
    /// How many decisions there were without one.
    asked: u32,
    /// Whether there can be a class at all.
    is_alone: bool,
    /// The number of the last decision that asked.
    used: u64,
}

/// A class costs more than a few decisions, and of most signatures there are a few pods: a Deployment's replicas.
const PATIENCE: u32 = 7;
/// How many nodes all classes together remember, at some twenty bytes each; two classes there may be in any case. A
/// cluster of 5,000 nodes has room for 25 kinds of pods in turns, one of 100 nodes for 368.
const PLACES: usize = 1 << 17;
/// So many places the rest of a class is worth.
const CLASS: usize = 256;
/// How many signatures are known.
const SIGNATURES: usize = 1 << 13;

impl Engine {
    /// One that makes a class after so many decisions about pods that are alike.
    pub(crate) fn patient(patience: u32) -> Self {
        Self {
            known: AHashMap::new(),
            decisions: 0,
            patience,
        }
    }

    /// Decides where a pod goes, as [`decide`] does, which draws other lots. `profile` says which table it is among those
    /// that this engine sees; the runs of plugins count for it.
    pub fn decide(
        &mut self,
        profile: usize,
        table: &Table,
        pod: &Arc<PodInfo>,
        all: &Snapshot,
        seed: u64,
        meter: &Meter,
    ) -> Decision {
        meter.begin(profile);
        match self.class(profile, table, pod, all, meter) {
            Some(class) => class.decide(table, pod, all, seed, meter),
            None => decide_counting(table, pod, all, seed, meter),
        }
    }

    /// The pod's class, as the cluster is now; none if it has to be decided about by itself.
    fn class(
        &mut self,
        profile: usize,
        table: &Table,
        pod: &Arc<PodInfo>,
        all: &Snapshot,
        meter: &Meter,
    ) -> Option<&mut Class> {
        let signature = pod.signature()?.among(all);
        if all.nominated(&pod.uid).is_some() || table.enough(all.len()) < all.len() {
            return None;
        }
        self.decisions += 1;
        let used = self.decisions;
        let key = (profile, signature);
        let Some(known) = self.known.get_mut(&key) else {
            self.forget();
            let first = Known {
                class: None,
                asked: 1,
                is_alone: false,
                used,
            };
            self.known.insert(key, first);
            return None;
        };
        known.used = used;
        if known.is_alone {
            return None;
        }
        if known.class.is_none() && known.asked < self.patience {
            known.asked += 1;
            return None;
        }
        let is_current = match &mut known.class {
            Some(class) => class.catch_up(table, all, meter),
            None => false,
        };
        if !is_current {
            let is_new = known.class.is_none();
            // Its memory goes before that of its successor comes.
            known.class = None;
            known.class = Class::build(table, pod, all, meter).map(Box::new);
            known.is_alone = known.class.is_none();
            if is_new {
                self.shrink(all.slots.len());
            }
        }
        let class = self.known.get_mut(&key)?.class.as_deref_mut()?;
        (!class.is_in_doubt(all)).then_some(class)
    }

    /// Makes room for a signature.
    fn forget(&mut self) {
        if self.known.len() >= SIGNATURES {
            let long_ago = self.decisions.saturating_sub(SIGNATURES as u64 / 2);
            self.known.retain(|_, known| known.used > long_ago);
        }
    }

    /// Takes their memory from the classes that were used the longest ago, if all have too much.
    fn shrink(&mut self, slots: usize) {
        let most = (PLACES / (slots + CLASS)).max(2);
        let mut used: Vec<u64> = self
            .known
            .values()
            .filter(|known| known.class.is_some())
            .map(|known| known.used)
            .collect();
        if used.len() <= most {
            return;
        }
        // A quarter at once, or each new class would look at all.
        let dropped = (used.len() - most + most / 4).min(used.len() - 2);
        let until = *used.select_nth_unstable(dropped).1;
        for known in self.known.values_mut().filter(|known| known.used < until) {
            known.class = None;
        }
    }
}

#[cfg(test)]
mod tests;
