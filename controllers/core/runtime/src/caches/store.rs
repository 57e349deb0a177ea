//! The objects of a cache, and what they are found by.

use super::Key;
use super::cache::{By, IndexFn, Said};
use crate::watched::Watched;
use ahash::{AHashMap, AHashSet, RandomState};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::{Selector, meta};
use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;

/// The keys found under each value.
type Index = AHashMap<String, AHashSet<Key>>;

pub(super) struct Store<K> {
    objects: AHashMap<Key, Arc<K>>,
    namespaces: AHashMap<Arc<str>, AHashSet<Key>>,
    owners: Index,
    indexes: Vec<(&'static str, IndexFn<K>, Index)>,
    /// Kept from the first question on that it helps to answer.
    labels: Option<Labels>,
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self {
            objects: AHashMap::new(),
            namespaces: AHashMap::new(),
            owners: Index::new(),
            indexes: Vec::new(),
            labels: None,
        }
    }
}

impl<K: Watched> Store<K> {
    pub(super) fn get(&self, key: &Key) -> Option<&Arc<K>> {
        self.objects.get(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Arc<K>)> {
        self.objects.iter()
    }

    /// An object as the watch or a list shows it.
    pub(super) fn see(&mut self, key: Key, object: &Arc<K>, by: By) -> Said<K> {
        let version = |object: &Arc<K>| meta::resource_version(object.metadata());
        if let Some(held) = self.objects.get(&key)
            && !by.brings_news(version(held), version(object))
        {
            return Said::Before;
        }
        match self.insert(key, object.clone()) {
            Some(old) if old.metadata().uid != object.metadata().uid => Said::InPlaceOf(old),
            old => Said::New(old),
        }
    }

    /// The incarnation is gone; gives it as it was held, if it was.
    pub(super) fn end(&mut self, key: &Key, uid: &str) -> Option<Arc<K>> {
        let held = self.objects.get(key)?;
        let known = meta::uid(held.metadata()) == uid;
        known.then(|| self.take(key)).flatten()
    }

    /// Those that are not there any more.
    pub(super) fn missing(&self, is_there: impl Fn(&Key) -> bool) -> Vec<Arc<K>> {
        let missing = self.iter().filter(|(key, _)| !is_there(key));
        missing.map(|(_, object)| object.clone()).collect()
    }

    /// The incarnation is not there, or is marked as being deleted.
    pub(super) fn is_going(&self, key: &Key, uid: &str) -> bool {
        let held = self.get(key).map(|held| held.metadata());
        let held = held.filter(|held| meta::uid(held) == uid);
        held.is_none_or(meta::is_deleting)
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(super) fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        self.filter(namespace, |_| true)
    }

    pub(super) fn filter(&self, namespace: &str, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let here = self.namespaces.get(namespace).map_or(0, |keys| keys.len());
        if here * 2 <= self.objects.len() {
            let keys = self.namespaces.get(namespace);
            let objects = self.resolve(keys);
            return objects.filter(|object| wanted(object)).cloned().collect();
        }
        // One after another is quicker than to look up each.
        let all = self.objects.iter();
        let here = all.filter(|(key, object)| &*key.namespace == namespace && wanted(object));
        here.map(|(_, object)| object.clone()).collect()
    }

    /// What a selector selects. None where labels would have to be indexed first.
    pub(super) fn select(&self, namespace: &str, selector: &Selector) -> Option<Vec<Arc<K>>> {
        let selected = |object: &K| selector.matches(object.metadata().labels.as_ref());
        let mut pairs = selector.pairs().peekable();
        if pairs.peek().is_none() {
            return Some(self.filter(namespace, selected));
        }
        let labels = self.labels.as_ref()?;
        let found = pairs.map(|pair| labels.keys.get(&labels.digest(namespace, pair)));
        // All have to have each of the labels: the rarest one says the most.
        let rarest = found.min_by_key(|keys| keys.map_or(0, |keys| keys.len()));
        let objects = self.resolve(rarest.flatten());
        // Another label may have the same digest.
        let wanted = objects
            .filter(|object| meta::namespace(object.metadata()) == namespace && selected(object));
        Some(wanted.cloned().collect())
    }

    /// Indexes labels from now on.
    pub(super) fn label(&mut self) {
        let mut labels = Labels::default();
        for (key, object) in &self.objects {
            labels.add(key, object.metadata().labels.as_ref());
        }
        self.labels.get_or_insert(labels);
    }

    pub(super) fn owned_by(&self, uid: &str) -> Vec<Arc<K>> {
        self.resolve(self.owners.get(uid)).cloned().collect()
    }

    pub(super) fn indexed(&self, name: &str, value: &str) -> Vec<Arc<K>> {
        let index = self.indexes.iter().find(|(n, ..)| *n == name);
        let keys = index.and_then(|(_, _, index)| index.get(value));
        self.resolve(keys).cloned().collect()
    }

    fn resolve<'a>(&'a self, keys: Option<&'a AHashSet<Key>>) -> impl Iterator<Item = &'a Arc<K>> {
        let keys = keys.into_iter().flatten();
        keys.filter_map(|key| self.objects.get(key))
    }

    /// Declares an index; declaring it again changes nothing.
    pub(super) fn index(&mut self, name: &'static str, values: IndexFn<K>) {
        if self.indexes.iter().any(|(n, ..)| *n == name) {
            return;
        }
        let mut index = Index::new();
        for (key, object) in &self.objects {
            for value in values(object) {
                add(&mut index, value, key);
            }
        }
        self.indexes.push((name, values, index));
    }

    /// Puts an object in, and gives the one whose place it takes. Most changes of an object change nothing that it is
    /// found by.
    fn insert(&mut self, key: Key, object: Arc<K>) -> Option<Arc<K>> {
        let Some(held) = self.objects.get_mut(&key) else {
            self.find_by(&key, &object);
            self.objects.insert(key, object);
            return None;
        };
        let old = std::mem::replace(held, object.clone());
        let (was, is) = (old.metadata(), object.metadata());
        if owner(was) != owner(is) {
            drop_key(&mut self.owners, &owner_key(was), &key);
            add(&mut self.owners, owner_key(is), &key);
        }
        if let Some(labels) = &mut self.labels
            && was.labels != is.labels
        {
            labels.take(&key, was.labels.as_ref());
            labels.add(&key, is.labels.as_ref());
        }
        for (_, values, index) in &mut self.indexes {
            let (was, is) = (values(&old), values(&object));
            if was == is {
                continue;
            }
            for value in was {
                drop_key(index, &value, &key);
            }
            for value in is {
                add(index, value, &key);
            }
        }
        Some(old)
    }

    fn find_by(&mut self, key: &Key, object: &K) {
        let meta = object.metadata();
        add(&mut self.namespaces, key.namespace.clone(), key);
        add(&mut self.owners, owner_key(meta), key);
        if let Some(labels) = &mut self.labels {
            labels.add(key, meta.labels.as_ref());
        }
        for (_, values, index) in &mut self.indexes {
            for value in values(object) {
                add(index, value, key);
            }
        }
    }

    fn take(&mut self, key: &Key) -> Option<Arc<K>> {
        let object = self.objects.remove(key)?;
        let meta = object.metadata();
        drop_key(&mut self.namespaces, &key.namespace, key);
        drop_key(&mut self.owners, &owner_key(meta), key);
        if let Some(labels) = &mut self.labels {
            labels.take(key, meta.labels.as_ref());
        }
        for (_, values, index) in &mut self.indexes {
            for value in values(&object) {
                drop_key(index, &value, key);
            }
        }
        Some(object)
    }
}

/// The keys of the objects that have a label, by namespace, key and value: all three as one digest, as there are
/// several for each object.
#[derive(Default)]
struct Labels {
    keys: AHashMap<u64, AHashSet<Key>>,
    state: RandomState,
}

impl Labels {
    fn digest(&self, namespace: &str, label: (&str, &str)) -> u64 {
        self.state.hash_one((namespace, label))
    }

