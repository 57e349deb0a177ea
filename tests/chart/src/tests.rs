#![allow(clippy::unwrap_used, clippy::panic)]

mod flags;
mod helm;
mod install;
mod kind;

use crate::{files, folder};
use registry::roles;
use serde_json::Value;
use std::collections::BTreeSet;

/// `UPDATE=1` writes them.
#[test]
fn what_is_made_from_the_code_is_as_it_would_be_made() {
    let update = std::env::var_os("UPDATE").is_some();
    let made = files().unwrap();
    for file in &made {
        let path = folder().join(&file.path);
        if update {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &file.text).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        let path = &file.path;
        assert!(
            there == file.text,
            "{path} is stale: UPDATE=1 cargo test -p chart"
        );
    }
    let crds = std::fs::read_dir(folder().join("files/crds"));
    for there in crds.into_iter().flatten() {
        let name = there.unwrap().file_name();
        let path = format!("files/crds/{}", name.to_string_lossy());
        assert!(
            made.iter().any(|file| file.path == path),
            "{path} is made from nothing"
        );
    }
}

/// The version is the program's, which the image's tag is.
#[test]
fn the_charts_version_is_the_programs() {
    let text = std::fs::read_to_string(folder().join("Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_schema_names_each_controller() {
    let text = std::fs::read_to_string(folder().join("values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let named = schema["$defs"]["controllerName"]["enum"]
        .as_array()
        .unwrap();
    let named: BTreeSet<&str> = named.iter().filter_map(Value::as_str).collect();
    let is_component = |name: &str| matches!(name, "scheduler" | "nodes");
    let known = roles::all().map(|role| role.name);
    let known: BTreeSet<&str> = known.filter(|name| !is_component(name)).collect();
    assert_eq!(named, known);
}

/// The mixin's alerts read `up` by its label `job`, which is upstream's where the values say so, and nowhere else.
#[test]
fn jobs_are_named_as_the_kubernetes_mixin_asks_for_them() {
    let jobs = |file: &str| {
        let text = helm::rendered(&folder().join("ci").join(file)).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let relabels = lines
            .windows(2)
            .filter(|two| two[0].ends_with("targetLabel: job"));
        let jobs = relabels.filter_map(|two| two[1].strip_prefix("replacement: "));
        jobs.map(str::to_owned).collect::<BTreeSet<String>>()
    };
    let observed = jobs("observed-values.yaml");
    for job in ["kube-controller-manager", "kube-scheduler"] {
        assert!(observed.contains(job), "{observed:?}");
    }
    assert_eq!(jobs("default-values.yaml"), BTreeSet::new());
}

/// Alerts and dashboard ask for what our programs show.
#[test]
fn each_metric_that_is_asked_for_is_one_that_is_shown() {
    let metrics = runtime::metrics::Metrics::default();
    metrics.leading("one", true);
    metrics.running("manager", "one", true);
    metrics.reconcile("one", "success");
    metrics.queue("one").added();
    let mut shown = metrics.encode();
    // These come with the first request.
    for metric in metrics.declared() {
        shown.push_str(&format!("{} ", metric.name));
    }
    // Prometheus' own.
    shown.push_str("up ");
    let mut asked = 0;
    for file in ["templates/monitoring.yaml", "files/dashboard.json"] {
        let text = std::fs::read_to_string(folder().join(file)).unwrap();
        for (at, _) in text.match_indices('{') {
            let before = &text[..at];
            let name = before.rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let name = name.clone().next().unwrap_or_default();
            let begins = [
                "workqueue_",
                "rest_client_",
                "leader_election_",
                "controller_runtime_",
                "process_",
            ];
            if begins.iter().any(|begin| name.starts_with(begin)) {
                asked += 1;
                let family = name.trim_end_matches("_bucket").trim_end_matches("_total");
                assert!(shown.contains(family), "{file}: {name} is not shown");
            }
        }
    }
    assert!(asked > 8, "{asked} metrics are asked for");
}
