//! What stands on the Lease besides who holds it: what its holder says of itself, and what others ask of it. Both are
//! annotations, written and read with the renewals, so that they cost no request.

use k8s_openapi::api::coordination::v1::Lease;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// Annotations of the Lease by their names.
pub type Notes = BTreeMap<String, String>;

/// The holder's side of them.
#[derive(Debug)]
pub(crate) struct Board {
    /// What the next write of the Lease adds.
    said: Mutex<Notes>,
    /// What stood there when the Lease was last read or written.
    seen: watch::Sender<Notes>,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            said: Mutex::default(),
            seen: watch::Sender::new(Notes::new()),
        }
    }
}

impl Board {
    /// From the next renewal on this stands there.
    pub(crate) fn say(&self, name: &str, value: String) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.insert(name.to_owned(), value);
    }

    /// What stood there last, and will.
    pub(crate) fn seen(&self) -> watch::Receiver<Notes> {
        self.seen.subscribe()
    }

    /// Adds what is to be said to a Lease that is about to be written.
    pub(super) fn add(&self, lease: &mut Lease) {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if !said.is_empty() {
            let all = lease.metadata.annotations.get_or_insert_default();
            all.extend(said.clone());
        }
    }

    /// Takes down what stands on a Lease that was read or written.
    pub(super) fn look(&self, lease: &Lease) {
        let notes = lease.metadata.annotations.clone().unwrap_or_default();
        self.seen.send_if_modified(|seen| {
            let is_new = *seen != notes;
            *seen = notes;
            is_new
        });
    }
}
