//! The watcher, which belongs to nobody who is measured.

use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::{Stream, StreamExt};
use kube::api::WatchEvent;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::hand::Hand;

/// As much of an object as is looked at.
pub(crate) trait Seen: Clone + DeserializeOwned + Send + 'static {
    fn metadata(&self) -> &Metadata;
}

#[derive(Debug, Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) uid: String,
    resource_version: String,
    pub(crate) annotations: Option<std::collections::BTreeMap<String, String>>,
}

/// An object of which only the status is looked at.
#[derive(Debug, Deserialize, Clone)]
pub(crate) struct Slim<S> {
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) status: S,
}

/// A status that says nothing.
#[derive(Debug, Deserialize, Clone, Default)]
pub(crate) struct Nothing {}

#[derive(Debug, Deserialize, Clone)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

/// A status with conditions.
#[derive(Debug, Deserialize, Clone, Default)]
#[serde(default)]
pub(crate) struct Conditions {
    conditions: Vec<Condition>,
}

/// What has become of an object.
pub(crate) enum Change<T> {
    Is(T),
    Gone(T),
}

type Events<T> = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<T>>> + Send>>;

/// A watch of a collection. An API server that has no time ends watches that fall behind, so it is begun anew
/// from where it was.
pub(crate) struct Watch<T> {
    hand: Hand,
    path: String,
    version: String,
    events: Events<T>,
}

#[derive(Deserialize)]
struct List<T> {
    metadata: Version,
    #[serde(default = "Vec::new")]
    items: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    resource_version: String,
}

impl<S: Clone + DeserializeOwned + Default + Send + 'static> Seen for Slim<S> {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Slim<Conditions> {
    pub(crate) fn is(&self, kind: &str) -> bool {
        let mut conditions = self.status.conditions.iter();
        conditions.any(|c| c.kind == kind && c.status == "True")
    }
}

impl<T: Seen> Watch<T> {
    /// Sees what happens in a collection from now on; the server has it when this returns. `of` is a label selector.
    pub(crate) async fn begin(hand: &Hand, collection: &str, of: &str) -> anyhow::Result<Self> {
        let path = format!("{collection}?labelSelector={of}");
        // The version is all that is wanted.
        let list = list::<Slim<Nothing>>(hand, &format!("{path}&limit=1")).await?;
        Self::from(hand, path, list.metadata.resource_version).await
    }

    /// What there is now, and a watch of what happens from then on.
    pub(crate) async fn with_all(
        hand: &Hand,
        collection: &str,
        of: &str,
    ) -> anyhow::Result<(Vec<T>, Self)> {
        let path = format!("{collection}?labelSelector={of}");
        let list = list::<T>(hand, &path).await?;
        let watch = Self::from(hand, path, list.metadata.resource_version).await?;
        Ok((list.items, watch))
    }

    async fn from(hand: &Hand, path: String, version: String) -> anyhow::Result<Self> {
        let events = Self::open(hand, &path, &version).await?;
        Ok(Self {
            hand: hand.clone(),
            path,
            version,
            events,
        })
    }

    async fn open(hand: &Hand, path: &str, version: &str) -> anyhow::Result<Events<T>> {
        let uri = format!("{path}&watch=true&timeoutSeconds=3600&resourceVersion={version}");
        let request = http::Request::get(uri).body(Vec::new())?;
        let events = hand.client().request_events::<T>(request).await?;
        Ok(Box::pin(events.fuse()))
    }

    /// What happened next.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Change<T>> {
        loop {
            let change = match self.events.next().await.transpose()? {
                Some(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                    Change::Is(object)
                }
                Some(WatchEvent::Deleted(object)) => Change::Gone(object),
                Some(WatchEvent::Error(error)) => bail!("a watch failed: {}", error.message),
                Some(WatchEvent::Bookmark(_)) => continue,
                None => {
                    let events = Self::open(&self.hand, &self.path, &self.version).await?;
                    self.hand.count("WATCH", &self.path);
                    self.events = events;
                    continue;
                }
            };
            let (Change::Is(object) | Change::Gone(object)) = &change;
            self.version.clone_from(&object.metadata().resource_version);
            return Ok(change);
        }
    }

    /// The next object that was added or changed, where none may go.
    pub(crate) async fn next_that_is(&mut self) -> anyhow::Result<T> {
        match self.next().await? {
            Change::Is(object) => Ok(object),
            Change::Gone(object) => bail!("{} was deleted", object.metadata().name),
        }
    }
}

impl<T> Drop for Watch<T> {
    fn drop(&mut self) {
        // The API server counts a watch when it ends.
        self.hand.count("WATCH", &self.path);
    }
}

async fn list<T: DeserializeOwned>(hand: &Hand, path: &str) -> anyhow::Result<List<T>> {
    hand.count("GET", path);
    let request = http::Request::get(path).body(Vec::new())?;
    let list = hand.client().request(request).await;
    list.with_context(|| format!("GET {path}"))
}

/// Says every second how far something has come.
pub(crate) struct Progress {
    what: &'static str,
    of: usize,
    told: Instant,
}

impl Progress {
    pub(crate) fn new(of: usize, what: &'static str) -> Self {
        let told = Instant::now();
        Self { what, of, told }
    }

    pub(crate) fn at(&mut self, done: usize) {
        if self.told.elapsed() > Duration::from_secs(1) {
            println!("  {done} of {} {}", self.of, self.what);
            self.told = Instant::now();
        }
    }
}
