//! Which pods have to leave so that a more important one can run. Pure.
//!
//! Upstream: `framework/preemption/preemption.go`, `framework/plugins/defaultpreemption/default_preemption.go`. Each node
//! that may do is tried with all less important pods gone; then they are let back one by one, the most important first
//! and those that a disruption budget protects before the others, as long as the new one still fits.
//!
//! What all of them hold each node knows ([`crate::ranks`]), so whether their leaving could help is a comparison. Only where
//! filters look at the pods themselves (ports, volumes, affinity) a copy of the node is tried with them and without.

use crate::checks::{Checks, Tally};
use crate::cluster::blank;
use crate::diagnosis::{Diagnosis, histogram};
use crate::meter::Meter;
use crate::node::Node;
use crate::plugins::Table;
use crate::pods::PodInfo;
use crate::snapshot::{NodeInfo, Snapshot};
use jiff::Timestamp;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The condition of a pod that has to leave, and why it has to.
pub const CONDITION: &str = "DisruptionTarget";
/// The reason in that condition.
pub const REASON: &str = "PreemptionByScheduler";

/// How many nodes are enough to choose from (`DefaultPreemptionArgs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// At least so many percent of the nodes that may do.
    pub percentage: usize,
    /// At least so many.
    pub absolute: usize,
}

impl Default for Candidates {
    fn default() -> Self {
        Self {
            percentage: 10,
            absolute: 100,
        }
    }
}

impl Candidates {
    /// Of so many nodes.
    fn of(self, nodes: usize) -> usize {
        (nodes * self.percentage / 100)
            .max(self.absolute)
            .min(nodes)
    }
}

/// What came of looking for room.
#[derive(Clone, Debug)]
pub enum Preemption {
    /// It is not looked for, for this reason; a nomination that the pod has stays.
    Ineligible(Cow<'static, str>),
    /// No pods' leaving would help, for these reasons.
    Helpless(String),
    /// These pods have to leave this node.
    Room(Room),
}

/// Room to be made.
#[derive(Clone, Debug)]
pub struct Room {
    /// The node's name.
    pub node: Arc<str>,
    /// The pods that have to leave, the most important first.
    pub victims: Vec<Arc<PodInfo>>,
    /// Less important pods for which room was made there before.
    pub displaced: Vec<Arc<PodInfo>>,
}

/// A node with the pods that would have to leave it.
pub(crate) struct Candidate<'a> {
    pub(crate) info: &'a NodeInfo,
    pub(crate) victims: Vec<Arc<PodInfo>>,
    /// How many of them a disruption budget protects.
    pub(crate) violations: usize,
}

impl Preemption {
    /// What the message about the pod says of it; empty if there is room.
    pub fn text(&self) -> &str {
        match self {
            Self::Ineligible(text) => text,
            Self::Helpless(text) => text,
            Self::Room(_) => "",
        }
    }
}

/// Looks for room for a pod that no node will do for. `seed` says where to begin.
pub fn preempt(
    table: &Table,
    pod: &PodInfo,
    all: &Snapshot,
    diagnosis: &Diagnosis,
    seed: u64,
) -> Preemption {
    match candidates(table, pod, all, diagnosis, seed, &Meter::default()) {
        Ok(candidates) => choose(pod, candidates),
        Err(nowhere) => nowhere,
    }
}

