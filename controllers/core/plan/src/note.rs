//! An event as data.

use crate::Reference;
use serde::Serialize;

/// An event about an object, to be recorded by the runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The object that `kubectl describe` shows it under.
    pub about: Reference,
    /// Normal or Warning.
    pub note_type: NoteType,
    /// Upstream's reason, `SuccessfulCreate`.
    pub reason: &'static str,
    /// Upstream's message.
    pub message: String,
}

/// The type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum NoteType {
    /// As it should be.
    Normal,
    /// Somebody should look at it.
    Warning,
}

/// The warning that goes with an action's failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnFailure {
    /// The object that it is about.
    pub about: Reference,
    /// Upstream's reason, `FailedCreate`.
    pub reason: &'static str,
    /// What stands before `: <error>`.
    pub message: String,
}

impl Note {
    /// An event about `about`.
    pub fn new(
        about: &Reference,
        note_type: NoteType,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            about: about.clone(),
            note_type,
            reason,
            message: message.into(),
        }
    }

    /// A Normal event.
    pub fn normal(about: &Reference, reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(about, NoteType::Normal, reason, message)
    }

    /// A Warning event.
    pub fn warning(about: &Reference, reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(about, NoteType::Warning, reason, message)
    }
}
