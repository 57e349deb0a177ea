//! How often pods came to which part of the queue, and why (`scheduler_queue_incoming_pods_total`).

use super::Place;
use crate::plugin::Events;

/// Why a pod comes to another part of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It was put back where it was, or is not counted.
    Nothing,
    /// It is new.
    New,
    /// It was changed.
    Changed,
    /// An attempt failed.
    Failed,
    /// Its back-off is over.
    Rested,
    /// Nothing else was to do, so that its back-off was cut short.
    Hurried,
    /// It is tried for others that are like it, or since what was to be done about it was not.
    Called,
    /// It has waited too long for a change.
    Late,
    /// This happened.
    Happened(Events),
}

/// By what else than the kinds of [`Events`] a pod came, in upstream's words (`framework/events.go`).
const OTHERS: [&str; 7] = [
    "UnscheduledPodAdd",
    "UnscheduledPodUpdate",
    "ScheduleAttemptFailure",
    "BackoffComplete",
    "PopFromBackoffQ",
    "ForceActivate",
    "UnschedulableTimeout",
];
/// First the kinds of [`Events`] by their numbers, then the others.
const LABELS: usize = Events::KINDS + OTHERS.len();

const QUEUES: [&str; 3] = ["active", "backoff", "unschedulable"];

impl Why {
    fn label(self) -> Option<usize> {
        let after = match self {
            Self::Nothing => return None,
            Self::Happened(events) => return events.kinds().next(),
            Self::New => 0,
            Self::Changed => return Some(7),
            Self::Failed => 2,
            Self::Rested => 3,
            Self::Hurried => 4,
            Self::Called => 5,
            Self::Late => 6,
        };
        Some(Events::KINDS + after)
    }
}

/// The counters.
#[derive(Clone, Debug, Default)]
pub(super) struct Incoming([[u64; LABELS]; QUEUES.len()]);

impl Incoming {
    /// A pod came to this place. Pods with gates are in no queue.
    pub(super) fn count(&mut self, place: Place, why: Why) {
        let queue = match place {
            Place::Active => 0,
            Place::Backoff { .. } => 1,
            Place::Parked { .. } => 2,
            // From the back-off it went by way of the active ones.
            Place::InFlight { .. } if why == Why::Hurried => 0,
            Place::Gated | Place::InFlight { .. } => return,
        };
        if let Some(label) = why.label() {
            self.0[queue][label] += 1;
        }
    }

    /// Those that are not 0: the queue, the event, how often.
    pub(super) fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        QUEUES.iter().zip(&self.0).flat_map(|(queue, counts)| {
            let labels = Events::NAMES.iter().chain(&OTHERS);
            let counts = labels.zip(counts).filter(|(_, count)| **count > 0);
            counts.map(|(event, count)| (*queue, *event, *count))
        })
    }
}
