//! What the API server holds, as far as this process has seen it.
//!
//! One [`Cache`] a kind a process, filled by one watch ([`crate::informer`]) and shared by all loops.
//! Caches are read, never mutated by a reader; objects are handed out as `Arc`s.

mod store;
mod traces;

use crate::informer;
use crate::process::Process;
use crate::slim::{self, slim};
use crate::trim::{self, Part};
use crate::watched::Watched;
use ahash::{AHashMap, AHashSet};
use k8s_openapi::Metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::{Selector, meta};
use plan::Kind;
use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
};
use std::time::Duration;
use store::{Store, orphan_key};
use tokio::sync::Notify;
use traces::{Said, Traces};

/// How long changes may wait for more of them, see [`Caches::leisurely`].
const LEISURE: Duration = Duration::from_millis(500);

/// Namespace and name of an object; cluster-scoped ones have an empty namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Empty for cluster-scoped objects.
    pub namespace: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
}

impl Key {
    /// The key of an object of this namespace and name.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The key of the object that carries this metadata.
    pub fn of(meta: &ObjectMeta) -> Self {
        Self::new(meta::namespace(meta), meta::name(meta))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// One change of one object as the watch saw it: an addition has no `old`, a deletion no `new`. A
/// different UID under the same name is told as a deletion and an addition.
#[derive(Clone, Debug)]
pub struct Change<K> {
    /// The last state that was seen before.
    pub old: Option<Arc<K>>,
    /// The state now.
    pub new: Option<Arc<K>>,
}

impl<K: Watched> Change<K> {
    /// The metadata before and after, as far as they are there.
    pub fn metas(&self) -> impl Iterator<Item = &ObjectMeta> {
        self.old.iter().chain(&self.new).map(|o| o.metadata())
    }

    /// The state now, or the last one if it is gone.
    pub fn latest(&self) -> &Arc<K> {
        self.new
            .as_ref()
            .or(self.old.as_ref())
            .expect("a change has an old or a new state by construction")
    }
}

/// What one hears of an object who does not look it up.
#[derive(Debug)]
pub enum News<'a, K> {
    /// It is so now.
    Is(&'a Arc<K>),
    /// It is gone. No more may be known of it than its namespace, name and UID.
    Gone(&'a ObjectMeta),
}

type Listener<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;
/// Which values of an index an object is found under.
pub type IndexFn<K> = fn(&K) -> Vec<String>;

/// All objects of one kind that this process sees.
pub struct Cache<K: Watched> {
    store: RwLock<Store<K>>,
    /// Somebody here looks objects up; otherwise there are traces of them, and nothing in the store.
    kept: AtomicBool,
    traces: Mutex<Traces>,
    /// What those read of each object who only listen.
    heard: Mutex<Vec<Part<'static>>>,
    listeners: RwLock<Vec<Listener<K>>>,
    /// The highest resourceVersion that the watch has shown.
    seen: AtomicU64,
    /// How many complete lists have been begun and finished.
    lists_begun: AtomicU64,
    lists_done: AtomicU64,
    synced: AtomicBool,
    /// Somebody here needs all of each object.
    whole: AtomicBool,
    /// Nobody here needs changes at once.
    leisurely: AtomicBool,
    pub(crate) advanced: Notify,
}

impl<K: Watched> Cache<K> {
    pub(crate) fn new() -> Self {
        Self {
            store: RwLock::default(),
            traces: Mutex::default(),
            kept: AtomicBool::new(true),
            heard: Mutex::default(),
            listeners: RwLock::new(Vec::new()),
            seen: AtomicU64::new(0),
            lists_begun: AtomicU64::new(0),
            lists_done: AtomicU64::new(0),
            synced: AtomicBool::new(false),
            whole: AtomicBool::new(false),
            leisurely: AtomicBool::new(false),
            advanced: Notify::new(),
        }
    }

    /// The object of this namespace and name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.find(&Key::new(namespace, name))
    }

    /// The object of this key.
    pub fn find(&self, key: &Key) -> Option<Arc<K>> {
        self.read().get(key).cloned()
    }

    /// All objects of a namespace, in no order.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        self.read().in_namespace(namespace)
    }

    /// The objects of a namespace that are `wanted`, in no order: for few out of many. Others wait meanwhile that want
    /// to change the cache, so `wanted` must be quick.
    pub fn filter(&self, namespace: &str, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        self.read().filter(namespace, wanted)
    }

    /// The objects of a namespace that a selector selects, in no order. What it costs follows from how many have the
    /// rarest of the labels that it asks for, not from how many there are.
    pub fn select(&self, namespace: &str, selector: &Selector) -> Vec<Arc<K>> {
        if let Some(selected) = self.read().select(namespace, selector) {
            return selected;
        }
        self.write().label();
        let selected = self.read().select(namespace, selector);
        selected.expect("labels are indexed from the line before on")
    }

    /// All objects whose controller has this UID, in no order.
    pub fn owned_by(&self, uid: &str) -> Vec<Arc<K>> {
        self.read().owned_by(uid)
    }

    /// All objects of a namespace that have no controller, in no order: candidates for adoption.
    pub fn orphans(&self, namespace: &str) -> Vec<Arc<K>> {
        self.owned_by(&orphan_key(namespace))
    }

    /// All objects found under `value` in the index `name`, in no order. An index that was never declared
    /// has nothing in it.
    pub fn indexed(&self, name: &str, value: &str) -> Vec<Arc<K>> {
        self.read().indexed(name, value)
    }

    /// All objects, in no order.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.read()
            .iter()
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True once the first complete list is in.
    pub fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// The version up to which all changes have been seen, as far as the API server has said.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Acquire)
    }

