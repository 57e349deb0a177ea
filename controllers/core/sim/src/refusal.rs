//! The answers that are not objects: `metav1.Status` with code, reason and message as
//! `k8s.io/apimachinery pkg/api/errors` makes them.

use kube::core::Status;
use serde_json::{Value, json};

use crate::kinds::Kind;

/// A request that the server refused.
pub type Refusal = Box<Status>;

pub(crate) type Answer<T> = Result<T, Refusal>;

/// What is written when an update carries an old resourceVersion.
pub(crate) const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

fn refusal(code: u16, reason: &str, message: String, details: Value) -> Refusal {
    let mut status = Status::failure(&message, reason).with_code(code);
    status.details = serde_json::from_value(details).ok();
    status.boxed()
}

fn details(kind: &Kind, name: &str) -> Value {
    json!({ "name": name, "group": kind.group, "kind": kind.plural })
}

pub(crate) fn not_found(kind: &Kind, name: &str) -> Refusal {
    let message = format!("{} {name:?} not found", kind.qualified());
    refusal(404, "NotFound", message, details(kind, name))
}

pub(crate) fn no_such_path() -> Refusal {
    let message = "the server could not find the requested resource".to_owned();
    refusal(404, "NotFound", message, json!({}))
}

pub(crate) fn exists(kind: &Kind, name: &str) -> Refusal {
    let message = format!("{} {name:?} already exists", kind.qualified());
    refusal(409, "AlreadyExists", message, details(kind, name))
}

pub(crate) fn conflict(kind: &Kind, name: &str, why: &str) -> Refusal {
    let message = format!(
        "Operation cannot be fulfilled on {} {name:?}: {why}",
        kind.qualified()
    );
    refusal(409, "Conflict", message, details(kind, name))
}

/// One thing wrong with an object: the field, the cause's reason and its message.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) field: String,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

pub(crate) fn invalid(kind: &Kind, name: &str, wrongs: &[Wrong]) -> Refusal {
    invalid_as(kind, (kind.kind, &kind.qualified_kind()), name, wrongs)
}

/// The same of an object that is called by this kind, alone and with its group.
fn invalid_as(
    kind: &Kind,
    (alone, qualified): (&str, &str),
    name: &str,
    wrongs: &[Wrong],
) -> Refusal {
    let lines: Vec<String> = wrongs
        .iter()
        .map(|w| format!("{}: {}", w.field, w.message))
        .collect();
    let text = match lines.as_slice() {
        [one] => one.clone(),
        more => format!("[{}]", more.join(", ")),
    };
    let causes: Vec<Value> = wrongs
        .iter()
        .map(|w| json!({ "reason": w.reason, "message": w.message, "field": w.field }))
        .collect();
    refusal(
        422,
        "Invalid",
        format!("{qualified} {name:?} is invalid: {text}"),
        json!({ "name": name, "group": kind.group, "kind": alone, "causes": causes }),
    )
}

pub(crate) fn unprocessable(message: &str) -> Refusal {
    refusal(422, "Invalid", message.to_owned(), json!({}))
}

pub(crate) fn bad_request(message: impl Into<String>) -> Refusal {
    refusal(400, "BadRequest", message.into(), json!({}))
}

/// A kind of patch that nothing here, or nothing of a custom kind, takes.
pub(crate) fn unknown_patch() -> Refusal {
    unsupported_media(
        "the body of the request was in an unknown format - accepted media types include: \
         application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
    )
}

fn unsupported_media(message: &str) -> Refusal {
    refusal(415, "UnsupportedMediaType", message.to_owned(), json!({}))
}

pub(crate) fn method_not_allowed() -> Refusal {
    let message = "the server does not allow this method on the requested resource".to_owned();
    refusal(405, "MethodNotAllowed", message, json!({}))
}

pub(crate) fn forbidden(kind: &Kind, name: &str, why: &str) -> Refusal {
    let message = format!("{} {name:?} is forbidden: {why}", kind.qualified());
    refusal(403, "Forbidden", message, details(kind, name))
}

