//! What changed in the snapshot, in order, so that those who remember something about nodes need look only at what is
//! not any more as they know it.

use crate::cohorts::Mark;
use std::collections::VecDeque;

/// The last changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    /// How many are not kept any more.
    gone: u64,
    last: VecDeque<Change>,
    /// How often something changed that concerns more than the node which it happened to.
    pub(crate) epochs: Epochs,
}

/// How often something changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Epochs {
    /// Nodes came or went, or have other labels or taints.
    pub(crate) nodes: u64,
    /// Labels of namespaces.
    pub(crate) namespaces: u64,
    /// Which nodes have which images, or how many nodes there are.
    pub(crate) images: u64,
}

/// A change of a node or its pods.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    /// Where.
    pub(crate) slot: u32,
    /// A pod came or left: of which cohort it is, and how many more there are of all and of those that stay.
    pub(crate) pod: Option<(Mark, i8, i8)>,
}

/// How many changes are always kept; more in large clusters.
const LEAST: usize = 256;

impl Changes {
    /// Takes note of a change in a cluster of so many slots.
    pub(crate) fn push(&mut self, change: Change, slots: usize) {
        self.last.push_back(change);
        // Who missed more than that is as quick to begin anew.
        while self.last.len() > LEAST.max(slots / 4) {
            self.last.pop_front();
            self.gone += 1;
        }
    }

    /// The number of changes so far.
    pub(crate) fn count(&self) -> u64 {
        self.gone + self.last.len() as u64
    }

    /// The changes after the first so many; none if they are not all kept any more.
    pub(crate) fn since(&self, count: u64) -> Option<impl Iterator<Item = &Change> + Clone> {
        let skip = usize::try_from(count.checked_sub(self.gone)?).ok()?;
        Some(self.last.range(skip.min(self.last.len())..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_as_long_as_they_are_kept() {
        let mut changes = Changes::default();
        let push = |changes: &mut Changes, slot| changes.push(Change { slot, pod: None }, 8);
        let slots = |changes: &Changes, count| -> Option<Vec<u32>> {
            Some(changes.since(count)?.map(|change| change.slot).collect())
        };
        (0..LEAST as u32).for_each(|slot| push(&mut changes, slot));
        assert_eq!(changes.count(), LEAST as u64);
        assert_eq!(slots(&changes, 254), Some(vec![254, 255]));
        assert_eq!(slots(&changes, 256), Some(vec![]));
        assert_eq!(slots(&changes, 0).map(|all| all.len()), Some(LEAST));
        push(&mut changes, 7);
        assert_eq!(slots(&changes, 0), None);
        assert_eq!(slots(&changes, 255), Some(vec![255, 7]));
    }
}
