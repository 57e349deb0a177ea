//! What is known of objects that are not kept: enough to tell what is new, and what is gone.

use super::Key;
use super::cache::{By, Said};
use crate::watched::Watched;
use ahash::AHashMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::meta;
use std::sync::Arc;

/// One of each object.
#[derive(Default)]
pub(super) struct Traces(AHashMap<Key, Trace>);

struct Trace {
    uid: Box<str>,
    version: Option<u64>,
    going: bool,
}

impl Traces {
    /// An object as the watch or a list shows it.
    pub(super) fn see<K: Watched>(&mut self, key: Key, of: &ObjectMeta, by: By) -> Said<K> {
        let new = Trace {
            uid: meta::uid(of).into(),
            version: meta::resource_version(of),
            going: meta::is_deleting(of),
        };
        let Some(held) = self.0.get_mut(&key) else {
            self.0.insert(key, new);
            return Said::New(None);
        };
        if !by.brings_news(held.version, new.version) {
            return Said::Before;
        }
        let old = std::mem::replace(held, new);
        match old.uid == held.uid {
            true => Said::New(None),
            false => Said::InPlaceOf(bare(&key, &old)),
        }
    }

    /// The incarnation is gone; true if it was known.
    pub(super) fn end(&mut self, key: &Key, uid: &str) -> bool {
        let known = self.0.get(key).is_some_and(|held| *held.uid == *uid);
        known && self.0.remove(key).is_some()
    }

    /// Those that are not there any more.
    pub(super) fn missing<K: Watched>(&self, is_there: impl Fn(&Key) -> bool) -> Vec<Arc<K>> {
        let missing = self.0.iter().filter(|(key, _)| !is_there(key));
        missing.map(|(key, held)| bare(key, held)).collect()
    }

    /// The incarnation is not there, or is marked as being deleted.
    pub(super) fn is_going(&self, key: &Key, uid: &str) -> bool {
        let held = self.0.get(key).filter(|held| *held.uid == *uid);
        held.is_none_or(|held| held.going)
    }
}

/// An object of which no more is known than this.
fn bare<K: Watched>(key: &Key, held: &Trace) -> Arc<K> {
    let mut object = K::default();
    *object.metadata_mut() = ObjectMeta {
        name: Some(key.name.to_string()),
        namespace: (!key.namespace.is_empty()).then(|| key.namespace.to_string()),
        uid: Some(held.uid.to_string()),
        ..ObjectMeta::default()
    };
    Arc::new(object)
}
