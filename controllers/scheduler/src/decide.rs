//! The decision: where does this pod go, and if nowhere, why. Pure.
//!
//! Upstream: `pkg/scheduler/schedule_one.go` (`schedulePod`, `findNodesThatFitPod`, `prioritizeNodes`), with one
//! difference: every node is looked at, however many there are, so the best one is found and not the best of a sample.

use crate::checks::Checks;
use crate::diagnosis::{Diagnosis, PluginSet};
use crate::meter::{Meter, Point, Status};
use crate::node::Node;
use crate::plugin::{Events, Filter, Happening, Normalise, Prepared};
use crate::plugins::Table;
use crate::pods::PodInfo;
use crate::snapshot::{NodeInfo, Snapshot};
use std::borrow::Cow;
use std::sync::Arc;

/// What was decided about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes to this node.
    Bind {
        /// The node's name.
        node: Arc<str>,
        /// Its weighted scores; 0 if there was no other to compare it with.
        score: i64,
    },
    /// No node will do, because …
    Nobody(Diagnosis),
}

/// Decides where a pod goes. Among nodes that are equally good `seed` draws the lot.
pub fn decide(table: &Table, pod: &PodInfo, all: &Snapshot, seed: u64) -> Decision {
    decide_counting(table, pod, all, seed, &Meter::default())
}

/// The same, and the runs of plugins count.
pub(crate) fn decide_counting(
    table: &Table,
    pod: &PodInfo,
    all: &Snapshot,
    seed: u64,
    meter: &Meter,
) -> Decision {
    let feasible = match filter(table, pod, all, seed, meter) {
        Ok(feasible) => feasible,
        Err(diagnosis) => return Decision::Nobody(diagnosis),
    };
    let (slot, score) = match feasible[..] {
        [one] => (one, 0),
        _ => best(&feasible, &score(table, pod, all, &feasible, meter), seed),
    };
    Decision::Bind {
        node: all.slots[slot as usize].name.clone(),
        score,
    }
}

/// What a pod that was rejected waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Wait {
    /// The changes after which it is worth trying again.
    pub wakes: Events,
    /// The filters that keep it waiting.
    pub rejected_by: PluginSet,
}

impl Wait {
    /// What a pod waits for that waits for both.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self {
            wakes: self.wakes | more.wakes,
            rejected_by: self.rejected_by.and(more.rejected_by),
        }
    }
}

/// What a change means for a pod that waits for such a one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// It may run now.
    Fits,
    /// It would, but for the pods that others made room for. What it is told may be different from now on, no more.
    Taken(Wait),
    /// It goes on waiting, and for this as well.
    Waits(Wait),
}

