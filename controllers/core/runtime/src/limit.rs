//! How many requests of this process are in flight: an additive-increase, multiplicative-decrease window
//! in place of a fixed rate, so that a strong API server is used and an overloaded one is left alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

const START: f64 = 16.0;
const MIN: f64 = 1.0;
/// Each is a connection of its own (HTTP/1.1) with buffers and a TLS session at both ends; an API server that
/// answers within 5 ms takes six thousand requests a second through so many.
const MAX: f64 = 32.0;
/// Work that is so close together is one burst of it.
const LULL: Duration = Duration::from_millis(20);

/// The window. Clones are the same window.
#[derive(Clone, Default)]
pub(crate) struct Limit(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    freed: Notify,
    idle: Notify,
}

struct State {
    window: f64,
    in_flight: usize,
    /// Of these, what loops wait for.
    work: usize,
    /// When the last of what they waited for was done.
    worked: Option<Instant>,
    closed_until: Option<Instant>,
}

/// What a request is to the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// A loop waits for it.
    Work,
    /// Nobody waits for it: it goes when there is a lull of work, and as if it were work from then on.
    Spare(Instant),
}

impl Default for State {
    fn default() -> Self {
        Self {
            window: START,
            in_flight: 0,
            work: 0,
            worked: None,
            closed_until: None,
        }
    }
}

/// A place in the window; it is free again when dropped.
pub(crate) struct Permit {
    limit: Limit,
    work: bool,
}

impl Limit {
    /// Waits for a place.
    pub(crate) async fn acquire(&self, priority: Priority) -> Permit {
        let work = priority == Priority::Work;
        if let Priority::Spare(due) = priority {
            // It is on time when it is late too.
            let _ = tokio::time::timeout_at(due, self.lull()).await;
        }
        loop {
            let freed = self.0.freed.notified();
            let wait = {
                let mut state = self.state();
                match state.closed_until {
                    Some(until) if until > Instant::now() => Some(until),
                    _ if (state.in_flight as f64) < state.window => {
                        state.in_flight += 1;
                        state.work += usize::from(work);
                        if (state.in_flight as f64) < state.window {
                            self.0.freed.notify_one();
                        }
                        let limit = self.clone();
                        return Permit { limit, work };
                    }
                    _ => None,
                }
            };
            match wait {
                Some(until) => tokio::time::sleep_until(until).await,
                None => freed.await,
            }
        }
    }

    /// Waits until no work is on its way, and none is likely to follow at once.
    async fn lull(&self) {
        loop {
            let idle = self.0.idle.notified();
            let (work, quiet_from) = {
                let state = self.state();
                (state.work, state.worked.map(|worked| worked + LULL))
            };
            match (work, quiet_from) {
                (0, Some(quiet_from)) if quiet_from > Instant::now() => {
                    tokio::time::sleep_until(quiet_from).await;
                }
                (0, _) => return,
                _ => idle.await,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The server took the request: a whole window of these makes it one wider.
    pub(crate) fn succeeded(&self) {
        let mut state = self.limit.state();
        state.window = (state.window + 1.0 / state.window).min(MAX);
    }

    /// The server said 429 or 503: half the window, and nothing at all for as long as it asked.
    pub(crate) fn throttled(&self, retry_after: Duration) {
        let mut state = self.limit.state();
        let until = Instant::now() + retry_after;
        if state.closed_until.is_none_or(|closed| closed < until) {
            // Once a closure, not once a request that was already on its way.
            if state
                .closed_until
                .is_none_or(|closed| closed <= Instant::now())
            {
                state.window = (state.window / 2.0).max(MIN);
            }
            state.closed_until = Some(until);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.limit.state();
        state.in_flight -= 1;
        state.work -= usize::from(self.work);
        let idle = self.work && state.work == 0;
        if idle {
            state.worked = Some(Instant::now());
        }
        drop(state);
        self.limit.0.freed.notify_one();
        if idle {
            self.limit.0.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LULL, Limit, Priority, START};
    use std::time::Duration;
    use tokio::time::{Instant, timeout};

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_window_are_in_flight() {
        let limit = Limit::default();
        let mut held = Vec::new();
        for _ in 0..START as usize {
            held.push(limit.acquire(Priority::Work).await);
        }
        let moment = Duration::from_millis(1);
        assert!(
            timeout(moment, limit.acquire(Priority::Work))
                .await
                .is_err()
        );
        held.pop();
        assert!(timeout(moment, limit.acquire(Priority::Work)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_closes_it_and_halves_it_once() {
        let limit = Limit::default();
        let (a, b) = (
            limit.acquire(Priority::Work).await,
            limit.acquire(Priority::Work).await,
        );
        a.throttled(Duration::from_secs(3));
        b.throttled(Duration::from_secs(3));
        drop((a, b));
        let start = Instant::now();
        let _permit = limit.acquire(Priority::Work).await;
        assert_eq!(start.elapsed().as_secs(), 3);
        assert!((limit.state().window - START / 2.0).abs() < f64::EPSILON);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_goes_between_bursts_of_work_or_when_it_is_due() {
        let limit = Limit::default();
        let due = Instant::now() + Duration::from_secs(10);
        let first = limit.acquire(Priority::Spare(due)).await;
        assert_eq!(Instant::now().elapsed(), Duration::ZERO);
        // Another of its kind does not hold it back.
        let second = limit.acquire(Priority::Spare(due)).await;
        drop((first, second));

        let work = limit.acquire(Priority::Work).await;
        let spare = limit.acquire(Priority::Spare(due));
        let finish = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            drop(work);
            // What follows at once belongs to it.
            tokio::time::sleep(LULL / 2).await;
            drop(limit.acquire(Priority::Work).await);
        };
        let start = Instant::now();
        let (spare, ()) = tokio::join!(spare, finish);
        assert_eq!(start.elapsed(), Duration::from_secs(3) + LULL * 3 / 2);
        drop(spare);

        let _work = limit.acquire(Priority::Work).await;
        let _spare = limit.acquire(Priority::Spare(due)).await;
        assert!(Instant::now() >= due);
    }
}
