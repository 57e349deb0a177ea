//! Makes the definitions when the crate is built: as a build script, so that only this, and no program of the
//! workspace, is built with the schemas of k8s-openapi. Cargo takes the features of a crate that two members want
//! together, but those of build scripts apart.
//!
//! ```text
//! Rust types ──► schema of each type ──► with defaults and bounds ──► one schema a kind ──► yaml/*.yaml
//!  (schemars)                                 (types)                  (schema, kinds)
//! ```

mod kinds;
mod rules;
mod schema;
mod types;

use kinds::{KINDS, Kind};
use serde_json::{Value, json};
use std::path::Path;

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=generate");
    let definitions: Vec<_> = KINDS.iter().map(definition).collect();
    let folder = std::env::var("OUT_DIR").map_err(std::io::Error::other)?;
    let text = Value::Array(definitions).to_string();
    std::fs::write(Path::new(&folder).join("definitions.json"), text)
}

fn definition(kind: &Kind) -> Value {
    let name = format!("{}.{}", kind.plural, kind.group);
    let mut schema = schema::of(kind);
    json_patch::merge(&mut schema, &(kind.schema)());
    let mut version = json!({
        "name": kind.version,
        "served": true,
        "storage": true,
        "schema": { "openAPIV3Schema": schema },
        "additionalPrinterColumns": kind.columns.iter().map(column).collect::<Vec<_>>(),
    });
    if kind.has_status {
        version["subresources"]["status"] = json!({});
    }
    if kind.has_scale {
        version["subresources"]["scale"] = json!({
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        });
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": name },
        "spec": {
            "group": kind.group,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": format!("{}List", kind.kind),
                "plural": kind.plural,
                "singular": kind.kind.to_lowercase(),
                "shortNames": kind.short.iter().collect::<Vec<_>>(),
                "categories": ["corten"],
            },
            "versions": [version],
        },
    })
}

/// A column of `kubectl get`: its name, type and path, and whether it is shown with `-o wide` only.
fn column((name, of, path, wide): &(&str, &str, &str, bool)) -> Value {
    let mut column = json!({ "name": name, "type": of, "jsonPath": path });
    if *wide {
        column["priority"] = json!(1);
    }
    column
}
