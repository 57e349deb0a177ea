//! One kind as the API server tells it: what there is, then what changes.
//!
//! kube-runtime has a watcher too. This one reads each event once, straight into its type: kube's goes by way of
//! serde's tagged enums, which builds a second reader for every type of every kind (half of the program and of its
//! compilation), and hides the bookmarks, which say how far a quiet watch has come.

mod items;

use crate::trim::{Part, read_from};
use crate::watched::Watched;
use bytes::{Buf, Bytes, BytesMut};
use futures::TryFutureExt;
use http::{HeaderValue, header};
use http_body_util::BodyExt;
use items::Items;
use kube::Client;
use kube::client::Body;
use kube::core::{Request, Status, params::ListParams, params::WatchParams};
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;
use std::{fmt, str};

/// The server ends a watch after this many seconds; one that has been silent 5 s longer is dead.
const SILENCE: u32 = 50;
/// What follows within this time has come together.
const TOGETHER: Duration = Duration::from_millis(2);

/// Why a list or a watch ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Request(#[from] kube::Error),
    #[error("{}: {}", .0.reason, .0.message)]
    Refused(Box<Status>),
    #[error("the answer broke off: {0}")]
    Broken(String),
    #[error("the answer cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("nothing was heard for {} s", SILENCE + 5)]
    Silent,
}

impl Error {
    /// The version to go on from is gone (410), or is one that this etcd never had: it was restored.
    pub(crate) fn is_expired(&self) -> bool {
        let text = match self {
            Self::Refused(status) if status.code == 410 => return true,
            Self::Refused(status) => &status.message,
            _ => return false,
        };
        text.contains("Too large resource version")
    }
}

/// What can be read from a list and a watch.
pub trait Readable: Sized + Send + Sync + 'static {
    /// The media type to ask for a list in; the client's if none.
    #[doc(hidden)]
    const LIST: Option<&'static str> = None;
    /// The media type to ask for each object of a watch in.
    #[doc(hidden)]
    const OBJECT: Option<&'static str> = None;

    /// Reads an object of a list, and of it this part.
    #[doc(hidden)]
    fn listed(text: &str, part: Part<'_>) -> serde_json::Result<Self>;

    /// Reads a line of a watch, and of the object this part.
    #[doc(hidden)]
    fn said(text: &str, part: Part<'_>) -> serde_json::Result<Said<Self>>;
}

/// A collection of the API server's. What is here is the same for all kinds, and there once.
pub(crate) struct Source {
    client: Client,
    path: String,
    /// The media types of lists and of objects; the client's if none.
    list: Option<&'static str>,
    object: Option<&'static str>,
}

/// What a watch says.
#[derive(Debug, PartialEq)]
pub enum Said<K> {
    /// An object as it is now.
    Put(K),
    /// An object as it was last.
    Gone(K),
    /// All up to this version has been said.
    Upto(String),
    /// The server gives up.
    Refused(Box<Status>),
}

impl Source {
    /// The objects of one namespace, or all.
    pub(crate) fn new<K: Watched>(client: Client, namespace: Option<&str>) -> Self {
        let path = <K as kube::Resource>::url_path(&(), namespace);
        Self::at::<K>(client, path)
    }

    /// The objects of the collection `path`.
    pub(crate) fn at<K: Readable>(client: Client, path: String) -> Self {
        let (list, object) = (K::LIST, K::OBJECT);
        Self {
            client,
            path,
            list,
            object,
        }
    }

    /// Has each object read that there is now, as it comes in; gives the version that a watch goes on from.
    ///
    /// It is one list and not pages of one: the API server gives it from its watch cache and writes object after object
    /// (KEP-5116), and each page would be a request of its own. Nor is it the beginning of a watch (KEP-3157), for which the
    /// server works more, as it makes an event of each object.
    pub(crate) async fn list(
        &self,
        read: &mut (dyn FnMut(&str) -> serde_json::Result<()> + Send),
    ) -> Result<String, Error> {
        let request = Request::new(&self.path).list(&ListParams::default());
        let request = request.map_err(kube::Error::BuildRequest)?;
        let mut body = in_time(open(&self.client, asking(request, self.list))).await?;
        let mut items = Items::default();
        while in_time(body.read()).await? {
            while let Some(item) = items.next(&mut body.buffer) {
                read(utf8(&item)?)?;
            }
        }
        let rest = items.rest(&body.buffer);
        let list: Marked = serde_json::from_slice(&rest)?;
        Ok(list.metadata.resource_version)
    }

    /// What happened after `version`.
    pub(crate) async fn watch(&self, version: &str) -> Result<Lines, Error> {
        let params = WatchParams::default().timeout(SILENCE);
        let request = Request::new(&self.path).watch(&params, version);
        let request = request.map_err(kube::Error::BuildRequest)?;
        in_time(open(&self.client, asking(request, self.object))).await
    }
}

/// A list without its objects, or a bookmark.
#[derive(Deserialize)]
struct Marked {
    metadata: Mark,
}

/// What it says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mark {
    resource_version: String,
}

/// The request for an answer in this form.
fn asking(
    mut request: http::Request<Vec<u8>>,
    form: Option<&'static str>,
) -> http::Request<Vec<u8>> {
    if let Some(form) = form {
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static(form));
    }
    request
}

