//! A real API server: does it take what the chart renders, and do installing, upgrading, rolling back and uninstalling do
//! what they say. Pods are hollow here: what they run does not run.

use super::helm::{rendered, values};
use super::kind;
use crate::folder;
use crate::helm::ok;
use anyhow::{Context, Result, ensure};
use cluster::{Actor, Cluster, Outcome};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams, ValidationDirective};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

const NAMESPACE: &str = "corten-system";

/// Runs what asks `cluster`'s API server.
fn ask<T>(cluster: &Cluster, run: impl AsyncFnOnce(Client) -> Result<T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async { run(cluster.client()?).await })
}

/// Applies an object; the API server says no to fields that it does not know.
async fn apply(client: &Client, object: &Value) -> Result<()> {
    let object: DynamicObject = serde_json::from_value(object.clone())?;
    let types = object.types.clone().context("apiVersion and kind")?;
    let what = format!("{} {}", types.kind, object.name_any());
    let kind = GroupVersionKind::try_from(&types)?;
    let (resource, capabilities) = pinned_kind(client, &kind)
        .await
        .with_context(|| what.clone())?;
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => {
            let namespace = object.namespace();
            let namespace = namespace.with_context(|| format!("{what} has no namespace"))?;
            Api::namespaced_with(client.clone(), &namespace, &resource)
        }
    };
    let mut params = PatchParams::apply("test").force();
    params.field_validation = Some(ValidationDirective::Strict);
    let applied = api
        .patch(&object.name_any(), &params, &Patch::Apply(&object))
        .await;
    applied.map(drop).with_context(|| what)
}

/// Prometheus Operator's kinds, of which only their names matter here.
fn monitoring(kind: &str, plural: &str) -> Value {
    let open = json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.monitoring.coreos.com") },
        "spec": {
            "group": "monitoring.coreos.com", "scope": "Namespaced",
            "names": { "kind": kind, "plural": plural },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": open }],
        },
    })
}

#[test]
fn the_api_server_takes_what_each_of_the_files_renders() -> Outcome {
    // It is got, if need be, before there are tasks that it would hold up.
    ok(&["version"])?;
    let cluster = Cluster::bare()?;
    ask(&cluster, async |client| {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        // The level that the chart promises to keep.
        let level = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
        let namespace = json!({ "metadata": { "name": NAMESPACE, "labels": level } });
        namespaces
            .create(&PostParams::default(), &serde_json::from_value(namespace)?)
            .await?;
        for (kind, plural) in [
            ("ServiceMonitor", "servicemonitors"),
            ("PrometheusRule", "prometheusrules"),
        ] {
            apply(&client, &monitoring(kind, plural)).await?;
        }
        let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
        cluster::eventually("the kinds are served", async || {
            let all = crds.list(&ListParams::default()).await?;
            let served = |crd: &CustomResourceDefinition| {
                let status = crd.status.clone().unwrap_or_default();
                let conditions = status.conditions.unwrap_or_default();
                conditions
                    .iter()
                    .any(|c| c.type_ == "Established" && c.status == "True")
            };
            ensure!(all.iter().all(served), "not yet");
            Ok(())
        })
        .await?;
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": { "name": "default", "namespace": "kube-system" } });
        apply(&client, &account).await?;
        for pod in ["corten-controllers", "corten-scheduler"] {
            apply(&client, &kind::read(&format!("static-pods/{pod}.yaml"))).await?;
        }
        for file in values() {
            let text = rendered(&file)?;
            let objects: Vec<Value> = serde_saphyr::from_multiple(&text)?;
            let objects: Vec<&Value> = objects.iter().filter(|object| object.is_object()).collect();
            ensure!(
                objects.len() > 5,
                "{} renders {} objects",
                file.display(),
                objects.len()
            );
            for object in &objects {
                apply(&client, object)
                    .await
                    .with_context(|| file.display().to_string())?;
            }
            println!("{}: {} objects", file.display(), objects.len());
        }
        Ok(())
    })?;
    Ok(())
}

#[test]
fn a_release_is_installed_upgraded_rolled_back_and_uninstalled() -> Outcome {
    Ok(story(&Cluster::start(Actor::Corten, 2)?)?)
}

fn story(cluster: &Cluster) -> Result<()> {
    let chart = folder().display().to_string();
    let access = format!("--kubeconfig={}", cluster.kubeconfig().display());
    let at = format!("--namespace={NAMESPACE}");
    let common = [&*access, &*at];
    let run = |words: &[&str]| ok(&[words, &common].concat());
    // The fixture's own account is there.
    let waits = ["--wait", "--timeout=2m"];
    let notes = run(&[&["upgrade", "--install", "corten", &chart], &waits[..]].concat())?;
    ensure!(notes.contains("Nothing has to be switched off"), "{notes}");
    ensure!(notes.contains("schedulerName: corten"), "{notes}");
    // The kinds belong to the first release.
    let replace = ["--set=mode=replace,crds.enabled=false", "--dry-run=server"];
    let notes = run(&[&["install", "other", &chart], &replace[..]].concat())?;
    // What ours do, the stock ones must not; those that ours cannot do without being told how are not named.
    let off = "--controllers=*,bootstrap-signer-controller,token-cleaner-controller,-certificatesigningrequest-approving";
    ensure!(notes.contains(off), "{notes}");
    let own = notes.contains(",-hostpath") || notes.contains(",-node-ipam");
    ensure!(!own, "{notes}");
    let replicas = |name: &'static str| {
        ask(cluster, async |client| {
            let all: Api<Deployment> = Api::namespaced(client, NAMESPACE);
            let status = all.get(name).await?.status.unwrap_or_default();
            Ok(status.available_replicas.unwrap_or_default())
        })
    };
    ensure_eq(replicas("corten-controllers")?, 2)?;
    let three = [
        "--set",
        "controllers.replicas=3",
        "--set",
        "apart.job-controller.replicas=1",
    ];
    run(&[&["upgrade", "corten", &chart], &three[..], &waits[..]].concat())?;
    ensure_eq(replicas("corten-controllers")?, 3)?;
    ensure_eq(replicas("corten-job-controller")?, 1)?;
    run(&[&["rollback", "corten", "1"], &waits[..]].concat())?;
    ensure_eq(replicas("corten-controllers")?, 2)?;
    run(&[&["uninstall", "corten"], &waits[..]].concat())?;
    ask(cluster, async |client| {
        let left: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
        let release = ListParams::default().labels("app.kubernetes.io/instance=corten");
        let left = left.list(&release).await?.items.len();
        ensure!(left == 0, "{left} accounts are left");
        // What the chart keeps: as many as it has.
        let crds: Api<CustomResourceDefinition> = Api::all(client);
        let kept = crds.list(&release).await?.items.len();
        let has = crate::files()?
            .iter()
            .filter(|file| file.path.starts_with("files/crds"))
            .count();
        ensure!(kept == has, "{kept} of {has} CRDs are left");
        Ok(())
    })
}

fn ensure_eq(seen: i32, expected: i32) -> Result<()> {
    ensure!(
        seen == expected,
        "{seen} pods are available and not {expected}"
    );
    Ok(())
}
