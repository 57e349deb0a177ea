//! What the schema of a CustomResourceDefinition does to an object: unknown fields are pruned, missing ones get their
//! defaults, and the rest is checked. `apiextensions-apiserver pkg/apiserver/schema/{pruning,defaulting}`,
//! `k8s.io/kube-openapi/pkg/validation/validate`.
//!
//! It does not evaluate CEL (`x-kubernetes-validations`), and of formats it knows `date-time`.

use std::collections::HashMap;

use jiff::Timestamp;
use regex::Regex;
use serde_json::{Map, Value};

use crate::refusal::Wrong;

/// What every object has, whatever its schema says.
const OF_ALL: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// How the lists of a schema are merged, by the field that holds the list's map and the list's own: the first key of
/// `x-kubernetes-list-map-keys`, or none for a set. Lists that are not named are replaced as a whole.
pub(crate) type Lists = HashMap<(String, String), Option<String>>;

fn is(schema: &Value, key: &str) -> bool {
    schema.get(key) == Some(&Value::Bool(true))
}

/// Takes away what the schema does not name.
pub(crate) fn prune(schema: &Value, value: &mut Value) {
    prune_map(schema, value, true);
}

fn prune_map(schema: &Value, value: &mut Value, whole: bool) {
    match value {
        Value::Object(map) => {
            let keeps = is(schema, "x-kubernetes-preserve-unknown-fields");
            let whole = whole || is(schema, "x-kubernetes-embedded-resource");
            let others = schema.get("additionalProperties");
            map.retain(|key, below| {
                if whole && OF_ALL.contains(&key.as_str()) {
                    return true;
                }
                match (schema.property(key), others) {
                    (Some(schema), _) => prune_map(schema, below, false),
                    (None, Some(schema)) if schema.is_object() => prune_map(schema, below, false),
                    (None, Some(Value::Bool(true))) => {}
                    (None, _) => return keeps,
                }
                true
            });
        }
        Value::Array(list) => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            for item in list {
                prune_map(items, item, false);
            }
        }
        _ => {}
    }
}

/// Fills in the defaults of what is missing, or null where the schema knows no null.
pub(crate) fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, below) in schema.properties() {
                let Some(default) = below.get("default") else {
                    continue;
                };
                let lacks = |value: &Value| value.is_null() && !is(below, "nullable");
                if map.get(key).is_none_or(lacks) {
                    map.insert(key.clone(), default.clone());
                }
            }
            for (key, value) in map {
                let others = schema.get("additionalProperties");
                if let Some(schema) = schema.property(key).or(others) {
                    fill(schema, value);
                }
            }
        }
        Value::Array(list) => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            for item in list {
                fill(items, item);
            }
        }
        _ => {}
    }
}

/// Says what is wrong with an object.
pub(crate) fn check(schema: &Value, object: &Value) -> Vec<Wrong> {
    let mut wrongs = Vec::new();
    for (key, below) in schema.properties() {
        if key != "metadata"
            && let Some(value) = object.get(key)
        {
            check_at(below, value, key, &mut wrongs);
        }
    }
    required(schema, object, "", &mut wrongs);
    wrongs
}

fn check_at(schema: &Value, value: &Value, path: &str, wrongs: &mut Vec<Wrong>) {
    if value.is_null() && is(schema, "nullable") {
        return;
    }
    let kind = schema.get("type").and_then(Value::as_str);
    let either = is(schema, "x-kubernetes-int-or-string");
    let fits = match (kind, value) {
        _ if either => value.is_string() || value.as_i64().is_some(),
        (Some("object"), Value::Object(_))
        | (Some("array"), Value::Array(_))
        | (Some("string"), Value::String(_))
        | (Some("boolean"), Value::Bool(_))
        | (Some("number"), Value::Number(_))
        | (None, _) => true,
        (Some("integer"), Value::Number(n)) => n.as_f64().is_some_and(|n| n.fract() == 0.0),
        _ => false,
    };
    if !fits {
        let (named, wanted) = (name_of(value), kind.unwrap_or("integer,string"));
        let message =
            format!("Invalid value: {named:?}: {path} in body must be of type {wanted}: {named:?}");
        return say(wrongs, path, "FieldValueTypeInvalid", message);
    }
    if let Some(Value::Array(known)) = schema.get("enum")
        && !known.contains(value)
    {
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        let message = format!(
            "Unsupported value: {value}: supported values: {}",
            known.join(", ")
        );
        say(wrongs, path, "FieldValueNotSupported", message);
    }
    match value {
        Value::Number(_) => check_number(schema, value, path, wrongs),
        Value::String(text) => check_text(schema, text, path, wrongs),
        Value::Array(list) => check_list(schema, list, path, wrongs),
        Value::Object(map) => {
            check_size(schema, "Properties", map.len(), path, wrongs);
            required(schema, value, path, wrongs);
            let others = schema.get("additionalProperties").filter(|s| s.is_object());
            for (key, value) in map {
                if let Some(below) = schema.property(key).or(others) {
                    check_at(below, value, &format!("{path}.{key}"), wrongs);
                }
            }
        }
        _ => {}
    }
    check_together(schema, value, path, wrongs);
}

