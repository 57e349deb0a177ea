//! Waiting for what loops bring about in their own time.

use anyhow::{Result, anyhow};
use std::time::{Duration, Instant};

/// What has not come about after this long never will.
pub const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// Asks `look` until it gives a value, and gives that. After [`PATIENCE`] it fails with `what` was waited
/// for and the error that `look` gave last, so that error should say what it saw.
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    within(PATIENCE, what, look).await
}

/// As [`eventually`], for what takes its time.
pub async fn within<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(value) => return Ok(value),
            Err(last) if begun.elapsed() > patience => {
                let seconds = patience.as_secs();
                return Err(anyhow!(
                    "not within {seconds} s: {what}; last seen: {last:#}"
                ));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
