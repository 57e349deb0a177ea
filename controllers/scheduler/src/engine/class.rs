//! What is remembered about the nodes for pods that are alike.

use super::index::{Group, Index};
use crate::changes::Epochs;
use crate::checks::{Checks, Rejection};
use crate::cohorts::Mark;
use crate::decide::{Decision, decide_counting, draw};
use crate::diagnosis::Diagnosis;
use crate::meter::{Meter, Point, Status};
use crate::plugin::{Normalise, Scorer, Verdict};
use crate::plugins::Table;
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;
use crate::tracker::{Counter, Spot, Tracked, Tracker};
use ahash::AHashMap;
use std::ops::Range;
use std::sync::Arc;

/// A class of pods.
pub(super) struct Class {
    /// One of them, but for its name.
    pod: Arc<PodInfo>,
    parts: Vec<Part>,
    counters: Vec<Counter>,
    /// By counter, whether a group is of one of its domains.
    wide: Vec<bool>,
    /// By score of the table, how it comes about.
    ways: Vec<Way>,
    /// How many raw scores stand in the keys of groups.
    raws: usize,
    /// What the pods of a cohort count for, by the birth of the cohort.
    weights: AHashMap<u64, Box<[(usize, i64)]>>,
    /// How many cohorts there were when all were counted.
    founded: u64,
    /// Until where it knows what changed.
    seen: Seen,
    stamp: u64,
    index: Index,
    /// Why no node will do, as long as nothing changes.
    nobody: Option<Diagnosis>,
}

/// A plugin that looks at more than one node.
struct Part {
    is_filter: bool,
    /// Its place among the filters or scores of the table.
    index: usize,
    tracker: Box<dyn Tracker>,
    /// Its counters.
    counters: Range<usize>,
}

/// How the scores of a plugin come about.
#[derive(Clone, Copy)]
enum Way {
    /// Each node has one, whatever the others have.
    Node,
    /// It is compared with those of the others. The raw one stands at this place of the group's key.
    Raw(usize),
    /// This part says.
    Part(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    changes: u64,
    epochs: Epochs,
    owners: u64,
}

impl Seen {
    fn of(all: &Snapshot) -> Self {
        Self {
            changes: all.changes.count(),
            epochs: all.changes.epochs,
            owners: all.owners().epoch,
        }
    }
}

/// Those who say of a node alone what there is to say of it.
struct Local<'a> {
    checks: Checks<'a>,
    /// With their places in the table, their weights, and where the raw score goes if it is compared with others.
    scorers: Vec<(usize, Scorer<'a>, i64, Option<usize>)>,
}

/// What the keys of groups begin with.
const FITS: i64 = 0;
const REJECTED: i64 = 1;

impl Class {
    /// Looks at all nodes for pods like this one. None if such pods have to be decided about one by one.
    pub(super) fn build(
        table: &Table,
        pod: &PodInfo,
        all: &Snapshot,
        meter: &Meter,
    ) -> Option<Self> {
        if !table.is_signed() {
            return None;
        }
        let signature = pod.signature()?.among(all);
        let pod = Arc::new(pod.nobody(signature.personal != 0));
        let (mut parts, mut counters) = (Vec::new(), Vec::new());
        let mut lap = meter.lap();
        let mut add = |is_filter: bool, index: usize, tracked: Tracked| {
            let from = counters.len();
            counters.extend(tracked.counters);
            let (point, name) = match is_filter {
                true => (Point::PreFilter, table.filters[index].name()),
                false => (Point::PreScore, table.scores[index].0.name()),
            };
            meter.count(point, index, 1);
            lap.end(point, Status::Success, || name);
            parts.push(Part {
                is_filter,
                index,
                tracker: tracked.tracker,
                counters: from..counters.len(),
            });
            parts.len() - 1
        };
        let filters = table.filters.iter().enumerate();
        for (index, filter) in filters.filter(|(_, filter)| !filter.is_local()) {
            add(true, index, filter.track(&pod, all)?);
        }
        let (mut ways, mut raws) = (Vec::new(), 0);
        for (index, (score, _)) in table.scores.iter().enumerate() {
            ways.push(match score.local() {
                Some(Normalise::AsIs) => Way::Node,
                Some(_) => {
                    raws += 1;
                    Way::Raw(raws)
                }
                None => Way::Part(add(false, index, score.track(&pod, all)?)),
            });
        }
        let mut class = Self {
            wide: counters
                .iter()
                .map(|counter| counter.is_wide(all.len()))
                .collect(),
            stamp: stamp(table, &pod, all),
            pod,
            parts,
            counters,
            ways,
            raws,
            weights: AHashMap::new(),
            founded: all.cohorts().founded(),
            seen: Seen::of(all),
            index: Index::default(),
            nobody: None,
        };
        class.count(all)?;
        let slots: Vec<u32> = (0..all.slots.len() as u32).collect();
        class.ask(table, all, &slots, meter)?;
        Some(class)
    }