fn check_number(schema: &Value, value: &Value, path: &str, wrongs: &mut Vec<Wrong>) {
    let number = value.as_f64().unwrap_or_default();
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let mut wrong = |should: String| {
        let message = format!("Invalid value: {value}: {path} in body should be {should}");
        say(wrongs, path, "FieldValueInvalid", message);
    };
    let than = |open: bool| if open { "than" } else { "than or equal to" };
    let open = is(schema, "exclusiveMinimum");
    let beyond = |least: &f64| {
        if open {
            number <= *least
        } else {
            number < *least
        }
    };
    if let Some(least) = bound("minimum").filter(beyond) {
        wrong(format!("greater {} {least}", than(open)));
    }
    let open = is(schema, "exclusiveMaximum");
    let beyond = |most: &f64| {
        if open {
            number >= *most
        } else {
            number > *most
        }
    };
    if let Some(most) = bound("maximum").filter(beyond) {
        wrong(format!("less {} {most}", than(open)));
    }
    if let Some(step) = bound("multipleOf")
        && (number / step).fract() != 0.0
    {
        wrong(format!("a multiple of {step}"));
    }
}

fn check_text(schema: &Value, text: &str, path: &str, wrongs: &mut Vec<Wrong>) {
    let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
    let length = text.chars().count() as u64;
    let mut wrong = |reason, message| say(wrongs, path, reason, message);
    // The first of them is told.
    let least = bound("minLength").filter(|least| length < *least);
    let pattern = schema.get("pattern").and_then(Value::as_str);
    let differs = |pattern: &&str| Regex::new(pattern).is_ok_and(|known| !known.is_match(text));
    if let Some(most) = bound("maxLength").filter(|most| length > *most) {
        let message = format!("Too long: may not be more than {most} bytes");
        wrong("FieldValueTooLong", message);
    } else if let Some(least) = least {
        let should = format!("{path} in body should be at least {least} chars long");
        let message = format!("Invalid value: {text:?}: {should}");
        wrong("FieldValueInvalid", message);
    } else if let Some(pattern) = pattern.filter(differs) {
        let should = format!("{path} in body should match '{pattern}'");
        wrong(
            "FieldValueInvalid",
            format!("Invalid value: {text:?}: {should}"),
        );
    }
    if schema.get("format").and_then(Value::as_str) == Some("date-time")
        && text.parse::<Timestamp>().is_err()
    {
        let message =
            format!("Invalid value: {text:?}: {path} in body must be of type date-time: {text:?}");
        wrong("FieldValueTypeInvalid", message);
    }
}

fn check_list(schema: &Value, list: &[Value], path: &str, wrongs: &mut Vec<Wrong>) {
    check_size(schema, "Items", list.len(), path, wrongs);
    let items = schema.get("items").unwrap_or(&Value::Null);
    for (n, item) in list.iter().enumerate() {
        check_at(items, item, &format!("{path}[{n}]"), wrongs);
    }
    let keys: Vec<&str> = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => Vec::new(),
        Some("map") => strings(schema.get("x-kubernetes-list-map-keys")),
        _ => return,
    };
    let identity = |item: &Value| -> Value {
        if keys.is_empty() {
            return item.clone();
        }
        let of = |key: &&str| Some(((*key).to_owned(), item.get(*key)?.clone()));
        Value::Object(keys.iter().filter_map(of).collect())
    };
    for (n, item) in list.iter().enumerate() {
        let own = identity(item);
        if list[..n].iter().any(|other| identity(other) == own) {
            let message = format!("Duplicate value: {own}");
            say(
                wrongs,
                &format!("{path}[{n}]"),
                "FieldValueDuplicate",
                message,
            );
        }
    }
}

