//! The filters that have something to say about a pod, ready to be asked about nodes: as they are, beside the pods that
//! others make room for, or with some pods gone.
//!
//! Upstream: `framework/runtime/framework.go` (`RunPreFilterPlugins`, `RunFilterPluginsWithNominatedPods`).

use crate::diagnosis::PluginSet;
use crate::meter::{Lap, Meter, Point, Status};
use crate::node::Node;
use crate::plugin::{Check, Prepared, Scope, Verdict};
use crate::plugins::Table;
use crate::pods::PodInfo;
use crate::snapshot::{NodeInfo, Snapshot};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;

/// Filters that looked at a pod, in the order of the table, with their places in it.
pub(crate) struct Checks<'a> {
    pod: &'a PodInfo,
    checks: Vec<(usize, Check<'a>)>,
    /// What each looks at.
    scopes: Vec<Scope>,
    table: &'a Table,
    meter: &'a Meter,
    /// How many nodes were looked at by how many of them; the last one who looks is the one who rejects. Counted together
    /// when all is done.
    runs: [Cell<u32>; MOST + 1],
    nodes: Cell<u32>,
}

/// How many filters there may be.
const MOST: usize = PluginSet::EXTENDER;

/// What the first filter that rejects a node says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rejection {
    pub(crate) at: usize,
    pub(crate) verdict: Verdict,
}

/// How often each reason of each filter was given.
pub(crate) struct Tally(Vec<Vec<u32>>);

impl<'a> Checks<'a> {
    /// Lets all filters look at the pod. If one has a reason against all nodes, its place and the reason.
    pub(crate) fn prepare(
        table: &'a Table,
        pod: &'a PodInfo,
        all: &'a Snapshot,
        meter: &'a Meter,
    ) -> Result<Self, (usize, Cow<'static, str>)> {
        let mut checks = Vec::with_capacity(table.filters.len());
        let mut scopes = Vec::with_capacity(table.filters.len());
        let mut lap = meter.lap();
        for (index, filter) in table.filters.iter().enumerate() {
            let prepared = filter.prepare(pod, all);
            match meter.prepared(&mut lap, index, prepared, || filter.name()) {
                Prepared::Skip => {}
                Prepared::Check(check) => {
                    checks.push((index, check));
                    scopes.push(filter.scope());
                }
                Prepared::Never(reason) => return Err((index, reason)),
            }
        }
        Ok(Self::of(pod, checks, scopes, table, meter))
    }

    /// Lets the filters look at the pod that look at one node only. None if one has a reason against all nodes, or names
    /// those that it is about.
    pub(crate) fn prepare_local(
        table: &'a Table,
        pod: &'a PodInfo,
        all: &'a Snapshot,
        meter: &'a Meter,
    ) -> Option<Self> {
        let mut checks = Vec::with_capacity(table.filters.len());
        let mut lap = meter.lap();
        let filters = table.filters.iter().enumerate();
        for (index, filter) in filters.filter(|(_, filter)| filter.is_local()) {
            let prepared = filter.prepare(pod, all);
            match meter.prepared(&mut lap, index, prepared, || filter.name()) {
                Prepared::Skip => {}
                Prepared::Check(Check { only: Some(_), .. }) | Prepared::Never(_) => return None,
                Prepared::Check(check) => checks.push((index, check)),
            }
        }
        let scopes = vec![Scope::Pods; checks.len()];
        Some(Self::of(pod, checks, scopes, table, meter))
    }

    fn of(
        pod: &'a PodInfo,
        checks: Vec<(usize, Check<'a>)>,
        scopes: Vec<Scope>,
        table: &'a Table,
        meter: &'a Meter,
    ) -> Self {
        Self {
            pod,
            checks,
            scopes,
            table,
            meter,
            runs: [const { Cell::new(0) }; MOST + 1],
            nodes: Cell::new(0),
        }
    }

    /// Begins with a node.
    fn lap(&self) -> Lap<'a> {
        let node = self.nodes.get();
        self.nodes.set(node.wrapping_add(1));
        self.meter.lap_of(node)
    }

    /// So many filters have looked at a node.
    fn ran(&self, filters: usize) {
        let runs = &self.runs[filters.min(MOST)];
        runs.set(runs.get().wrapping_add(1));
    }

    /// Lets a filter say what it has to say of a node.
    fn ask(&self, at: usize, info: &NodeInfo, node: &Node, lap: &mut Lap<'_>) -> Verdict {
        let (index, check) = &self.checks[at];
        let verdict = (check.judge)(info, node);
        let name = || self.table.filters[*index].name();
        lap.end(Point::Filter, Status::of(verdict), name);
        verdict
    }

    /// As if each filter looked at pods: nothing is told from sums.
    #[cfg(test)]
    pub(crate) fn plainly(mut self) -> Self {
        self.scopes.fill(Scope::Pods);
        self
    }

    /// Whether sums tell all there is to tell about a node's pods.
    pub(crate) fn only_sums(&self) -> bool {
        !self.scopes.contains(&Scope::Pods)
    }

