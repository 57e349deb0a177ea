//! Label and field selectors of list, watch and deletecollection, and `metav1.LabelSelector`.
//! `k8s.io/apimachinery pkg/labels/selector.go`, `pkg/fields`.

use serde_json::{Map, Value};

use crate::meta;
use crate::refusal::{self, Answer};

/// What a request selects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, String, bool)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Selector {
    /// Parses the query parameters `labelSelector` and `fieldSelector`.
    pub(crate) fn parse(labels: &str, fields: &str) -> Answer<Selector> {
        let mut selector = Selector::default();
        for part in split(labels) {
            selector.labels.push(requirement(part)?);
        }
        for part in fields.split(',').filter(|p| !p.is_empty()) {
            let (field, value, equal) = match (part.split_once("!="), part.split_once('=')) {
                (Some((field, value)), _) => (field, value, false),
                (None, Some((field, value))) => (field, value.trim_start_matches('='), true),
                (None, None) => {
                    return Err(refusal::bad_request(format!("invalid selector: {part:?}")));
                }
            };
            if !FIELDS.iter().any(|(name, _)| *name == field) {
                let message = format!("field label not supported: {field}");
                return Err(refusal::bad_request(message));
            }
            selector
                .fields
                .push((field.to_owned(), value.to_owned(), equal));
        }
        Ok(selector)
    }

    pub(crate) fn everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = meta::labels(object);
        self.labels.iter().all(|r| r.matches(labels))
            && self.fields.iter().all(|(field, value, equal)| {
                let pointer = FIELDS
                    .iter()
                    .find(|(name, _)| name == field)
                    .map_or("", |f| f.1);
                (meta::text(object, pointer) == value) == *equal
            })
    }
}

/// The fields that can be selected on, and where they stand.
const FIELDS: &[(&str, &str)] = &[
    ("metadata.name", "/metadata/name"),
    ("metadata.namespace", "/metadata/namespace"),
    ("spec.nodeName", "/spec/nodeName"),
    ("spec.schedulerName", "/spec/schedulerName"),
    ("spec.restartPolicy", "/spec/restartPolicy"),
    ("status.phase", "/status/phase"),
    ("type", "/type"),
    ("reason", "/reason"),
    ("involvedObject.kind", "/involvedObject/kind"),
    ("involvedObject.name", "/involvedObject/name"),
    ("involvedObject.namespace", "/involvedObject/namespace"),
    ("involvedObject.uid", "/involvedObject/uid"),
];

/// Commas inside parentheses do not separate.
fn split(labels: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in labels.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&labels[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&labels[start..]);
    parts
        .into_iter()
        .map(str::trim)
        .filter(|p| !p.is_empty())
        .collect()
}

fn requirement(part: &str) -> Answer<Requirement> {
    let owned = |s: &str| s.trim().to_owned();
    let set = |list: &str| -> Vec<String> {
        list.trim()
            .trim_start_matches('(')
            .trim_end_matches(')')
            .split(',')
            .map(owned)
            .collect()
    };
    if let Some((key, list)) = part.split_once(" notin ") {
        return Ok(Requirement::NotIn(owned(key), set(list)));
    }
    if let Some((key, list)) = part.split_once(" in ") {
        return Ok(Requirement::In(owned(key), set(list)));
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Ok(Requirement::NotIn(owned(key), vec![owned(value)]));
    }
    if let Some((key, value)) = part.split_once('=') {
        return Ok(Requirement::In(
            owned(key),
            vec![owned(value.trim_start_matches('='))],
        ));
    }
    if part.contains(' ') {
        return Err(refusal::bad_request(format!(
            "unable to parse requirement: {part:?}"
        )));
    }
    Ok(match part.strip_prefix('!') {
        Some(key) => Requirement::Absent(owned(key)),
        None => Requirement::Exists(owned(part)),
    })
}

impl Requirement {
    fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        let get = |key: &String| labels.and_then(|l| l.get(key)).and_then(Value::as_str);
        match self {
            Requirement::In(key, values) => get(key).is_some_and(|v| values.iter().any(|w| w == v)),
            Requirement::NotIn(key, values) => {
                get(key).is_none_or(|v| values.iter().all(|w| w != v))
            }
            Requirement::Exists(key) => get(key).is_some(),
            Requirement::Absent(key) => get(key).is_none(),
        }
    }
}

/// Whether a `metav1.LabelSelector` matches labels. An absent selector matches nothing, an empty
/// one everything.
pub(crate) fn label_selector_matches(
    selector: Option<&Value>,
    labels: Option<&Map<String, Value>>,
) -> bool {
    let Some(selector) = selector else {
        return false;
    };
    let equal = selector
        .get("matchLabels")
        .and_then(Value::as_object)
        .is_none_or(|wanted| {
            wanted
                .iter()
                .all(|(key, value)| labels.and_then(|l| l.get(key)) == Some(value))
        });
    equal
        && meta::array(selector, "/matchExpressions")
            .iter()
            .all(|expression| {
                let key = meta::text(expression, "/key").to_owned();
                let values: Vec<String> = meta::array(expression, "/values")
                    .iter()
                    .filter_map(|v| v.as_str().map(str::to_owned))
                    .collect();
                match meta::text(expression, "/operator") {
                    "In" => Requirement::In(key, values),
                    "NotIn" => Requirement::NotIn(key, values),
                    "Exists" => Requirement::Exists(key),
                    _ => Requirement::Absent(key),
                }
                .matches(labels)
            })
}

/// A `metav1.LabelSelector` (or a plain map of labels) in the textual form of `status.selector`
/// of a Scale.
pub(crate) fn textual(selector: &Value) -> String {
    let mut parts = Vec::new();
    let labels = selector.get("matchLabels").or_else(|| {
        selector
            .get("matchExpressions")
            .is_none()
            .then_some(selector)
    });
    for (key, value) in labels.and_then(Value::as_object).into_iter().flatten() {
        parts.push(format!("{key}={}", value.as_str().unwrap_or("")));
    }
    for expression in meta::array(selector, "/matchExpressions") {
        let key = meta::text(expression, "/key");
        let mut values: Vec<&str> = meta::array(expression, "/values")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        values.sort_unstable();
        let values = values.join(",");
        parts.push(match meta::text(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    parts.sort();
    parts.join(",")
}
