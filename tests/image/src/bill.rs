//! What the program is made of: a bill of materials (CycloneDX 1.6) and the licences' texts, from what Cargo knows.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the image says of its parts.
#[derive(Clone, Debug)]
pub struct Bill {
    /// The list, CycloneDX.
    pub sbom: Value,
    /// The licences of the crates that others have written, each text once.
    pub licences: String,
    /// Our own.
    pub own: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

#[derive(Clone, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    manifest_path: PathBuf,
}

/// Of the crate `package` of the workspace at `root`, with what it is linked with.
///
/// # Errors
/// Cargo does not answer, or does not know the crate.
pub fn of(root: &Path, package: &str) -> Result<Bill> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut asked = Command::new(cargo);
    asked.args(["metadata", "--format-version=1", "--locked"]);
    let answer = asked.current_dir(root).output().context("cargo metadata")?;
    let error = String::from_utf8_lossy(&answer.stderr);
    ensure!(answer.status.success(), "cargo metadata: {error}");
    let metadata: Metadata = serde_json::from_slice(&answer.stdout).context("cargo metadata")?;
    let parts = linked(&metadata, package)?;
    let read = |file: &str| {
        let path = root.join(file);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    Ok(Bill {
        sbom: sbom(&parts, package),
        licences: licences(&parts),
        own: read("LICENSE")?,
    })
}

/// All that is linked: not what only builds or tests it.
fn linked(metadata: &Metadata, package: &str) -> Result<Vec<Package>> {
    let packages = metadata.packages.iter();
    let packages: BTreeMap<&str, &Package> = packages.map(|p| (p.id.as_str(), p)).collect();
    let nodes = metadata.resolve.nodes.iter();
    let nodes: BTreeMap<&str, &Node> = nodes.map(|node| (node.id.as_str(), node)).collect();
    let first = packages
        .values()
        .find(|p| p.name == package && p.source.is_none());
    let first = first.with_context(|| format!("there is no crate {package}"))?;
    let (mut seen, mut waiting) = (BTreeSet::new(), vec![first.id.as_str()]);
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        let dependencies = nodes.get(id).into_iter().flat_map(|node| &node.deps);
        let normal = dependencies.filter(|d| d.dep_kinds.iter().any(|kind| kind.kind.is_none()));
        waiting.extend(normal.map(|dependency| dependency.pkg.as_str()));
    }
    let parts = seen.into_iter().filter_map(|id| packages.get(id));
    let mut parts: Vec<Package> = parts.map(|part| (*part).clone()).collect();
    parts.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(parts)
}

fn sbom(parts: &[Package], package: &str) -> Value {
    let component = |part: &Package, kind: &str| {
        let Package { name, version, .. } = part;
        let url = format!("pkg:cargo/{name}@{version}");
        let mut component = json!({
            "type": kind, "name": name, "version": version, "purl": url, "bom-ref": url,
        });
        if let Some(licence) = &part.license {
            // The older way to say `or`.
            let licence = licence.replace('/', " OR ");
            component["licenses"] = json!([{ "expression": licence }]);
        }
        component
    };
    let own = parts
        .iter()
        .find(|part| part.name == package && part.source.is_none());
    let others = parts.iter().filter(|part| part.name != package);
    let others: Vec<Value> = others.map(|part| component(part, "library")).collect();
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": { "component": own.map(|part| component(part, "application")) },
        "components": others,
    })
}

/// The texts that lie beside the crates' manifests, each once, under the names of those that have it.
fn licences(parts: &[Package]) -> String {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for part in parts.iter().filter(|part| part.source.is_some()) {
        let name = format!("{} {}", part.name, part.version);
        let found = beside(&part.manifest_path);
        if found.is_empty() {
            let licence = part.license.clone().unwrap_or_default();
            texts
                .entry(format!("{licence}\n"))
                .or_default()
                .push(name.clone());
        }
        for text in found {
            texts.entry(text).or_default().push(name.clone());
        }
    }
    let mut all: Vec<(String, String)> = texts
        .into_iter()
        .map(|(text, names)| (names.join(", "), text))
        .collect();
    all.sort();
    let sections = all
        .iter()
        .map(|(names, text)| format!("=== {names} ===\n\n{}\n", text.trim_end()));
    sections.collect::<Vec<_>>().join("\n")
}

fn beside(manifest: &Path) -> Vec<String> {
    let folder = manifest.parent().unwrap_or(manifest);
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.sort();
    let is_licence = |path: &PathBuf| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_uppercase();
        ["LICENSE", "LICENCE", "COPYING", "NOTICE"]
            .iter()
            .any(|begin| name.starts_with(begin))
    };
    let files = files
        .into_iter()
        .filter(|path| path.is_file() && is_licence(path));
    files
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .collect()
}
