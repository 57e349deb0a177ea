//! What the API server's answers mean to a loop: one function classifies them all.

use http::StatusCode;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use plan::Cause;
use std::time::Duration;

/// A request that did not succeed.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// The class.
    pub(crate) cause: Cause,
    /// The server's message, or what went wrong on the way.
    pub(crate) message: String,
    /// The code of the answer, where there was one.
    pub(crate) code: Option<StatusCode>,
    /// The object that the answer says it is about.
    pub(crate) about: Option<String>,
    /// The server asked to be left alone for this long (429, 503).
    pub(crate) retry_after: Option<Duration>,
    /// Whether the write may have been committed all the same: the answer was lost, or the server itself
    /// does not know.
    pub(crate) ambiguous: bool,
}

impl Refusal {
    /// No answer: the connection broke or the time was up.
    pub(crate) fn unanswered(message: impl Into<String>) -> Self {
        Self {
            cause: Cause::Transient,
            message: message.into(),
            code: None,
            about: None,
            retry_after: None,
            ambiguous: true,
        }
    }

    /// Not sent, as another process may lead by now.
    pub(crate) fn fenced() -> Self {
        Self {
            ambiguous: false,
            ..Self::unanswered("the lease was not renewed in time, another process may lead")
        }
    }

    /// An answer other than 2xx.
    pub(crate) fn answered(code: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let status: Status = serde_json::from_slice(body).unwrap_or_default();
        let message = status.message.clone().unwrap_or_else(|| {
            format!(
                "the server answered {code}: {}",
                String::from_utf8_lossy(body).trim()
            )
        });
        let cause = classify(code, &status);
        let overloaded = code == StatusCode::TOO_MANY_REQUESTS
            || (code == StatusCode::SERVICE_UNAVAILABLE && retry_after.is_some());
        Self {
            cause,
            message,
            code: Some(code),
            about: status.details.and_then(|details| details.name),
            retry_after: overloaded.then(|| retry_after.unwrap_or(Duration::from_secs(1))),
            // 429 is said before anything is done; any other failure of the server may come after.
            ambiguous: code.is_server_error(),
        }
    }
}

fn classify(code: StatusCode, status: &Status) -> Cause {
    let reason = status.reason.as_deref().unwrap_or_default();
    match code {
        StatusCode::NOT_FOUND | StatusCode::GONE => Cause::NotFound,
        StatusCode::CONFLICT if reason == "AlreadyExists" => Cause::AlreadyExists,
        StatusCode::CONFLICT => Cause::Conflict,
        StatusCode::UNPROCESSABLE_ENTITY
        | StatusCode::BAD_REQUEST
        | StatusCode::METHOD_NOT_ALLOWED => Cause::Invalid,
        StatusCode::FORBIDDEN if has_cause(status, "NamespaceTerminating") => {
            Cause::NamespaceTerminating
        }
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Cause::Forbidden,
        _ => Cause::Transient,
    }
}

fn has_cause(status: &Status, wanted: &str) -> bool {
    let causes = status.details.as_ref().and_then(|d| d.causes.as_ref());
    causes.is_some_and(|causes| causes.iter().any(|c| c.reason.as_deref() == Some(wanted)))
}

#[cfg(test)]
mod tests {
    use super::Refusal;
    use http::StatusCode;
    use plan::Cause;
    use serde_json::json;

    #[test]
    fn answers_fall_into_the_classes_that_loops_treat_differently() {
        let terminating =
            json!({"reason":"Forbidden","details":{"causes":[{"reason":"NamespaceTerminating"}]}});
        for (code, body, cause, ambiguous) in [
            (404, json!({"reason":"NotFound"}), Cause::NotFound, false),
            (
                409,
                json!({"reason":"AlreadyExists"}),
                Cause::AlreadyExists,
                false,
            ),
            (409, json!({"reason":"Conflict"}), Cause::Conflict, false),
            (422, json!({"reason":"Invalid"}), Cause::Invalid, false),
            (
                403,
                json!({"reason":"Forbidden","message":"exceeded quota"}),
                Cause::Forbidden,
                false,
            ),
            (403, terminating, Cause::NamespaceTerminating, false),
            (429, json!({}), Cause::Transient, false),
            (500, json!({}), Cause::Transient, true),
            (504, json!({"reason":"Timeout"}), Cause::Transient, true),
        ] {
            let code = StatusCode::from_u16(code).expect("these are status codes");
            let refusal = Refusal::answered(code, None, body.to_string().as_bytes());
            assert_eq!(
                (refusal.cause, refusal.ambiguous),
                (cause, ambiguous),
                "{code} {body}"
            );
        }
    }
}
