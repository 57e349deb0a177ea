//! Read your writes: a loop acts on an object only after its caches have shown it what it did last time.
//! Nothing here expires after some minutes: a watch that is behind stays behind however long it takes
//! (upstream: `pkg/controller/util/consistency`, and what `ControllerExpectations` gets wrong).

use crate::caches::{Caches, Key};
use ahash::AHashMap;
use plan::{Done, Kind, Outcome};
use std::sync::{Mutex, PoisonError};

/// The writes of one controller that its caches may not have seen yet, by the object they were made for.
#[derive(Default)]
pub(crate) struct Ledger {
    owed: Mutex<AHashMap<Key, Owed>>,
}

struct Owed {
    /// The incarnation they were made for: another one of the same name owes nothing.
    uid: String,
    writes: Vec<Write>,
}

struct Write {
    kind: Kind,
    key: Key,
    uid: String,
    deleted: bool,
    version: u64,
    lists_begun: u64,
}

/// How many lists each cache had begun before a plan was executed.
pub(crate) type Marks = AHashMap<Kind, u64>;

impl Ledger {
    /// A kind of which something that was done for this object has not been seen yet.
    pub(crate) fn unseen(&self, caches: &Caches, key: &Key, uid: &str) -> Option<Kind> {
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = owed.get_mut(key)?;
        if entry.uid == uid {
            entry.writes.retain(|write| !is_seen(caches, write));
            if let Some(write) = entry.writes.first() {
                return Some(write.kind);
            }
        }
        owed.remove(key);
        None
    }

    /// Writes down what was done for the object `key`.
    pub(crate) fn enter(&self, key: &Key, uid: &str, marks: &Marks, outcome: &Outcome) {
        let writes = outcome.done.iter().filter_map(|done| write(done, marks));
        let writes: Vec<_> = writes.collect();
        if writes.is_empty() {
            return;
        }
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = owed.entry(key.clone()).or_insert_with(|| Owed {
            uid: uid.to_owned(),
            writes: Vec::new(),
        });
        if entry.uid != uid {
            uid.clone_into(&mut entry.uid);
            entry.writes.clear();
        }
        entry.writes.extend(writes);
    }

    /// The object is gone, and what was done for it does not matter any more.
    pub(crate) fn forget(&self, key: &Key) {
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        owed.remove(key);
    }
}

fn write(done: &Done, marks: &Marks) -> Option<Write> {
    let lists_begun = *marks.get(&done.on.kind)?;
    Some(Write {
        kind: done.on.kind,
        key: Key::new(&done.on.namespace, &done.on.name),
        uid: done.on.uid.clone(),
        deleted: done.verb == "delete",
        version: done.version?,
        lists_begun,
    })
}

fn is_seen(caches: &Caches, write: &Write) -> bool {
    let Some(cache) = caches.of_kind(&write.kind) else {
        return true;
    };
    if write.deleted {
        // A graceful deletion shows as a mark, any other as absence; its answer's version may be that of
        // the state before.
        return cache.is_going(&write.key, &write.uid);
    }
    cache.has_seen(write.version, write.lists_begun)
}
