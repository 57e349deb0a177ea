//! What the harness itself asks of the API server. It counts that, so that it can be left out of the figures.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use kube::Client;
use serde_json::Value;

/// So many objects are made at once.
const AT_ONCE: usize = 32;

/// The harness' client. Clones count together.
#[derive(Clone)]
pub(crate) struct Hand {
    client: Client,
    asked: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Hand {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            asked: Arc::default(),
        }
    }

    /// Requests so far by verb and resource, as in `POST pods/binding`.
    pub(crate) fn asked(&self) -> BTreeMap<String, u64> {
        let asked = self.asked.lock();
        asked.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One more request, whoever sent it for the harness.
    pub(crate) fn count(&self, verb: &str, path: &str) {
        let asked = self.asked.lock();
        let mut asked = asked.unwrap_or_else(PoisonError::into_inner);
        *asked.entry(key(verb, path)).or_default() += 1;
    }

    /// For requests that this type has no word for; they are not counted.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The object or list at a path, if there is one.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Option<Value>> {
        match self.send("GET", path, None).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            answer => Ok(Some(answer.with_context(|| format!("GET {path}"))?)),
        }
    }

    /// Makes an object in a collection such as `/api/v1/namespaces/default/pods`.
    pub(crate) async fn create(&self, collection: &str, object: &Value) -> anyhow::Result<Value> {
        let created = self.send("POST", collection, Some(object)).await;
        created.with_context(|| format!("POST {collection}"))
    }

    /// Makes many, some at once.
    pub(crate) async fn create_all(
        &self,
        collection: &str,
        objects: impl Iterator<Item = Value>,
    ) -> anyhow::Result<()> {
        let created = objects.map(|object| async move {
            let created = self.create(collection, &object).await;
            created.map(drop)
        });
        stream::iter(created)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Changes an object by a merge patch.
    pub(crate) async fn merge(&self, path: &str, patch: &Value) -> anyhow::Result<()> {
        let merged = self.send("PATCH", path, Some(patch)).await;
        merged.map(drop).with_context(|| format!("PATCH {path}"))
    }

    /// Changes many in the same way, some at once.
    pub(crate) async fn merge_all(
        &self,
        paths: impl Iterator<Item = String>,
        patch: &Value,
    ) -> anyhow::Result<()> {
        let merged = paths.map(|path| async move { self.merge(&path, patch).await });
        stream::iter(merged)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Deletes an object in the background.
    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let options = serde_json::json!({"propagationPolicy": "Background"});
        let deleted = self.send("DELETE", path, Some(&options)).await;
        deleted.map(drop).with_context(|| format!("DELETE {path}"))
    }

    async fn send(&self, verb: &str, path: &str, body: Option<&Value>) -> kube::Result<Value> {
        self.count(verb, path);
        let format = match verb {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = http::Request::builder()
            .method(verb)
            .uri(path)
            .header(http::header::CONTENT_TYPE, format)
            .body(body.into_bytes())
            .map_err(kube::Error::HttpError)?;
        self.client.request(request).await
    }
}

/// How the API server counts such a request.
fn key(verb: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let parts = match parts.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        other => other,
    };
    let parts = match parts {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        other => other,
    };
    let (resource, rest) = parts.split_first().unwrap_or((&"", &[]));
    let verb = match verb {
        "GET" if rest.is_empty() => "LIST",
        verb => verb,
    };
    match rest.get(1) {
        Some(part) => format!("{verb} {resource}/{part}"),
        None => format!("{verb} {resource}"),
    }
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn a_request_is_counted_as_the_api_server_does() {
        let cases = [
            ("GET", "/api/v1/nodes?limit=1", "LIST nodes"),
            ("GET", "/api/v1/nodes/a", "GET nodes"),
            ("POST", "/api/v1/namespaces", "POST namespaces"),
            ("DELETE", "/api/v1/namespaces/a", "DELETE namespaces"),
            (
                "POST",
                "/apis/apps/v1/namespaces/a/deployments",
                "POST deployments",
            ),
            (
                "PATCH",
                "/api/v1/namespaces/a/pods/b/status",
                "PATCH pods/status",
            ),
            (
                "WATCH",
                "/api/v1/namespaces/a/pods?watch=true",
                "WATCH pods",
            ),
        ];
        for (verb, path, wanted) in cases {
            assert_eq!(key(verb, path), wanted);
        }
    }
}
