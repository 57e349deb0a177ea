//! `apps/v1` (`pkg/apis/apps/v1/defaults.go`, `pkg/apis/apps/validation/validation.go`).

use crate::rules::{forbidden, immutable, pods_or_percent, rule, selector, selects, template};
use serde_json::{Value, json};

/// A count that is not negative.
fn count() -> Value {
    json!({ "minimum": 0 })
}

fn counted(default: i32) -> Value {
    json!({ "minimum": 0, "default": default })
}

/// A selector that never changes.
fn fixed_selector() -> Value {
    let mut selector = selector();
    selector["x-kubernetes-validations"] = immutable();
    selector
}

/// Selectors as text, which the subresource `scale` is read from.
fn scaled() -> Value {
    json!({ "properties": { "selector": {
        "type": "string",
        "description": "The selector as text, for the subresource scale.",
    } } })
}

/// Strategy: a percentage or number that is given if `with` it makes sense only.
fn bounds(surge: Value, unavailable: Value) -> Value {
    let mut bounds = json!({ "properties": {
        "maxSurge": pods_or_percent(),
        "maxUnavailable": pods_or_percent(),
    } });
    bounds["properties"]["maxSurge"]["default"] = surge;
    bounds["properties"]["maxUnavailable"]["default"] = unavailable;
    bounds
}

fn default_type() -> Value {
    json!({ "default": "RollingUpdate" })
}

/// The type of a strategy; the API server says of the built-in kinds that the strategy is wrong, and not its type.
fn one_of(types: [&str; 2]) -> Value {
    let [a, b] = types;
    let message = format!("unknown type: supported values: \"{a}\", \"{b}\"");
    rule(&format!("self.type in ['{a}', '{b}']"), "", &message)
}

/// Neither a number nor a percentage that is nothing.
const SOME: &str = "(type(self.maxSurge) == int ? int(self.maxSurge) != 0 : !string(self.maxSurge).matches('^0+%$')) || \
                    (type(self.maxUnavailable) == int ? int(self.maxUnavailable) != 0 : \
                    !string(self.maxUnavailable).matches('^0+%$'))";

pub(super) fn deployment() -> Value {
    let mut rolling = bounds(json!("25%"), json!("25%"));
    rolling["x-kubernetes-validations"] = json!([rule(
        SOME,
        ".maxUnavailable",
        "may not be 0 when `maxSurge` is 0"
    )]);
    let [selects, _] = selects();
    json!({ "required": ["spec"], "properties": { "spec": {
        "properties": {
            "minReadySeconds": count(),
            "progressDeadlineSeconds": counted(600),
            "replicas": counted(1),
            "revisionHistoryLimit": counted(10),
            "selector": fixed_selector(),
            "strategy": {
                "default": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } },
                "properties": {
                    "type": default_type(),
                    "rollingUpdate": rolling,
                },
                "x-kubernetes-validations": [one_of(["Recreate", "RollingUpdate"]), forbidden(
                    "self.type != 'Recreate' || !has(self.rollingUpdate)",
                    ".rollingUpdate",
                    "may not be specified when strategy `type` is 'Recreate'",
                )],
            },
            "template": template(&["Always"]),
        },
        "x-kubernetes-validations": [
            selects,
            rule(
                "self.progressDeadlineSeconds > (has(self.minReadySeconds) ? self.minReadySeconds : 0)",
                ".progressDeadlineSeconds",
                "must be greater than minReadySeconds",
            ),
        ],
    }, "status": scaled() } })
}

pub(super) fn replicaset() -> Value {
    let [selects, some] = selects();
    json!({ "required": ["spec"], "properties": { "spec": {
        "required": ["selector", "template"],
        "properties": {
            "minReadySeconds": count(),
            "replicas": counted(1),
            "selector": fixed_selector(),
            "template": template(&["Always"]),
        },
        "x-kubernetes-validations": [selects, some],
    }, "status": scaled() } })
}

