//! Objects of which only the metadata is looked at, of kinds that are known when the program runs: all there are,
//! custom ones too. The server sends no more of them than that.

use crate::Runtime;
use crate::informer::{self, Reader, Sink};
use crate::process::Process;
use crate::reads::{ReadError, Reads};
use crate::send;
use crate::trim::{self, Part};
use crate::watch::{Readable, Said, Source};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use plan::{Cause, Kind};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio_util::sync::{CancellationToken, DropGuard};

const LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const OBJECT: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// What the garbage collector and its like look at in an object.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// The incarnation.
    pub uid: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// Its version.
    pub resource_version: String,
    /// Set when it is being deleted.
    pub deletion_timestamp: Option<String>,
    /// Who has something to do before it is gone.
    pub finalizers: Vec<String>,
    /// Whose it is.
    pub owner_references: Vec<OwnerReference>,
}

/// An object of which only the metadata is read.
#[derive(Debug, Deserialize)]
pub(crate) struct Partial {
    metadata: Meta,
}

impl Readable for Partial {
    const LIST: Option<&'static str> = Some(LIST);
    const OBJECT: Option<&'static str> = Some(OBJECT);

    fn listed(text: &str, part: Part<'_>) -> serde_json::Result<Self> {
        trim::read(text, part)
    }

    fn said(text: &str, part: Part<'_>) -> serde_json::Result<Said<Self>> {
        Said::read(text, part)
    }
}

/// What a watch of metadata tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// All objects that there are: what is not among them is gone.
    All(Vec<Meta>),
    /// An object as it is now.
    Put(Meta),
    /// An object that is gone, as it was last.
    Gone(Meta),
}

/// A watch that ends when this is dropped.
#[derive(Debug)]
pub struct MetaWatch {
    _ends: DropGuard,
}

struct Ear<F> {
    tell: F,
    /// What has been said of a list that is not complete.
    listed: Mutex<Vec<Meta>>,
}

impl<F> Ear<F> {
    fn listed(&self) -> MutexGuard<'_, Vec<Meta>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Fn(Told) + Send + Sync> Sink for Ear<F> {
    type Item = Partial;

    fn begin_list(&self) {
        self.listed().clear();
    }

    fn list(&self, object: Partial) {
        self.listed().push(object.metadata);
    }

    fn finish_list(&self) {
        let all = std::mem::take(&mut *self.listed());
        (self.tell)(Told::All(all));
    }

    fn apply(&self, object: Partial) {
        (self.tell)(Told::Put(object.metadata));
    }

    fn remove(&self, object: &Partial) {
        (self.tell)(Told::Gone(object.metadata.clone()));
    }

    fn version(object: &Partial) -> Option<&String> {
        Some(&object.metadata.resource_version)
    }
}

impl Runtime {
    /// Watches the metadata of all objects of a kind, cluster-wide or, where the process looks at one namespace only
    /// and the kind is `namespaced`, there. `tell` is called in the watch's task: it must be quick.
    pub fn watch_meta(
        &self,
        kind: Kind,
        namespaced: bool,
        tell: impl Fn(Told) + Send + Sync + 'static,
    ) -> MetaWatch {
        let process = self.process.clone();
        let ends = CancellationToken::new();
        let token = ends.clone();
        self.spawn(format!("watch {} (metadata)", kind.kind), async move {
            let source = source(&process, kind, namespaced);
            let listed = Mutex::default();
            let ear = Reader::new(Ear { tell, listed });
            let forever = async {
                loop {
                    informer::follow(&process, kind.kind, &source, &ear).await;
                }
            };
            token.run_until_cancelled(forever).await;
        });
        MetaWatch {
            _ends: ends.drop_guard(),
        }
    }
}

fn source(process: &Process, kind: Kind, namespaced: bool) -> Source {
    let namespace = process.namespace().filter(|_| namespaced);
    let path = kind.path(namespace.unwrap_or_default());
    Source::at::<Partial>(process.client().clone(), path)
}

impl Reads {
    /// The metadata of the object `name` of this kind, from etcd and not from a cache. `None` when the API server says
    /// of this very object that it is not there. That the kind is not served, or by nobody at the moment, is an error:
    /// it says nothing about the object.
    ///
    /// # Errors
    /// No answer, or one that says nothing about the object.
    pub async fn meta(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Meta>, ReadError> {
        let path = format!("{}/{name}", kind.path(namespace));
        match send::read_as::<Partial>(self.process(), &path, OBJECT).await {
            Ok(object) => Ok(Some(object.metadata)),
            Err(refusal) if refusal.cause == Cause::NotFound => match &refusal.about {
                Some(about) if about == name => Ok(None),
                _ => Err(ReadError::from(refusal)),
            },
            Err(refusal) => Err(refusal.into()),
        }
    }
}

impl Reads {
    /// The metadata of all objects of this kind in a namespace. A kind that is not served (any more) has none.
    ///
    /// # Errors
    /// No answer, or one that says nothing.
    pub async fn metas(&self, kind: Kind, namespace: &str) -> Result<Vec<Meta>, ReadError> {
        #[derive(Deserialize)]
        struct List {
            items: Option<Vec<Partial>>,
        }
        let listed = send::read_as::<List>(self.process(), &kind.path(namespace), LIST).await;
        match listed {
            Ok(list) => Ok(list
                .items
                .into_iter()
                .flatten()
                .map(|o| o.metadata)
                .collect()),
            Err(refusal) if refusal.cause == Cause::NotFound => Ok(Vec::new()),
            Err(refusal) => Err(refusal.into()),
        }
    }
}

/// A kind of which nobody knew when this was written. Its names live as long as the process: there are as many as
/// kinds.
pub fn kind(group: &str, version: &str, kind: &str, plural: &str) -> Kind {
    Kind {
        group: lasting(group),
        version: lasting(version),
        kind: lasting(kind),
        plural: lasting(plural),
    }
}

fn lasting(text: &str) -> &'static str {
    static TEXTS: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = texts.get(text) {
        return known;
    }
    let text: &'static str = text.to_owned().leak();
    texts.insert(text);
    text
}

#[cfg(test)]
mod tests;
