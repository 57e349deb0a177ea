//! Fills a [`Cache`] from a watch and keeps it filled.
//!
//! Deletions that happened while the watch was broken are told (the new list is compared with the old by UID), an
//! expired version leads to a new list, and a server that is away is asked again with back-off.

use crate::caches::Cache;
use crate::process::Process;
use crate::watch::{Error, Readable, Said, Source};
use crate::watched::Watched;
use k8s_openapi::{NamespaceResourceScope, Resource};
use std::any::TypeId;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// After this many errors in a row the watch is begun anew, with a list.
const PATIENCE: u32 = 4;

/// Where what a watch says goes.
pub(crate) trait Sink: Sync {
    /// What it takes.
    type Item: Readable;

    /// A list is asked for.
    fn begin_list(&self) {}

    /// A list that is complete: what is not in it is gone.
    fn finish_list(&self, listed: Vec<Self::Item>);

    /// An object is new or has changed.
    fn apply(&self, object: Self::Item);

    /// An object is gone; this was its last state.
    fn remove(&self, object: &Self::Item);

    /// All up to this version has been said.
    fn reach(&self, version: &str) {
        let _ = version;
    }

    /// How long what is said may wait for more to be read together with it.
    fn pause(&self) -> Duration {
        Duration::ZERO
    }

    /// The resourceVersion of an object.
    fn version(object: &Self::Item) -> Option<&String>;
}

impl<K: Watched> Sink for Cache<K> {
    type Item = K;

    fn begin_list(&self) {
        Cache::begin_list(self);
    }

    fn finish_list(&self, listed: Vec<K>) {
        Cache::finish_list(self, listed);
    }

    fn apply(&self, object: K) {
        Cache::apply(self, object);
    }

    fn remove(&self, object: &K) {
        Cache::remove(self, object);
    }

    fn reach(&self, version: &str) {
        Cache::reach(self, version);
    }

    fn pause(&self) -> Duration {
        Cache::pause(self)
    }

    fn version(object: &K) -> Option<&String> {
        object.metadata().resource_version.as_ref()
    }
}

pub(crate) fn spawn<K: Watched>(process: &Arc<Process>, cache: Arc<Cache<K>>) {
    let name = format!("watch {}", <K as Resource>::KIND);
    let this = process.clone();
    process.spawn(name, async move {
        let client = this.client().clone();
        let source = Source::<K>::new(client, namespace::<K>(&this), cache.part());
        loop {
            follow(&this, <K as Resource>::KIND, &source, &*cache).await;
        }
    });
}

/// Lists, and follows the changes until it has to list anew.
pub(crate) async fn follow<S: Sink>(
    process: &Process,
    kind: &str,
    source: &Source<S::Item>,
    cache: &S,
) {
    let mut errors = 0;
    let mut version = loop {
        cache.begin_list();
        match source.list().await {
            Ok(listed) => {
                cache.finish_list(listed.objects);
                cache.reach(&listed.version);
                break listed.version;
            }
            Err(error) => wait(process, kind, &error, &mut errors).await,
        }
    };
    errors = 0;
    loop {
        let Err(error) = changes(source, cache, &mut version, &mut errors).await else {
            continue;
        };
        wait(process, kind, &error, &mut errors).await;
        if errors >= PATIENCE || error.is_expired() {
            return;
        }
    }
}

/// One watch from `version` to its end; `version` goes with it, so that the next goes on from there.
async fn changes<S: Sink>(
    source: &Source<S::Item>,
    cache: &S,
    version: &mut String,
    errors: &mut u32,
) -> Result<(), Error> {
    let begun = Instant::now();
    let mut quiet = true;
    let mut changes = source.watch(version).await?;
    changes.pause(cache.pause());
    while let Some(said) = changes.next().await? {
        match said {
            Said::Put(object) => {
                goes_on::<S>(version, &object);
                cache.apply(object);
            }
            Said::Gone(object) => {
                goes_on::<S>(version, &object);
                cache.remove(&object);
            }
            Said::Upto(reached) => {
                cache.reach(&reached);
                *version = reached;
            }
            Said::Refused(status) => return Err(Error::Refused(status)),
        }
        *errors = 0;
        quiet = false;
    }
    // A server that ends every watch at once must not be asked without a pause.
    match quiet && begun.elapsed() < Duration::from_secs(1) {
        true => Err(Error::Broken("the watch ended at once".to_owned())),
        false => Ok(()),
    }
}

fn goes_on<S: Sink>(version: &mut String, object: &S::Item) {
    if let Some(reached) = S::version(object) {
        version.clone_from(reached);
    }
}

async fn wait(process: &Process, kind: &str, error: &Error, errors: &mut u32) {
    *errors += 1;
    if *errors == PATIENCE {
        tracing::warn!(kind, %error, "the watch keeps failing, listing anew");
    } else {
        tracing::debug!(kind, %error, "watch");
    }
    process.sleep(pause(*errors)).await;
}

/// The namespace to look at, if it is one and the kind lives in namespaces.
fn namespace<K: Watched>(process: &Process) -> Option<&str> {
    let namespaced =
        TypeId::of::<<K as Resource>::Scope>() == TypeId::of::<NamespaceResourceScope>();
    process.namespace().filter(|_| namespaced)
}

/// 50 ms, doubled with each error in a row, at most 5 s: a server that comes back is found soon.
fn pause(errors: u32) -> Duration {
    Duration::from_millis(50 << errors.min(7)).min(Duration::from_secs(5))
}
