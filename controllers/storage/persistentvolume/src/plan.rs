//! What to do about a claim, and about a volume. Pure.

mod claim;
mod volume;

pub(crate) use claim::Course;
pub use claim::plan as claim;
pub(crate) use volume::Fate;
pub use volume::plan as volume;

use serde_json::{Value, json};

/// A merge patch of this version of an object: if it has changed since, nothing is written.
fn of_version(
    meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    mut body: Value,
) -> Value {
    if !body["metadata"].is_object() {
        body["metadata"] = json!({});
    }
    body["metadata"]["uid"] = json!(meta.uid);
    body["metadata"]["resourceVersion"] = json!(meta.resource_version);
    body
}