/// The nodes to choose from, at least one; otherwise why there is none.
pub(crate) fn candidates<'a>(
    table: &Table,
    pod: &PodInfo,
    all: &'a Snapshot,
    diagnosis: &Diagnosis,
    seed: u64,
    meter: &Meter,
) -> Result<Vec<Candidate<'a>>, Preemption> {
    if pod.spec().preemption_policy.as_deref() == Some("Never") {
        let text = "not eligible due to preemptionPolicy=Never.";
        return Err(Preemption::Ineligible(text.into()));
    }
    if is_waiting_for_room(pod, all, diagnosis) {
        let text = "not eligible due to a terminating pod on the nominated node.";
        return Err(Preemption::Ineligible(text.into()));
    }
    let possible = &diagnosis.resolvable;
    let is_least = all
        .priorities
        .first_key_value()
        .is_none_or(|(least, _)| *least >= pod.priority);
    let mut outcomes = BTreeMap::new();
    let mut count = |text: &str, more: usize| {
        if more > 0 {
            *outcomes.entry(text.to_owned()).or_default() += more;
        }
    };
    count(HELPLESS, diagnosis.nodes - possible.len());
    // With everybody at least as important, no node need be looked at.
    let tried = match Checks::prepare(table, pod, all, meter) {
        Ok(checks) if !is_least => Some(dry_run(&checks, pod, all, table, possible, seed)),
        _ => None,
    };
    match tried {
        None => count(VICTIMLESS, possible.len()),
        Some(Ok(candidates)) => return Ok(candidates),
        Some(Err((victimless, reasons))) => {
            count(VICTIMLESS, victimless);
            for (text, number) in &reasons {
                count(text, *number);
            }
        }
    }
    let text = histogram(diagnosis.nodes, &outcomes);
    Err(Preemption::Helpless(text))
}

/// The best of these.
pub(crate) fn choose(pod: &PodInfo, candidates: Vec<Candidate<'_>>) -> Preemption {
    let Some(best) = candidates.into_iter().min_by_key(rank) else {
        return Preemption::Ineligible("no candidate node for preemption".into());
    };
    let displaced = best.info.nominees.iter();
    let displaced = displaced.filter(|other| other.priority < pod.priority);
    Preemption::Room(Room {
        node: best.info.name.clone(),
        victims: best.victims,
        displaced: displaced.cloned().collect(),
    })
}

const HELPLESS: &str = "Preemption is not helpful for scheduling";
const VICTIMLESS: &str = "No preemption victims found for incoming pod";

/// default_preemption.go `PodEligibleToPreemptOthers`: room was made on a node, and is not free yet.
fn is_waiting_for_room(pod: &PodInfo, all: &Snapshot, diagnosis: &Diagnosis) -> bool {
    let leaves = |victim: &Arc<PodInfo>| {
        victim.priority < pod.priority
            && (all.evicted.contains(&victim.uid) || is_leaving_for_others(victim))
    };
    all.nominated(&pod.uid).is_some_and(|info| {
        diagnosis.resolvable.contains(&info.slot) && info.pods.iter().any(leaves)
    })
}

fn is_leaving_for_others(victim: &PodInfo) -> bool {
    let condition = victim.condition(CONDITION);
    victim.leaving
        && condition.is_some_and(|condition| {
            condition.status == "True" && condition.reason.as_deref() == Some(REASON)
        })
}

type Nowhere = (usize, BTreeMap<String, usize>);

/// Nodes with room to be made; otherwise how many have no victims, and why the others would not do without theirs.
fn dry_run<'a>(
    checks: &Checks<'_>,
    pod: &PodInfo,
    all: &'a Snapshot,
    table: &Table,
    possible: &[u32],
    seed: u64,
) -> Result<Vec<Candidate<'a>>, Nowhere> {
    let enough = table.candidates.of(possible.len());
    let offset = (seed % possible.len().max(1) as u64) as usize;
    let (mut candidates, mut violating) = (Vec::new(), 0);
    let (mut tally, mut victimless) = (checks.tally(), 0);
    let (before, after) = possible.split_at(offset.min(possible.len()));
    let mut sums = blank(0, "".into());
    for (info, node) in after.iter().chain(before).filter_map(|slot| all.at(*slot)) {
        let at = (info, node);
        match victims_on(checks, pod, at, all, &mut sums, &mut tally) {
            Ok(candidate) => {
                violating += usize::from(candidate.violations > 0);
                candidates.push(candidate);
                if candidates.len() > violating && candidates.len() >= enough {
                    break;
                }
            }
            Err(no_victims) => victimless += usize::from(no_victims),
        }
    }
    match candidates.is_empty() {
        true => Err((victimless, tally.sum(checks).0)),
        false => Ok(candidates),
    }
}