    /// Counts all pods on nodes.
    fn count(&mut self, all: &Snapshot) -> Option<()> {
        for index in 0..self.parts.len() {
            let Part {
                tracker, counters, ..
            } = &self.parts[index];
            for cohort in tracker.concerns(all) {
                let mut weights = tracker.weigh(&cohort.like, all)?;
                if weights.is_empty() {
                    continue;
                }
                for (counter, weight) in &mut weights {
                    *counter += counters.start;
                    let counter = &mut self.counters[*counter];
                    for (slot, count) in &cohort.on {
                        counter.add(*slot, *weight * counter.part(*count));
                    }
                }
                let known = self.weights.entry(cohort.mark.birth).or_default();
                let more = std::mem::take(known).into_iter().chain(weights);
                *known = more.collect();
            }
        }
        Some(())
    }

    /// Takes note of what changed; false if it has to be built anew.
    pub(super) fn catch_up(&mut self, table: &Table, all: &Snapshot, meter: &Meter) -> bool {
        let now = Seen::of(all);
        if now == self.seen {
            return true;
        }
        let Some(changes) = all.changes.since(self.seen.changes) else {
            return false;
        };
        if !self.is_still_so(table, all) {
            return false;
        }
        self.seen = now;
        self.nobody = None;
        let mut changed: Vec<u32> = changes.clone().map(|change| change.slot).collect();
        let mut moved: Vec<u32> = Vec::new();
        for change in changes {
            let Some((mark, more, living)) = change.pod else {
                continue;
            };
            if self.counters.is_empty() && !mark.wishes {
                continue;
            }
            let weights = match self.weights.get(&mark.birth) {
                Some(weights) => weights,
                None => match self.weigh(mark, all) {
                    Some(weights) => self.weights.entry(mark.birth).or_insert(weights),
                    None => return false,
                },
            };
            for (counter, weight) in weights {
                let is_wide = self.wide[*counter];
                let counter = &mut self.counters[*counter];
                let slots = counter.add(change.slot, weight * counter.share(more, living));
                if !is_wide {
                    moved.extend(slots);
                }
            }
        }
        if changed.len() > 1 {
            changed.sort_unstable();
            changed.dedup();
        }
        if self.ask(table, all, &changed, meter).is_none() {
            return false;
        }
        let mut key = Vec::new();
        for slot in moved {
            if let Some((old, score)) = self.index.get(slot).filter(|(key, _)| key[0] == FITS) {
                key.clear();
                key.extend_from_slice(&old[..=self.raws]);
                self.mark(slot, &mut key);
                self.index.put(slot, &key, score);
            }
        }
        true
    }

    /// Whether nothing happened that concerns more than the nodes that it happened to.
    fn is_still_so(&mut self, table: &Table, all: &Snapshot) -> bool {
        let (then, now) = (self.seen.epochs, all.changes.epochs);
        if then.nodes != now.nodes && !self.counters.is_empty() {
            return false;
        }
        let wishes = || self.pod.terms.is_some() || all.cohorts().wishing().next().is_some();
        if then.namespaces != now.namespaces && wishes() {
            return false;
        }
        if then.images != now.images && stamp(table, &self.pod, all) != self.stamp {
            return false;
        }
        let mut parts = self.parts.iter();
        self.seen.owners == all.owners().epoch || parts.all(|part| part.tracker.is_still_so(all))
    }

    /// What the pods of a cohort count for; none if it takes a counter that is not there.
    fn weigh(&self, mark: Mark, all: &Snapshot) -> Option<Box<[(usize, i64)]>> {
        let mut weights = Vec::new();
        // One that was there when all were counted counts for nothing. Of one that came since and is gone, as many pods
        // left as came.
        if mark.birth >= self.founded
            && let Some(cohort) = all.cohorts().marked(mark)
        {
            for part in &self.parts {
                let each = part.tracker.weigh(&cohort.like, all)?.into_iter();
                let from = part.counters.start;
                weights.extend(each.map(|(counter, weight)| (from + counter, weight)));
            }
        }
        Some(weights.into())
    }

