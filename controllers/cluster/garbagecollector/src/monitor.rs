//! Keeps a watch on every kind of which objects can be collected, as kinds come and go.

use crate::SYNC_ERRORS;
use crate::collect::Collector;
use crate::graph::Seen;
use ::plan::Kind;
use ahash::AHashMap;
use runtime::meta::{MetaWatch, Told};
use runtime::metrics::Metrics;
use runtime::served::{Served, Table};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How often it is asked what is served (upstream: `Sync` is given 30 s).
const PERIOD: Duration = Duration::from_secs(30);
/// How long after a change of a CustomResourceDefinition or an APIService: by then it is served, mostly.
const SOON: Duration = Duration::from_secs(1);
/// While it cannot be asked at all.
const RETRY: Duration = Duration::from_millis(500);
/// A kind that has not been listed by then cannot be: the others do not wait for it
/// (upstream: `initialSyncTimeout`).
const PATIENCE: Duration = Duration::from_secs(30);

/// The watches by group and plural.
type Watches = AHashMap<(&'static str, &'static str), Watch>;

struct Watch {
    kind: Kind,
    since: Instant,
    listed: Arc<AtomicBool>,
    /// None for kinds that this process watches anyway.
    meta: Option<MetaWatch>,
}

/// Runs until the process ends.
pub(crate) async fn run(collector: Arc<Collector>, metrics: Metrics) {
    let caches = collector.runtime.caches();
    while !caches.are_started() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut watches = Watches::new();
    loop {
        let wait = match collector.reads.served().await {
            Ok(answers) => {
                let kinds = {
                    let mut table = collector
                        .table
                        .write()
                        .unwrap_or_else(PoisonError::into_inner);
                    *table = Table::new(&answers, &table);
                    table.collectable()
                };
                keep(&collector, &mut watches, &kinds);
                PERIOD
            }
            Err(error) => {
                metrics.record(&[SYNC_ERRORS.of(1.0)]);
                tracing::debug!(%error, "what is served cannot be read");
                if watches.is_empty() { RETRY } else { PERIOD }
            }
        };
        let until = Instant::now() + wait;
        while Instant::now() < until {
            let listed = is_listed(&collector, &watches);
            collector.listed.store(listed, Ordering::Release);
            let step = if listed {
                wait
            } else {
                Duration::from_millis(20)
            };
            let left = until.saturating_duration_since(Instant::now());
            let changed = collector.kinds_changed.notified();
            if timeout(step.min(left), changed).await.is_ok() {
                tokio::time::sleep(SOON).await;
                break;
            }
        }
    }
}

/// Begins the watches that are missing and ends those of kinds that are gone.
fn keep(
    collector: &Arc<Collector>,
    watches: &mut Watches,
    kinds: &AHashMap<(&'static str, &'static str), Served>,
) {
    watches.retain(|place, watch| {
        let stays = match kinds.get(place) {
            Some(served) => served.kind == watch.kind || watch.meta.is_none(),
            None => false,
        };
        if !stays && !kinds.contains_key(place) {
            tracing::debug!(
                kind = watch.kind.kind,
                group = watch.kind.group,
                "no longer served"
            );
            collector.learn(|graph| graph.forget(watch.kind));
        }
        stays
    });
    for (place, served) in kinds {
        if !watches.contains_key(place) {
            watches.insert(*place, begin(collector, *served));
        }
    }
}

fn begin(collector: &Arc<Collector>, served: Served) -> Watch {
    let Served {
        kind, namespaced, ..
    } = served;
    let listed = Arc::new(AtomicBool::new(false));
    let this = Arc::downgrade(collector);
    let caches = collector.runtime.caches();
    let cached = caches.listen_meta(
        kind.group,
        kind.plural,
        Box::new(move |old, new| {
            let Some(this) = this.upgrade() else { return };
            this.learn(|graph| match (old, new) {
                (_, Some(new)) => graph.put(kind, new),
                (Some(old), None) => graph.gone(old.uid.as_deref().unwrap_or_default()),
                (None, None) => Vec::new(),
            });
        }),
    );
    let meta = cached.is_none().then(|| {
        let (this, listed) = (Arc::downgrade(collector), listed.clone());
        let tell = move |told: Told| {
            let Some(this) = this.upgrade() else { return };
            this.learn(|graph| match &told {
                Told::All(metas) => graph.all(kind, metas),
                Told::Put(meta) => graph.put(kind, Seen::from(meta)),
                Told::Gone(meta) => graph.gone(&meta.uid),
            });
            listed.store(true, Ordering::Release);
            if says_what_is_served(kind) {
                this.kinds_changed.notify_one();
            }
        };
        collector.runtime.watch_meta(kind, namespaced, tell)
    });
    if meta.is_none() {
        listed.store(true, Ordering::Release);
    }
    Watch {
        kind,
        since: Instant::now(),
        listed,
        meta,
    }
}

fn says_what_is_served(kind: Kind) -> bool {
    let places = [
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        ("apiregistration.k8s.io", "apiservices"),
    ];
    places.contains(&(kind.group, kind.plural))
}

/// Whether all that can be listed is: what has not been seen may be the dependents of anything.
fn is_listed(collector: &Collector, watches: &Watches) -> bool {
    let known =
        |watch: &Watch| watch.listed.load(Ordering::Acquire) || watch.since.elapsed() > PATIENCE;
    let caches = collector.runtime.caches().unsynced().is_empty();
    !watches.is_empty() && watches.values().all(known) && (caches || collector.is_listed())
}