/// preemption.go `pickOneNodeForPreemption`; of several with the same rank the first is taken.
fn rank(candidate: &Candidate<'_>) -> (usize, i32, i64, usize, Reverse<Timestamp>) {
    let priorities = candidate.victims.iter().map(|victim| victim.priority);
    let highest = priorities.clone().max().unwrap_or(i32::MIN);
    // Each counts with a positive number, so that few pods are less than many.
    let sum = priorities.map(|priority| i64::from(priority) + (1 << 31));
    let most = candidate
        .victims
        .iter()
        .filter(|victim| victim.priority == highest);
    let earliest = most.map(|victim| started(victim)).min();
    (
        candidate.violations,
        highest,
        sum.sum(),
        candidate.victims.len(),
        Reverse(earliest.unwrap_or(Timestamp::MAX)),
    )
}

/// When the pod began; one that has not yet is younger than all others.
fn started(info: &PodInfo) -> Timestamp {
    info.started.unwrap_or(Timestamp::MAX)
}

/// default_preemption.go `SelectVictimsOnNode`. If the node will not do, whether it has no victims at all; else the reason
/// is tallied.
fn victims_on<'a>(
    checks: &Checks<'_>,
    pod: &PodInfo,
    (info, node): (&'a NodeInfo, &Node),
    all: &Snapshot,
    sums: &mut NodeInfo,
    tally: &mut Tally,
) -> Result<Candidate<'a>, bool> {
    let Some(held) = info.ranks.below(pod.priority) else {
        return Err(true);
    };
    // With nominees there is more than one question.
    let by_sums = info.nominees.is_empty();
    if by_sums {
        sums.allocatable.clone_from(&info.allocatable);
        sums.requested.clone_from(&info.requested);
        sums.requested -= held;
        if let Err(rejection) = checks.judge_sums(info, sums, node) {
            tally.add(rejection, 1);
            return Err(false);
        }
    }
    let lesser = info
        .pods
        .iter()
        .filter(|other| other.priority < pod.priority);
    let mut lesser: Vec<Arc<PodInfo>> = lesser.cloned().collect();
    lesser.sort_by_key(|other| (Reverse(other.priority), started(other)));
    if by_sums && checks.only_sums() {
        return let_back(lesser, all, info, |other| {
            sums.requested += &other.requests;
            let fits = checks.judge_sums(info, sums, node).is_ok();
            if !fits {
                sums.requested -= &other.requests;
            }
            fits
        });
    }
    let mut left = info.clone();
    for other in &lesser {
        left.remove(other);
        checks.suppose(other, info, -1);
    }
    let mut back = lesser.clone();
    let verdict = checks.judge_beside_nominees(&left, node);
    let outcome = match verdict {
        Err(rejection) => {
            tally.add(rejection, 1);
            Err(false)
        }
        Ok(()) => {
            let outcome = let_back(lesser, all, info, |other| {
                left.add(other);
                checks.suppose(other, info, 1);
                let fits = checks.judge_beside_nominees(&left, node).is_ok();
                if !fits {
                    left.remove(other);
                    checks.suppose(other, info, -1);
                }
                fits
            });
            let victims = outcome.as_ref().map(|candidate| &candidate.victims);
            back = victims.cloned().unwrap_or_default();
            outcome
        }
    };
    for other in &back {
        checks.suppose(other, info, 1);
    }
    outcome
}

/// Lets the less important pods of a node back in their order, which `fits` tries; those have to leave for which there is
/// no room.
fn let_back<'a>(
    lesser: Vec<Arc<PodInfo>>,
    all: &Snapshot,
    info: &'a NodeInfo,
    mut fits: impl FnMut(&Arc<PodInfo>) -> bool,
) -> Result<Candidate<'a>, bool> {
    let protected = all.budgets.violations(lesser.iter().map(|other| &**other));
    let (first, second): (Vec<_>, Vec<_>) =
        lesser.into_iter().zip(protected).partition(|(_, is)| *is);
    let (mut victims, mut violations) = (Vec::new(), 0);
    for (other, is_protected) in first.into_iter().chain(second) {
        if !fits(&other) {
            violations += usize::from(is_protected);
            victims.push(other);
        }
    }
    if victims.is_empty() {
        // It would have to fit as it is, so somebody else is in the way.
        return Err(false);
    }
    victims.sort_by_key(|other| (Reverse(other.priority), started(other)));
    Ok(Candidate {
        info,
        victims,
        violations,
    })
}

#[cfg(test)]
mod tests;
