use super::{check, fill, prune};
use serde_json::{Value, json};

/// A website, as its operator would define it.
fn schema() -> Value {
    json!({ "type": "object", "properties": {
        "spec": { "type": "object", "required": ["image"], "default": {}, "properties": {
            "image": { "type": "string", "minLength": 1, "maxLength": 20, "pattern": "^[a-z:0-9]+$" },
            "replicas": { "type": "integer", "default": 1, "minimum": 0, "maximum": 10 },
            "mode": { "type": "string", "enum": ["plain", "secure"] },
            "port": { "x-kubernetes-int-or-string": true, "anyOf": [{ "type": "integer" }, { "type": "string" }] },
            "note": { "type": "string", "nullable": true },
            "labels": { "type": "object", "additionalProperties": { "type": "string" } },
            "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            "paths": {
                "type": "array", "minItems": 1, "maxItems": 2,
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["path"],
                "items": { "type": "object", "required": ["path"], "properties": {
                    "path": { "type": "string" }, "exact": { "type": "boolean", "default": false },
                } },
            },
            "one": { "type": "object", "oneOf": [{ "required": ["a"] }, { "required": ["b"] }], "properties": {
                "a": { "type": "string" }, "b": { "type": "string" },
            } },
        } },
    } })
}

fn of(spec: Value) -> Value {
    let mut object = json!({ "apiVersion": "v1", "kind": "Website", "metadata": { "name": "a" } });
    object["spec"] = spec;
    object
}

/// What is left of a spec, with its defaults.
fn kept(spec: Value) -> Value {
    let mut object = of(spec);
    prune(&schema(), &mut object);
    fill(&schema(), &mut object);
    assert_eq!(object["metadata"], json!({ "name": "a" }));
    object["spec"].take()
}

/// The fields with which something is wrong, and the reasons.
fn wrong(spec: Value) -> Vec<String> {
    let wrongs = check(&schema(), &of(spec));
    let said = wrongs.iter().map(|w| format!("{} {}", w.field, w.reason));
    said.collect()
}

#[test]
fn unknown_fields_vanish_unless_the_schema_keeps_them() {
    let spec = json!({
        "image": "web", "colour": "red", "labels": { "any": "x" }, "free": { "any": { "x": 1 } },
        "paths": [{ "path": "/", "colour": "red" }],
    });
    let left = json!({
        "image": "web", "replicas": 1, "labels": { "any": "x" }, "free": { "any": { "x": 1 } },
        "paths": [{ "path": "/", "exact": false }],
    });
    assert_eq!(kept(spec), left);
}

#[test]
fn what_is_missing_or_null_gets_its_default() {
    assert_eq!(
        kept(json!({ "replicas": null, "note": null })),
        json!({ "replicas": 1, "note": null })
    );
    assert_eq!(kept(Value::Null), json!({ "replicas": 1 }));
}

#[test]
fn what_is_right_passes() {
    let none: Vec<String> = Vec::new();
    for spec in [
        json!({ "image": "web:1", "replicas": 3, "mode": "plain", "port": 80, "note": null }),
        json!({ "image": "web", "port": "http", "labels": { "a": "b" }, "paths": [{ "path": "/" }] }),
        json!({ "image": "web", "one": { "a": "x" } }),
    ] {
        assert_eq!(wrong(spec), none);
    }
}

#[test]
fn what_is_wrong_is_told_with_its_field() {
    let image = |mut more: Value| {
        more["image"] = json!("web");
        more
    };
    let cases = [
        (json!({}), "spec.image FieldValueRequired"),
        (json!({ "image": 1 }), "spec.image FieldValueTypeInvalid"),
        (json!({ "image": "" }), "spec.image FieldValueInvalid"),
        (
            json!({ "image": "aaaaaaaaaaaaaaaaaaaaa" }),
            "spec.image FieldValueTooLong",
        ),
        (json!({ "image": "WEB" }), "spec.image FieldValueInvalid"),
        (
            image(json!({ "replicas": 11 })),
            "spec.replicas FieldValueInvalid",
        ),
        (
            image(json!({ "replicas": 1.5 })),
            "spec.replicas FieldValueTypeInvalid",
        ),
        (
            image(json!({ "mode": "other" })),
            "spec.mode FieldValueNotSupported",
        ),
        (
            image(json!({ "port": true })),
            "spec.port FieldValueTypeInvalid",
        ),
        (
            image(json!({ "labels": { "a": 1 } })),
            "spec.labels.a FieldValueTypeInvalid",
        ),
        (
            image(json!({ "paths": [{}] })),
            "spec.paths[0].path FieldValueRequired",
        ),
        (
            image(json!({ "paths": [{ "path": "/" }, { "path": "/" }] })),
            "spec.paths[1] FieldValueDuplicate",
        ),
        (
            image(json!({ "one": { "a": "x", "b": "y" } })),
            "spec.one FieldValueInvalid",
        ),
    ];
    for (spec, said) in cases {
        let found = wrong(spec.clone());
        assert!(found.iter().any(|line| line == said), "{spec}: {found:?}");
    }
}
