//! Rules that fields of one object keep to, and the bounds that let the API server tell what a rule may cost.

use serde_json::{Value, json};

/// Labels of a selector and of a template: no label's value is longer than this, and more labels than that nobody has.
const VALUE: u32 = 63;
const LABELS: u32 = 128;

/// A rule: what must be true, the field that is wrong if it is not, and what is said then.
pub(crate) fn rule(rule: &str, field: &str, message: &str) -> Value {
    let mut it = json!({ "rule": rule, "message": message });
    if !field.is_empty() {
        it["fieldPath"] = json!(field);
    }
    it
}

/// As [`rule`], of a field that is missing.
pub(crate) fn required(says: &str, field: &str, message: &str) -> Value {
    with_reason(rule(says, field, message), "FieldValueRequired")
}

/// As [`rule`], of a field that must not be there.
pub(crate) fn forbidden(says: &str, field: &str, message: &str) -> Value {
    with_reason(rule(says, field, message), "FieldValueForbidden")
}

fn with_reason(mut rule: Value, reason: &str) -> Value {
    rule["reason"] = json!(reason);
    rule
}

/// The field never changes.
pub(crate) fn immutable() -> Value {
    json!([rule("self == oldSelf", "", "field is immutable")])
}

/// A label selector that a rule may look through.
pub(crate) fn selector() -> Value {
    let value = json!({ "maxLength": VALUE });
    json!({ "properties": {
        "matchLabels": { "maxProperties": LABELS, "additionalProperties": value },
        "matchExpressions": { "maxItems": 16, "items": { "properties": {
            "key": { "maxLength": 317 },
            "operator": { "enum": ["In", "NotIn", "Exists", "DoesNotExist"] },
            "values": { "maxItems": 64, "items": value },
        } } },
    } })
}

/// A pod template with labels that a rule may look through, and one of these restart policies. Who has the choice must
/// choose.
pub(crate) fn template(restart: &[&str]) -> Value {
    let mut policy = json!({ "enum": restart });
    if !restart.contains(&"Always") {
        policy["default"] = Value::Null;
    }
    let mut template = json!({ "properties": {
        "metadata": { "properties": { "labels": {
            "maxProperties": LABELS,
            "additionalProperties": { "maxLength": VALUE },
        } } },
        "spec": { "properties": { "restartPolicy": policy } },
    }, "required": ["spec"] });
    if !restart.contains(&"Always") {
        template["properties"]["spec"]["required"] = json!(["containers", "restartPolicy"]);
    }
    template
}

/// A selector that its own template matches, and that is not empty.
pub(crate) fn selects() -> [Value; 2] {
    let labels = "(has(self.template.metadata) && has(self.template.metadata.labels) ? self.template.metadata.labels : {})";
    let selects = format!(
        "(!has(self.selector.matchLabels) || self.selector.matchLabels.all(k, k in {labels} && {labels}[k] == \
         self.selector.matchLabels[k])) && (!has(self.selector.matchExpressions) || \
         self.selector.matchExpressions.all(e, e.operator == 'Exists' ? e.key in {labels} : e.operator == 'DoesNotExist' \
         ? !(e.key in {labels}) : e.operator == 'In' ? e.key in {labels} && {labels}[e.key] in e.values : !(e.key in \
         {labels} && {labels}[e.key] in e.values)))"
    );
    let some = "(has(self.selector.matchLabels) && size(self.selector.matchLabels) > 0) || \
                (has(self.selector.matchExpressions) && size(self.selector.matchExpressions) > 0)";
    [
        rule(
            &selects,
            ".template.metadata.labels",
            "`selector` does not match template `labels`",
        ),
        rule(some, ".selector", "empty selector is invalid"),
    ]
}

/// A number of pods, or a percentage of them.
pub(crate) fn pods_or_percent() -> Value {
    json!({ "maxLength": 12, "x-kubernetes-validations": [rule(
        "type(self) == int ? int(self) >= 0 : string(self).matches('^[0-9]+%$')",
        "",
        "must be a number of at least 0, or a percentage",
    )] })
}
