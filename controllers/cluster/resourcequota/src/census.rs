//! How many objects there are of kinds that only quotas make anyone count.
//!
//! Upstream watches every kind that the API server has. Here a kind is watched when the first quota names it, and of
//! its objects only the metadata.

use crate::tally::devices::Devices;
use crate::tally::{Count, Place};
use ::plan::Kind;
use ahash::AHashMap;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_openapi::api::resource::v1::{DeviceClass, ResourceClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::meta;
use runtime::meta::{MetaWatch, Told};
use runtime::served::{Served, Table};
use runtime::{Caches, Key, Queue, Reads, Runtime};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// How often it is asked what is served, at most, if all that is needed is known.
const PERIOD: SignedDuration = SignedDuration::from_secs(30);
/// If something is not.
const SOON: SignedDuration = SignedDuration::from_secs(1);

/// Counts objects. Clones are the same.
#[derive(Clone)]
pub(crate) struct Census(Arc<Inner>);

struct Inner {
    runtime: Runtime,
    reads: Reads,
    queue: OnceLock<Queue>,
    state: Mutex<State>,
    /// Set once ResourceClaims are listened to.
    devices: OnceLock<()>,
    /// Held by whoever asks what is served: the others wait for the answer.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    table: Table,
    served: AHashMap<(&'static str, &'static str), Served>,
    asked: Option<Timestamp>,
    /// When it was asked last in vain.
    tried: Option<Timestamp>,
    kinds: AHashMap<Place, Counted>,
}

struct Counted {
    served: Served,
    /// How this process watches the kind, if it does anyway.
    cached: Option<Kind>,
    objects: Arc<Mutex<Objects>>,
    /// For kinds that nobody else here watches.
    _watch: Option<MetaWatch>,
}

/// The objects of one kind.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    listed: bool,
    version: u64,
    namespaces: AHashMap<String, Arc<str>>,
    counts: AHashMap<Arc<str>, usize>,
}

impl Census {
    pub(crate) fn new(runtime: &Runtime) -> Self {
        Self(Arc::new(Inner {
            reads: runtime.reads(),
            runtime: runtime.clone(),
            queue: OnceLock::new(),
            state: Mutex::default(),
            devices: OnceLock::new(),
            asking: tokio::sync::Mutex::new(()),
        }))
    }

    /// Quotas that a change concerns go into this queue.
    pub(crate) fn wakes(&self, queue: Queue) {
        // A controller is run once.
        let _ = self.0.queue.set(queue);
    }

    /// Makes sure that it is known what is served, as far as `places` need it.
    pub(crate) async fn learn(&self, places: &BTreeSet<Place>) {
        let inner = &self.0;
        let _asking = inner.asking.lock().await;
        let now = inner.runtime.now();
        if !inner.state().is_due(places, now) {
            return;
        }
        match inner.reads.served().await {
            Ok(answers) => {
                let mut state = inner.state();
                state.table = Table::new(&answers, &state.table);
                state.served = state.table.collectable();
                let State { served, kinds, .. } = &mut *state;
                kinds.retain(|(plural, group), counted| {
                    served.get(&(group.as_str(), plural.as_str())) == Some(&counted.served)
                });
                state.asked = Some(now);
            }
            Err(error) => {
                tracing::debug!(%error, "what is served cannot be read");
                inner.state().tried = Some(now);
            }
        }
    }

    /// The ResourceClaims of a namespace, and all device classes. The first question begins to watch them.
    pub(crate) fn devices(&self, namespace: &str) -> Devices {
        let (asked, served) = {
            let state = self.0.state();
            let found = state.table.find("resource.k8s.io/v1", "ResourceClaim");
            let served = found.is_some_and(|served| served.kind.version == "v1");
            (state.asked.is_some(), served)
        };
        let mut devices = Devices {
            served,
            unlisted: !asked,
            ..Devices::default()
        };
        if served {
            let caches = self.0.runtime.caches();
            self.0.devices.get_or_init(|| self.listen_to_devices());
            let (claims, classes) = (caches.of::<ResourceClaim>(), caches.of::<DeviceClass>());
            devices.unlisted = !(claims.is_synced() && classes.is_synced());
            devices.claims = claims.in_namespace(namespace);
            devices.classes = classes.all();
        }
        devices
    }

    /// The version up to which ResourceClaims are known.
    pub(crate) fn devices_seen(&self) -> u64 {
        match self.0.devices.get() {
            Some(()) => self.0.runtime.caches().of::<ResourceClaim>().seen(),
            None => 0,
        }
    }

    fn listen_to_devices(&self) {
        let caches = self.0.runtime.caches();
        let this = Arc::downgrade(&self.0);
        caches.of::<ResourceClaim>().listen(Box::new(move |change| {
            if let Some(this) = this.upgrade() {
                this.wake(&[meta::namespace(&change.latest().metadata).into()]);
            }
        }));
        let this = Arc::downgrade(&self.0);
        caches.of::<DeviceClass>().listen(Box::new(move |_| {
            if let Some(this) = this.upgrade()
                && let Some(queue) = this.queue.get()
            {
                for quota in this.runtime.caches().of::<ResourceQuota>().all() {
                    queue.add(Key::of(&quota.metadata));
                }
            }
        }));
    }

