//! Fills a [`Cache`] from a watch and keeps it filled.
//!
//! Deletions that happened while the watch was broken are told (the new list is compared with the old by UID), an
//! expired version leads to a new list, and a server that is away is asked again with back-off.

use crate::caches::Cache;
use crate::process::Process;
use crate::trim::{self, Part};
use crate::watch::{Error, Readable, Said, Source, utf8};
use crate::watched::Watched;
use k8s_openapi::{NamespaceResourceScope, Resource};
use kube::core::Status;
use std::any::TypeId;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// After this many errors in a row the watch is begun anew, with a list.
const PATIENCE: u32 = 4;

/// Where what a watch says goes.
pub(crate) trait Sink: Send + Sync {
    /// What it takes.
    type Item: Readable;

    /// A list is asked for: what was said of one before is forgotten.
    fn begin_list(&self);

    /// An object of the list.
    fn list(&self, object: Self::Item);

    /// The list is complete: what is not in it is gone.
    fn finish_list(&self);

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

    /// What is read of each object.
    fn part(&self) -> Part<'static> {
        trim::OBJECT
    }

    /// The resourceVersion of an object.
    fn version(object: &Self::Item) -> Option<&String>;
}

impl<K: Watched> Sink for Arc<Cache<K>> {
    type Item = K;

    fn begin_list(&self) {
        Cache::begin_list(self);
    }

    fn list(&self, object: K) {
        Cache::list(self, object);
    }

    fn finish_list(&self) {
        Cache::finish_list(self);
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

    fn part(&self) -> Part<'static> {
        Cache::part(self)
    }

    fn version(object: &K) -> Option<&String> {
        object.metadata().resource_version.as_ref()
    }
}

/// One who listens to a watch, of whatever kind.
pub(crate) trait Listens: Send + Sync {
    /// A list is asked for: what was heard of one before is forgotten.
    fn begin_list(&self);
    /// Hears an object of it.
    fn listed(&self, text: &str) -> serde_json::Result<()>;
    /// It was the last; the list is as of this version.
    fn finish_list(&self, version: &str);
    /// Hears an event.
    fn event(&self, text: &str) -> serde_json::Result<Heard>;
    /// See [`Sink::pause`].
    fn pause(&self) -> Duration;
}

/// What was heard.
pub(crate) enum Heard {
    /// All up to this version, where one is named.
    Upto(Option<String>),
    /// The server gives up.
    Refused(Box<Status>),
}

/// Reads for a sink.
pub(crate) struct Reader<S: Sink>(S);

impl<S: Sink> Reader<S> {
    pub(crate) fn new(sink: S) -> Self {
        Self(sink)
    }
}

impl<S: Sink> Listens for Reader<S> {
    fn begin_list(&self) {
        self.0.begin_list();
    }

    fn listed(&self, text: &str) -> serde_json::Result<()> {
        self.0.list(S::Item::listed(text, self.0.part())?);
        Ok(())
    }

    fn finish_list(&self, version: &str) {
        self.0.finish_list();
        self.0.reach(version);
    }

    fn event(&self, text: &str) -> serde_json::Result<Heard> {
        Ok(match S::Item::said(text, self.0.part())? {
            Said::Put(object) => {
                let version = S::version(&object).cloned();
                self.0.apply(object);
                Heard::Upto(version)
            }
            Said::Gone(object) => {
                self.0.remove(&object);
                Heard::Upto(S::version(&object).cloned())
            }
            Said::Upto(version) => {
                self.0.reach(&version);
                Heard::Upto(Some(version))
            }
            Said::Refused(status) => Heard::Refused(status),
        })
    }

    fn pause(&self) -> Duration {
        self.0.pause()
    }
}

pub(crate) fn spawn<K: Watched>(process: &Arc<Process>, cache: Arc<Cache<K>>) {
    let source = Source::new::<K>(process.client().clone(), namespace::<K>(process));
    start(
        process,
        <K as Resource>::KIND,
        source,
        Box::new(Reader::new(cache)),
    );
}

fn start(process: &Arc<Process>, kind: &'static str, source: Source, listener: Box<dyn Listens>) {
    let this = process.clone();
    process.spawn(format!("watch {kind}"), async move {
        loop {
            follow(&this, kind, &source, &*listener).await;
        }
    });
}

/// Lists, and follows the changes until it has to list anew.
pub(crate) async fn follow(process: &Process, kind: &str, source: &Source, listener: &dyn Listens) {
    let mut errors = 0;
    let mut version = loop {
        listener.begin_list();
        match source.list(&mut |text| listener.listed(text)).await {
            Ok(version) => {
                listener.finish_list(&version);
                break version;
            }
            Err(error) => wait(process, kind, &error, &mut errors).await,
        }
    };
    errors = 0;
    loop {
        let Err(error) = changes(source, listener, &mut version, &mut errors).await else {
            continue;
        };
        wait(process, kind, &error, &mut errors).await;
        if errors >= PATIENCE || error.is_expired() {
            return;
        }
    }
}

/// One watch from `version` to its end; `version` goes with it, so that the next goes on from there.
async fn changes(
    source: &Source,
    listener: &dyn Listens,
    version: &mut String,
    errors: &mut u32,
) -> Result<(), Error> {
    let begun = Instant::now();
    let mut quiet = true;
    let mut lines = source.watch(version).await?;
    lines.pause = listener.pause();
    while let Some(line) = lines.event().await? {
        match listener.event(utf8(&line)?)? {
            Heard::Upto(Some(reached)) => *version = reached,
            Heard::Upto(None) => {}
            Heard::Refused(status) => return Err(Error::Refused(status)),
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
