//! The filters that have something to say about a pod, ready to be asked about nodes: as they are, beside the pods that
//! others make room for, or with some pods gone.
//!
//! Upstream: `framework/runtime/framework.go` (`RunPreFilterPlugins`, `RunFilterPluginsWithNominatedPods`).

use crate::diagnosis::PluginSet;
use crate::plugin::{Check, Prepared, Scope, Verdict};
use crate::plugins::Table;
use crate::pods::PodInfo;
use crate::snapshot::{NodeInfo, Snapshot};
use k8s_openapi::api::core::v1::Node;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Filters that looked at a pod, in the order of the table, with their places in it.
pub(crate) struct Checks<'a> {
    pod: &'a PodInfo,
    checks: Vec<(usize, Check<'a>)>,
    /// What each looks at.
    scopes: Vec<Scope>,
}

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
    ) -> Result<Self, (usize, Cow<'static, str>)> {
        let mut checks = Vec::with_capacity(table.filters.len());
        let mut scopes = Vec::with_capacity(table.filters.len());
        for (index, filter) in table.filters.iter().enumerate() {
            match filter.prepare(pod, all) {
                Prepared::Skip => {}
                Prepared::Check(check) => {
                    checks.push((index, check));
                    scopes.push(filter.scope());
                }
                Prepared::Never(reason) => return Err((index, reason)),
            }
        }
        Ok(Self {
            pod,
            checks,
            scopes,
        })
    }

    /// Lets the filters look at the pod that look at one node only. None if one has a reason against all nodes, or names
    /// those that it is about.
    pub(crate) fn prepare_local(
        table: &'a Table,
        pod: &'a PodInfo,
        all: &'a Snapshot,
    ) -> Option<Self> {
        let mut checks = Vec::with_capacity(table.filters.len());
        let filters = table.filters.iter().enumerate();
        for (index, filter) in filters.filter(|(_, filter)| filter.is_local()) {
            match filter.prepare(pod, all) {
                Prepared::Skip => {}
                Prepared::Check(Check { only: Some(_), .. }) | Prepared::Never(_) => return None,
                Prepared::Check(check) => checks.push((index, check)),
            }
        }
        let scopes = vec![Scope::Pods; checks.len()];
        Some(Self {
            pod,
            checks,
            scopes,
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
        for (at, (scope, (_, check))) in self.scopes.iter().zip(&self.checks).enumerate() {
            let verdict = match scope {
                Scope::Node => (check.judge)(info, node),
                Scope::Sums => (check.judge)(sums, node),
                Scope::Pods => break,
            };
            if verdict.reasons != 0 {
                return Err(Rejection { at, verdict });
            }
        }
        Ok(())
    }

    /// Whether the pod can be on the node, as it is.
    pub(crate) fn judge(&self, info: &NodeInfo, node: &Node) -> Result<(), Rejection> {
        for (at, (_, check)) in self.checks.iter().enumerate() {
            let verdict = (check.judge)(info, node);
            if verdict.reasons != 0 {
                return Err(Rejection { at, verdict });
            }
        }
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
