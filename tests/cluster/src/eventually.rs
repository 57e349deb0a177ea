//! Waiting for what loops bring about in their own time, as [`corten_test`] does it.

use anyhow::Result;
pub use corten_test::PATIENCE;
use std::time::Duration;

/// Asks `look` until it gives a value, and gives that. After [`PATIENCE`] it fails with `what` was waited
/// for and the error that `look` gave last, so that error should say what it saw.
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    within(PATIENCE, what, look).await
}

/// As [`eventually`], for what takes its time.
pub async fn within<T>(
    patience: Duration,
    what: &str,
    look: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    Ok(corten_test::within(patience, what, look).await?)
}
