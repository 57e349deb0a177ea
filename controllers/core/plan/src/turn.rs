//! What a turn came to.

use crate::{Kind, Object, Outcome, Plan};
use jiff::Timestamp;
use std::time::Duration;

/// A turn about one object that has ended: what its measurements are made from, besides its world.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// What was to be done.
    pub plan: &'a Plan,
    /// What became of it.
    pub outcome: &'a Outcome,
    /// The object with the status that was written, if one was.
    pub status: Option<&'a Object>,
    /// All was done that was to be done, the status included.
    pub success: bool,
    /// How long it took.
    pub took: Duration,
    /// When it ended.
    pub ended: Timestamp,
}

impl<'a> Turn<'a> {
    /// A turn that took no time and wrote no status.
    pub fn new(plan: &'a Plan, outcome: &'a Outcome, ended: Timestamp) -> Self {
        Self {
            plan,
            outcome,
            status: None,
            success: outcome.is_success(),
            took: Duration::ZERO,
            ended,
        }
    }

    /// How many writes of this sort to objects of this kind were committed.
    pub fn done(&self, verb: &str, kind: Kind) -> usize {
        let is = |done: &&crate::Done| done.verb == verb && done.on.kind == kind;
        self.outcome.done.iter().filter(is).count()
    }

    /// How many were refused, or have a fate that nobody knows.
    pub fn failed(&self, verb: &str, kind: Kind) -> usize {
        let is = |f: &&crate::Failure| f.verb == verb && f.on.kind == kind && !f.is_benign();
        self.outcome.failures.iter().filter(is).count()
    }

    /// `success` or `error`.
    pub fn result(&self) -> &'static str {
        match self.success {
            true => "success",
            false => "error",
        }
    }
}