/// The answer to a request that was granted.
async fn open(client: &Client, request: http::Request<Vec<u8>>) -> Result<Lines, Error> {
    let answer = client.send(request.map(Body::from)).await?;
    let status = answer.status();
    let mut lines = Lines::new(answer.into_body());
    if status.is_success() {
        return Ok(lines);
    }
    let text = lines.rest().await?;
    let refused = serde_json::from_slice::<Status>(&text).unwrap_or_else(|_| {
        let reason = status.canonical_reason().unwrap_or("refused");
        Status::failure(&String::from_utf8_lossy(&text), reason).with_code(status.as_u16())
    });
    Err(Error::Refused(Box::new(refused)))
}

/// Gives up what nothing is heard of.
async fn in_time<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let silence = Duration::from_secs(u64::from(SILENCE) + 5);
    let answer = tokio::time::timeout(silence, answer);
    answer.unwrap_or_else(|_| Err(Error::Silent)).await
}

pub(crate) fn utf8(text: &[u8]) -> Result<&str, Error> {
    str::from_utf8(text).map_err(|error| Error::Broken(error.to_string()))
}

/// A body, line by line.
pub(crate) struct Lines {
    body: Body,
    buffer: BytesMut,
    /// How much of the buffer has been looked through for the end of a line.
    looked: usize,
    /// How long to wait, once all is read that is there, before more is read: what comes meanwhile is read together.
    pub(crate) pause: Duration,
}

impl Lines {
    fn new(body: Body) -> Self {
        let (buffer, looked, pause) = (BytesMut::new(), 0, Duration::ZERO);
        Self {
            body,
            buffer,
            looked,
            pause,
        }
    }

    /// The next event of a watch; None when it has come to its end.
    pub(crate) async fn event(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match in_time(self.next()).await? {
                Some(line) if line.trim_ascii().is_empty() => {}
                line => return Ok(line),
            }
        }
    }

    /// The next line without its end. What stands behind the last end is no whole event and is left out.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let ahead = &self.buffer[self.looked..];
            if let Some(at) = ahead.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.looked + at).freeze();
                self.buffer.advance(1);
                self.looked = 0;
                return Ok(Some(line));
            }
            self.looked = self.buffer.len();
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    /// All that is left.
    async fn rest(&mut self) -> Result<Bytes, Error> {
        while self.read().await? {}
        Ok(self.buffer.split().freeze())
    }

    /// Reads more, if there is more.
    async fn read(&mut self) -> Result<bool, Error> {
        let frame = match self.pause {
            Duration::ZERO => self.body.frame().await,
            pause => match tokio::time::timeout(TOGETHER, self.body.frame()).await {
                Ok(frame) => frame,
                Err(_) => {
                    // To be woken for each event costs more than to read it.
                    tokio::time::sleep(pause).await;
                    self.body.frame().await
                }
            },
        };
        match frame {
            None => Ok(false),
            Some(Err(error)) => Err(Error::Broken(error.to_string())),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    self.buffer.extend_from_slice(&data);
                }
                Ok(true)
            }
        }
    }
}

impl<K: DeserializeOwned> Said<K> {
    /// Reads an event, and of its object this part.
    pub(crate) fn read(text: &str, part: Part<'_>) -> serde_json::Result<Self> {
        let kind = PhantomData;
        let mut from = serde_json::Deserializer::from_str(text);
        let said = from.deserialize_map(SaidVisitor { part, kind })?;
        from.end()?;
        Ok(said)
    }
}

struct SaidVisitor<'a, K> {
    part: Part<'a>,
    kind: PhantomData<K>,
}

impl<'de, K: DeserializeOwned> Visitor<'de> for SaidVisitor<'_, K> {
    type Value = Said<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a watch event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said<K>, A::Error> {
        let object = |verb| Object {
            verb,
            part: self.part,
            kind: self.kind,
        };
        let (mut verb, mut said, mut early) = (None::<Verb>, None, None::<&RawValue>);
        while let Some(field) = map.next_key::<Field>()? {
            match (field, verb) {
                (Field::Type, _) => verb = Some(map.next_value()?),
                (Field::Object, Some(verb)) => said = Some(map.next_value_seed(object(verb))?),
                // Servers say the type first; others may have sorted it.
                (Field::Object, None) => early = Some(map.next_value()?),
            }
        }
        let verb = verb.ok_or_else(|| A::Error::missing_field("type"))?;
        match (said, early) {
            (Some(said), _) => Ok(said),
            (None, Some(text)) => {
                let mut text = serde_json::Deserializer::from_str(text.get());
                let said = object(verb).deserialize(&mut text);
                said.map_err(A::Error::custom)
            }
            (None, None) => Err(A::Error::missing_field("object")),
        }
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    Type,
    Object,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Verb {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

/// The object of an event of this type.
struct Object<'a, K> {
    verb: Verb,
    part: Part<'a>,
    kind: PhantomData<K>,
}

impl<'de, K: DeserializeOwned> DeserializeSeed<'de> for Object<'_, K> {
    type Value = Said<K>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Said<K>, D::Error> {
        match self.verb {
            Verb::Bookmark => {
                let mark = Marked::deserialize(from)?.metadata;
                Ok(Said::Upto(mark.resource_version))
            }
            Verb::Error => Ok(Said::Refused(Box::deserialize(from)?)),
            Verb::Deleted => Ok(Said::Gone(read_from(from, self.part)?)),
            Verb::Added | Verb::Modified => Ok(Said::Put(read_from(from, self.part)?)),
        }
    }
}

#[cfg(test)]
mod tests;
