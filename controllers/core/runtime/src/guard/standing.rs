//! What a process of ours says of itself on its Lease, and what it can be asked there. Pure.

use crate::lease::{Notes, holder};
use k8s_openapi::api::coordination::v1::Lease;
use serde::{Deserialize, Serialize};

/// The annotation of a Lease in which its holder says how it stands to the stock program: a [`Standing`] as JSON.
pub const STANDING: &str = "corten.dev/standing";
/// The annotation of a Lease that asks its holder for something: a [`HandOver`].
pub const HAND_OVER: &str = "corten.dev/hand-over";

/// What a process that holds a Lease of ours does at the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It finds out what the stock program does.
    Checks,
    /// It waits until the stock program lets go.
    Waits,
    /// It does nothing, as it was asked to.
    StandsBy,
    /// It works.
    Works,
}

/// What a process says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Who says it: it counts while this one holds the Lease.
    pub by: String,
    /// What it does.
    pub state: State,
    /// The controllers that it has, by upstream's names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controllers: Vec<String>,
    /// The schedulerNames that it serves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scheduler_names: Vec<String>,
    /// The stock process that was found to leave these alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<String>,
    /// Which of these the stock process was found at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stock_at_work: Vec<String>,
}

/// What a process can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// To begin as soon as the stock process is gone, as the next will leave these alone.
    Take,
    /// To end what it does and not to begin again.
    Back,
}

impl HandOver {
    /// As the annotation has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Take => "take",
            Self::Back => "back",
        }
    }

    /// What is asked for in these annotations.
    pub fn of(notes: &Notes) -> Option<Self> {
        let asked = notes.get(HAND_OVER)?;
        let known = [Self::Take, Self::Back].into_iter();
        known.into_iter().find(|one| one.word() == asked)
    }
}

impl Standing {
    /// What stands in these annotations, whoever said it.
    pub fn of(notes: &Notes) -> Option<Self> {
        serde_json::from_str(notes.get(STANDING)?).ok()
    }

    /// What the present holder of a Lease says.
    pub fn on(lease: &Lease) -> Option<Self> {
        let standing = Self::of(lease.metadata.annotations.as_ref()?)?;
        (standing.by == holder(lease)).then_some(standing)
    }

    /// The annotation's value.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{HAND_OVER, HandOver, STANDING, Standing, State};
    use crate::lease::Notes;
    use k8s_openapi::api::coordination::v1::Lease;

    fn standing() -> Standing {
        Standing {
            by: "a".to_owned(),
            state: State::StandsBy,
            controllers: vec!["job-controller".to_owned()],
            scheduler_names: Vec::new(),
            beside: None,
            stock_at_work: Vec::new(),
        }
    }

    #[test]
    fn a_standing_is_short_and_is_read_as_it_was_written() {
        let text = standing().text();
        let expected = r#"{"by":"a","state":"stands-by","controllers":["job-controller"]}"#;
        assert_eq!(text, expected);
        let notes = Notes::from([(STANDING.to_owned(), text)]);
        assert_eq!(Standing::of(&notes), Some(standing()));
    }

    #[test]
    fn what_a_holder_has_said_that_is_no_more_does_not_count() {
        let mut lease = Lease::default();
        let notes = Notes::from([(STANDING.to_owned(), standing().text())]);
        lease.metadata.annotations = Some(notes);
        for (holder, counts) in [("a", true), ("b", false), ("", false)] {
            lease.spec.get_or_insert_default().holder_identity = Some(holder.to_owned());
            assert_eq!(Standing::on(&lease).is_some(), counts, "{holder}");
        }
    }

    #[test]
    fn what_is_asked_for_is_one_of_two_words() {
        let asked = |word: &str| HandOver::of(&Notes::from([(HAND_OVER.into(), word.into())]));
        assert_eq!(asked("take"), Some(HandOver::Take));
        assert_eq!(asked("back"), Some(HandOver::Back));
        assert_eq!(asked("Back"), None);
        assert_eq!(HandOver::of(&Notes::new()), None);
    }
}
