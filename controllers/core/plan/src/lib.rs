//! A decision as a value.
//!
//! Every loop of Corten is *observe → plan → execute → status*. This crate holds what passes between
//! the second and the third: a [`Plan`] is ordered [`Step`]s of [`Action`]s, an action is one write with
//! its preconditions and the [`Note`] (event) that goes with it, and the [`Outcome`] is what became of
//! them. What is counted is data too: a [`Metric`] describes it, and a [`Turn`] that has ended gives [`Sample`]s.
//! A plan prints one line an action; that text is what tests compare, what debug logs show and
//! what `/debug/plans` serves.
//!
//! What is deliberately absent: async, the clock, randomness, a client. Nothing here can wait or fail.
//! Start reading at [`Action`].
#![forbid(unsafe_code)]

mod action;
mod claim;
mod display;
mod kind;
mod metric;
mod note;
mod object;
mod outcome;
mod turn;

pub use action::{Action, Confirm, PatchType, Propagation, Verb};
pub use claim::Claim;
pub use kind::{Kind, Reference};
pub use metric::{Buckets, Measure, Metric, Sample, Stability, exponential};
pub use note::{Note, NoteType, OnFailure};
pub use object::Object;
pub use outcome::{Cause, Done, Failure, Outcome};
pub use turn::Turn;

use std::time::Duration;

/// What a loop decided to do about one object.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Done one after the other; the first step with a failure ends the plan.
    pub steps: Vec<Step>,
    /// Events that describe the decision itself and not one of its writes.
    pub notes: Vec<Note>,
    /// When to look at the object again although nothing may have changed by then.
    pub again_after: Option<Duration>,
}

/// Actions that may be done in any order, concurrently.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// The writes.
    pub actions: Vec<Action>,
    /// How fast they go out.
    pub pace: Pace,
}

/// How the actions of a step go out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// All at once, as far as the process's in-flight limit allows.
    #[default]
    AtOnce,
    /// One first; each success lets two more out; a failure lets none. So a quota that refuses costs one
    /// request and not five hundred (upstream's slow start, without its barrier after each batch).
    Ramp,
}

impl Plan {
    /// The plan that does nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// True when there is no write and no event in it: the world is as wanted.
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty() && self.steps.iter().all(|s| s.actions.is_empty())
    }

    /// The number of writes.
    pub fn len(&self) -> usize {
        self.steps.iter().map(|s| s.actions.len()).sum()
    }

    /// Adds a step of actions that go out at once; an empty list adds nothing.
    pub fn then(&mut self, actions: Vec<Action>) -> &mut Self {
        self.step(actions, Pace::AtOnce)
    }

    /// Adds a step whose actions go out with slow start; an empty list adds nothing.
    pub fn then_ramp(&mut self, actions: Vec<Action>) -> &mut Self {
        self.step(actions, Pace::Ramp)
    }

    /// Adds an event that is not about one of the writes.
    pub fn note(&mut self, note: Note) -> &mut Self {
        self.notes.push(note);
        self
    }

    /// Asks to be looked at again after `delay`; the shortest wish wins.
    pub fn again(&mut self, delay: Duration) -> &mut Self {
        self.again_after = Some(self.again_after.map_or(delay, |d| d.min(delay)));
        self
    }

    /// All actions in order.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.steps.iter().flat_map(|s| &s.actions)
    }

    fn step(&mut self, actions: Vec<Action>, pace: Pace) -> &mut Self {
        if !actions.is_empty() {
            self.steps.push(Step { actions, pace });
        }
        self
    }
}

#[cfg(test)]
mod tests;
