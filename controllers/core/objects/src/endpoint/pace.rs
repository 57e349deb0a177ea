//! How soon the endpoints of a Service may be written again.

use std::time::Duration;

use jiff::Timestamp;

/// When what is stored for a Service was last seen to change. During a rollout each pod that becomes ready asks for
/// a write; who waits a little between two writes gathers them, and the first one still goes out at once.
#[derive(Clone, Debug, Default)]
pub struct Pace<V> {
    stored: Option<V>,
    changed: Option<Timestamp>,
}

impl<V: PartialEq> Pace<V> {
    /// Tells what is `stored` (any value that a write changes) at the time `now`. Gives the rest of `gap` that is to
    /// be waited for since it last changed, `None` if there is none. What is seen first counts as unchanged.
    pub fn wait(&mut self, stored: V, now: Timestamp, gap: Duration) -> Option<Duration> {
        if self.stored.as_ref() != Some(&stored) {
            self.changed = self.stored.is_some().then_some(now);
            self.stored = Some(stored);
        }
        let since = Duration::try_from(now.duration_since(self.changed?)).unwrap_or_default();
        gap.checked_sub(since).filter(|rest| !rest.is_zero())
    }
}