    /// Declares an index; declaring it again changes nothing.
    pub fn index(&self, name: &'static str, values: IndexFn<K>) {
        self.write().index(name, values);
    }

    /// Calls `listener` at each change from now on, in the watch's task, and at once for what is already
    /// there.
    pub fn listen(&self, listener: Listener<K>) {
        let mut listeners = self
            .listeners
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for object in self.all() {
            listener(&Change {
                old: None,
                new: Some(object),
            });
        }
        listeners.push(listener);
    }

    // What the informer calls.

    pub(crate) fn pause(&self) -> Duration {
        match self.leisurely.load(Ordering::Relaxed) {
            true => LEISURE,
            false => Duration::ZERO,
        }
    }

    pub(crate) fn begin_list(&self) {
        self.lists_begun.fetch_add(1, Ordering::AcqRel);
    }

    /// An object as the watch or list shows it. Older states than the one held are ignored.
    pub(crate) fn apply(&self, object: K) {
        if let Some(version) = meta::resource_version(object.metadata()) {
            self.seen.fetch_max(version, Ordering::AcqRel);
        }
        self.put(object);
        self.advanced.notify_waiters();
    }

    /// The watch has shown all up to this version.
    pub(crate) fn reach(&self, version: &str) {
        if let Ok(version) = version.parse() {
            self.seen.fetch_max(version, Ordering::AcqRel);
            self.advanced.notify_waiters();
        }
    }

    pub(crate) fn remove(&self, object: &K) {
        if let Some(version) = meta::resource_version(object.metadata()) {
            self.seen.fetch_max(version, Ordering::AcqRel);
        }
        let key = Key::of(object.metadata());
        if !self.is_kept() {
            if self.traces().end(&key, meta::uid(object.metadata())) {
                self.tell_gone(Arc::new(object.clone()));
            }
            return self.advanced.notify_waiters();
        }
        let old = {
            let mut store = self.write();
            match store.get(&key) {
                Some(held) if held.metadata().uid == object.metadata().uid => store.take(&key),
                _ => None,
            }
        };
        if let Some(old) = old {
            self.tell_gone(old);
        }
        self.advanced.notify_waiters();
    }

