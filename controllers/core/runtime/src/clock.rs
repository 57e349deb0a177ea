//! The time of day. The only place that reads the wall clock, so that whole processes can run in virtual
//! time. Waiting is tokio's business, which can be paused by itself.

use jiff::Timestamp;
use std::fmt;
use std::sync::Arc;

/// Where a process asks what time it is. Cheap to clone; all clones ask the same source.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Self {
        Self::new(Timestamp::now)
    }

    /// A clock that asks `now`, for instance the virtual time of a simulation.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};

    #[test]
    fn clones_ask_the_same_source() {
        let seconds = Arc::new(AtomicI64::new(5));
        let source = seconds.clone();
        let clock = Clock::new(move || Timestamp::constant(source.load(Ordering::Relaxed), 0));
        let other = clock.clone();
        assert_eq!(other.now().as_second(), 5);
        seconds.store(9, Ordering::Relaxed);
        assert_eq!(
            (clock.now(), other.now()),
            (Timestamp::constant(9, 0), Timestamp::constant(9, 0))
        );
    }

    #[test]
    fn the_system_clock_goes_on() {
        let clock = Clock::system();
        assert!(clock.now() <= clock.now());
        assert!(clock.now().as_second() > 1_600_000_000);
    }
}
