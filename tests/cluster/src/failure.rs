//! What a test ends with, so that a failure is told in a few lines.

use crate::actor::{Actor, actor};
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

/// What a test about a bug of upstream's loops ends with: these must fail it, with `said` in their failure. If they
/// do not any more, it is a test like the others.
pub fn upstream_fails(bug: &str, said: &str, outcome: Outcome) -> Outcome {
    match (actor(), outcome) {
        (Actor::Upstream, Err(failure)) if failure.0.contains(said) => {
            println!("upstream fails, as {bug} says: {}", failure.0);
            Ok(())
        }
        (Actor::Upstream, Ok(())) => Err(Failure(format!("upstream does not have {bug} any more"))),
        (_, outcome) => outcome,
    }
}