    /// A complete list: what is not in it is gone, also where a watch event for that never came.
    pub(crate) fn finish_list(&self, listed: Vec<K>) {
        let present: AHashSet<Key> = listed.iter().map(|o| Key::of(o.metadata())).collect();
        let gone: Vec<Arc<K>> = match self.is_kept() {
            false => self.traces().missing(&present).map(bare).collect(),
            true => {
                let store = self.read();
                let missing = store.iter().filter(|(key, _)| !present.contains(key));
                missing.map(|(_, object)| object.clone()).collect()
            }
        };
        for object in gone {
            self.remove(&object);
        }
        for object in listed {
            // The list may be of an etcd that was restored from a backup: it is the truth, older or not.
            if let Some(version) = meta::resource_version(object.metadata()) {
                self.seen.fetch_max(version, Ordering::AcqRel);
            }
            self.put_any(object, true);
        }
        self.lists_done
            .store(self.lists_begun.load(Ordering::Acquire), Ordering::Release);
        self.synced.store(true, Ordering::Release);
        self.advanced.notify_waiters();
    }

    /// What is read of each object.
    pub(crate) fn part(&self) -> Part<'static> {
        match (self.is_whole(), &**self.heard()) {
            (true, _) => trim::OBJECT,
            (false, [part]) if !self.is_kept() => *part,
            (false, _) => slim::part::<K>(),
        }
    }

    fn heard(&self) -> MutexGuard<'_, Vec<Part<'static>>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn traces(&self) -> MutexGuard<'_, Traces> {
        self.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Relaxed)
    }

    fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Relaxed)
    }

    fn put(&self, object: K) {
        self.put_any(object, false);
    }

    fn put_any(&self, mut object: K, trusted: bool) {
        if !self.is_whole() {
            slim(&mut object);
        }
        // What was read has spare room in each list, and holes where something was left out. A copy has neither, and
        // what it was made from leaves its place as a whole.
        let new = Arc::new(object.clone());
        drop(object);
        let key = Key::of(new.metadata());
        if !self.is_kept() {
            let said = self.traces().see(key, new.metadata(), trusted);
            match said {
                Said::Before => return,
                Said::New => {}
                Said::InPlaceOf(gone) => self.tell_gone(bare(gone)),
            }
            return self.tell(&Change {
                old: None,
                new: Some(new),
            });
        }
        let old = {
            let mut store = self.write();
            if let Some(held) = store.get(&key) {
                let (ours, theirs) = (held.metadata(), new.metadata());
                let newer = meta::resource_version(theirs) > meta::resource_version(ours);
                if ours.resource_version == theirs.resource_version || !(newer || trusted) {
                    return;
                }
            }
            store.insert(key, new.clone())
        };
        match old {
            Some(old) if old.metadata().uid != new.metadata().uid => {
                self.tell_gone(old);
                self.tell(&Change {
                    old: None,
                    new: Some(new),
                });
            }
            old => self.tell(&Change {
                old,
                new: Some(new),
            }),
        }
    }

    fn tell_gone(&self, old: Arc<K>) {
        self.tell(&Change {
            old: Some(old),
            new: None,
        });
    }

    fn tell(&self, change: &Change<K>) {
        for listener in self
            .listeners
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            listener(change);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Store<K>> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Store<K>> {
        self.store.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An object of which no more is known than this.
fn bare<K: Watched>(known: ObjectMeta) -> Arc<K> {
    let mut object = K::default();
    *object.metadata_mut() = known;
    Arc::new(object)
}

// === impl AnyCache ===

/// What can be asked of a cache without knowing its type.
pub(crate) trait AnyCache: Any + Send + Sync {
    fn is_synced(&self) -> bool;
    /// The version up to which all changes have been seen.
    fn seen(&self) -> u64;
    /// The number of lists begun so far: a write that is committed after this number was read is in each
    /// list of a higher number.
    fn lists_begun(&self) -> u64;
    /// The watch has shown `version`, or a list that was begun after `lists_begun` is in.
    fn has_seen(&self, version: u64, lists_begun: u64) -> bool;
    /// The incarnation is not there, or is marked as being deleted.
    fn is_going(&self, key: &Key, uid: &str) -> bool;
    /// Calls `listener` with the metadata before and after at each change, and at once for what is there; false if
    /// that is not known.
    fn listen_meta(&self, listener: MetaListener) -> bool;
}

/// Looks at a change of the metadata of an object.
pub type MetaListener = Box<dyn Fn(Option<&ObjectMeta>, Option<&ObjectMeta>) + Send + Sync>;

impl<K: Watched> AnyCache for Cache<K> {
    fn is_synced(&self) -> bool {
        Cache::is_synced(self)
    }

    fn seen(&self) -> u64 {
        Cache::seen(self)
    }

    fn lists_begun(&self) -> u64 {
        self.lists_begun.load(Ordering::Acquire)
    }

    fn has_seen(&self, version: u64, lists_begun: u64) -> bool {
        self.seen.load(Ordering::Acquire) >= version
            || self.lists_done.load(Ordering::Acquire) > lists_begun
    }

    fn is_going(&self, key: &Key, uid: &str) -> bool {
        if !self.is_kept() {
            return self.traces().is_going(key, uid);
        }
        self.find(key).is_none_or(|held| {
            let held = held.metadata();
            held.uid.as_deref() != Some(uid) || meta::is_deleting(held)
        })
    }

    fn listen_meta(&self, listener: MetaListener) -> bool {
        if self.is_kept() {
            self.listen(Box::new(move |change| {
                let old = change.old.as_deref().map(Metadata::metadata);
                listener(old, change.new.as_deref().map(Metadata::metadata));
            }));
        }
        self.is_kept()
    }
}

// === impl Caches ===

/// The caches of a process, one a kind, made when first asked for.
#[derive(Clone)]
pub struct Caches(Arc<Inner>);

/// A reference to [`Caches`] that does not keep them alive.
#[derive(Clone)]
pub(crate) struct WeakCaches(Weak<Inner>);

struct Inner {
    process: Arc<Process>,
    caches: Mutex<AHashMap<Kind, Entry>>,
    started: AtomicBool,
}

struct Entry {
    cache: Arc<dyn AnyCache>,
    start: Option<Start>,
}

/// Begins the watch of a cache.
type Start = Box<dyn FnOnce(&Arc<Process>) + Send>;

impl Caches {
    pub(crate) fn new(process: Arc<Process>) -> Self {
        Self(Arc::new(Inner {
            process,
            caches: Mutex::default(),
            started: AtomicBool::new(false),
        }))
    }

    /// The cache of a kind. Its watch begins with [`Caches::start`], or now if that was called before.
    pub fn of<K: Watched>(&self) -> Arc<Cache<K>> {
        let cache = self.watched::<K>();
        cache.kept.store(true, Ordering::Relaxed);
        cache
    }

    /// Calls `listener` with what is new of a kind, for one who keeps of it what he needs and looks nothing up: if
    /// nobody in this process does, no object is kept here, and of each only `part` is read, or what pods are read of
    /// without one. To be called before [`Caches::start`]; [`Caches::unsynced`] tells when all that is there was told.
    pub fn hear<K: Watched>(
        &self,
        part: Option<Part<'static>>,
        listener: impl Fn(News<'_, K>) + Send + Sync + 'static,
    ) {
        let cache = self.watched::<K>();
        cache.heard().push(part.unwrap_or_else(slim::part::<K>));
        cache.listen(Box::new(move |change| match &change.new {
            Some(new) => listener(News::Is(new)),
            None => listener(News::Gone(change.latest().metadata())),
        }));
    }

    fn watched<K: Watched>(&self) -> Arc<Cache<K>> {
        let mut caches = self.0.caches.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = caches.entry(Kind::of::<K>()).or_insert_with(|| {
            let cache = Arc::new(Cache::<K>::new());
            cache.kept.store(false, Ordering::Relaxed);
            let watched = cache.clone();
            Entry {
                cache,
                start: Some(Box::new(move |process| informer::spawn(process, watched))),
            }
        });
        if self.0.started.load(Ordering::Acquire)
            && let Some(start) = entry.start.take()
        {
            start(&self.0.process);
        }
        let cache: Arc<dyn Any + Send + Sync> = entry.cache.clone();
        cache
            .downcast()
            .expect("the map's key is the kind of the cache")
    }

    /// The cache of a kind, for one who needs all of each object: others leave out what no decision is made from.
    /// To be called before [`Caches::start`]; objects that are there already stay as they are.
    pub fn whole<K: Watched>(&self) -> Arc<Cache<K>> {
        let cache = self.of::<K>();
        cache.whole.store(true, Ordering::Relaxed);
        cache
    }

    /// The cache of a kind, for those who do not need its changes at once: what comes within half a second is read
    /// together. For objects that change all the time, as the Leases of nodes do. To be called before
    /// [`Caches::start`].
    pub fn leisurely<K: Watched>(&self) -> Arc<Cache<K>> {
        let cache = self.of::<K>();
        cache.leisurely.store(true, Ordering::Relaxed);
        cache
    }

    pub(crate) fn of_kind(&self, kind: &Kind) -> Option<Arc<dyn AnyCache>> {
        let caches = self.0.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.get(kind).map(|entry| entry.cache.clone())
    }

    /// How many lists each cache has begun.
    pub(crate) fn marks(&self) -> AHashMap<Kind, u64> {
        let caches = self.0.caches.lock().unwrap_or_else(PoisonError::into_inner);
        let marks = caches
            .iter()
            .map(|(kind, entry)| (*kind, entry.cache.lists_begun()));
        marks.collect()
    }

    /// Begins all watches that have been asked for.
    pub fn start(&self) {
        let mut caches = self.0.caches.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.started.store(true, Ordering::Release);
        for entry in caches.values_mut() {
            if let Some(start) = entry.start.take() {
                start(&self.0.process);
            }
        }
    }

    /// True once [`Caches::start`] was called: all controllers have said by then what they watch.
    pub fn are_started(&self) -> bool {
        self.0.started.load(Ordering::Acquire)
    }

    /// Calls `listener` at each change of the metadata of an object of this group and plural, and at once for what is
    /// already there, if this process keeps such objects. Gives their kind as they are watched.
    pub fn listen_meta(&self, group: &str, plural: &str, listener: MetaListener) -> Option<Kind> {
        let caches = self.0.caches.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = caches.iter();
        let (kind, entry) =
            entries.find(|(kind, _)| kind.group == group && kind.plural == plural)?;
        let (kind, cache) = (*kind, entry.cache.clone());
        drop(caches);
        cache.listen_meta(listener).then_some(kind)
    }

    /// The version up to which all changes of a kind have been seen, if this process watches it.
    pub fn seen(&self, kind: &Kind) -> Option<u64> {
        self.of_kind(kind).map(|cache| cache.seen())
    }

    /// The kinds whose first list is not in yet.
    pub fn unsynced(&self) -> Vec<&'static str> {
        let caches = self.0.caches.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = caches.iter().filter(|(_, entry)| !entry.cache.is_synced());
        waiting.map(|(kind, _)| kind.kind).collect()
    }

    pub(crate) fn weak(&self) -> WeakCaches {
        WeakCaches(Arc::downgrade(&self.0))
    }
}

impl WeakCaches {
    pub(crate) fn upgrade(&self) -> Option<Caches> {
        self.0.upgrade().map(Caches)
    }
}

#[cfg(test)]
mod tests;
