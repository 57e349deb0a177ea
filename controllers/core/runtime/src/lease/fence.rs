//! Until when a leader may write: no other can lead before a lease duration has passed since the last renewal was sent. One
//! that was stopped, and goes on when another leads, sends nothing any more, before it has found out what happened.
//!
//! What was on its way already may still arrive, and the time counted is that of this machine, which stands still while
//! all of it is suspended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// It is closed at first. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Fence(Arc<Mutex<Option<Instant>>>);

impl Fence {
    /// A renewal that was sent at `began` has succeeded.
    pub(super) fn renewed(&self, began: Instant, lease: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(began + lease);
    }

    /// Whether no other can lead yet.
    pub fn is_open(&self) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}
