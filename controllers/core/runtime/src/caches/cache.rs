//! The objects of one kind, or traces of them.

use super::store::{Store, orphan_key};
use super::traces::Traces;
use super::{Change, Key};
use crate::slim::{self, slim};
use crate::trim::{self, Part};
use crate::watched::Watched;
use ahash::AHashSet;
use k8s_openapi::Metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::{Selector, meta};
use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// How long changes may wait for more of them, see [`super::Caches::leisurely`].
const LEISURE: Duration = Duration::from_millis(500);

type Listener<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;
/// Which values of an index an object is found under.
pub type IndexFn<K> = fn(&K) -> Vec<String>;

/// Who shows a state of an object.
#[derive(Clone, Copy)]
pub(super) enum By {
    /// A watch, which may be behind what is held.
    Watch,
    /// A list. It may be of an etcd that was restored from a backup: it is the truth, older or not.
    List,
}

impl By {
    /// Whether a state of this version is taken in where one of that version is `held`.
    pub(super) fn brings_news(self, held: Option<u64>, shown: Option<u64>) -> bool {
        match self {
            Self::Watch => shown > held,
            Self::List => shown != held,
        }
    }
}

/// What a state that is shown is to what is held.
pub(super) enum Said<K> {
    /// Nothing new.
    Before,
    /// New, of an object that is new or was held like this.
    New(Option<Arc<K>>),
    /// New, of an object in whose place there was this one before.
    InPlaceOf(Arc<K>),
}

/// What has been said of a list that is not complete.
struct Listed<K> {
    /// The objects that are there.
    keys: AHashSet<Key>,
    /// Those of them that have not been taken in.
    later: Vec<(Key, Arc<K>)>,
}

impl<K> Default for Listed<K> {
    fn default() -> Self {
        Self {
            keys: AHashSet::new(),
            later: Vec::new(),
        }
    }
}

/// All objects of one kind that this process sees.
pub struct Cache<K: Watched> {
    store: RwLock<Store<K>>,
    /// Somebody here looks objects up; otherwise there are traces of them, and nothing in the store.
    kept: AtomicBool,
    traces: Mutex<Traces>,
    listed: Mutex<Listed<K>>,
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
            listed: Mutex::default(),
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

    /// Whether objects are held, or traces of them only.
    pub(super) fn keep(&self, objects: bool) {
        self.kept.store(objects, Ordering::Relaxed);
    }

    /// Somebody only listens, and reads this of each object.
    pub(super) fn hears(&self, part: Part<'static>) {
        self.heard().push(part);
    }

    /// Somebody needs all of each object.
    pub(super) fn want_whole(&self) {
        self.whole.store(true, Ordering::Relaxed);
    }

    /// Nobody needs changes at once.
    pub(super) fn take_time(&self) {
        self.leisurely.store(true, Ordering::Relaxed);
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
        *self.listed() = Listed::default();
        self.lists_begun.fetch_add(1, Ordering::AcqRel);
    }

    /// An object as the watch or list shows it. Older states than the one held are ignored.
    pub(crate) fn apply(&self, object: K) {
        if let Some(version) = meta::resource_version(object.metadata()) {
            self.seen.fetch_max(version, Ordering::AcqRel);
        }
        let (key, object) = self.read_in(object);
        self.take_in(key, object, By::Watch);
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
        let (key, uid) = (Key::of(object.metadata()), meta::uid(object.metadata()));
        let gone = match self.is_kept() {
            true => self.write().end(&key, uid),
            false => {
                let known = self.traces().end(&key, uid);
                known.then(|| Arc::new(object.clone()))
            }
        };
        if let Some(gone) = gone {
            self.tell_gone(gone);
        }
        self.advanced.notify_waiters();
    }

    /// An object of a list that was begun. How far all has been seen does not follow from it.
    ///
    /// Of the first list each is taken in at once: nobody decides anything before it is complete. Those of a later one
    /// wait until then, as a half of it shows what never was: who has come in the meantime, and who has gone.
    pub(crate) fn list(&self, object: K) {
        let (key, object) = self.read_in(object);
        if self.is_synced() {
            let mut listed = self.listed();
            listed.keys.insert(key.clone());
            listed.later.push((key, object));
        } else {
            self.take_in(key.clone(), object, By::List);
            self.listed().keys.insert(key);
        }
    }

    /// The list is complete: what is not in it is gone, also where a watch event for that never came.
    pub(crate) fn finish_list(&self) {
        let listed = std::mem::take(&mut *self.listed());
        let gone = match self.is_kept() {
            true => self.read().missing(|key| listed.keys.contains(key)),
            false => self.traces().missing(|key| listed.keys.contains(key)),
        };
        for object in gone {
            self.remove(&object);
        }
        for (key, object) in listed.later {
            self.take_in(key, object, By::List);
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

    fn listed(&self) -> MutexGuard<'_, Listed<K>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Relaxed)
    }

    fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Relaxed)
    }

    /// What is kept of an object that was read, and its key.
    fn read_in(&self, mut object: K) -> (Key, Arc<K>) {
        if !self.is_whole() {
            slim(&mut object);
        }
        // What was read has spare room in each list, and holes where something was left out. A copy has neither, and
        // what it was made from leaves its place as a whole.
        let kept = Arc::new(object.clone());
        (Key::of(kept.metadata()), kept)
    }

    /// Takes in a state that was shown.
    fn take_in(&self, key: Key, new: Arc<K>, by: By) {
        let said = match self.is_kept() {
            true => self.write().see(key, &new, by),
            false => self.traces().see(key, new.metadata(), by),
        };
        let old = match said {
            Said::Before => return,
            Said::New(old) => old,
            Said::InPlaceOf(gone) => {
                self.tell_gone(gone);
                None
            }
        };
        self.tell(&Change {
            old,
            new: Some(new),
        });
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
        match self.is_kept() {
            true => self.read().is_going(key, uid),
            false => self.traces().is_going(key, uid),
        }
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
