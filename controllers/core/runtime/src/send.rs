//! One request to the API server and its answer. The only place where writes leave the process.

use crate::error::Refusal;
use crate::metrics::Again;
use crate::process::Process;
use bytes::Bytes;
use http::{Method, Request, header, request};
use http_body_util::BodyExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::client::Body;
use plan::{Action, Propagation, Verb};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// An answer that takes longer is taken for lost.
const DEADLINE: Duration = Duration::from_secs(30);
/// Only the metadata of what was written comes back: nobody reads the rest, the watch brings it.
const METADATA_ONLY: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// What an answer tells of the object.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Answer {
    #[serde(default)]
    pub(crate) metadata: Meta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Meta {
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) deletion_timestamp: Option<String>,
    pub(crate) owner_references: Vec<OwnerReference>,
}

impl Meta {
    pub(crate) fn version(&self) -> Option<u64> {
        self.resource_version.as_deref()?.parse().ok()
    }
}

/// Sends the write that `action` is, for the first time or not.
pub(crate) async fn write(
    process: &Process,
    component: &str,
    action: &Action,
    again: bool,
) -> Result<Meta, Refusal> {
    let object = action.on.path();
    let sub = match action.subresource {
        "" => object,
        sub => format!("{object}/{sub}"),
    };
    let (method, path, content_type, body) = match &action.verb {
        Verb::Create(body) => {
            let collection = action.on.kind.path(&action.on.namespace);
            let path = if action.subresource.is_empty() {
                collection
            } else {
                sub
            };
            (
                Method::POST,
                path,
                "application/json",
                body.json().as_bytes().to_vec(),
            )
        }
        Verb::Replace(body) => (
            Method::PUT,
            sub,
            "application/json",
            body.json().as_bytes().to_vec(),
        ),
        Verb::Patch(patch, body) => (
            Method::PATCH,
            sub,
            patch.content_type(),
            body.to_string().into_bytes(),
        ),
        Verb::Delete { .. } => {
            let options = delete_options(action).to_string().into_bytes();
            (Method::DELETE, sub, "application/json", options)
        }
    };
    let force = if content_type.starts_with("application/apply") {
        "&force=true"
    } else {
        ""
    };
    let uri = match method {
        Method::DELETE => path,
        _ => format!("{path}?fieldManager={component}{force}"),
    };
    let types = (content_type, METADATA_ONLY);
    let mut builder = Request::builder();
    if again {
        builder = builder.extension(Again);
    }
    let answer = request(process, builder.method(method).uri(uri), types, body).await?;
    let answer: Answer = serde_json::from_slice(&answer).unwrap_or_default();
    Ok(answer.metadata)
}

/// Asks for the object itself, from etcd and not from a cache.
pub(crate) async fn read<T: for<'de> Deserialize<'de>>(
    process: &Process,
    path: &str,
) -> Result<T, Refusal> {
    read_as(process, path, "").await
}

/// The same, with the media type of the answer; the client's if it is empty.
pub(crate) async fn read_as<T: for<'de> Deserialize<'de>>(
    process: &Process,
    path: &str,
    accept: &'static str,
) -> Result<T, Refusal> {
    let answer = request(process, Request::get(path), ("", accept), Vec::new()).await?;
    serde_json::from_slice(&answer).map_err(|error| Refusal::unanswered(format!("{path}: {error}")))
}

/// Sends a question that the server answers without storing it, a review for instance.
pub(crate) async fn ask<T: for<'de> Deserialize<'de>>(
    process: &Process,
    path: &str,
    question: &impl serde::Serialize,
) -> Result<T, Refusal> {
    let body = serde_json::to_vec(question);
    let body = body.map_err(|error| Refusal::unanswered(error.to_string()))?;
    let types = ("application/json", "");
    let answer = request(process, Request::post(path), types, body).await?;
    serde_json::from_slice(&answer).map_err(|error| Refusal::unanswered(format!("{path}: {error}")))
}

async fn request(
    process: &Process,
    mut builder: request::Builder,
    (content_type, accept): (&str, &str),
    body: Vec<u8>,
) -> Result<Bytes, Refusal> {
    if builder.method_ref() != Some(&Method::GET) && process.is_fenced() {
        return Err(Refusal::fenced());
    }
    if !content_type.is_empty() {
        builder = builder.header(header::CONTENT_TYPE, content_type);
    }
    if !accept.is_empty() {
        builder = builder.header(header::ACCEPT, accept);
    }
    let request = builder
        .body(Body::from(body))
        .map_err(|error| Refusal::unanswered(error.to_string()))?;
    let answer = tokio::time::timeout(DEADLINE, async {
        let response = process.client().send(request).await;
        let response = response.map_err(|error| Refusal::unanswered(error.to_string()))?;
        let (head, body) = response.into_parts();
        let body = body.collect().await;
        let body = body.map_err(|error| Refusal::unanswered(error.to_string()))?;
        Ok((head, body.to_bytes()))
    });
    let late = || Refusal::unanswered(format!("no answer within {} s", DEADLINE.as_secs()));
    let answer = answer.await.unwrap_or_else(|_| Err(late()));
    let (head, body) = answer?;
    if head.status.is_success() {
        return Ok(body);
    }
    let retry_after = head.headers.get(header::RETRY_AFTER);
    let retry_after = retry_after.and_then(|v| v.to_str().ok()?.parse().ok());
    Err(Refusal::answered(
        head.status,
        retry_after.map(Duration::from_secs),
        &body,
    ))
}

fn delete_options(action: &Action) -> Value {
    let Verb::Delete {
        grace,
        propagation,
        resource_version,
    } = &action.verb
    else {
        return Value::Null;
    };
    let mut options = json!({"kind": "DeleteOptions", "apiVersion": "v1"});
    let mut preconditions = json!({});
    if !action.on.uid.is_empty() {
        preconditions["uid"] = json!(action.on.uid);
    }
    if let Some(version) = resource_version {
        preconditions["resourceVersion"] = json!(version);
    }
    options["preconditions"] = preconditions;
    if let Some(seconds) = grace {
        options["gracePeriodSeconds"] = json!(seconds);
    }
    if let Some(policy) = propagation {
        options["propagationPolicy"] = json!(match policy {
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
            Propagation::Orphan => "Orphan",
        });
    }
    options
}