/// What it means for a pod that something happened that it waits for. Of a thousand pods that wait for room on a node,
/// one that leaves it wakes those that its room is enough for. A filter that looks at more than the node can only say
/// whether it may be helped, and is believed.
pub fn prospect(
    table: &Table,
    pod: &PodInfo,
    wait: Wait,
    what: (Events, &Happening<'_>),
    all: &Snapshot,
    slot: Option<u32>,
    meter: &Meter,
) -> Prospect {
    let (events, happening) = what;
    // Nobody knows what extenders look at.
    if wait.rejected_by.contains(PluginSet::EXTENDER) {
        return Prospect::Fits;
    }
    let rejected_by = wait.rejected_by;
    let rejecting = |is_local: bool| {
        let all = table.filters.iter().enumerate();
        all.filter(move |(index, filter)| {
            filter.is_local() == is_local
                && rejected_by.contains(*index)
                && filter.wakes().meets(events)
        })
    };
    let mut lap = meter.lap_of_hint();
    let is_helped = rejecting(false).any(|(_, filter)| {
        let is_helped = filter.is_helped(pod, happening, all);
        lap.hint(&**filter, events, is_helped);
        is_helped
    });
    if is_helped {
        return Prospect::Fits;
    }
    // Who was rejected by nobody in particular is tried whatever happens.
    if rejected_by != PluginSet::default() && rejecting(true).next().is_none() {
        return Prospect::Waits(Wait::default());
    }
    let Some(slot) = slot else {
        return Prospect::Fits;
    };
    // Of the others, those who have rejected the pod are asked anew: their hint is whether they do.
    let hear = |index: usize, filter: &dyn Filter, rejects: bool| {
        let is_asked = filter.is_local() && rejected_by.contains(index);
        match is_asked && filter.wakes().meets(events) {
            true => lap.hint(filter, events, !rejects),
            false => lap.pass(),
        }
    };
    prospect_at(table, pod, all, slot, hear)
}

/// Whether the pod may be on the node in this slot, as it is. What each filter says of that is heard.
fn prospect_at(
    table: &Table,
    pod: &PodInfo,
    all: &Snapshot,
    slot: u32,
    hear: impl FnMut(usize, &dyn Filter, bool),
) -> Prospect {
    let Some((info, node)) = all.at(slot) else {
        return Prospect::Waits(Wait {
            wakes: Events::NODE_ADD,
            rejected_by: PluginSet::default(),
        });
    };
    if let Some(wait) = obstacle(table, pod, all, (info, node), hear) {
        return Prospect::Waits(wait);
    }
    let mut taken = Cow::Borrowed(info);
    for nominee in info.nominees_before(pod) {
        taken.to_mut().add(nominee);
    }
    match taken {
        Cow::Borrowed(_) => Prospect::Fits,
        Cow::Owned(taken) => {
            let wait = obstacle(table, pod, all, (&taken, node), |_, _, _| {});
            wait.map_or(Prospect::Fits, Prospect::Taken)
        }
    }
}

/// What has to happen before the pod may be on this node: None if nothing. Filters that look at more than the node are
/// not asked, as it takes a decision to find out.
fn obstacle(
    table: &Table,
    pod: &PodInfo,
    all: &Snapshot,
    (info, node): (&NodeInfo, &Node),
    mut hear: impl FnMut(usize, &dyn Filter, bool),
) -> Option<Wait> {
    let rejects = |filter: &dyn Filter| {
        filter.is_local()
            && match filter.prepare(pod, all) {
                Prepared::Skip => false,
                Prepared::Never(_) => true,
                Prepared::Check(check) => {
                    let named = check.only.is_none_or(|names| names.contains(&&*info.name));
                    !named || (check.judge)(info, node).reasons != 0
                }
            }
    };
    let mut wait = Wait::default();
    for (index, filter) in table.filters.iter().enumerate() {
        let rejects = rejects(filter.as_ref());
        hear(index, &**filter, rejects);
        if rejects {
            wait.wakes |= filter.wakes();
            wait.rejected_by.insert(index);
        }
    }
    (!wait.wakes.is_empty()).then_some(wait)
}

/// The slots of the nodes that the pod can be on, at least one.
pub(crate) fn filter(
    table: &Table,
    pod: &PodInfo,
    all: &Snapshot,
    seed: u64,
    meter: &Meter,
) -> Result<Vec<u32>, Diagnosis> {
    let (feasible, diagnosis) = sift(table, pod, all, seed, Look::default(), meter);
    match feasible.is_empty() {
        true => Err(diagnosis),
        false => Ok(feasible),
    }
}

/// How nodes are looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look<'a> {
    /// Only these slots.
    pub(crate) only: Option<&'a [u32]>,
    /// Also where there is room for the pod on the node that others made room on.
    pub(crate) everywhere: bool,
    /// Why nodes were rejected is wanted, also if others were not.
    pub(crate) reasons: bool,
}