    /// Whether the pod can be on the node if its pods reserve what `sums` says, as far as the filters can tell before one
    /// looks at pods.
    pub(crate) fn judge_sums(
        &self,
        info: &NodeInfo,
        sums: &NodeInfo,
        node: &Node,
    ) -> Result<(), Rejection> {
        let (mut lap, mut ran) = (self.lap(), 0);
        for (at, scope) in self.scopes.iter().enumerate() {
            let verdict = match scope {
                Scope::Node => self.ask(at, info, node, &mut lap),
                Scope::Sums => self.ask(at, sums, node, &mut lap),
                Scope::Pods => break,
            };
            ran = at + 1;
            if verdict.reasons != 0 {
                self.ran(ran);
                return Err(Rejection { at, verdict });
            }
        }
        self.ran(ran);
        Ok(())
    }

    /// Whether the pod can be on the node, as it is.
    pub(crate) fn judge(&self, info: &NodeInfo, node: &Node) -> Result<(), Rejection> {
        let mut lap = self.lap();
        for at in 0..self.checks.len() {
            let verdict = self.ask(at, info, node, &mut lap);
            if verdict.reasons != 0 {
                self.ran(at + 1);
                return Err(Rejection { at, verdict });
            }
        }
        self.ran(self.checks.len());
        Ok(())
    }

    /// Whether the pod can be on the node with the pods that others make room for there, and without them as well: they
    /// may yet go elsewhere, and what the pod needs must not hang on them.
    pub(crate) fn judge_beside_nominees(
        &self,
        info: &NodeInfo,
        node: &Node,
    ) -> Result<(), Rejection> {
        if info.nominees_before(self.pod).next().is_some() {
            let mut with = info.clone();
            for nominee in info.nominees_before(self.pod) {
                with.add(nominee);
                self.suppose(nominee, info, 1);
            }
            let verdict = self.judge(&with, node);
            for nominee in info.nominees_before(self.pod) {
                self.suppose(nominee, info, -1);
            }
            verdict?;
        }
        self.judge(info, node)
    }

    /// Lets the filters that look at more than a node suppose that a pod came to it (1) or left it (-1).
    pub(crate) fn suppose(&self, other: &PodInfo, at: &NodeInfo, more: i64) {
        let suppositions = self
            .checks
            .iter()
            .filter_map(|(_, check)| check.suppose.as_ref());
        suppositions.for_each(|suppose| suppose(other, at, more));
    }

    /// Whether no filter has named nodes without this one.
    pub(crate) fn allow(&self, name: &str) -> bool {
        let mut named = self
            .checks
            .iter()
            .filter_map(|(_, check)| check.only.as_ref());
        named.all(|names| names.contains(&name))
    }

    /// The slots of the nodes that all filters that name some have named; none if no filter does.
    pub(crate) fn named(&self, all: &Snapshot) -> Option<Vec<u32>> {
        let mut each = self
            .checks
            .iter()
            .filter_map(|(_, check)| check.only.as_ref());
        let names = each.next()?.iter().filter(|name| self.allow(name));
        Some(names.filter_map(|name| all.slot(name)).collect())
    }

    /// The filters that have named nodes, by name in alphabetical order and as a set.
    pub(crate) fn naming(&self, table: &'a Table) -> (Vec<&'static str>, PluginSet) {
        let mut set = PluginSet::default();
        let named = self.checks.iter().filter(|(_, check)| check.only.is_some());
        let mut names: Vec<&str> = named
            .map(|(index, _)| {
                set.insert(*index);
                table.filters[*index].name()
            })
            .collect();
        names.sort_unstable();
        (names, set)
    }

    /// An empty tally.
    pub(crate) fn tally(&self) -> Tally {
        let reasons = self.checks.iter().map(|(_, check)| check.reasons.len());
        Tally(reasons.map(|len| vec![0; len]).collect())
    }
}

impl Drop for Checks<'_> {
    fn drop(&mut self) {
        let mut nodes = 0;
        for (at, (index, _)) in self.checks.iter().enumerate().rev() {
            nodes += u64::from(self.runs[(at + 1).min(MOST)].get());
            self.meter.count(Point::Filter, *index, nodes);
        }
    }
}

impl Tally {
    /// So many rejections more.
    pub(crate) fn add(&mut self, rejection: Rejection, times: u32) {
        for (bit, count) in self.0[rejection.at].iter_mut().enumerate() {
            *count += times * (rejection.verdict.reasons >> bit & 1) as u32;
        }
    }

    /// How often each text was given, and by which filters.
    pub(crate) fn sum(&self, checks: &Checks<'_>) -> (BTreeMap<String, usize>, PluginSet) {
        let (mut reasons, mut by) = (BTreeMap::new(), PluginSet::default());
        for ((index, check), tally) in checks.checks.iter().zip(&self.0) {
            for (reason, count) in check.reasons.iter().zip(tally).filter(|(_, n)| **n > 0) {
                *reasons.entry(reason.to_string()).or_default() += *count as usize;
                by.insert(*index);
            }
        }
        (reasons, by)
    }
}
