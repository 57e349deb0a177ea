//! The subresource `scale` of a custom resource is read from its fields, and the selector in it, which autoscalers and
//! budgets count pods by, from a field that holds it as text: `status.selector`.

use bytes::Bytes;
use http::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use objects::Selector;
use serde::Deserialize;
use serde_json::{Value, json};

/// Where what can be scaled is.
const GROUP: &str = "/apis/apps.corten.dev/v1/";
const SCALED: [&str; 3] = ["deployments", "replicasets", "statefulsets"];

/// The status in this request with the selector in it, if it is the status of something that can be scaled.
pub(super) fn complete(method: &Method, path: &str, body: &Bytes) -> Option<Bytes> {
    let object = path.strip_prefix(GROUP)?.strip_suffix("/status")?;
    let plural = object.split('/').nth(2)?;
    if method != Method::PUT || !SCALED.contains(&plural) {
        return None;
    }
    let mut object: Value = serde_json::from_slice(body).ok()?;
    let selector = LabelSelector::deserialize(&object["spec"]["selector"]).ok()?;
    let selector = Selector::parse(&selector).ok()?;
    object.get_mut("status")?["selector"] = json!(selector.to_string());
    Some(Bytes::from(object.to_string()))
}