pub(super) fn daemonset() -> Value {
    let mut rolling = bounds(json!(0), json!(1));
    let only_one = "(type(self.maxSurge) == int ? int(self.maxSurge) == 0 : string(self.maxSurge).matches('^0+%$')) || \
                    (type(self.maxUnavailable) == int ? int(self.maxUnavailable) == 0 : \
                    string(self.maxUnavailable).matches('^0+%$'))";
    rolling["x-kubernetes-validations"] = json!([
        rule(SOME, ".maxUnavailable", "cannot be 0 when maxSurge=0"),
        rule(
            only_one,
            ".maxSurge",
            "may not be set when maxUnavailable is non-zero"
        ),
    ]);
    let [selects, some] = selects();
    json!({ "required": ["spec"], "properties": { "spec": {
        "properties": {
            "minReadySeconds": count(),
            "revisionHistoryLimit": counted(10),
            "selector": fixed_selector(),
            "template": template(&["Always"]),
            "updateStrategy": {
                "default": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 1 } },
                "properties": {
                    "type": default_type(),
                    "rollingUpdate": rolling,
                },
                "x-kubernetes-validations": [one_of(["RollingUpdate", "OnDelete"])],
            },
        },
        "x-kubernetes-validations": [selects, some],
    } } })
}

/// What of a StatefulSet may change.
const FIXED: &str = "self.selector == oldSelf.selector && self.podManagementPolicy == oldSelf.podManagementPolicy && \
                     (has(self.serviceName) ? self.serviceName : '') == (has(oldSelf.serviceName) ? \
                     oldSelf.serviceName : '') && has(self.volumeClaimTemplates) == has(oldSelf.volumeClaimTemplates) \
                     && (!has(self.volumeClaimTemplates) || self.volumeClaimTemplates == oldSelf.volumeClaimTemplates)";

pub(super) fn statefulset() -> Value {
    let keep = json!({ "default": "Retain", "enum": ["Retain", "Delete"] });
    let mut unavailable = pods_or_percent();
    unavailable["x-kubernetes-validations"][0]["rule"] =
        json!("type(self) == int ? int(self) > 0 : string(self).matches('^0*[1-9][0-9]*%$')");
    unavailable["x-kubernetes-validations"][0]["message"] = json!("cannot be 0");
    let [selects, some] = selects();
    let claim = json!({ "properties": {
        "apiVersion": { "default": "v1" },
        "kind": { "default": "PersistentVolumeClaim" },
        "metadata": { "default": {} },
        "status": { "default": { "phase": "Pending" } },
    } });
    json!({ "required": ["spec"], "properties": { "spec": {
        "properties": {
            "minReadySeconds": count(),
            "ordinals": { "properties": { "start": { "minimum": 0, "default": 0 } } },
            "persistentVolumeClaimRetentionPolicy": {
                "default": { "whenDeleted": "Retain", "whenScaled": "Retain" },
                "properties": { "whenDeleted": keep, "whenScaled": keep },
            },
            "podManagementPolicy": { "default": "OrderedReady", "enum": ["OrderedReady", "Parallel"] },
            "replicas": counted(1),
            "revisionHistoryLimit": counted(10),
            "selector": selector(),
            "template": template(&["Always"]),
            "updateStrategy": {
                "default": { "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } },
                "properties": {
                    "type": default_type(),
                    "rollingUpdate": { "properties": {
                        "maxUnavailable": unavailable,
                        "partition": counted(0),
                    } },
                },
                "x-kubernetes-validations": [one_of(["RollingUpdate", "OnDelete"]), rule(
                    "self.type != 'OnDelete' || !has(self.rollingUpdate)",
                    ".rollingUpdate",
                    "only allowed for updateStrategy 'RollingUpdate'",
                )],
            },
            "volumeClaimTemplates": { "items": claim },
        },
        "x-kubernetes-validations": [
            selects,
            some,
            forbidden(
                FIXED,
                "",
                "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                 'minReadySeconds' are forbidden",
            ),
        ],
    }, "status": scaled() } })
}

pub(super) fn controllerrevision() -> Value {
    json!({ "properties": {
        "revision": { "minimum": 0 },
        "data": { "x-kubernetes-validations": [rule("self == oldSelf", "", "field is immutable")] },
    } })
}