    /// Asks about the nodes in these slots, and puts them where they belong.
    fn ask(&mut self, table: &Table, all: &Snapshot, slots: &[u32], meter: &Meter) -> Option<()> {
        if slots.is_empty() {
            return Some(());
        }
        let pod = self.pod.clone();
        let local = self.local(&pod, table, all, meter)?;
        let mut key = Vec::new();
        let mut scored = 0;
        for slot in slots {
            let Some((info, node)) = all.at(*slot) else {
                self.index.take(*slot);
                continue;
            };
            key.clear();
            let mut score = 0;
            match local.checks.judge_beside_nominees(info, node) {
                Err(Rejection { at, verdict }) => {
                    let resolvable = i64::from(verdict.resolvable);
                    key.extend([REJECTED, at as i64, verdict.reasons as i64, resolvable]);
                }
                Ok(()) => {
                    key.resize(1 + self.raws, FITS);
                    let mut lap = meter.lap_of(scored);
                    scored += 1;
                    for (index, scorer, weight, raw) in &local.scorers {
                        let here = (scorer.score)(info, node);
                        lap.end(Point::Score, Status::Success, || {
                            table.scores[*index].0.name()
                        });
                        match raw {
                            Some(raw) => key[*raw] = here,
                            None => score += weight * here,
                        }
                    }
                    self.mark(*slot, &mut key);
                }
            }
            self.index.put(*slot, &key, score);
        }
        for (index, ..) in &local.scorers {
            meter.count(Point::Score, *index, u64::from(scored));
        }
        Some(())
    }

    /// Adds to a key what the counters say of the node in a slot.
    fn mark(&self, slot: u32, key: &mut Vec<i64>) {
        let each = self.counters.iter().zip(&self.wide);
        key.extend(each.map(|(counter, is_wide)| counter.mark(slot, *is_wide)));
    }

