//! Which plugins were run, how often, and how long that took. Reads no clock: it is given a stopwatch.
//!
//! All runs are counted (`scheduler_plugin_evaluation_total`). A plugin is run for a pod when it looks at it (PreFilter,
//! PreScore) and for each node that it is asked about (Filter, Score). Of pods that are alike it is run for the first, and
//! then for the nodes that changed since ([`crate::engine`]): that is what is counted then, and it is some thousand times
//! less than with upstream, which runs all for each pod and each node. A plugin that counts pods ([`crate::tracker`]) is run
//! once for all nodes among which those pods are spread alike. What [`crate::explain`] tries is not counted.
//!
//! Timed (`scheduler_plugin_execution_duration_seconds`) is one cycle of [`CYCLES`], and in it each plugin as it looks at
//! the pod, and at one node of [`NODES`]. Upstream times one of ten, by lot; but where a decision takes two microseconds,
//! looking at the clock before and after each plugin takes as long again. What plugins say of a change
//! (`scheduler_queueing_hint_execution_duration_seconds`), upstream times always; here it is one question of [`HINTS`].
//!
//! Upstream: `framework/runtime/{framework,instrumented_plugins}.go`, `metrics/metric_recorder.go`.

use crate::plugin::{Events, Filter, Prepared, Verdict};
use crate::plugins::Table;
use ahash::AHashMap;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Of so many cycles one is timed, beginning with the first.
pub const CYCLES: u64 = 64;
/// Of so many nodes that plugins look at in it, one.
pub const NODES: u32 = 16;
/// Of so many waiting pods about which plugins are asked whether something helps them, one.
pub const HINTS: u64 = 16;

/// Says how much time has passed since any moment, always the same.
pub type Stopwatch = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Where a plugin is run, by upstream's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// A filter looks at a pod.
    PreFilter,
    /// A filter looks at a node.
    Filter,
    /// Room is looked for.
    PostFilter,
    /// A score looks at a pod.
    PreScore,
    /// A score looks at a node.
    Score,
    /// Scores are put on one scale.
    Normalize,
    /// Something is done before a pod is bound.
    PreBind,
    /// A pod is bound.
    Bind,
}

/// How a run of a plugin ended, by upstream's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It has no objection.
    Success,
    /// It rejects, and would not if other pods left.
    Unschedulable,
    /// It rejects.
    Unresolvable,
    /// The pod is none of its business.
    Skip,
    /// Something went wrong.
    Error,
}

/// How many runs took how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// All of them together.
    pub sum: Duration,
    /// How many took no longer than each of the [`BOUNDS`], and longer than the one before; the last of all, how many took
    /// longer than that.
    pub counts: [u64; BOUNDS.len() + 1],
}

/// The bounds of [`Spread::counts`] in seconds: from 10 µs on, each half as much again as the one before.
pub const BOUNDS: [f64; 20] = {
    let (mut bounds, mut at) = ([1e-5; 20], 1);
    while at < bounds.len() {
        bounds[at] = bounds[at - 1] * 1.5;
        at += 1;
    }
    bounds
};

