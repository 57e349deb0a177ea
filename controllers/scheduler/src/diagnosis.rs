//! Why a pod is not scheduled, in upstream's words.
//!
//! Upstream: `framework/types.go` (`FitError.Error`), `framework/preemption/preemption.go`.

use crate::decide::Wait;
use crate::plugin::Events;
use crate::plugins::Table;
use std::collections::BTreeMap;

/// Why no node will do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// The number of nodes in the cluster.
    pub nodes: usize,
    /// The reason against all nodes, if a filter had one before it saw any.
    pub never: Option<String>,
    /// How many nodes gave which reason; a node can give several.
    pub reasons: BTreeMap<String, usize>,
    /// The filters that rejected a node.
    pub rejected_by: PluginSet,
    /// Slots of the nodes that would do once pods have left them.
    pub resolvable: Vec<u32>,
}

/// Filters by their place in the [`Table`], and whether extenders are among those who reject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PluginSet(u32);

impl PluginSet {
    /// The set of this one.
    pub fn of(index: usize) -> Self {
        Self(1 << index)
    }

    /// The place of extenders; no filter has it.
    pub const EXTENDER: usize = 31;

    /// Those of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Puts one in.
    pub fn insert(&mut self, index: usize) {
        self.0 |= 1 << index;
    }

    /// Whether it is in the set.
    pub fn contains(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }
}

impl Diagnosis {
    /// The message of the event and the condition: `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were
    /// unschedulable. preemption: …`. `preemption` is what there is to say about other pods making room.
    pub fn message(&self, preemption: &str) -> String {
        if self.nodes == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        let reasons = match &self.never {
            Some(reason) => format!("{} {reason}.", heading(self.nodes)),
            None => histogram(self.nodes, &self.reasons),
        };
        if preemption.is_empty() {
            return reasons;
        }
        format!("{reasons} preemption: {preemption}")
    }

    /// What the pod waits for from now on.
    pub fn wait(&self, table: &Table) -> Wait {
        Wait {
            wakes: self.wakes(table),
            rejected_by: self.rejected_by,
        }
    }

    /// The changes of the cluster after which it is worth trying again.
    fn wakes(&self, table: &Table) -> Events {
        let rejecting = table
            .filters
            .iter()
            .enumerate()
            .filter(|(index, _)| self.rejected_by.contains(*index));
        if self.rejected_by.contains(PluginSet::EXTENDER) {
            return Events::ANY;
        }
        let wakes = rejecting.fold(Events::NONE, |wakes, (_, filter)| wakes | filter.wakes());
        if wakes.is_empty() { Events::ANY } else { wakes }
    }
}

fn heading(nodes: usize) -> String {
    format!("0/{nodes} nodes are available:")
}

/// Sorted as texts, the count first, as upstream does.
pub(crate) fn histogram(nodes: usize, reasons: &BTreeMap<String, usize>) -> String {
    let mut texts: Vec<String> = reasons
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    texts.sort_unstable();
    let dot = if texts.is_empty() { "" } else { "." };
    let space = if texts.is_empty() { "" } else { " " };
    format!("{}{space}{}{dot}", heading(nodes), texts.join(", "))
}
