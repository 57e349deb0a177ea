//! `batch/v1` (`pkg/apis/batch/v1/defaults.go`, `pkg/apis/batch/validation/validation.go`).

use crate::rules::{required, rule, selector, template};
use serde_json::{Value, json};

/// What stands in a Job and in a CronJob's template of Jobs.
fn spec() -> Value {
    let count = json!({ "minimum": 0 });
    json!({
        "properties": {
            "activeDeadlineSeconds": count,
            "backoffLimit": count,
            "backoffLimitPerIndex": count,
            "completionMode": { "enum": ["NonIndexed", "Indexed"] },
            "completions": count,
            "maxFailedIndexes": count,
            "parallelism": count,
            "podReplacementPolicy": { "enum": ["Failed", "TerminatingOrFailed"] },
            "selector": selector(),
            "template": template(&["Never", "OnFailure"]),
            "ttlSecondsAfterFinished": count,
        },
        "x-kubernetes-validations": [
            required(
                "!has(self.completionMode) || self.completionMode != 'Indexed' || has(self.completions)",
                ".completions",
                "when completion mode is Indexed",
            ),
            rule(
                "!has(self.backoffLimitPerIndex) || (has(self.completionMode) && self.completionMode == 'Indexed')",
                ".backoffLimitPerIndex",
                "requires indexed completion mode",
            ),
            required(
                "!has(self.maxFailedIndexes) || has(self.backoffLimitPerIndex)",
                ".backoffLimitPerIndex",
                "when maxFailedIndexes is specified",
            ),
            rule(
                "!has(self.podFailurePolicy) || self.template.spec.restartPolicy == 'Never'",
                ".template.spec.restartPolicy",
                "only \"Never\" is supported when podFailurePolicy is specified",
            ),
            rule(
                "has(self.selector) == (has(self.manualSelector) && self.manualSelector)",
                ".selector",
                "is given with `manualSelector` and only then: else it is the Job's own",
            ),
        ],
    })
}

/// A rule that this field of the spec stays as it is.
fn fixed(field: &str) -> Value {
    let says = format!(
        "has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
    );
    rule(&says, &format!(".{field}"), "field is immutable")
}

pub(super) fn job() -> Value {
    let mut spec = spec();
    spec["properties"]["completionMode"]["default"] = json!("NonIndexed");
    spec["properties"]["suspend"] = json!({ "default": false });
    spec["properties"]["manualSelector"] = json!({ "default": false });
    // An Indexed Job is made larger and smaller by both of its numbers at once.
    let completions = "(has(self.completions) == has(oldSelf.completions) && (!has(self.completions) || \
                       self.completions == oldSelf.completions)) || (self.completionMode == 'Indexed' && \
                       has(self.completions) && has(self.parallelism) && self.completions == self.parallelism)";
    let template = "self.template == oldSelf.template || oldSelf.suspend";
    let fixed = [
        "selector",
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "managedBy",
        "successPolicy",
    ]
    .map(fixed);
    if let Some(rules) = spec["x-kubernetes-validations"].as_array_mut() {
        rules.push(rule(completions, ".completions", "field is immutable"));
        rules.push(rule(template, ".template", "field is immutable"));
        rules.extend(fixed);
    }
    json!({ "required": ["spec"], "properties": { "spec": spec } })
}

/// What a line of a crontab looks like; what cannot be is told in an event.
const SCHEDULE: &str = r"^\s*(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|@every\s+\S+|[0-9A-Za-z*?/,-]+(\s+[0-9A-Za-z*?/,-]+){4})\s*$";

pub(super) fn cronjob() -> Value {
    json!({ "required": ["spec"], "properties": { "spec": {
        "properties": {
            "concurrencyPolicy": { "default": "Allow", "enum": ["Allow", "Forbid", "Replace"] },
            "failedJobsHistoryLimit": { "default": 1, "minimum": 0 },
            "jobTemplate": { "required": ["spec"], "properties": { "spec": spec() } },
            "schedule": { "minLength": 1, "pattern": SCHEDULE },
            "startingDeadlineSeconds": { "minimum": 0 },
            "successfulJobsHistoryLimit": { "default": 3, "minimum": 0 },
            "suspend": { "default": false },
            "timeZone": { "minLength": 1 },
        },
    },
    // Ten more for the minute make the name of a Job.
    "metadata": { "properties": { "name": { "type": "string", "maxLength": 52 } } },
    } })
}
