//! What the API server holds, as far as this process has seen it.
//!
//! One [`Cache`] a kind a process, filled by one watch ([`crate::informer`]) and shared by all loops.
//! Caches are read, never mutated by a reader; objects are handed out as `Arc`s.

mod cache;
mod store;
mod traces;

use crate::informer;
use crate::process::Process;
use crate::slim;
use crate::trim::Part;
use crate::watched::Watched;
use ahash::AHashMap;
use cache::AnyCache;
pub use cache::{Cache, IndexFn, MetaListener};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::meta;
use plan::Kind;
use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

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
        cache.keep(true);
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
        cache.hears(part.unwrap_or_else(slim::part::<K>));
        cache.listen(Box::new(move |change| match &change.new {
            Some(new) => listener(News::Is(new)),
            None => listener(News::Gone(change.latest().metadata())),
        }));
    }

    fn watched<K: Watched>(&self) -> Arc<Cache<K>> {
        let mut caches = self.0.caches.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = caches.entry(Kind::of::<K>()).or_insert_with(|| {
            let cache = Arc::new(Cache::<K>::new());
            cache.keep(false);
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
        cache.want_whole();
        cache
    }

    /// The cache of a kind, for those who do not need its changes at once: what comes within half a second is read
    /// together. For objects that change all the time, as the Leases of nodes do. To be called before
    /// [`Caches::start`].
    pub fn leisurely<K: Watched>(&self) -> Arc<Cache<K>> {
        let cache = self.of::<K>();
        cache.take_time();
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
