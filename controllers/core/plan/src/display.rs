//! A plan as text: one line an action.

use crate::{Action, Confirm, PatchType, Plan, Verb};
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        let mut line = |f: &mut fmt::Formatter<'_>, text: String| {
            let newline = if std::mem::take(&mut first) { "" } else { "\n" };
            write!(f, "{newline}{text}")
        };
        for action in self.actions() {
            line(f, action.to_string())?;
        }
        for note in &self.notes {
            line(
                f,
                format!(
                    "note {:?} {}: {}",
                    note.note_type, note.reason, note.message
                ),
            )?;
        }
        if let Some(delay) = self.again_after {
            line(f, format!("again in {:.3}s", delay.as_secs_f64()))?;
        }
        Ok(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb.name(), self.on)?;
        if !self.subresource.is_empty() {
            write!(f, "/{}", self.subresource)?;
        }
        match &self.verb {
            Verb::Patch(_, body) => write!(f, " {body}")?,
            Verb::Delete { grace: Some(s), .. } => write!(f, " grace={s}s")?,
            _ => {}
        }
        match &self.confirm {
            Some(Confirm::Alive(who)) => write!(f, " if {who} is alive")?,
            Some(Confirm::Gone(who)) => write!(f, " if {who} is gone")?,
            None => {}
        }
        if !self.why.is_empty() {
            write!(f, " ({})", self.why)?;
        }
        Ok(())
    }
}

impl Verb {
    /// The API verb as RBAC, metrics and the audit log call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Replace(_) => "update",
            Self::Patch(..) => "patch",
            Self::Delete { .. } => "delete",
        }
    }
}

impl PatchType {
    /// The media type of the request.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
}