    fn local<'a>(
        &self,
        pod: &'a PodInfo,
        table: &'a Table,
        all: &'a Snapshot,
        meter: &'a Meter,
    ) -> Option<Local<'a>> {
        let checks = Checks::prepare_local(table, pod, all, meter)?;
        let mut lap = meter.lap();
        let scores = table.scores.iter().zip(&self.ways).enumerate();
        let scorers = scores.filter_map(|(index, ((score, weight), way))| {
            let raw = match way {
                Way::Node => None,
                Way::Raw(at) => Some(*at),
                Way::Part(_) => return None,
            };
            let prepared = score.prepare(pod, all, &[]);
            let scorer = meter.prepared_score(&mut lap, index, prepared, || score.name())?;
            Some((index, scorer, *weight, raw))
        });
        Some(Local {
            scorers: scorers.collect(),
            checks,
        })
    }

    /// Whether pods that have a place in view may matter to more than that place.
    pub(super) fn is_in_doubt(&self, all: &Snapshot) -> bool {
        let nominees = &all.nominees;
        let highest = nominees.priorities.last_key_value();
        highest.is_some_and(|(priority, _)| *priority >= self.pod.priority)
            && (self.counts_to_filter() || nominees.wishing > 0)
    }

    fn counts_to_filter(&self) -> bool {
        let mut parts = self.parts.iter();
        parts.any(|part| part.is_filter && !part.counters.is_empty())
    }

    fn spot<'a>(&'a self, part: &Part, group: &'a Group) -> Spot<'a> {
        let Range { start, end } = part.counters;
        let first = 1 + self.raws;
        Spot {
            nodes: group.len,
            counters: &self.counters[start..end],
            marks: &group.key[first + start..first + end],
            wide: &self.wide[start..end],
        }
    }

    /// The groups of nodes that pass all filters, each with what its nodes score beyond what each scores itself.
    fn groups(&self, table: &Table, all: &Snapshot, meter: &Meter) -> Vec<(&Group, i64)> {
        let filters = || {
            let parts = self.parts.iter();
            parts.filter(|part| part.is_filter && !part.counters.is_empty())
        };
        let mut asked = 0;
        let admitted = |group: &&Group| {
            if group.key[0] != FITS {
                return false;
            }
            let mut lap = meter.lap_of(asked);
            asked += 1;
            filters().all(|part| {
                let admits = part.tracker.admits(&self.spot(part, group));
                let status = match admits {
                    true => Status::Success,
                    false => Status::Unschedulable,
                };
                meter.count(Point::Filter, part.index, 1);
                lap.end(Point::Filter, status, || table.filters[part.index].name());
                admits
            })
        };
        let groups: Vec<&Group> = self.index.groups().filter(admitted).collect();
        let mut totals = vec![0; groups.len()];
        for (index, ((score, weight), way)) in table.scores.iter().zip(&self.ways).enumerate() {
            let mut lap = meter.lap();
            let (normalise, mut scores) = match way {
                Way::Node => continue,
                Way::Raw(at) => match score.prepare(&self.pod, all, &[]) {
                    None => continue,
                    Some(scorer) => {
                        let raws = groups.iter().map(|group| group.key[*at]);
                        (scorer.normalise, raws.collect::<Vec<_>>())
                    }
                },
                Way::Part(part) => {
                    let part = &self.parts[*part];
                    let spots = groups.iter().map(|group| self.spot(part, group));
                    let spots: Vec<Spot<'_>> = spots.collect();
                    match part.tracker.scores(&spots) {
                        None => continue,
                        Some(scores) => {
                            meter.count(Point::Score, index, 1);
                            lap.end(Point::Score, Status::Success, || score.name());
                            scores
                        }
                    }
                }
            };
            lap.pass();
            normalise.apply(&mut scores);
            lap.end(Point::Normalize, Status::Success, || score.name());
            for (total, score) in totals.iter_mut().zip(&scores) {
                *total += weight * score;
            }
        }
        groups.into_iter().zip(totals).collect()
    }

    /// Decides about a pod of the class.
    pub(super) fn decide(
        &mut self,
        table: &Table,
        pod: &PodInfo,
        all: &Snapshot,
        seed: u64,
        meter: &Meter,
    ) -> Decision {
        let groups = self.groups(table, all, meter);
        let fitting: usize = groups.iter().map(|(group, _)| group.len).sum();
        let best = groups.iter().filter_map(|(group, more)| {
            let (score, slots) = group.best()?;
            Some((score + more, slots))
        });
        let best: Vec<(i64, &[u32])> = best.collect();
        let Some(most) = best.iter().map(|(score, _)| *score).max() else {
            return self.nowhere(table, pod, all, seed, meter);
        };
        let tied = best.iter().filter(|(score, _)| *score == most);
        let count = tied.clone().map(|(_, slots)| slots.len()).sum();
        let mut lot = draw(seed, count);
        let mut slot = 0;
        for (_, slots) in tied {
            if let Some(drawn) = slots.get(lot) {
                slot = *drawn;
                break;
            }
            lot -= slots.len();
        }
        Decision::Bind {
            node: all.slots[slot as usize].name.clone(),
            score: if fitting == 1 { 0 } else { most },
        }
    }

    fn nowhere(
        &mut self,
        table: &Table,
        pod: &PodInfo,
        all: &Snapshot,
        seed: u64,
        meter: &Meter,
    ) -> Decision {
        if let Some(diagnosis) = &self.nobody {
            return Decision::Nobody(diagnosis.clone());
        }
        let diagnosis = if self.counts_to_filter() {
            match decide_counting(table, pod, all, seed, meter) {
                Decision::Nobody(diagnosis) => diagnosis,
                bind @ Decision::Bind { .. } => return bind,
            }
        } else {
            match self.diagnose(table, all, meter) {
                Some(diagnosis) => diagnosis,
                None => return decide_counting(table, pod, all, seed, meter),
            }
        };
        self.nobody = Some(diagnosis.clone());
        Decision::Nobody(diagnosis)
    }

    /// Sums up what keeps the pod from each node, if each node says it for itself.
    fn diagnose(&self, table: &Table, all: &Snapshot, meter: &Meter) -> Option<Diagnosis> {
        let checks = Checks::prepare_local(table, &self.pod, all, meter)?;
        let (mut tally, mut resolvable) = (checks.tally(), Vec::new());
        for group in self.index.groups() {
            let verdict = Verdict {
                reasons: group.key[2] as u64,
                resolvable: group.key[3] != 0,
            };
            if verdict.resolvable {
                resolvable.extend(group.slots().map(|(slot, _)| slot));
            }
            let at = group.key[1] as usize;
            tally.add(Rejection { at, verdict }, group.len as u32);
        }
        let (reasons, rejected_by) = tally.sum(&checks);
        Some(Diagnosis {
            nodes: all.len(),
            never: None,
            reasons,
            rejected_by,
            resolvable,
        })
    }

    /// Whether any numbers of pods matter.
    #[cfg(test)]
    pub(super) fn is_tracked(&self) -> bool {
        !self.counters.is_empty()
    }

    /// The slots of the nodes that pass, with their scores, as the tests compare them.
    #[cfg(test)]
    pub(super) fn judged(&self, table: &Table, all: &Snapshot) -> Vec<(u32, i64)> {
        let groups = self.groups(table, all, &Meter::default());
        let groups = groups.into_iter();
        let each = groups.flat_map(|(group, more)| {
            let slots = group.slots();
            slots.map(move |(slot, score)| (slot, score + more))
        });
        let mut each: Vec<(u32, i64)> = each.collect();
        each.sort_unstable();
        each
    }
}

/// What the raw scores of nodes depend on besides the nodes.
fn stamp(table: &Table, pod: &PodInfo, all: &Snapshot) -> u64 {
    let local = table.scores.iter();
    let local = local.filter(|(score, _)| score.local().is_some());
    local
        .map(|(score, _)| score.stamp(pod, all))
        .fold(0, |sum, stamp| sum.rotate_left(7) ^ stamp)
}
