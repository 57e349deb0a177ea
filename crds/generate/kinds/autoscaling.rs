//! `autoscaling/v2` (`pkg/apis/autoscaling/v2/defaults.go`, `pkg/apis/autoscaling/validation/validation.go`).

use crate::rules::{required, rule};
use serde_json::{Value, json};

/// A source of metrics: its field, and what it is called.
const SOURCES: [(&str, &str); 5] = [
    ("containerResource", "ContainerResource"),
    ("external", "External"),
    ("object", "Object"),
    ("pods", "Pods"),
    ("resource", "Resource"),
];

pub(super) fn horizontalpodautoscaler() -> Value {
    let policy = json!({ "properties": {
        "type": { "enum": ["Pods", "Percent"] },
        "value": { "minimum": 1 },
        "periodSeconds": { "minimum": 1, "maximum": 1800 },
    } });
    let rules = |whole: &Value| {
        let window = json!({ "minimum": 0, "maximum": 3600 });
        let mut rules = json!({ "default": whole, "properties": {
            "policies": { "minItems": 1, "items": policy },
            "selectPolicy": { "enum": ["Max", "Min", "Disabled"] },
            "stabilizationWindowSeconds": window,
        } });
        for (name, value) in whole.as_object().into_iter().flatten() {
            rules["properties"][name]["default"] = value.clone();
        }
        rules
    };
    let percent = json!({ "type": "Percent", "value": 100, "periodSeconds": 15 });
    let pods = json!({ "type": "Pods", "value": 4, "periodSeconds": 15 });
    let up = json!({ "policies": [pods, percent], "selectPolicy": "Max", "stabilizationWindowSeconds": 0 });
    let down = json!({ "policies": [percent], "selectPolicy": "Max" });
    let cpu = json!({ "type": "Resource", "resource": {
        "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 80 },
    } });
    let sources = SOURCES.map(|(field, name)| {
        let says = format!("self.type != '{name}' || has(self.{field})");
        let message = format!("must populate information for the given metric source: {field}");
        required(&says, &format!(".{field}"), &message)
    });
    json!({ "required": ["spec"], "properties": { "spec": {
        "properties": {
            "behavior": { "properties": { "scaleUp": rules(&up), "scaleDown": rules(&down) } },
            "maxReplicas": { "minimum": 1 },
            "metrics": { "default": [cpu], "items": {
                "properties": { "type": { "enum": SOURCES.map(|(_, name)| name) } },
                "x-kubernetes-validations": sources,
            } },
            "minReplicas": { "default": 1, "minimum": 1 },
            "scaleTargetRef": { "properties": {
                "kind": { "minLength": 1 },
                "name": { "minLength": 1 },
            } },
        },
        "x-kubernetes-validations": [rule(
            "self.maxReplicas >= self.minReplicas",
            ".maxReplicas",
            "must be greater than or equal to `minReplicas`",
        )],
    } } })
}
