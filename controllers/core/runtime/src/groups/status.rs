//! What the API server does with the status of a built-in kind and not with that of a custom resource.
//!
//! The subresource `scale` of a custom resource is read from its fields, and the selector in it, which autoscalers and
//! budgets count pods by, from a field that holds it as text: `status.selector`. And of what is put to `status` only the
//! status is taken, where a built-in kind takes annotations too (`pkg/registry/apps/deployment/strategy.go`): a
//! Deployment's revision comes with its status.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::client::Body;
use objects::Selector;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Where the kinds are that this is about.
const GROUP: &str = "/apis/apps.corten.dev/v1/";
const SCALED: [&str; 3] = ["deployments", "replicasets", "statefulsets"];

/// A status that is put.
pub(super) struct Put {
    object: Value,
    path: String,
}

impl Put {
    /// What this request puts, if that is the status of something that can be scaled: now with its selector as text.
    pub(super) fn of(method: &Method, uri: &http::Uri, body: &Bytes) -> Option<Self> {
        let object = uri.path().strip_suffix("/status")?;
        let plural = object.strip_prefix(GROUP)?.split('/').nth(2)?;
        if method != Method::PUT || !SCALED.contains(&plural) {
            return None;
        }
        let query = uri.query().map(|query| format!("?{query}"));
        let path = format!("{object}{}", query.unwrap_or_default());
        let mut object: Value = serde_json::from_slice(body).ok()?;
        let selector = LabelSelector::deserialize(&object["spec"]["selector"]).ok()?;
        let selector = Selector::parse(&selector).ok()?;
        object.get_mut("status")?["selector"] = json!(selector.to_string());
        Some(Self { object, path })
    }

    /// What is sent.
    pub(super) fn body(&self) -> Vec<u8> {
        self.object.to_string().into_bytes()
    }

    /// The request that brings the annotations that were put and that the answer does not have, if there are some. Nobody
    /// else's are touched: it is of the version that the answer is of.
    pub(super) fn rest(&self, answer: &[u8]) -> Option<Request<Body>> {
        let answer: Value = serde_json::from_slice(answer).ok()?;
        let has = &answer["metadata"]["annotations"];
        let put = self.object["metadata"]["annotations"].as_object()?;
        let missing = put
            .iter()
            .filter(|(key, value)| has.get(key) != Some(value));
        let missing: Map<_, _> = missing.map(|(k, v)| (k.clone(), v.clone())).collect();
        if missing.is_empty() {
            return None;
        }
        let patch = json!({ "metadata": {
            "resourceVersion": answer["metadata"]["resourceVersion"],
            "annotations": missing,
        } });
        let media = HeaderValue::from_static("application/merge-patch+json");
        let request = Request::patch(&self.path).header(CONTENT_TYPE, media);
        request
            .body(Body::from(patch.to_string().into_bytes()))
            .ok()
    }
}
