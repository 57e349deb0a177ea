//! What controllers count: names, kinds, stability, labels and buckets are upstream's, and upstream is asked too.

mod exposition;
mod listed;
mod mixin;
mod scheduling;
mod upstream;

use crate::manifest::{IMAGE, template};
use anyhow::{Context, Result, ensure};
use cluster::{Actor, Cluster, Namespace, Outcome, actor, eventually, with_namespace};
use exposition::Family;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Endpoints, PersistentVolume, PersistentVolumeClaim, Service};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use upstream::{Row, Shown, rows};

/// A Job with one pod an index, which ends at once with this code.
fn job(name: &str, code: i32, spec: Value) -> Value {
    let mut job = json!({
        "metadata": { "name": name },
        "spec": {
            "completions": 1, "backoffLimit": 0, "completionMode": "Indexed",
            "template": {
                "metadata": { "annotations": {
                    "hollow.corten.dev/run-for": "100ms",
                    "hollow.corten.dev/exit-code": code.to_string(),
                } },
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{ "name": "main", "image": IMAGE }],
                },
            },
        },
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        job["spec"][field] = value.clone();
    }
    job
}

/// Gives each controller something to count.
async fn set_the_scene(ns: &Namespace) -> Result<()> {
    ns.create::<Job>(job("good", 0, json!({}))).await?;
    let rule = json!({ "action": "FailJob", "onExitCodes": { "operator": "In", "values": [3] } });
    let policy = json!({ "podFailurePolicy": { "rules": [rule] } });
    ns.create::<Job>(job("bad", 3, policy)).await?;
    let managed = json!({ "managedBy": "example.com/nobody" });
    ns.create::<Job>(job("foreign", 0, managed)).await?;

    let ports = json!([{ "name": "http", "port": 80 }]);
    let near = json!({
        "metadata": { "name": "near" },
        "spec": { "selector": { "app": "near" }, "ports": ports, "trafficDistribution": "PreferClose" },
    });
    ns.create::<Service>(near).await?;
    let custom = json!({ "metadata": { "name": "custom" }, "spec": { "ports": ports } });
    ns.create::<Service>(custom).await?;
    let subsets = json!([{ "addresses": [{ "ip": "10.9.8.7" }], "ports": ports }]);
    let endpoints = json!({ "metadata": { "name": "custom" }, "subsets": subsets });
    ns.create::<Endpoints>(endpoints).await?;

    let set = json!({
        "metadata": { "name": "web" },
        "spec": {
            "replicas": 1, "serviceName": "web",
            "selector": { "matchLabels": { "app": "web" } }, "template": template("web"),
        },
    });
    ns.create::<StatefulSet>(set).await?;
    let target = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web" });
    let hpa = json!({
        "metadata": { "name": "web" },
        "spec": { "scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 2 },
    });
    ns.create::<HorizontalPodAutoscaler>(hpa).await?;

    let size = json!({ "requests": { "storage": "1Gi" } });
    let claim = json!({
        "metadata": { "name": "data" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": size, "storageClassName": "none" },
    });
    ns.create::<PersistentVolumeClaim>(claim).await?;
    let volume = json!({
        "metadata": { "name": ns.name() },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "1Gi" },
            "storageClassName": ns.name(), "nfs": { "path": "/", "server": "s" },
        },
    });
    let volumes: Api<PersistentVolume> = Api::all(ns.client());
    let volume = serde_json::from_value(volume)?;
    volumes.create(&PostParams::default(), &volume).await?;
    Ok(())
}

async fn scrape(ns: &Namespace) -> Result<BTreeMap<String, Family>> {
    Ok(exposition::families(&ns.metrics().await?))
}

/// What is shown that should not be, or not like this.
fn differences(seen: &BTreeMap<String, Family>) -> Vec<String> {
    let mut found = Vec::new();
    let rows = rows();
    for (name, family) in seen {
        match rows.iter().find(|row| row.name == name) {
            Some(row) => found.extend(differs(row, family)),
            None if upstream::is_of_a_controller(name) => {
                found.push(format!("{name}: what is it?"));
            }
            None => {}
        }
    }
    found
}

fn differs(row: &Row, family: &Family) -> Option<String> {
    // OpenMetrics knows no counter whose name does not say that it is one.
    let is_odd = row.kind == "counter" && !row.name.ends_with("_total");
    let same_kind = family.kind == row.kind || (is_odd && family.kind == "unknown");
    let same = same_kind
        && family.stability == row.stability
        && family.labels == row.labels
        && (row.kind != "histogram" || exposition::same(&family.bounds, &row.bounds));
    (!same).then(|| format!("{row:?}\n  is shown as {family:?}"))
}

#[test]
fn each_metric_has_upstreams_name_kind_stability_labels_and_buckets() -> Outcome {
    with_namespace("metrics", async |ns| {
        set_the_scene(&ns).await?;
        let rows = rows();
        let expected = rows.iter().filter(|row| match row.shown {
            Shown::Always => true,
            Shown::ByOurs => actor() == Actor::Corten,
            Shown::Seldom => false,
        });
        let expected: Vec<&Row> = expected.collect();
        let shown = eventually("all metrics are shown", async || {
            let seen = scrape(&ns).await?;
            let missing = expected.iter().map(|row| row.name);
            let missing: Vec<&str> = missing.filter(|name| !seen.contains_key(*name)).collect();
            ensure!(missing.is_empty(), "{missing:?} are not there");
            Ok(seen)
        });
        let shown = shown.await;
        let volumes: Api<PersistentVolume> = Api::all(ns.client());
        volumes.delete(ns.name(), &DeleteParams::default()).await?;
        let differences = differences(&shown?);
        ensure!(differences.is_empty(), "{}", differences.join("\n"));
        Ok(())
    })
}

#[test]
fn the_metrics_that_are_seldom_shown_are_upstreams_too() -> Outcome {
    // What upstream's do not show now cannot be asked for.
    let Some(declared) = Cluster::shared()?.declared()? else {
        return Ok(());
    };
    let rows = rows();
    let differences: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            let Some(metric) = declared.iter().find(|metric| metric.name == row.name) else {
                return Some(format!("{} is not there", row.name));
            };
            differs(row, &Family::of(metric))
        })
        .collect();
    let known = |name: &str| rows.iter().any(|row| row.name == name);
    let more = declared.iter().find(|metric| !known(metric.name));
    let fine = (|| -> Result<()> {
        ensure!(differences.is_empty(), "{}", differences.join("\n"));
        ensure!(more.is_none(), "{more:?} is none of upstream's");
        Ok(())
    })();
    Ok(fine.context("declared metrics")?)
}
