//! What the API server says to a manifest of a built-in kind and to the same of ours.

use crate::with_namespace;
use anyhow::{Context, Result, ensure};
use cluster::{Namespace, Outcome};
use http::{Method, Request};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const GROUPS: [(&str, &str); 3] = [
    ("apps/v1", "apps.corten.dev/v1"),
    ("batch/v1", "batch.corten.dev/v1"),
    ("autoscaling/v2", "autoscaling.corten.dev/v2"),
];

/// The group version of a manifest of a built-in kind, and ours of the same kind.
fn both(manifest: &Value) -> Result<[&'static str; 2]> {
    let version = manifest["apiVersion"].as_str().context("apiVersion")?;
    let mut pairs = GROUPS.iter().filter(|(built_in, _)| *built_in == version);
    let (built_in, ours) = pairs.next().context("a kind that both have")?;
    Ok([built_in, ours])
}

/// The manifests in the folder of examples.
fn examples() -> Result<Vec<Value>> {
    let mut folders = vec![PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../examples"
    ))];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            match path.extension().and_then(|e| e.to_str()) {
                _ if path.is_dir() => folders.push(path),
                Some("yaml") => found.extend(documents(&path)?),
                _ => {}
            }
        }
    }
    Ok(found)
}

fn documents(path: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(path)?;
    let read = serde_saphyr::from_multiple(&text);
    read.with_context(|| path.display().to_string())
}

/// The first example of a kind.
fn example(kind: &str) -> Result<Value> {
    let all = examples()?;
    let it = all.into_iter().find(|manifest| manifest["kind"] == kind);
    it.with_context(|| format!("an example of a {kind}"))
}

/// Where objects of a manifest's kind are.
fn path(ns: &Namespace, api_version: &str, kind: &str) -> String {
    let plural = format!("{}s", kind.to_lowercase());
    format!("/apis/{api_version}/namespaces/{}/{plural}", ns.name())
}