    fn add(&mut self, key: &Key, labels: Option<&BTreeMap<String, String>>) {
        for (name, value) in labels.into_iter().flatten() {
            let digest = self.digest(&key.namespace, (name, value));
            add(&mut self.keys, digest, key);
        }
    }

    fn take(&mut self, key: &Key, labels: Option<&BTreeMap<String, String>>) {
        for (name, value) in labels.into_iter().flatten() {
            let digest = self.digest(&key.namespace, (name, value));
            drop_key(&mut self.keys, &digest, key);
        }
    }
}

fn add<I: Hash + Eq>(index: &mut AHashMap<I, AHashSet<Key>>, value: I, key: &Key) {
    index.entry(value).or_default().insert(key.clone());
}

fn drop_key<I: Hash + Eq>(index: &mut AHashMap<I, AHashSet<Key>>, value: &I, key: &Key) {
    if let Some(keys) = index.get_mut(value) {
        keys.remove(key);
        if keys.is_empty() {
            index.remove(value);
        }
    }
}

fn owner(meta: &ObjectMeta) -> Option<&str> {
    meta::controller_of(meta).map(|owner| owner.uid.as_str())
}

/// UID of the controller; objects without one are found under their namespace.
fn owner_key(meta: &ObjectMeta) -> String {
    match owner(meta) {
        Some(uid) => uid.to_owned(),
        None => orphan_key(meta::namespace(meta)),
    }
}

pub(super) fn orphan_key(namespace: &str) -> String {
    format!("orphans of {namespace}")
}
