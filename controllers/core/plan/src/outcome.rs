//! What became of a plan.

use crate::{Action, Plan, Reference};
use serde::Serialize;

/// What became of a plan; `status` is computed from it and the world.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// True when nothing was tried because the caches had not yet seen this loop's own last writes:
    /// the world may be older than what was done, so it says nothing about what is missing.
    pub held: bool,
    /// The writes that were committed.
    pub done: Vec<Done>,
    /// The writes that were refused or whose fate is unknown.
    pub failures: Vec<Failure>,
    /// Writes that were not tried because one before them failed.
    pub skipped: usize,
}

/// A committed write.
#[derive(Clone, Debug, Serialize)]
pub struct Done {
    /// The object as it is now, with its UID.
    pub on: Reference,
    /// `create`, `update`, `patch`, `delete`.
    pub verb: &'static str,
    /// The resourceVersion of the result, where the answer told it: the watch has shown this write once
    /// it has shown this version.
    pub version: Option<u64>,
}

/// A write that failed.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// What was to be written.
    pub on: Reference,
    /// `create`, `update`, `patch`, `delete`.
    pub verb: &'static str,
    /// Why, as far as a loop has to know.
    pub cause: Cause,
    /// The API server's message.
    pub message: String,
}

/// Why a write failed, in the classes that loops treat differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Cause {
    /// An object of that name is there and it is not ours.
    AlreadyExists,
    /// What was to be written is gone, or is another incarnation.
    NotFound,
    /// Somebody else wrote it first.
    Conflict,
    /// The API server's validation refused it; trying again changes nothing.
    Invalid,
    /// Forbidden: quota, admission or RBAC.
    Forbidden,
    /// The namespace is being deleted: nothing can be created in it, and nothing needs to be.
    NamespaceTerminating,
    /// A [`crate::Confirm`] did not hold.
    Unconfirmed,
    /// Network, time-out, overload: it may or may not have been committed, or can be tried again.
    Transient,
}

impl Cause {
    /// The HTTP status that an API server says it with.
    pub fn code(self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::Invalid => 422,
            Self::Forbidden | Self::NamespaceTerminating => 403,
            Self::Unconfirmed | Self::Transient => 500,
        }
    }
}

impl Outcome {
    /// The outcome of a plan that was not tried because the caches are behind.
    pub fn held() -> Self {
        Self {
            held: true,
            ..Self::default()
        }
    }

    /// The outcome of a plan of which all was committed.
    pub fn of(plan: &Plan) -> Self {
        let done = |action: &Action| Done {
            on: action.on.clone(),
            verb: action.verb.name(),
            version: None,
        };
        Self {
            done: plan.actions().map(done).collect(),
            ..Self::default()
        }
    }

    /// The first failure that is worth telling: not one that only says that the work is needless
    /// (what was to be deleted is gone, the namespace is ending).
    pub fn failure(&self) -> Option<&Failure> {
        self.failures.iter().find(|f| !f.is_benign())
    }

    /// True when all was done, or was not needed any more.
    pub fn is_success(&self) -> bool {
        !self.held && self.skipped == 0 && self.failure().is_none()
    }
}

impl Failure {
    /// True when the failure needs neither a retry nor a word: the thing is gone, or is about to.
    pub fn is_benign(&self) -> bool {
        match self.cause {
            Cause::NamespaceTerminating => true,
            Cause::NotFound => self.verb != "create",
            _ => false,
        }
    }
}