/// The answer to a request: its code, and what it says.
async fn ask(ns: &Namespace, method: Method, path: &str, body: &Value) -> Result<(u16, Value)> {
    let media = match method {
        Method::PATCH => "application/merge-patch+json",
        _ => "application/json",
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", media);
    let request = request.body(kube::client::Body::from(body.to_string().into_bytes()))?;
    let answer = ns.client().send(request).await?;
    let code = answer.status().as_u16();
    let text = answer.into_body().collect_bytes().await?;
    Ok((code, serde_json::from_slice(&text)?))
}

/// The fields that a refusal names.
fn fields(refusal: &Value) -> BTreeSet<String> {
    let causes = refusal["details"]["causes"].as_array();
    let fields = causes
        .into_iter()
        .flatten()
        .filter_map(|cause| cause["field"].as_str());
    fields.map(str::to_owned).collect()
}

/// Takes out of an object what a schema cannot give it.
fn computed(object: &mut Value) {
    match object {
        Value::Object(fields) => {
            fields.remove("imagePullPolicy");
            // What is not there, in Go's words.
            fields.retain(|name, value| name != "metadata" || *value != json!({}));
            fields.values_mut().for_each(computed);
        }
        Value::Array(items) => items.iter_mut().for_each(computed),
        _ => {}
    }
}

#[test]
fn every_example_is_accepted_by_both_and_given_the_same_defaults() -> Outcome {
    with_namespace("examples", async |ns| {
        let mut kinds = BTreeSet::new();
        for manifest in examples()? {
            let (version, kind) = (manifest["apiVersion"].as_str(), manifest["kind"].as_str());
            let (Some(version), Some(kind)) = (version, kind) else {
                panic!("{manifest}");
            };
            let Some((_, ours)) = GROUPS.iter().find(|(built_in, _)| *built_in == version) else {
                continue;
            };
            let mut made = Vec::new();
            for version in [version, ours] {
                let mut manifest = manifest.clone();
                manifest["apiVersion"] = json!(version);
                let path = format!(
                    "{}?dryRun=All&fieldValidation=Strict",
                    path(&ns, version, kind)
                );
                let (code, said) = ask(&ns, Method::POST, &path, &manifest).await?;
                ensure!(code == 201, "{version} {kind}: {said}");
                let mut spec = said["spec"].clone();
                computed(&mut spec);
                if kind == "Job" {
                    let spec = spec.as_object_mut().context("spec")?;
                    // These the controller knows.
                    for field in ["selector", "backoffLimit", "podReplacementPolicy"] {
                        spec.remove(field);
                    }
                    if let Some(metadata) = spec["template"]["metadata"].as_object_mut() {
                        metadata.remove("labels");
                    }
                }
                made.push(spec);
            }
            ensure!(
                made[0] == made[1],
                "{kind}: the built-in one becomes\n{}\nand ours\n{}",
                serde_json::to_string_pretty(&made[0])?,
                serde_json::to_string_pretty(&made[1])?
            );
            kinds.insert(kind.to_owned());
        }
        ensure!(kinds.len() == 7, "{kinds:?}");
        Ok(())
    })
}

/// What is wrong with a manifest: the kind, and what is merged into its example.
fn wrong() -> Vec<(&'static str, Value)> {
    let pod = |fields: Value| json!({ "spec": { "template": { "spec": fields } } });
    let spec = |fields: Value| json!({ "spec": fields });
    let strategy = |fields: Value| json!({ "spec": { "strategy": fields } });
    let update = |fields: Value| json!({ "spec": { "updateStrategy": fields } });
    let container = |fields: Value| {
        let mut container = json!({ "name": "c", "image": "i" });
        json_patch_merge(&mut container, &fields);
        json!({ "spec": { "template": { "spec": { "containers": [container], "initContainers": null } } } })
    };
    vec![
        ("Deployment", spec(json!({ "replicas": -1 }))),
        ("Deployment", spec(json!({ "minReadySeconds": -1 }))),
        ("Deployment", spec(json!({ "revisionHistoryLimit": -1 }))),
        (
            "Deployment",
            spec(json!({ "progressDeadlineSeconds": 5, "minReadySeconds": 5 })),
        ),
        (
            "Deployment",
            spec(json!({ "template": { "metadata": { "labels": { "app": "other" } } } })),
        ),
        (
            "Deployment",
            spec(json!({ "template": { "metadata": { "labels": null } } })),
        ),
        ("Deployment", pod(json!({ "restartPolicy": "Never" }))),
        ("Deployment", pod(json!({ "containers": null }))),
        ("Deployment", pod(json!({ "dnsPolicy": "Nearest" }))),
        ("Deployment", pod(json!({ "activeDeadlineSeconds": 0 }))),
        (
            "Deployment",
            pod(
                json!({ "volumes": [{ "name": "a", "emptyDir": {} }, { "name": "a", "emptyDir": {} }] }),
            ),
        ),
        (
            "Deployment",
            pod(
                json!({ "containers": [{ "name": "a", "image": "i" }, { "name": "a", "image": "i" }] }),
            ),
        ),
        ("Deployment", container(json!({ "image": null }))),
        ("Deployment", container(json!({ "name": "Not_a_name" }))),
        (
            "Deployment",
            container(json!({ "imagePullPolicy": "Maybe" })),
        ),
        (
            "Deployment",
            container(json!({ "ports": [{ "containerPort": 0 }] })),
        ),
        (
            "Deployment",
            container(json!({ "ports": [{ "containerPort": 70000 }] })),
        ),
        (
            "Deployment",
            container(json!({ "ports": [{ "containerPort": 80, "protocol": "ICMP" }] })),
        ),
        (
            "Deployment",
            container(
                json!({ "readinessProbe": { "periodSeconds": -1, "tcpSocket": { "port": 1 } } }),
            ),
        ),
        (
            "Deployment",
            container(json!({ "terminationMessagePolicy": "Whatever" })),
        ),
        (
            "Deployment",
            strategy(json!({ "type": "Sudden", "rollingUpdate": null })),
        ),
        (
            "Deployment",
            strategy(json!({ "type": "Recreate", "rollingUpdate": { "maxSurge": 1 } })),
        ),
        (
            "Deployment",
            strategy(json!({ "rollingUpdate": { "maxSurge": 0, "maxUnavailable": "0%" } })),
        ),
        (
            "Deployment",
            strategy(json!({ "rollingUpdate": { "maxSurge": "some" } })),
        ),
        (
            "Deployment",
            strategy(json!({ "rollingUpdate": { "maxSurge": -1 } })),
        ),
        ("ReplicaSet", spec(json!({ "replicas": -1 }))),
        (
            "ReplicaSet",
            spec(json!({ "template": { "metadata": { "labels": { "tier": "front" } } } })),
        ),
        ("ReplicaSet", pod(json!({ "restartPolicy": "OnFailure" }))),
        ("ReplicaSet", pod(json!({ "containers": null }))),
        ("DaemonSet", pod(json!({ "restartPolicy": "OnFailure" }))),
        ("DaemonSet", spec(json!({ "minReadySeconds": -1 }))),
        (
            "DaemonSet",
            spec(json!({ "template": { "metadata": { "labels": { "app": "other" } } } })),
        ),
        ("DaemonSet", update(json!({ "type": "Sudden" }))),
        (
            "DaemonSet",
            update(json!({ "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 0 } })),
        ),
        (
            "DaemonSet",
            update(json!({ "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 1 } })),
        ),
        ("StatefulSet", spec(json!({ "replicas": -1 }))),
        (
            "StatefulSet",
            spec(json!({ "podManagementPolicy": "Chaotic" })),
        ),
        (
            "StatefulSet",
            spec(json!({ "template": { "metadata": { "labels": { "app": "other" } } } })),
        ),
        ("StatefulSet", update(json!({ "type": "Sudden" }))),
        (
            "StatefulSet",
            update(json!({ "rollingUpdate": { "partition": -1 } })),
        ),
        (
            "StatefulSet",
            spec(json!({ "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Forget" } })),
        ),
        ("StatefulSet", spec(json!({ "ordinals": { "start": -1 } }))),
        ("StatefulSet", pod(json!({ "restartPolicy": "Never" }))),
        ("Job", pod(json!({ "restartPolicy": "Always" }))),
        ("Job", pod(json!({ "restartPolicy": null }))),
        ("Job", spec(json!({ "parallelism": -1 }))),
        ("Job", spec(json!({ "completions": -1 }))),
        ("Job", spec(json!({ "completions": null }))),
        ("Job", spec(json!({ "backoffLimit": -1 }))),
        ("Job", spec(json!({ "activeDeadlineSeconds": -1 }))),
        ("Job", spec(json!({ "ttlSecondsAfterFinished": -1 }))),
        ("Job", spec(json!({ "completionMode": "Sorted" }))),
        (
            "Job",
            spec(json!({ "completionMode": "NonIndexed", "backoffLimitPerIndex": 1 })),
        ),
        ("Job", spec(json!({ "maxFailedIndexes": 1 }))),
        ("Job", spec(json!({ "podReplacementPolicy": "Never" }))),
        ("CronJob", spec(json!({ "schedule": "" }))),
        ("CronJob", spec(json!({ "schedule": "when it rains" }))),
        ("CronJob", spec(json!({ "timeZone": "" }))),
        ("CronJob", spec(json!({ "concurrencyPolicy": "Sometimes" }))),
        ("CronJob", spec(json!({ "startingDeadlineSeconds": -1 }))),
        ("CronJob", spec(json!({ "successfulJobsHistoryLimit": -1 }))),
        ("CronJob", spec(json!({ "failedJobsHistoryLimit": -1 }))),
        ("CronJob", json!({ "metadata": { "name": "n".repeat(53) } })),
        (
            "CronJob",
            spec(json!({ "jobTemplate": pod(json!({ "restartPolicy": "Always" })) })),
        ),
        ("HorizontalPodAutoscaler", spec(json!({ "minReplicas": 0 }))),
        ("HorizontalPodAutoscaler", spec(json!({ "minReplicas": 6 }))),
        (
            "HorizontalPodAutoscaler",
            spec(json!({ "maxReplicas": 0, "minReplicas": null })),
        ),
        (
            "HorizontalPodAutoscaler",
            spec(json!({ "scaleTargetRef": { "name": "" } })),
        ),
        (
            "HorizontalPodAutoscaler",
            spec(json!({ "scaleTargetRef": { "kind": "" } })),
        ),
        (
            "HorizontalPodAutoscaler",
            spec(json!({ "metrics": [{ "type": "Pods" }] })),
        ),
        (
            "HorizontalPodAutoscaler",
            spec(json!({ "behavior": { "scaleDown": { "stabilizationWindowSeconds": 3601 } } })),
        ),
        (
            "HorizontalPodAutoscaler",
            spec(json!({ "behavior": { "scaleUp": { "selectPolicy": "Best" } } })),
        ),
        (
            "HorizontalPodAutoscaler",
            spec(
                json!({ "behavior": { "scaleUp": { "policies": [{ "type": "Pods", "value": 0, "periodSeconds": 15 }] } } }),
            ),
        ),
        (
            "HorizontalPodAutoscaler",
            spec(
                json!({ "behavior": { "scaleUp": { "policies": [{ "type": "Pods", "value": 1, "periodSeconds": 1801 }] } } }),
            ),
        ),
    ]
}

/// A change of an object that is there that must not be.
fn fixed() -> Vec<(&'static str, Value)> {
    let other = json!({ "selector": { "matchLabels": { "app": "other" } }, "template": { "metadata": { "labels": { "app": "other", "tier": "back" } } } });
    let spec = |fields: Value| json!({ "spec": fields });
    let image = json!({ "template": { "spec": { "containers": [{ "name": "import", "image": "other" }] } } });
    vec![
        ("Deployment", spec(other.clone())),
        ("ReplicaSet", spec(other.clone())),
        ("DaemonSet", spec(other.clone())),
        ("StatefulSet", spec(other)),
        ("StatefulSet", spec(json!({ "serviceName": "other" }))),
        (
            "StatefulSet",
            spec(json!({ "podManagementPolicy": "Parallel" })),
        ),
        ("StatefulSet", spec(json!({ "volumeClaimTemplates": null }))),
        ("Job", spec(json!({ "completions": 4 }))),
        ("Job", spec(json!({ "completionMode": "NonIndexed" }))),
        ("Job", spec(json!({ "backoffLimitPerIndex": 1 }))),
        ("Job", spec(image)),
    ]
}

/// RFC 7386.
fn json_patch_merge(target: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in fields {
        match value {
            Value::Null => {
                target.as_object_mut().map(|target| target.remove(key));
            }
            value => json_patch_merge(&mut target[key], value),
        }
    }
}

/// How two refusals differ, of the built-in kind and of ours: both are, and ours names the fields that the other names.
fn difference(said: &[(u16, Value)]) -> Option<String> {
    let fields: Vec<_> = said.iter().map(|(_, said)| fields(said)).collect();
    let same = said.iter().all(|(code, _)| *code == 422) && names(&fields[1], &fields[0]);
    (!same).then(|| {
        format!(
            "  built-in {} {:?}\n  ours     {} {:?} {}",
            said[0].0, fields[0], said[1].0, fields[1], said[1].1["message"]
        )
    })
}

/// Whether a refusal names a field that the other names. Of two items with the same key one names the item, the other the
/// key in it.
fn names(said: &BTreeSet<String>, wanted: &BTreeSet<String>) -> bool {
    let item = |field: &String| field.strip_suffix("].name").map(|list| format!("{list}]"));
    wanted
        .iter()
        .any(|field| said.contains(field) || item(field).is_some_and(|item| said.contains(&item)))
}

#[test]
fn what_is_refused_is_refused_with_the_same_field() -> Outcome {
    with_namespace("refused", async |ns| {
        let mut differ = Vec::new();
        for (kind, patch) in wrong() {
            let mut manifest = example(kind)?;
            json_patch_merge(&mut manifest, &patch);
            let versions = both(&manifest)?;
            let mut said = Vec::new();
            for version in versions {
                manifest["apiVersion"] = json!(version);
                let path = format!("{}?dryRun=All", path(&ns, version, kind));
                said.push(ask(&ns, Method::POST, &path, &manifest).await?);
            }
            differ.extend(difference(&said).map(|how| format!("{kind} {patch}:\n{how}")));
        }
        ensure!(differ.is_empty(), "{}", differ.join("\n"));
        Ok(())
    })
}

#[test]
fn what_never_changes_is_the_same() -> Outcome {
    with_namespace("fixed", async |ns| {
        let mut differ = Vec::new();
        for kind in [
            "Deployment",
            "ReplicaSet",
            "DaemonSet",
            "StatefulSet",
            "Job",
        ] {
            let mut manifest = example(kind)?;
            let versions = both(&manifest)?;
            for version in versions {
                manifest["apiVersion"] = json!(version);
                let (code, said) =
                    ask(&ns, Method::POST, &path(&ns, version, kind), &manifest).await?;
                ensure!(code == 201, "{said}");
            }
            let name = manifest["metadata"]["name"].as_str().context("name")?;
            for (_, patch) in fixed().into_iter().filter(|(of, _)| *of == kind) {
                let mut said = Vec::new();
                for version in versions {
                    let path = format!("{}/{name}?dryRun=All", path(&ns, version, kind));
                    said.push(ask(&ns, Method::PATCH, &path, &patch).await?);
                }
                differ.extend(difference(&said).map(|how| format!("{kind} {patch}:\n{how}")));
            }
        }
        ensure!(differ.is_empty(), "{}", differ.join("\n"));
        Ok(())
    })
}
