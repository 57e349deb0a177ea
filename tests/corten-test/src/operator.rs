//! An operator under test, while it runs.

use tokio::task::{JoinHandle, spawn};

/// An operator that [`crate::Cluster::run`] started. It ends when this is dropped.
#[derive(Debug)]
#[must_use = "it ends when this is dropped"]
pub struct Operator {
    task: JoinHandle<()>,
}

impl Operator {
    pub(crate) fn start(operator: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            task: spawn(operator),
        }
    }

    /// Ends it in the middle of whatever it does, as a kill would.
    pub fn kill(self) {
        drop(self);
    }

    /// Whether it has ended by itself, which an operator does not.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.task.abort();
    }
}
