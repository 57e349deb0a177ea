//! The filters that have something to say about a pod, ready to be asked about nodes: as they are, beside the pods that
//! others make room for, or with some pods gone.
//!
//! Upstream: `framework/runtime/framework.go` (`RunPreFilterPlugins`, `RunFilterPluginsWithNominatedPods`).

use crate::diagnosis::PluginSet;
use crate::meter::{Meter, Point, Status};
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
    is_timed: bool,
    /// How many nodes there were since, if it is.
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
            is_timed: meter.is_timing(),
            nodes: Cell::new(0),
        }
    }

    /// Asks these first filters, the one at each place about the node as `of` has it, until one rejects it.
    fn ask<'n>(
        &self,
        filters: usize,
        node: &Node,
        of: impl Fn(usize) -> &'n NodeInfo,
    ) -> Result<(), Rejection> {
        let first = match self.is_timed {
            true => self.ask_timed(filters, node, of),
            // What most decisions go through for each node.
            false => {
                let mut first = None;
                for (at, (_, check)) in self.checks.iter().enumerate().take(filters) {
                    let verdict = (check.judge)(of(at), node);
                    if verdict.reasons != 0 {
                        first = Some(Rejection { at, verdict });
                        break;
                    }
                }
                first
            }
        };
        let ran = &self.runs[first.map_or(filters, |first| first.at + 1).min(MOST)];
        ran.set(ran.get().wrapping_add(1));
        first.map_or(Ok(()), Err)
    }

    /// The same, timed for some nodes.
    fn ask_timed<'n>(
        &self,
        filters: usize,
        node: &Node,
        of: impl Fn(usize) -> &'n NodeInfo,
    ) -> Option<Rejection> {
        let number = self.nodes.get();
        self.nodes.set(number.wrapping_add(1));
        let mut lap = self.meter.lap_of(number);
        let mut checks = self.checks.iter().enumerate().take(filters);
        checks.find_map(|(at, (index, check))| {
            let verdict = (check.judge)(of(at), node);
            let name = || self.table.filters[*index].name();
            lap.end(Point::Filter, Status::of(verdict), name);
            (verdict.reasons != 0).then_some(Rejection { at, verdict })
        })
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
        let mut scopes = self.scopes.iter();
        let filters = scopes.position(|scope| *scope == Scope::Pods);
        self.ask(
            filters.unwrap_or(self.scopes.len()),
            node,
            |at| match self.scopes[at] {
                Scope::Sums => sums,
                Scope::Node | Scope::Pods => info,
            },
        )
    }

    /// Whether the pod can be on the node, as it is.
    pub(crate) fn judge(&self, info: &NodeInfo, node: &Node) -> Result<(), Rejection> {
        self.ask(self.checks.len(), node, |_| info)
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
