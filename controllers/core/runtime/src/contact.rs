//! Since when the API server answers. Silence of others counts only while it does: what could not be said to a
//! server that was away, or heard by a process that was stopped, is nobody's fault.

use crate::Runtime;
use crate::process::Process;
use crate::reads::Reads;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::de::IgnoredAny;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often the server is asked, and how long an answer may take.
const EVERY: Duration = Duration::from_secs(5);
/// The longest time between two answers of a server that is there.
const GAP: SignedDuration = SignedDuration::from_secs(15);
/// An object that every cluster has; the answer comes from etcd, so it speaks for that too.
const ASKED: &str = "/api/v1/namespaces/kube-system";

/// Knows since when the API server has answered without a pause. Clones know the same.
#[derive(Clone)]
pub struct Contact {
    process: Arc<Process>,
    answers: Arc<Mutex<Answers>>,
}

/// The answers so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answers {
    since: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Runtime {
    /// Asks the API server every 5 s whether it is there, from the first call on.
    pub fn contact(&self) -> Contact {
        let (answers, first) = self.process.contact();
        if first {
            self.spawn("contact", ask(self.process.clone(), answers.clone()));
        }
        Contact {
            process: self.process.clone(),
            answers,
        }
    }
}

impl Contact {
    /// Since when the server has answered with no more than 15 s between two answers. None while it does not.
    pub fn since(&self) -> Option<Timestamp> {
        let answers = *self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.since(self.process.now())
    }
}

impl Answers {
    fn answered(&mut self, now: Timestamp) {
        if self.since(now).is_none() {
            self.since = Some(now);
        }
        self.last = Some(now);
    }

    fn since(&self, now: Timestamp) -> Option<Timestamp> {
        let gap = now.duration_since(self.last?);
        // A clock that was set back says as little as one that was stopped.
        let unbroken = gap <= GAP && gap >= -GAP;
        self.since.filter(|since| unbroken && *since <= now)
    }
}

async fn ask(process: Arc<Process>, answers: Arc<Mutex<Answers>>) {
    let reads = Reads::new(process.clone());
    loop {
        let answer = tokio::time::timeout(EVERY, reads.get::<IgnoredAny>(ASKED)).await;
        // That it refuses us is an answer too, but for the codes of a server that has no etcd or no time.
        let there = answer.is_ok_and(|answer| match answer {
            Ok(_) => true,
            Err(error) => error.code.is_some_and(|code| {
                code.is_client_error() && code != StatusCode::TOO_MANY_REQUESTS
            }),
        });
        if there {
            let now = process.now();
            let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers.answered(now);
        }
        process.sleep(EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::Answers;
    use jiff::Timestamp;

    /// Since when there is contact, at a second, after answers at these seconds.
    fn since(answered: &[i64], now: i64) -> Option<i64> {
        let mut answers = Answers::default();
        for second in answered {
            answers.answered(Timestamp::constant(*second, 0));
        }
        answers
            .since(Timestamp::constant(now, 0))
            .map(Timestamp::as_second)
    }

    #[test]
    fn contact_begins_anew_after_a_pause() {
        assert_eq!(since(&[], 0), None);
        assert_eq!(since(&[5, 10, 15], 20), Some(5));
        assert_eq!(since(&[5, 10, 15], 30), Some(5));
        assert_eq!(since(&[5, 10, 15], 31), None);
        assert_eq!(since(&[5, 10, 40, 45], 50), Some(40));
    }

    #[test]
    fn a_clock_that_was_set_back_is_a_pause() {
        assert_eq!(since(&[1000, 1005], 100), None);
        assert_eq!(since(&[1000, 1005, 100, 105], 106), Some(100));
    }
}