/// What has been counted and timed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// By plugin, [`Point`] and profile.
    pub evaluations: BTreeMap<(&'static str, &'static str, String), u64>,
    /// By plugin, [`Point`] and [`Status`].
    pub durations: BTreeMap<(&'static str, &'static str, &'static str), Spread>,
    /// By plugin, event and hint.
    pub hints: BTreeMap<(&'static str, &'static str, &'static str), Spread>,
}

/// Counts and times. One that is made by `default` does neither.
#[derive(Default)]
pub struct Meter {
    stopwatch: Option<Stopwatch>,
    cycles: Cell<u64>,
    is_timing: Cell<bool>,
    questions: Cell<u64>,
    /// Whose plugins are run now.
    profile: Cell<usize>,
    /// By profile.
    counts: Box<[Counts]>,
    durations: RefCell<AHashMap<(&'static str, Point, Status), Spread>>,
    hints: RefCell<AHashMap<(&'static str, &'static str, bool), Spread>>,
}

/// How often the plugins of a profile were run, each by its place in the table.
#[derive(Default)]
struct Counts {
    prefilter: Box<[Cell<u64>]>,
    filter: Box<[Cell<u64>]>,
    prescore: Box<[Cell<u64>]>,
    score: Box<[Cell<u64>]>,
}

impl Counts {
    fn new(table: &Table) -> Self {
        let none = |of: usize| vec![Cell::new(0); of].into_boxed_slice();
        let (filters, scores) = (table.filters.len(), table.scores.len());
        Self {
            prefilter: none(filters),
            filter: none(filters),
            prescore: none(scores),
            score: none(scores),
        }
    }

    fn at(&self, point: Point) -> &[Cell<u64>] {
        match point {
            Point::PreFilter => &self.prefilter,
            Point::Filter => &self.filter,
            Point::PreScore => &self.prescore,
            Point::Score => &self.score,
            _ => &[],
        }
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").finish_non_exhaustive()
    }
}

impl Meter {
    /// One that counts what the plugins of these profiles do.
    pub fn new<'a>(tables: impl IntoIterator<Item = &'a Table>) -> Self {
        Self {
            counts: tables.into_iter().map(Counts::new).collect(),
            ..Self::default()
        }
    }

    /// The same, which times them as well.
    #[must_use]
    pub fn timing(mut self, stopwatch: Stopwatch) -> Self {
        self.stopwatch = Some(stopwatch);
        self
    }

    /// A cycle for a pod of this profile begins.
    pub fn begin(&self, profile: usize) {
        self.profile.set(profile);
        let cycle = self.cycles.get();
        self.cycles.set(cycle.wrapping_add(1));
        self.is_timing.set(cycle.is_multiple_of(CYCLES));
    }

    /// Whether this cycle is timed.
    pub fn is_timing(&self) -> bool {
        self.is_timing.get() && self.stopwatch.is_some()
    }

    /// A plugin was run so often.
    pub(crate) fn count(&self, point: Point, index: usize, times: u64) {
        let counts = self.counts.get(self.profile.get());
        if let Some(count) = counts.and_then(|counts| counts.at(point).get(index)) {
            count.set(count.get() + times);
        }
    }

    /// A run of a plugin took so long.
    pub fn took(&self, plugin: &'static str, point: Point, status: Status, took: Duration) {
        let mut durations = self.durations.borrow_mut();
        durations
            .entry((plugin, point, status))
            .or_default()
            .add(took);
    }

    /// From now on, if this cycle is timed.
    pub(crate) fn lap(&self) -> Lap<'_> {
        match self.is_timing.get() {
            true => self.clocked(),
            false => Lap(None),
        }
    }

    /// The same for one node of [`NODES`]; this is the one with that number.
    pub(crate) fn lap_of(&self, node: u32) -> Lap<'_> {
        match node.is_multiple_of(NODES) {
            true => self.lap(),
            false => Lap(None),
        }
    }

    /// From now on, if what plugins say of a change is timed for this pod.
    pub(crate) fn lap_of_hint(&self) -> Lap<'_> {
        let question = self.questions.get();
        self.questions.set(question.wrapping_add(1));
        match question.is_multiple_of(HINTS) {
            true => self.clocked(),
            false => Lap(None),
        }
    }

    fn clocked(&self) -> Lap<'_> {
        Lap(self.stopwatch.as_deref().map(|stopwatch| Running {
            meter: self,
            stopwatch,
            since: stopwatch(),
        }))
    }

    /// A filter has looked at a pod.
    pub(crate) fn prepared<'a>(
        &self,
        lap: &mut Lap<'_>,
        index: usize,
        prepared: Prepared<'a>,
        name: impl Fn() -> &'static str,
    ) -> Prepared<'a> {
        let status = match &prepared {
            Prepared::Skip => Status::Skip,
            Prepared::Never(_) => Status::Unresolvable,
            Prepared::Check(_) => Status::Success,
        };
        if status != Status::Skip {
            self.count(Point::PreFilter, index, 1);
        }
        lap.end(Point::PreFilter, status, name);
        prepared
    }

    /// A score has looked at a pod.
    pub(crate) fn prepared_score<T>(
        &self,
        lap: &mut Lap<'_>,
        index: usize,
        prepared: Option<T>,
        name: impl Fn() -> &'static str,
    ) -> Option<T> {
        let status = match &prepared {
            None => Status::Skip,
            Some(_) => Status::Success,
        };
        self.count(Point::PreScore, index, u64::from(prepared.is_some()));
        lap.end(Point::PreScore, status, name);
        prepared
    }

    /// What was counted and timed so far; the names are those of the profiles.
    pub fn runs<'a>(&self, profiles: impl IntoIterator<Item = (&'a str, &'a Table)>) -> Runs {
        let mut runs = Runs::default();
        for ((profile, table), counts) in profiles.into_iter().zip(&self.counts) {
            let filters = || table.filters.iter().map(|filter| filter.name());
            let scores = || table.scores.iter().map(|(score, _)| score.name());
            for point in [Point::PreFilter, Point::Filter] {
                runs.count(profile, point, filters().zip(counts.at(point)));
            }
            for point in [Point::PreScore, Point::Score] {
                runs.count(profile, point, scores().zip(counts.at(point)));
            }
        }
        for ((plugin, point, status), spread) in &*self.durations.borrow() {
            let of = (*plugin, point.name(), status.name());
            runs.durations.insert(of, *spread);
        }
        for ((plugin, event, helps), spread) in &*self.hints.borrow() {
            let hint = if *helps { "Queue" } else { "QueueSkip" };
            runs.hints.insert((plugin, event, hint), *spread);
        }
        runs
    }
}

