//! Fills a [`Cache`] from a watch and keeps it filled.
//!
//! Deletions that happened while the watch was broken are told (the new list is compared with the old by UID), an
//! expired version leads to a new list, and a server that is away is asked again with back-off.

use crate::caches::Cache;
use crate::process::Process;
use crate::watch::{Error, Said, Source};
use crate::watched::Watched;
use k8s_openapi::{NamespaceResourceScope, Resource};
use std::any::TypeId;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// After this many errors in a row the watch is begun anew, with a list.
const PATIENCE: u32 = 4;

pub(crate) fn spawn<K: Watched>(process: &Arc<Process>, cache: Arc<Cache<K>>) {
    let name = format!("watch {}", <K as Resource>::KIND);
    let this = process.clone();
    process.spawn(name, async move {
        loop {
            follow(&this, &cache).await;
        }
    });
}

/// Lists, and follows the changes until it has to list anew.
async fn follow<K: Watched>(process: &Process, cache: &Cache<K>) {
    let kind = <K as Resource>::KIND;
    let source = Source::<K>::new(process.client().clone(), namespace::<K>(process));
    let mut errors = 0;
    let mut version = loop {
        cache.begin_list();
        match source.list().await {
            Ok(listed) => {
                cache.finish_list(listed.objects);
                break listed.version;
            }
            Err(error) => wait(process, kind, &error, &mut errors).await,
        }
    };
    errors = 0;
    loop {
        let Err(error) = changes(&source, cache, &mut version, &mut errors).await else {
            continue;
        };
        wait(process, kind, &error, &mut errors).await;
        if errors >= PATIENCE || error.is_expired() {
            return;
        }
    }
}

/// One watch from `version` to its end; `version` goes with it, so that the next goes on from there.
async fn changes<K: Watched>(
    source: &Source<K>,
    cache: &Cache<K>,
    version: &mut String,
    errors: &mut u32,
) -> Result<(), Error> {
    let begun = Instant::now();
    let mut quiet = true;
    let mut changes = source.watch(version).await?;
    while let Some(said) = changes.next().await? {
        match said {
            Said::Put(object) => {
                goes_on(version, &object);
                cache.apply(object);
            }
            Said::Gone(object) => {
                goes_on(version, &object);
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

fn goes_on<K: Watched>(version: &mut String, object: &K) {
    if let Some(reached) = &object.metadata().resource_version {
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
