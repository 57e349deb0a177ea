//! What a test ends with, so that a failure is told in a few lines.

use std::fmt;

/// What a test function returns.
pub type Outcome = Result<(), Failure>;

/// Why a test failed: the chain of an error, a cause a line, and no backtrace, whatever
/// `RUST_BACKTRACE` says. One of a waiting async test shows the executor and nothing else.
pub struct Failure(String);

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let causes: Vec<_> = error.chain().map(ToString::to_string).collect();
        Self(causes.join("\n  because of: "))
    }
}

// The test harness prints it this way.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