/// The refusal of a create in a namespace that is going away, with the cause that controllers
/// look for (`NamespaceTerminating`).
pub(crate) fn terminating(kind: &Kind, name: &str, namespace: &str) -> Refusal {
    let why = format!(
        "unable to create new content in namespace {namespace} because it is being terminated"
    );
    let message = format!("{} {name:?} is forbidden: {why}", kind.qualified());
    let cause = json!({
        "reason": "NamespaceTerminating",
        "message": format!("namespace {namespace} is being terminated"),
        "field": "metadata.namespace",
    });
    let mut about = details(kind, name);
    about["causes"] = json!([cause]);
    refusal(403, "Forbidden", message, about)
}

pub(crate) fn expired(message: &str) -> Refusal {
    refusal(410, "Expired", message.to_owned(), json!({}))
}

pub(crate) fn too_old(asked: u64, oldest: u64) -> Refusal {
    expired(&format!("too old resource version: {asked} ({oldest})"))
}

pub(crate) fn too_large(asked: u64, current: u64) -> Refusal {
    refusal(
        504,
        "Timeout",
        format!("Too large resource version: {asked}, current: {current}"),
        json!({
            "causes": [{ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" }],
            "retryAfterSeconds": 1,
        }),
    )
}

pub(crate) fn too_many_requests(message: &str, retry_after: u32) -> Refusal {
    let about = json!({ "retryAfterSeconds": retry_after });
    refusal(429, "TooManyRequests", message.to_owned(), about)
}

/// A disruption budget that allows no eviction now.
pub(crate) fn disruption(budget: &str, healthy: i64, desired: i64) -> Refusal {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.".to_owned();
    let why = format!(
        "The disruption budget {budget} needs {desired} healthy pods and has {healthy} currently"
    );
    let about = json!({ "causes": [{ "reason": "DisruptionBudget", "message": why }] });
    refusal(429, "TooManyRequests", message, about)
}

/// An answer made up by a fault.
pub(crate) fn fault(code: u16) -> Refusal {
    let (reason, message) = match code {
        403 => ("Forbidden", "forbidden by a fault"),
        409 => ("Conflict", MODIFIED),
        410 => ("Expired", "the resourceVersion is too old"),
        422 => ("Invalid", "invalid by a fault"),
        429 => (
            "TooManyRequests",
            "the server has received too many requests",
        ),
        503 => (
            "ServiceUnavailable",
            "the server is currently unable to handle the request",
        ),
        504 => (
            "Timeout",
            "the server was unable to return a response in the time allotted",
        ),
        _ => ("InternalError", "Internal error occurred"),
    };
    refusal(code, reason, message.to_owned(), json!({}))
}

/// The body of a refusal.
pub(crate) fn body(status: &Status) -> Value {
    let mut value = serde_json::to_value(status).expect("a Status is plain data");
    value["kind"] = json!("Status");
    value["apiVersion"] = json!("v1");
    value["metadata"] = json!({});
    value
}

/// The body of a success that has no object.
pub(crate) fn success(kind: &Kind, name: &str, uid: &str) -> Value {
    let mut about = json!({ "name": name, "kind": kind.plural, "uid": uid });
    if !kind.group.is_empty() {
        about["group"] = json!(kind.group);
    }
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Success", "details": about,
    })
}

pub(crate) fn internal(message: &str) -> Refusal {
    refusal(
        500,
        "InternalError",
        format!("Internal error occurred: {message}"),
        json!({}),
    )
}

pub(crate) fn version_required(kind: &Kind, name: &str) -> Refusal {
    let message = "Invalid value: 0: must be specified for an update".to_owned();
    wrong_version(kind, name, message)
}

pub(crate) fn bad_version(kind: &Kind, name: &str, version: &str) -> Refusal {
    let message = format!("Invalid value: {version:?}: must be a number");
    wrong_version(kind, name, message)
}

// store.go Update: it calls the kind by its resource.
fn wrong_version(kind: &Kind, name: &str, message: String) -> Refusal {
    let wrong = Wrong {
        field: "metadata.resourceVersion".to_owned(),
        reason: "FieldValueInvalid",
        message,
    };
    invalid_as(kind, (kind.plural, &kind.qualified()), name, &[wrong])
}

/// A body that does not fit into its type.
pub(crate) fn undecodable(error: &serde_json::Error) -> Refusal {
    bad_request(format!(
        "the object in the request cannot be handled: {error}"
    ))
}

/// An error that upstream does not classify.
pub(crate) fn unclassified(message: &str) -> Refusal {
    refusal(500, "", message.to_owned(), json!({}))
}
