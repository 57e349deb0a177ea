//! The rules.
#![allow(clippy::panic)]

use crate::tree::{Source, files, root};
use std::collections::{BTreeMap, BTreeSet};

/// Lines of code that contain one of `words`, tests and comments left out.
fn offences(sources: &[Source], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|s| !is_test(&s.path)) {
        let code = source
            .text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        for (n, line) in code.lines().enumerate() {
            let line = line.trim_start();
            if !line.starts_with("//") && words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {line}", source.path, n + 1));
            }
        }
    }
    found
}

fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs") || path.ends_with("testing.rs") || path.contains("/tests/")
}

fn none(offences: &[String], why: &str) {
    assert!(offences.is_empty(), "{why}:\n{}", offences.join("\n"));
}

/// They measure themselves, or hold what was measured.
const NOT_PURE: [&str; 3] = [
    "controllers/core/runtime/src/metrics.rs",
    "controllers/node/kubelet/src/metrics.rs",
    "controllers/scheduler/src/metrics.rs",
];

/// The hands of the scheduler; all else of it decides.
const SCHEDULERS_HANDS: [&str; 8] = [
    "controllers/scheduler/src/bind.rs",
    "controllers/scheduler/src/consult.rs",
    "controllers/scheduler/src/lib.rs",
    "controllers/scheduler/src/main.rs",
    "controllers/scheduler/src/metrics.rs",
    "controllers/scheduler/src/program.rs",
    "controllers/scheduler/src/shell.rs",
    "controllers/scheduler/src/watches.rs",
];

/// The files in which decisions are made.
fn pure_files() -> Vec<Source> {
    let all = files(&["controllers"], ".rs");
    let pure = |path: &str| {
        path.starts_with("controllers/core/objects/src")
            || path.starts_with("controllers/core/plan/src")
            || path.ends_with("/src/plan.rs")
            || path.contains("/src/plan/")
            || path.ends_with("/src/status.rs")
            || path.contains("/src/status/")
            || (path.starts_with("controllers/scheduler/src")
                && !path.contains("tests")
                && !SCHEDULERS_HANDS.contains(&path))
            || (path.ends_with("/src/metrics.rs") && !NOT_PURE.contains(&path))
    };
    all.into_iter()
        .filter(|source| pure(&source.path))
        .collect()
}

#[test]
fn decisions_wait_for_nothing_and_ask_for_nothing() {
    let words = [
        "async ",
        ".await",
        "Client",
        "::now()",
        "rand::",
        "SystemTime",
        "Instant",
    ];
    none(
        &offences(&pure_files(), &words),
        "plan, status, objects and the scheduler's decisions are pure: time and seed come in through the world",
    );
}

#[test]
fn the_clock_is_read_in_one_place() {
    let sources = files(&["controllers"], ".rs");
    // controlplane runs real processes and dates certificates; it is no loop.
    let exempt = [
        "controllers/core/controlplane/",
        "controllers/core/runtime/src/clock.rs",
        "controllers/core/runtime/src/metrics/",
    ];
    let sources: Vec<_> = sources
        .into_iter()
        .filter(|s| !exempt.iter().any(|e| s.path.starts_with(e)))
        .collect();
    let words = ["Timestamp::now(", "SystemTime::now(", "Utc::now("];
    none(
        &offences(&sources, &words),
        "runtime::Clock is the only reader of the wall clock",
    );
}

#[test]
fn only_the_runtime_watches() {
    let sources = files(&["controllers"], ".rs");
    let sources: Vec<_> = sources
        .into_iter()
        .filter(|s| !s.path.starts_with("controllers/core/runtime/"))
        .collect();
    none(
        &offences(&sources, &["kube::runtime", "kube_runtime"]),
        "one watch a kind a process: ask runtime::Caches",
    );
}

#[test]
fn crates_depend_on_nothing_but_what_the_design_allows() {
    const PURE: &[&str] = &[];
    const LOOP: &[&str] = &["objects", "plan", "runtime"];
    let allowed: BTreeMap<&str, &[&str]> = [
        ("objects", PURE),
        ("plan", PURE),
        ("controlplane", PURE),
        ("sim", &["objects"][..]),
        ("runtime", &["objects", "plan"]),
        ("replicaset", LOOP),
        ("deployment", LOOP),
        ("job", LOOP),
        ("cronjob", LOOP),
        ("ttlafterfinished", LOOP),
        ("daemonset", LOOP),
        ("statefulset", LOOP),
        ("disruption", LOOP),
        ("hpa", LOOP),
        ("endpointslice", LOOP),
        ("endpoints", LOOP),
        ("endpointslicemirroring", LOOP),
        ("garbagecollector", LOOP),
        ("namespace", LOOP),
        ("podgc", LOOP),
        ("resourcequota", LOOP),
        ("nodelifecycle", LOOP),
        ("tainteviction", LOOP),
        ("serviceaccount", LOOP),
        ("servicecidr", LOOP),
        ("clusterroleaggregation", LOOP),
        ("nodeipam", LOOP),
        ("ttl", LOOP),
        ("certificates", LOOP),
        ("bootstrap", LOOP),
        ("persistentvolume", LOOP),
        ("protection", LOOP),
        ("ephemeralvolume", LOOP),
        ("hostpath", LOOP),
        ("scheduler", LOOP),
        ("kubelet", LOOP),
    ]
    .into();
    let manifests = files(&["controllers"], "Cargo.toml");
    let names: BTreeSet<String> = manifests
        .iter()
        .filter_map(|m| field(&m.text, "name"))
        .collect();
    for manifest in &manifests {
        let name = field(&manifest.text, "name").unwrap_or_default();
        // The table of controllers and the program are where everything meets.
        if matches!(name.as_str(), "corten" | "registry") {
            continue;
        }
        let Some(allowed) = allowed.get(name.as_str()) else {
            panic!(
                "{}: say in this test what {name} may depend on",
                manifest.path
            );
        };
        let used: Vec<_> = dependencies(&manifest.text)
            .into_iter()
            .filter(|d| names.contains(d))
            .collect();
        for dependency in used {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{} must not depend on {dependency}; allowed are {allowed:?}",
                manifest.path
            );
        }
    }
}

