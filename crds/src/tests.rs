#![allow(clippy::unwrap_used, clippy::panic)]
use crate::{Definition, yaml};
use serde_json::Value;
use std::path::Path;

fn definitions() -> Vec<Definition> {
    crate::definitions().unwrap()
}

/// An object of more than this is not stored.
const LARGEST: usize = 500 << 10;

/// Calls `look` with each schema in a schema and where it stands.
fn each(schema: &Value, at: &str, look: &mut impl FnMut(&str, &Value)) {
    look(at, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        each(property, &format!("{at}.{name}"), look);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            each(&schema[inner], &format!("{at}[]"), look);
        }
    }
}

#[test]
fn the_files_are_what_is_made() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("yaml");
    let mut there: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    let made: Vec<_> = definitions().into_iter().map(|made| made.file).collect();
    assert_eq!(there, made);
    for definition in definitions() {
        let text = std::fs::read_to_string(folder.join(&definition.file)).unwrap();
        assert!(
            text == yaml(&definition.object).unwrap(),
            "{} is not fresh: cargo run -p crds",
            definition.file
        );
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, definition.object);
        assert!(text.len() < LARGEST, "{}: {}", definition.file, text.len());
    }
}

#[test]
fn schemas_are_structural() {
    for definition in definitions() {
        let schema = &definition.object["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        each(schema, "", &mut |at, schema| {
            let said = schema["type"].is_string()
                || schema["x-kubernetes-int-or-string"] == true
                || schema["x-kubernetes-preserve-unknown-fields"] == true;
            assert!(said, "{}: {at} has no type: {schema}", definition.file);
            for wrong in ["$ref", "allOf", "anyOf", "oneOf", "title"] {
                assert!(
                    schema.get(wrong).is_none(),
                    "{}: {at}: {wrong}",
                    definition.file
                );
            }
        });
    }
}

#[test]
fn what_a_template_of_pods_is_given() {
    let all = definitions();
    let of = |file: &str| {
        let definition = all.iter().find(|made| made.file.starts_with(file)).unwrap();
        definition.object["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
            ["properties"]["template"]["properties"]["spec"]
            .clone()
    };
    let default = |pod: &Value, field: &str| pod["properties"][field]["default"].clone();
    for (file, policy) in [("deployments", "Always".into()), ("jobs", Value::Null)] {
        let pod = of(file);
        assert_eq!(default(&pod, "restartPolicy"), policy, "{file}");
        assert_eq!(default(&pod, "dnsPolicy"), "ClusterFirst");
        assert_eq!(default(&pod, "terminationGracePeriodSeconds"), 30);
        let container = &pod["properties"]["containers"]["items"];
        let port = &container["properties"]["ports"]["items"];
        assert_eq!(default(port, "protocol"), "TCP");
    }
    assert_eq!(
        of("jobs")["required"],
        serde_json::json!(["containers", "restartPolicy"])
    );
}
