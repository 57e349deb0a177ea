//! Waiting for what loops bring about in their own time.

use crate::Error;
use std::fmt::Display;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What has not come about after this long never will.
pub const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// Asks `look` until it gives a value, and gives that. After `patience` it fails with `what` was waited for and the
/// error that `look` gave last, so that error should say what it saw.
///
/// # Errors
/// [`Error::Late`].
pub async fn within<T, E: Display>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, Error> {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(value) => return Ok(value),
            Err(last) if begun.elapsed() > patience => {
                return Err(Error::Late {
                    what: what.to_owned(),
                    patience,
                    last: format!("{last:#}"),
                    seen: String::new(),
                });
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}
