//! What is known of objects that are not kept: enough to tell what is new, and what is gone.

use super::Key;
use ahash::{AHashMap, AHashSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::meta;

/// One of each object.
#[derive(Default)]
pub(super) struct Traces(AHashMap<Key, Trace>);

struct Trace {
    uid: Box<str>,
    version: Option<u64>,
    going: bool,
}

/// What a state of an object is.
pub(super) enum Said {
    /// Nothing new.
    Before,
    /// New, of an object that is new or was known before.
    New,
    /// New, of an object in whose place there was this one before.
    InPlaceOf(ObjectMeta),
}

impl Traces {
    /// An object as the watch or a list shows it; who is trusted may show an older state.
    pub(super) fn see(&mut self, key: Key, of: &ObjectMeta, trusted: bool) -> Said {
        let new = Trace {
            uid: meta::uid(of).into(),
            version: meta::resource_version(of),
            going: meta::is_deleting(of),
        };
        let Some(held) = self.0.get_mut(&key) else {
            self.0.insert(key, new);
            return Said::New;
        };
        if held.version == new.version || !(new.version > held.version || trusted) {
            return Said::Before;
        }
        let old = std::mem::replace(held, new);
        match old.uid == held.uid {
            true => Said::New,
            false => Said::InPlaceOf(bare(&key, &old)),
        }
    }

    /// The incarnation is gone; true if it was known.
    pub(super) fn end(&mut self, key: &Key, uid: &str) -> bool {
        let known = self.0.get(key).is_some_and(|held| *held.uid == *uid);
        known && self.0.remove(key).is_some()
    }

    /// Those that are not among these.
    pub(super) fn missing(&self, present: &AHashSet<Key>) -> impl Iterator<Item = ObjectMeta> {
        let missing = self.0.iter().filter(|(key, _)| !present.contains(key));
        missing.map(|(key, held)| bare(key, held))
    }

    /// The incarnation is not there, or is marked as being deleted.
    pub(super) fn is_going(&self, key: &Key, uid: &str) -> bool {
        let held = self.0.get(key).filter(|held| *held.uid == *uid);
        held.is_none_or(|held| held.going)
    }
}

fn bare(key: &Key, held: &Trace) -> ObjectMeta {
    ObjectMeta {
        name: Some(key.name.to_string()),
        namespace: (!key.namespace.is_empty()).then(|| key.namespace.to_string()),
        uid: Some(held.uid.to_string()),
        ..ObjectMeta::default()
    }
}