    /// How many objects of a kind there are in a namespace, and up to which version that is known. The first question
    /// begins to watch the kind.
    pub(crate) fn count(&self, place: &Place, namespace: &str) -> (Count, u64) {
        let mut state = self.0.state();
        if state.asked.is_none() {
            return (Count::Unlisted, 0);
        }
        let known = (place.1.as_str(), place.0.as_str());
        let Some(served) = state.served.get(&known).copied().filter(|s| s.namespaced) else {
            return (Count::Unserved, u64::MAX);
        };
        let counted = state
            .kinds
            .entry(place.clone())
            .or_insert_with(|| self.begin(served));
        let (objects, cached) = (counted.objects.clone(), counted.cached);
        drop(state);
        let objects = objects.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, version) = objects.count(namespace);
        // A cache has seen more than the versions of its objects.
        let seen = cached.and_then(|kind| self.0.runtime.caches().seen(&kind));
        (count, seen.unwrap_or(version))
    }

    fn begin(&self, served: Served) -> Counted {
        let kind = served.kind;
        let objects = Arc::new(Mutex::new(Objects::default()));
        let (this, weak) = (Arc::downgrade(&self.0), Arc::downgrade(&objects));
        let learn = move |change: &mut dyn FnMut(&mut Objects) -> Vec<Arc<str>>| {
            let (Some(this), Some(objects)) = (this.upgrade(), weak.upgrade()) else {
                return;
            };
            let namespaces = change(&mut objects.lock().unwrap_or_else(PoisonError::into_inner));
            this.wake(&namespaces);
        };
        let caches = self.0.runtime.caches();
        let shared = learn.clone();
        let cached = caches.listen_meta(
            kind.group,
            kind.plural,
            Box::new(move |old, new| {
                shared(&mut |objects| match (old, new) {
                    (_, Some(new)) => objects.put(
                        meta::uid(new),
                        meta::namespace(new),
                        meta::resource_version(new),
                    ),
                    (Some(old), None) => objects.gone(meta::uid(old), version(old)),
                    (None, None) => Vec::new(),
                });
            }),
        );
        let watch = cached.is_none().then(|| {
            let tell = move |told: Told| {
                learn(&mut |objects| match &told {
                    Told::All(metas) => objects.all(metas.iter().map(|m| {
                        (
                            m.uid.as_str(),
                            m.namespace.as_str(),
                            m.resource_version.parse().ok(),
                        )
                    })),
                    Told::Put(m) => {
                        objects.put(&m.uid, &m.namespace, m.resource_version.parse().ok())
                    }
                    Told::Gone(m) => objects.gone(&m.uid, m.resource_version.parse().ok()),
                });
            };
            self.0.runtime.watch_meta(kind, true, tell)
        });
        if cached.is_some() {
            objects
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .listed = true;
        }
        Counted {
            served,
            cached,
            objects,
            _watch: watch,
        }
    }
}

fn version(meta: &ObjectMeta) -> Option<u64> {
    meta::resource_version(meta)
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The quotas of these namespaces are to be counted anew.
    fn wake(&self, namespaces: &[Arc<str>]) {
        if let Some(queue) = self.queue.get() {
            for namespace in namespaces {
                wake(self.runtime.caches(), queue, namespace);
            }
        }
    }
}

/// The quotas of a namespace are to be counted anew.
pub(crate) fn wake(caches: &Caches, queue: &Queue, namespace: &str) {
    for quota in caches.of::<ResourceQuota>().in_namespace(namespace) {
        queue.add(Key::of(&quota.metadata));
    }
}

impl State {
    fn is_due(&self, places: &BTreeSet<Place>, now: Timestamp) -> bool {
        if self
            .tried
            .is_some_and(|tried| now.duration_since(tried) < SOON)
        {
            return false;
        }
        let Some(asked) = self.asked else {
            return true;
        };
        let unknown = places
            .iter()
            .any(|(plural, group)| !self.served.contains_key(&(group.as_str(), plural.as_str())));
        now.duration_since(asked) >= if unknown { SOON } else { PERIOD }
    }
}

impl Objects {
    pub(crate) fn count(&self, namespace: &str) -> (Count, u64) {
        match self.listed {
            false => (Count::Unlisted, self.version),
            true => {
                let count = self.counts.get(namespace).copied().unwrap_or_default();
                (Count::Known(count), self.version)
            }
        }
    }

    /// All that there are. Gives the namespaces in which there are others than before, and on the first list all.
    pub(crate) fn all<'a>(
        &mut self,
        all: impl Iterator<Item = (&'a str, &'a str, Option<u64>)>,
    ) -> Vec<Arc<str>> {
        let before = std::mem::take(&mut self.counts);
        self.namespaces.clear();
        for (uid, namespace, version) in all {
            self.put(uid, namespace, version);
        }
        self.listed = true;
        let names: BTreeSet<&Arc<str>> = before.keys().chain(self.counts.keys()).collect();
        let differs = |name: &&Arc<str>| before.get(*name) != self.counts.get(*name);
        names.into_iter().filter(differs).cloned().collect()
    }

    pub(crate) fn put(
        &mut self,
        uid: &str,
        namespace: &str,
        version: Option<u64>,
    ) -> Vec<Arc<str>> {
        self.version = self.version.max(version.unwrap_or_default());
        if self.namespaces.contains_key(uid) {
            return Vec::new();
        }
        let known = self.counts.get_key_value(namespace);
        let namespace = known.map_or_else(|| namespace.into(), |(name, _)| name.clone());
        *self.counts.entry(namespace.clone()).or_default() += 1;
        self.namespaces.insert(uid.to_owned(), namespace.clone());
        vec![namespace]
    }

    pub(crate) fn gone(&mut self, uid: &str, version: Option<u64>) -> Vec<Arc<str>> {
        self.version = self.version.max(version.unwrap_or_default());
        let Some(namespace) = self.namespaces.remove(uid) else {
            return Vec::new();
        };
        if let Some(count) = self.counts.get_mut(&namespace) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&namespace);
            }
        }
        vec![namespace]
    }
}