/// `minItems` or `minProperties`, and the same with `max`: of `Items` or `Properties`.
fn check_size(schema: &Value, of: &str, size: usize, path: &str, wrongs: &mut Vec<Wrong>) {
    let bound = |word: &str| schema.get(format!("{word}{of}")).and_then(Value::as_u64);
    if let Some(least) = bound("min").filter(|least| (size as u64) < *least) {
        let should = format!("should have at least {least} {}", of.to_lowercase());
        let message = format!("Invalid value: {size}: {path} in body {should}");
        say(wrongs, path, "FieldValueInvalid", message);
    }
    if let Some(most) = bound("max").filter(|most| size as u64 > *most) {
        // Of properties too: upstream has one word for both.
        let message = format!("Too many: {size}: must have at most {most} items");
        say(wrongs, path, "FieldValueTooMany", message);
    }
}

/// `allOf`, `anyOf`, `oneOf` and `not`.
fn check_together(schema: &Value, value: &Value, path: &str, wrongs: &mut Vec<Wrong>) {
    let parts = |key: &str| {
        let parts = schema.get(key).and_then(Value::as_array);
        parts.into_iter().flatten()
    };
    let passes = |part: &Value| {
        let mut wrongs = Vec::new();
        check_at(part, value, path, &mut wrongs);
        wrongs.is_empty()
    };
    for part in parts("allOf") {
        check_at(part, value, path, wrongs);
    }
    let mut refuse = |how: &str| {
        let message = format!("Invalid value: {value}: {path} in body must {how}");
        say(wrongs, path, "FieldValueInvalid", message);
    };
    // What int-or-string says of itself has been looked at.
    let any = parts("anyOf").count() > 0 && !is(schema, "x-kubernetes-int-or-string");
    if any && !parts("anyOf").any(passes) {
        refuse("validate at least one schema (anyOf)");
    }
    if parts("oneOf").count() > 0 && parts("oneOf").filter(|part| passes(part)).count() != 1 {
        refuse("validate one and only one schema (oneOf)");
    }
    if schema.get("not").is_some_and(passes) {
        refuse("not validate the schema (not)");
    }
}

fn required(schema: &Value, object: &Value, path: &str, wrongs: &mut Vec<Wrong>) {
    for key in strings(schema.get("required")) {
        if object.get(key).is_none() {
            let dot = if path.is_empty() { "" } else { "." };
            let field = format!("{path}{dot}{key}");
            say(
                wrongs,
                &field,
                "FieldValueRequired",
                "Required value".to_owned(),
            );
        }
    }
}

/// How lists are merged, wherever they stand.
pub(crate) fn lists(schema: &Value) -> Lists {
    let mut lists = Lists::new();
    find_lists(schema, "", &mut lists);
    lists
}

fn find_lists(schema: &Value, parent: &str, lists: &mut Lists) {
    for (key, below) in schema.properties() {
        let how = match below.get("x-kubernetes-list-type").and_then(Value::as_str) {
            Some("set") => Some(None),
            Some("map") => strings(below.get("x-kubernetes-list-map-keys"))
                .first()
                .map(|key| Some((*key).to_owned())),
            _ => None,
        };
        if let Some(how) = how {
            lists.insert((parent.to_owned(), key.clone()), how);
        }
        find_lists(below, key, lists);
        if let Some(items) = below.get("items") {
            find_lists(items, key, lists);
        }
    }
}

fn strings(list: Option<&Value>) -> Vec<&str> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn say(wrongs: &mut Vec<Wrong>, field: &str, reason: &'static str, message: String) {
    wrongs.push(Wrong {
        field: field.to_owned(),
        reason,
        message,
    });
}

/// Short words for walking a schema.
trait Walk {
    fn properties(&self) -> impl Iterator<Item = (&String, &Value)>;
    /// The schema of one property.
    fn property(&self, key: &str) -> Option<&Value>;
}

impl Walk for Value {
    fn properties(&self) -> impl Iterator<Item = (&String, &Value)> {
        let map = self.get("properties").and_then(Value::as_object);
        map.into_iter().flat_map(Map::iter)
    }

    fn property(&self, key: &str) -> Option<&Value> {
        self.get("properties")?.get(key)
    }
}

#[cfg(test)]
mod tests;
