//! What a test that fails says.

use std::fmt;
use std::time::Duration;

/// Why something did not come about. It reads the same by `{}` and `{:?}`, so that a test function which returns it, or
/// `anyhow::Error`, or a `Box<dyn Error>`, shows it as it is meant.
#[derive(thiserror::Error)]
pub enum Error {
    /// The cluster did not start; why.
    #[error("the cluster did not start: {0}")]
    Start(String),
    /// A manifest is none, or was refused.
    #[error(transparent)]
    Manifest(#[from] runtime::manifests::Misapplied),
    /// The API server did not do what it was asked for.
    #[error("{what}: {error}")]
    Api {
        /// What was asked for.
        what: String,
        /// What it said.
        error: kube::Error,
    },
    /// What was waited for did not come about.
    #[error("not within {} s: {what}; last seen: {last}{seen}", patience.as_secs())]
    Late {
        /// What was waited for.
        what: String,
        /// For how long.
        patience: Duration,
        /// What the last look saw.
        last: String,
        /// What is in the cluster; empty if nobody looked.
        seen: String,
    },
    /// Only a cluster in memory can do this.
    #[error("{0} needs a cluster in memory (Cluster::sim)")]
    OnlyInMemory(&'static str),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