/// The slots of the nodes that the pod can be on, and why it cannot be on others if there are none.
pub(crate) fn sift(
    table: &Table,
    pod: &PodInfo,
    all: &Snapshot,
    seed: u64,
    look: Look<'_>,
    meter: &Meter,
) -> (Vec<u32>, Diagnosis) {
    let checks = match Checks::prepare(table, pod, all, meter) {
        Ok(checks) => checks,
        Err((index, reason)) => {
            let diagnosis = Diagnosis {
                nodes: all.len(),
                never: Some(reason.into_owned()),
                rejected_by: PluginSet::of(index),
                ..Diagnosis::default()
            };
            return (Vec::new(), diagnosis);
        }
    };
    // Others made room for it there: so it need not be better than elsewhere (`evaluateNominatedNode`).
    if !look.everywhere
        && let Some(info) = all.nominated(&pod.uid)
        && let Some(node) = info.node.as_deref()
        && checks.allow(&info.name)
        && checks.judge_beside_nominees(info, node).is_ok()
    {
        return (vec![info.slot], Diagnosis::default());
    }

    let mut feasible = Vec::with_capacity(all.len());
    let mut tally = checks.tally();
    let mut resolvable = Vec::new();
    let mut asked = 0;
    let mut ask = |slot: u32| {
        let Some((info, node)) = all.at(slot) else {
            return feasible.len();
        };
        asked += 1;
        match checks.judge_beside_nominees(info, node) {
            Ok(()) => feasible.push(slot),
            Err(rejection) => {
                if rejection.verdict.resolvable {
                    resolvable.push(slot);
                }
                tally.add(rejection, 1);
            }
        }
        feasible.len()
    };
    let named = checks.named(all);
    let is_named = named.is_some();
    match look.only.map(<[u32]>::to_vec).or(named) {
        Some(slots) => slots.into_iter().for_each(|slot| {
            ask(slot);
        }),
        None => {
            let (slots, enough) = (all.slots.len() as u32, table.enough(all.len()));
            // With a part of the nodes being enough, it is another part each time.
            let first = match slots {
                0 => 0,
                _ if enough == all.len() => 0,
                _ => (spread(seed) % u64::from(slots)) as u32,
            };
            for slot in (first..slots).chain(0..first) {
                if ask(slot) == enough {
                    break;
                }
            }
        }
    }
    if !feasible.is_empty() && !look.reasons {
        return (feasible, Diagnosis::default());
    }

    let (mut reasons, mut rejected_by) = tally.sum(&checks);
    if is_named && asked < all.len() {
        let (names, naming) = checks.naming(table);
        let names = names.join(" ");
        reasons.insert(
            format!("node(s) didn't satisfy plugin(s) [{names}]"),
            all.len() - asked,
        );
        rejected_by = rejected_by.and(naming);
    }
    let diagnosis = Diagnosis {
        nodes: all.len(),
        never: None,
        reasons,
        rejected_by,
        resolvable,
    };
    (feasible, diagnosis)
}

/// The weighted sums of the scores of these slots.
pub(crate) fn score(
    table: &Table,
    pod: &PodInfo,
    all: &Snapshot,
    feasible: &[u32],
    meter: &Meter,
) -> Vec<i64> {
    let mut totals = vec![0; feasible.len()];
    let mut scores = vec![0; feasible.len()];
    let is_timed = meter.is_timing();
    for (index, (plugin, weight)) in table.scores.iter().enumerate() {
        let name = || plugin.name();
        let mut lap = meter.lap();
        let prepared = plugin.prepare(pod, all, feasible);
        let Some(scorer) = meter.prepared_score(&mut lap, index, prepared, name) else {
            continue;
        };
        let nodes = feasible.iter().filter_map(|slot| all.at(*slot));
        let mut at = 0;
        for (score, (info, node)) in scores.iter_mut().zip(nodes) {
            if is_timed {
                let mut lap = meter.lap_of(at);
                *score = (scorer.score)(info, node);
                lap.end(Point::Score, Status::Success, name);
                at += 1;
            } else {
                *score = (scorer.score)(info, node);
            }
        }
        meter.count(Point::Score, index, feasible.len() as u64);
        let mut lap = meter.lap();
        scorer.normalise.apply(&mut scores);
        if scorer.normalise != Normalise::AsIs {
            lap.end(Point::Normalize, Status::Success, name);
        }
        for (total, score) in totals.iter_mut().zip(&scores) {
            *total += weight * score;
        }
    }
    totals
}

/// The slot with the highest score; among several each has the same chance.
pub(crate) fn best(feasible: &[u32], totals: &[i64], seed: u64) -> (u32, i64) {
    let most = totals.iter().copied().max().unwrap_or(0);
    let count = totals.iter().filter(|total| **total == most).count();
    let lot = draw(seed, count);
    let mut tied = feasible
        .iter()
        .zip(totals)
        .filter(|(_, total)| **total == most);
    let slot = tied.nth(lot).map_or(0, |(slot, _)| *slot);
    (slot, most)
}

/// A number below `count`, each as likely.
pub(crate) fn draw(seed: u64, count: usize) -> usize {
    // The high half of the product is below `count`, evenly (Lemire).
    ((u128::from(spread(seed)) * count as u128) >> 64) as usize
}

/// Splitmix64: neighbouring seeds give unrelated numbers.
fn spread(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests;
