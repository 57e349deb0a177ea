//! What watches bring of a sequence. They begin before it and end with objects made for that end, so
//! nothing is waited for longer than the server takes.

use http::Request;
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::normalise::Names;
use super::{Answer, Op, generate, path, send};
use crate::kinds::Kind;
use crate::meta;

/// Whose changes are watched: all, and those that a selector selects, which come and go with their labels.
const QUERIES: &[&str] = &["", "&labelSelector=app%3Dweb"];

/// A watch of the objects of a kind in a namespace.
pub(super) struct Watch {
    kind: &'static str,
    query: &'static str,
    code: u16,
    body: Body,
    /// What came after the last whole line.
    rest: Vec<u8>,
}

/// Starts the watches of the kinds of a sequence.
pub(super) async fn begin(client: &Client, namespace: &str, ops: &[Op]) -> Vec<Watch> {
    let mut kinds: Vec<&'static str> = ops.iter().map(|op| op.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut watches = Vec::new();
    for kind in kinds {
        let list = generate::plain("GET", kind, "", Value::Null);
        let (_, list) = send(client, namespace, &list, &super::Seen::new()).await;
        let version = meta::resource_version(&list);
        for query in QUERIES {
            let uri = format!(
                "{}?watch=true&resourceVersion={version}{query}",
                path(Kind::of(kind), namespace)
            );
            let request = Request::get(uri)
                .header("accept", "application/json")
                .body(Body::empty())
                .expect("generated requests are well-formed");
            let (code, body) = match client.send(request).await {
                Ok(response) => (response.status().as_u16(), response.into_body()),
                Err(_) => (0, Body::empty()),
            };
            watches.push(Watch {
                kind,
                query,
                code,
                body,
                rest: Vec::new(),
            });
        }
    }
    watches
}

/// What each watch brought, as one answer a watch.
pub(super) async fn end(
    client: &Client,
    namespace: &str,
    watches: Vec<Watch>,
    names: &mut Names,
) -> Vec<Answer> {
    let mut answers = Vec::new();
    for mut watch in watches {
        if watch.query.is_empty() {
            let last = generate::last(watch.kind);
            let (code, answer) = send(client, namespace, &last, &super::Seen::new()).await;
            if code != 201 {
                answers.push(Answer {
                    code,
                    reason: "the last object was refused".to_owned(),
                    object: Value::Null,
                    message: answer.to_string(),
                });
                continue;
            }
        }
        let mut events = Vec::new();
        while let Some(mut event) = watch.next().await {
            let is_last = meta::name(&event["object"]) == generate::LAST;
            let object = names.normal(event["object"].take());
            events.push(json!({ "type": event["type"], "object": object }));
            if is_last {
                break;
            }
        }
        answers.push(Answer {
            code: watch.code,
            reason: format!("watch of {}?{}", watch.kind, watch.query),
            object: Value::Array(events),
            message: String::new(),
        });
    }
    answers
}

impl Watch {
    /// The next event; None when the server ended the watch.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return serde_json::from_slice(&line).ok();
            }
            let frame = self.body.frame().await?.ok()?;
            self.rest.extend_from_slice(frame.data_ref()?);
        }
    }
}
