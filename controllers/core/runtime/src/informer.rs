//! Fills a [`Cache`] from a watch and keeps it filled.
//!
//! `kube_runtime::watcher` does the protocol; here is what it leaves out: deletions that happened while
//! the watch was broken are told (the new list is compared with the old by UID), an expired version at
//! the start of a watch leads to a new list, a server that is away is asked again with back-off, and a
//! watch that says nothing is given up after [`SILENCE`].

use crate::caches::{Cache, Watched};
use crate::process::Process;
use crate::trim::Trimmed;
use futures::StreamExt;
use k8s_openapi::{NamespaceResourceScope, Resource};
use kube::Api;
use kube::runtime::watcher::{self, Event, watcher};
use std::any::TypeId;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Watches end after this many seconds; one that has been silent 5 s longer is dead.
const SILENCE: u32 = 50;
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

/// Follows one watch until it has to be begun anew.
async fn follow<K: Watched>(process: &Process, cache: &Cache<K>) {
    let api = Api::<Trimmed<K>>::all(process.client().clone());
    let mut stream = pin!(watcher(api, config::<K>(process.namespace())));
    let mut listed = Vec::new();
    let mut errors = 0;
    while let Some(event) = stream.next().await {
        if event.is_ok() {
            errors = 0;
        }
        match event {
            Ok(Event::Init) => {
                listed.clear();
                cache.begin_list();
            }
            Ok(Event::InitApply(Trimmed(object))) => listed.push(object),
            Ok(Event::InitDone) => cache.finish_list(std::mem::take(&mut listed)),
            Ok(Event::Apply(Trimmed(object))) => cache.apply(object),
            Ok(Event::Delete(Trimmed(object))) => cache.remove(&object),
            Err(error) => {
                errors += 1;
                let kind = <K as Resource>::KIND;
                tracing::debug!(kind, %error, "watch");
                if errors == PATIENCE {
                    tracing::warn!(kind, %error, "the watch keeps failing, listing anew");
                }
                process.sleep(pause(errors)).await;
                if errors >= PATIENCE || expired(&error) {
                    return;
                }
            }
        }
    }
}

fn config<K: Watched>(namespace: Option<&str>) -> watcher::Config {
    let config = watcher::Config::default().timeout(SILENCE);
    let namespaced =
        TypeId::of::<<K as Resource>::Scope>() == TypeId::of::<NamespaceResourceScope>();
    match namespace {
        Some(namespace) if namespaced => config.fields(&format!("metadata.namespace={namespace}")),
        _ => config,
    }
}

/// 50 ms, doubled with each error in a row, at most 5 s: a server that comes back is found soon.
fn pause(errors: u32) -> Duration {
    Duration::from_millis(50 << errors.min(7)).min(Duration::from_secs(5))
}

/// The version to watch from is gone (410), or is one that this etcd never had (it was restored).
fn expired(error: &watcher::Error) -> bool {
    let text = error.to_string();
    let status = match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    };
    status.is_some_and(|s| s.code == 410) || text.contains("Too large resource version")
}
