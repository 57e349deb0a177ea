//! Which nodes are near each other by a label of theirs: zones, racks, or each node by itself.
//!
//! Computed when somebody asks for a label and kept until the labels of a node change, so a decision looks up numbers
//! and no texts.

use crate::snapshot::Snapshot;
use ahash::AHashMap;
use objects::meta;
use std::sync::{Arc, Mutex, PoisonError};

/// The nodes by their value of one label.
#[derive(Debug, Default)]
pub struct Domains {
    of: Vec<u32>,
    len: usize,
    /// The slots, domain by domain, and where each domain begins.
    slots: Vec<u32>,
    begins: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Domains {
    fn of(all: &Snapshot, key: &str) -> Self {
        let mut domains = Self {
            of: vec![NONE; all.slots.len()],
            ..Self::default()
        };
        let mut known: AHashMap<&str, u32> = AHashMap::new();
        for (info, node) in all.nodes() {
            if let Some(value) = meta::label(&node.metadata, key) {
                let next = known.len() as u32;
                domains.of[info.slot as usize] = *known.entry(value).or_insert(next);
            }
        }
        domains.len = known.len();
        let mut slots: Vec<u32> = (0..domains.of.len() as u32).collect();
        slots.retain(|slot| domains.at(*slot).is_some());
        slots.sort_by_key(|slot| domains.of[*slot as usize]);
        let of = |slot: &u32| domains.of[*slot as usize];
        let begins = (0..=domains.len as u32)
            .map(|domain| slots.partition_point(|slot| of(slot) < domain) as u32);
        domains.begins = begins.collect();
        domains.slots = slots;
        domains
    }

    /// The slots of the nodes in a domain.
    pub fn slots(&self, domain: usize) -> &[u32] {
        let [begin, end] = [domain, domain + 1].map(|at| self.begins[at] as usize);
        &self.slots[begin..end]
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if no node has the label.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of the domain that the node in a slot is in; none if it has no such label.
    pub fn at(&self, slot: u32) -> Option<usize> {
        let domain = self.of.get(slot as usize).copied().unwrap_or(NONE);
        (domain != NONE).then_some(domain as usize)
    }
}

/// What was asked for since the labels of nodes changed last.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<AHashMap<Box<str>, Arc<Domains>>>);

impl Clone for Known {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Known {
    /// The domains of this label.
    pub(crate) fn get(&self, all: &Snapshot, key: &str) -> Arc<Domains> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(domains) = known.get(key) {
            return domains.clone();
        }
        let domains = Arc::new(Domains::of(all, key));
        known.insert(key.into(), domains.clone());
        domains
    }

    /// A node came or went, or has other labels.
    pub(crate) fn forget(&mut self) {
        self.0
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
