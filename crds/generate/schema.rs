//! From the schemas of types to the structural schema of a kind.

use crate::kinds::Kind;
use crate::types;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// Where a type's name stands in a reference to it.
const DEFINITIONS: &str = "#/$defs/";
/// Below these fields nothing is described: the built-in kinds have the same words, and a definition must stay small.
const WITHOUT_WORDS: [&str; 4] = [
    "template",
    "jobTemplate",
    "volumeClaimTemplates",
    "metadata",
];

/// The schema of a kind.
pub(crate) fn of(kind: &Kind) -> Value {
    let mut generator = SchemaSettings::openapi3()
        .with(|settings| settings.definitions_path = "/$defs".into())
        .into_generator();
    (kind.root)(&mut generator);
    let mut definitions = generator.take_definitions(false);
    types::complete(&mut definitions);
    let mut root = resolve(
        &json!({ "$ref": format!("{DEFINITIONS}{}", kind.name()) }),
        &definitions,
        true,
    );
    if let Some(properties) = root["properties"].as_object_mut() {
        properties.insert("metadata".to_owned(), json!({ "type": "object" }));
        if !kind.has_status {
            properties.remove("status");
        }
    }
    root
}

/// `schema` with each reference replaced by what it refers to.
fn resolve(schema: &Value, definitions: &Map<String, Value>, words: bool) -> Value {
    let Some(fields) = schema.as_object() else {
        return schema.clone();
    };
    // What stands beside a reference says more about the field than the type does.
    let mut whole = match target(fields).and_then(|name| definitions.get(name)) {
        Some(Value::Object(target)) => target.clone(),
        _ => Map::new(),
    };
    whole.extend(fields.iter().map(|(k, v)| (k.clone(), v.clone())));
    for gone in ["$ref", "allOf", "title"] {
        whole.remove(gone);
    }
    if !words {
        whole.remove("description");
    }
    if let Some(Value::Object(properties)) = whole.get_mut("properties") {
        for (name, property) in properties.iter_mut() {
            let words = words && !WITHOUT_WORDS.contains(&name.as_str());
            *property = resolve(property, definitions, words);
        }
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = whole.get_mut(inner) {
            *inner = resolve(inner, definitions, words);
        }
    }
    Value::Object(whole)
}

/// The type that is referred to, by itself or as the one part of an `allOf`.
fn target(schema: &Map<String, Value>) -> Option<&str> {
    let reference = match schema.get("allOf") {
        Some(Value::Array(parts)) => parts.first()?.get("$ref")?,
        _ => schema.get("$ref")?,
    };
    reference.as_str()?.strip_prefix(DEFINITIONS)
}
