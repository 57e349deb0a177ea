//! The model against the real server: seeded sequences of requests, run through any client, with
//! answers brought into a form in which two servers can be compared.
//!
//! ```no_run
//! # async fn compare(real: kube::Client, model: kube::Client) {
//! use sim::differential::{diff, run, sequences};
//! let ops = sequences(1);
//! let (a, b) = (run(&real, "one", &ops).await, run(&model, "one", &ops).await);
//! assert_eq!(diff(&a, &b), None);
//! # }
//! ```

mod generate;
mod normalise;
mod observe;

use std::collections::HashMap;
use std::fmt;

use http::Request;
use kube::Client;
use serde_json::{Value, json};

pub use generate::sequences;
use normalise::Names;

use crate::kinds::Kind;
use crate::meta;

/// One request. Strings in the body that begin with `$` stand for what the server answered
/// before: `$uid`, `$version` (the newest) and `$old` (the first resourceVersion) of the object.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    /// GET, POST, PUT, PATCH or DELETE.
    pub method: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// The name in the path; empty for lists and creates.
    pub name: String,
    /// `status`, `scale`, `binding` or empty.
    pub subresource: &'static str,
    /// What stands behind the question mark.
    pub query: String,
    /// Of a PATCH.
    pub content_type: &'static str,
    /// The body; of a PUT a merge patch of the object as it was last seen.
    pub body: Value,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Op {
            method,
            kind,
            name,
            subresource,
            query,
            content_type,
            body,
        } = self;
        let how = content_type.trim_start_matches("application/");
        write!(
            f,
            "{method} {kind} {name}/{subresource}?{query} {how} {body}"
        )
    }
}

/// What a server said, without what differs from server to server.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status code.
    pub code: u16,
    /// The reason of a refusal.
    pub reason: String,
    /// The object, with UIDs and resourceVersions by order of appearance; null for a refusal.
    pub object: Value,
    /// The message of a refusal; not compared.
    pub message: String,
}

/// Runs a sequence in a namespace that exists, is empty and is used for nothing else. After the answers
/// to the operations comes what watches of their kinds brought meanwhile.
pub async fn run(client: &Client, namespace: &str, ops: &[Op]) -> Vec<Answer> {
    let watches = observe::begin(client, namespace, ops).await;
    let mut seen = HashMap::new();
    let mut names = Names::new(namespace);
    let mut answers = Vec::new();
    for op in ops {
        let (code, body) = send(client, namespace, op, &seen).await;
        if code < 300 && meta::name(&body) == op_name(op) && op.subresource != "scale" {
            remember(&mut seen, op, &body);
        }
        answers.push(if code < 300 {
            Answer {
                code,
                reason: String::new(),
                object: names.normal(body),
                message: String::new(),
            }
        } else {
            Answer {
                code,
                reason: meta::text(&body, "/reason").to_owned(),
                object: Value::Null,
                message: meta::text(&body, "/message").to_owned(),
            }
        });
    }
    answers.extend(observe::end(client, namespace, watches, &mut names).await);
    answers
}

/// The first operation that two servers did not answer alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Its place in the sequence.
    pub at: usize,
    /// Both answers, and the members in which their objects differ.
    pub answers: String,
}

/// Where the answers to one sequence part, if they do.
pub fn diff(left: &[Answer], right: &[Answer]) -> Option<Difference> {
    let same =
        |a: &Answer, b: &Answer| (a.code, &a.reason, &a.object) == (b.code, &b.reason, &b.object);
    let at = left.iter().zip(right).position(|(a, b)| !same(a, b))?;
    let (a, b) = (&left[at], &right[at]);
    let mut lines = vec![
        format!("left:  {} {} {}", a.code, a.reason, a.message),
        format!("right: {} {} {}", b.code, b.reason, b.message),
    ];
    normalise::differences("", &a.object, &b.object, &mut lines);
    let answers = lines.join("\n");
    Some(Difference { at, answers })
}

/// What is known of an object: as it was seen last, and its first resourceVersion.
struct Known {
    object: Value,
    first: String,
}

fn op_name(op: &Op) -> &str {
    if op.name.is_empty() {
        meta::name(&op.body)
    } else {
        &op.name
    }
}

type Seen = HashMap<(&'static str, String), Known>;

fn remember(seen: &mut Seen, op: &Op, object: &Value) {
    let version = meta::resource_version(object).to_owned();
    seen.entry((op.kind, op_name(op).to_owned()))
        .and_modify(|known| known.object = object.clone())
        .or_insert_with(|| Known {
            object: object.clone(),
            first: version,
        });
}

/// Where the objects of a kind are.
fn path(kind: &Kind, namespace: &str) -> String {
    let root = if kind.group.is_empty() {
        "/api"
    } else {
        "/apis"
    };
    let version = kind.api_version();
    format!("{root}/{version}/namespaces/{namespace}/{}", kind.plural)
}

async fn send(client: &Client, namespace: &str, op: &Op, seen: &Seen) -> (u16, Value) {
    let table = Kind::of(op.kind);
    let mut path = path(table, namespace);
    for part in [op.name.as_str(), op.subresource] {
        if !part.is_empty() {
            path = format!("{path}/{part}");
        }
    }
    let known = seen.get(&(op.kind, op_name(op).to_owned()));
    let mut body = op.body.clone();
    substitute(&mut body, known);
    if op.method == "PUT" {
        let scale = json!({
            "kind": "Scale", "apiVersion": "autoscaling/v1",
            "metadata": { "name": op.name, "namespace": namespace },
        });
        let plain = json!({
            "kind": op.kind, "apiVersion": table.api_version(), "metadata": { "name": op.name },
        });
        let mut whole = match known {
            _ if op.subresource == "scale" => scale,
            Some(known) => known.object.clone(),
            None => plain,
        };
        // Whoever writes back what it read does not mean to write field ownership.
        meta::metadata(&mut whole).remove("managedFields");
        json_patch::merge(&mut whole, &body);
        body = whole;
    }
    let content = if op.content_type.is_empty() {
        "application/json"
    } else {
        op.content_type
    };
    let bytes = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    let request = Request::builder()
        .method(op.method)
        .uri(format!("{path}?{}", op.query))
        .header("content-type", content)
        .header("accept", "application/json")
        .body(bytes.into())
        .expect("generated requests are well-formed");
    match client.send(request).await {
        Err(error) => (0, json!({ "message": error.to_string() })),
        Ok(response) => {
            let code = response.status().as_u16();
            let body = http_body_util::BodyExt::collect(response.into_body()).await;
            let bytes = body
                .map(http_body_util::Collected::to_bytes)
                .unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            (
                code,
                serde_json::from_slice(&bytes).unwrap_or_else(|_| json!({ "message": text })),
            )
        }
    }
}

fn substitute(value: &mut Value, known: Option<&Known>) {
    match value {
        Value::String(text) => {
            let new = match (text.as_str(), known) {
                ("$uid", Some(known)) => meta::uid(&known.object),
                ("$uid", None) => "00000000-0000-0000-0000-000000000000",
                ("$version", Some(known)) => meta::resource_version(&known.object),
                ("$old", Some(known)) => &known.first,
                ("$version" | "$old", None) => "1",
                _ => return,
            };
            *value = json!(new);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| substitute(item, known)),
        Value::Object(map) => map.values_mut().for_each(|item| substitute(item, known)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