#[test]
fn the_pure_crates_cannot_wait() {
    for name in ["objects", "plan"] {
        let manifests = files(&[&format!("controllers/core/{name}")], "Cargo.toml");
        for dependency in dependencies(&manifests[0].text) {
            let forbidden = ["tokio", "kube", "futures", "rand", "http"];
            assert!(
                !forbidden.contains(&dependency.as_str()),
                "{name} must not depend on {dependency}"
            );
        }
    }
}

#[test]
fn every_file_is_linked() {
    let sources = files(&["controllers", "crds", "tests", "examples"], ".rs");
    let text: BTreeMap<&str, &str> = sources
        .iter()
        .map(|s| (s.path.as_str(), s.text.as_str()))
        .collect();
    for source in &sources {
        let Some((folder, file)) = source.path.rsplit_once('/') else {
            continue;
        };
        let name = file.trim_end_matches(".rs");
        let is_root = ["lib", "main", "build"].contains(&name)
            || folder.ends_with("/tests")
            || folder.ends_with("/bin");
        if is_root || folder.ends_with("/examples") || folder.ends_with("/benches") {
            continue;
        }
        let parents = [
            format!("{folder}/lib.rs"),
            format!("{folder}/main.rs"),
            format!("{folder}.rs"),
        ];
        let linked = parents
            .iter()
            .filter_map(|p| text.get(p.as_str()))
            .any(|parent| {
                parent.lines().any(|line| {
                    line.trim_end().ends_with(&format!("mod {name};"))
                        || line.trim_end().ends_with(&format!("mod {name} {{"))
                })
            });
        assert!(
            linked,
            "{} is in no crate: no `mod {name};` in {parents:?}",
            source.path
        );
    }
}

#[test]
fn every_crate_says_what_it_is_and_takes_its_versions_from_the_workspace() {
    for manifest in files(&["controllers", "crds", "tests", "examples"], "Cargo.toml") {
        let description = field(&manifest.text, "description").unwrap_or_default();
        assert!(description.len() > 10, "{}: description", manifest.path);
        assert!(
            manifest.text.contains("[lints]\nworkspace = true"),
            "{}: lints",
            manifest.path
        );
        let pinned = manifest
            .text
            .lines()
            .any(|line| line.contains("version = \""));
        assert!(
            !pinned,
            "{}: versions stand in the root's Cargo.toml once",
            manifest.path
        );
    }
}

#[test]
fn every_crate_is_a_member() {
    let members =
        std::fs::read_to_string(root().join("Cargo.toml")).expect("the workspace has a manifest");
    for manifest in files(&["controllers", "crds", "tests", "examples"], "Cargo.toml") {
        let folder = manifest.path.trim_end_matches("/Cargo.toml");
        assert!(
            members.contains(&format!("\"{folder}\"")),
            "{folder} is no member of the workspace"
        );
    }
}

#[test]
fn nothing_is_left_for_later_without_a_reason() {
    let mut sources = files(&["controllers", "crds", "tests", "examples"], ".rs");
    sources.retain(|source| !source.path.starts_with("tests/tidy/"));
    let found: Vec<String> = sources
        .iter()
        .flat_map(|source| {
            let lines = source.text.lines().enumerate();
            lines
                .filter(|(_, line)| {
                    ["todo!(", "unimplemented!(", "#[ignore]", "FIXME", "TODO"]
                        .iter()
                        .any(|word| line.contains(word))
                })
                .map(|(n, line)| format!("{}:{}: {line}", source.path, n + 1))
        })
        .collect();
    none(
        &found,
        "a gap is written in README's table, not in a comment",
    );
}

fn field(manifest: &str, key: &str) -> Option<String> {
    let line = manifest
        .lines()
        .find(|line| line.starts_with(&format!("{key} = \"")))?;
    Some(line.split('"').nth(1)?.to_owned())
}

/// The names under `[dependencies]`.
fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest
        .split("\n[dependencies]")
        .nth(1)
        .unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section.lines().filter_map(|line| {
        let name = line.split(['.', '=', ' ']).next()?.trim();
        (!name.is_empty() && !name.starts_with('#')).then(|| name.to_owned())
    });
    names.collect()
}