impl Runs {
    fn count<'a>(
        &mut self,
        profile: &str,
        point: Point,
        counts: impl Iterator<Item = (&'static str, &'a Cell<u64>)>,
    ) {
        for (plugin, count) in counts.filter(|(_, count)| count.get() > 0) {
            let of = (plugin, point.name(), profile.to_owned());
            *self.evaluations.entry(of).or_default() += count.get();
        }
    }
}

impl Spread {
    fn add(&mut self, took: Duration) {
        self.sum += took;
        let seconds = took.as_secs_f64();
        let place = BOUNDS.iter().position(|bound| seconds <= *bound);
        self.counts[place.unwrap_or(BOUNDS.len())] += 1;
    }
}

impl Point {
    /// As the label `extension_point` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PreFilter => "PreFilter",
            Self::Filter => "Filter",
            Self::PostFilter => "PostFilter",
            Self::PreScore => "PreScore",
            Self::Score => "Score",
            Self::Normalize => "ScoreExtensionNormalize",
            Self::PreBind => "PreBind",
            Self::Bind => "Bind",
        }
    }
}

impl Status {
    /// As the label `status` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::Unschedulable => "Unschedulable",
            Self::Unresolvable => "UnschedulableAndUnresolvable",
            Self::Skip => "Skip",
            Self::Error => "Error",
        }
    }

    /// Of what a filter says about a node.
    pub(crate) fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict { reasons: 0, .. } => Self::Success,
            verdict if verdict.resolvable => Self::Unschedulable,
            _ => Self::Unresolvable,
        }
    }
}

/// One plugin after the other, timed if anything is.
pub(crate) struct Lap<'a>(Option<Running<'a>>);

struct Running<'a> {
    meter: &'a Meter,
    stopwatch: &'a (dyn Fn() -> Duration + Send + Sync),
    since: Duration,
}

impl Lap<'_> {
    /// A plugin was run since the last of these.
    pub(crate) fn end(&mut self, point: Point, status: Status, plugin: impl Fn() -> &'static str) {
        if let Some(running) = &mut self.0 {
            let took = running.next();
            running.meter.took(plugin(), point, status, took);
        }
    }

    /// A plugin was asked since the last of these whether this helps a pod that it rejected.
    pub(crate) fn hint(&mut self, filter: &dyn Filter, events: Events, helps: bool) {
        if let Some(running) = &mut self.0 {
            let took = running.next();
            let of = (filter.name(), filter.wakes().name_of(events), helps);
            let mut hints = running.meter.hints.borrow_mut();
            hints.entry(of).or_default().add(took);
        }
    }

    /// What was done since the last of these does not count.
    pub(crate) fn pass(&mut self) {
        if let Some(running) = &mut self.0 {
            running.next();
        }
    }
}

impl Running<'_> {
    fn next(&mut self) -> Duration {
        let now = (self.stopwatch)();
        now.saturating_sub(std::mem::replace(&mut self.since, now))
    }
}

#[cfg(test)]
mod tests;
