//! Two hundred objects that loops work on, of all kinds and in all states that last.

use anyhow::{Context, Result};
use cluster::{Kind, Namespace};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::time::Duration;

const IMAGE: &str = "registry.k8s.io/pause:3.10";
/// Hollow nodes cannot pull it.
pub(crate) const UNPULLABLE: &str = "registry.k8s.io/pause:404";
/// So much longer than the test that it is for ever.
const FOR_EVER: &str = "10h";

/// How an object is made: its kind, the beginning of its name, how many of it, and what is special in its spec.
type Row = (&'static str, &'static str, usize, Value);

/// All of them, as manifests.
pub(crate) fn fleet() -> Vec<Value> {
    let mut all = Vec::new();
    for (kind, variant, count, special) in rows() {
        for n in 0..count {
            all.push(manifest(kind, &format!("{variant}-{n}"), &special));
        }
    }
    all
}

fn rows() -> Vec<Row> {
    let not_ready = pods(json!({ "hollow.corten.dev/ready": "false" }), json!({}));
    let nowhere = pods(json!({}), json!({ "nodeSelector": { "where": "nowhere" } }));
    let loaded = pods(json!({ "hollow.corten.dev/cpu": "50m" }), json!({}));
    let ends = |code: &str, more: Value| with(run(Some("1s"), code), more);
    let runs = |more: Value| with(run(Some(FOR_EVER), "0"), more);
    let indexed =
        |n: i32| json!({ "completionMode": "Indexed", "completions": n, "parallelism": n });
    let partition = |n: i32| {
        json!({ "replicas": 3, "updateStrategy": {
            "type": "RollingUpdate", "rollingUpdate": { "partition": n },
        } })
    };
    let on_delete = json!({ "updateStrategy": { "type": "OnDelete" } });
    vec![
        ("Deployment", "d-plain", 12, loaded),
        ("Deployment", "d-rolled", 8, json!({})),
        ("Deployment", "d-paused", 3, json!({})),
        ("Deployment", "d-stuck", 3, json!({})),
        (
            "Deployment",
            "d-late",
            2,
            json!({ "progressDeadlineSeconds": 3 }),
        ),
        (
            "Deployment",
            "d-recreate",
            4,
            json!({ "strategy": { "type": "Recreate" } }),
        ),
        ("Deployment", "d-zero", 3, json!({ "replicas": 0 })),
        (
            "Deployment",
            "d-forgetful",
            3,
            json!({ "revisionHistoryLimit": 0 }),
        ),
        (
            "Deployment",
            "d-shares",
            4,
            json!({ "replicas": 3, "strategy": { "type": "RollingUpdate",
            "rollingUpdate": { "maxSurge": "34%", "maxUnavailable": "0%" } } }),
        ),
        ("Deployment", "d-nowhere", 2, nowhere.clone()),
        ("ReplicaSet", "r-plain", 10, json!({})),
        ("ReplicaSet", "r-zero", 2, json!({ "replicas": 0 })),
        (
            "ReplicaSet",
            "r-patient",
            4,
            json!({ "minReadySeconds": 2 }),
        ),
        ("ReplicaSet", "r-waiting", 2, not_ready.clone()),
        ("ReplicationController", "rc-plain", 10, json!({})),
        (
            "ReplicationController",
            "rc-zero",
            2,
            json!({ "replicas": 0 }),
        ),
        ("ReplicationController", "rc-waiting", 2, not_ready),
        ("DaemonSet", "ds-plain", 3, json!({})),
        ("DaemonSet", "ds-ondelete", 2, on_delete.clone()),
        (
            "DaemonSet",
            "ds-surge",
            1,
            json!({ "updateStrategy": { "type": "RollingUpdate",
            "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } } }),
        ),
        ("DaemonSet", "ds-nowhere", 1, nowhere),
        ("DaemonSet", "ds-rolled", 1, json!({})),
        ("StatefulSet", "s-plain", 6, json!({})),
        (
            "StatefulSet",
            "s-parallel",
            4,
            json!({ "podManagementPolicy": "Parallel" }),
        ),
        ("StatefulSet", "s-partition", 3, partition(1)),
        ("StatefulSet", "s-ondelete", 3, on_delete),
        (
            "StatefulSet",
            "s-ordinals",
            2,
            json!({ "ordinals": { "start": 7 } }),
        ),
        ("StatefulSet", "s-claims", 3, claims()),
        ("StatefulSet", "s-stuck", 1, json!({})),
        (
            "Job",
            "j-runs",
            6,
            runs(json!({ "parallelism": 2, "completions": 3 })),
        ),
        ("Job", "j-indexed", 6, runs(indexed(2))),
        (
            "Job",
            "j-queue",
            3,
            runs(json!({ "parallelism": 2, "completions": null })),
        ),
        ("Job", "j-done", 8, ends("0", json!({}))),
        ("Job", "j-indexed-done", 4, ends("0", indexed(2))),
        (
            "Job",
            "j-failed",
            4,
            ends("1", json!({ "backoffLimit": 0 })),
        ),
        ("Job", "j-suspended", 3, runs(json!({ "suspend": true }))),
        ("Job", "j-halted", 1, runs(json!({}))),
        (
            "Job",
            "j-per-index",
            2,
            ends("1", with(indexed(2), json!({ "backoffLimitPerIndex": 0 }))),
        ),
        (
            "Job",
            "j-success",
            2,
            ends(
                "0",
                with(
                    indexed(2),
                    json!({ "successPolicy": {
            "rules": [{ "succeededIndexes": "0", "succeededCount": 1 }] } }),
                ),
            ),
        ),
        (
            "Job",
            "j-policy",
            2,
            ends(
                "42",
                json!({ "podFailurePolicy": { "rules": [{
            "action": "FailJob", "onExitCodes": { "operator": "In", "values": [42] } }] } }),
            ),
        ),
        (
            "Job",
            "j-ttl",
            1,
            ends("0", json!({ "ttlSecondsAfterFinished": 3600 })),
        ),
        ("CronJob", "c-later", 6, json!({ "suspend": false })),
        ("CronJob", "c-suspended", 4, json!({ "suspend": true })),
        ("HorizontalPodAutoscaler", "d-plain", 10, json!({})),
        (
            "PodDisruptionBudget",
            "d-plain",
            4,
            json!({ "minAvailable": 1 }),
        ),
        (
            "PodDisruptionBudget",
            "d-rolled",
            4,
            json!({ "maxUnavailable": "50%" }),
        ),
        (
            "PodDisruptionBudget",
            "s-plain",
            4,
            json!({ "maxUnavailable": 1 }),
        ),
        ("Service", "d-plain", 12, json!({})),
        ("Service", "s-plain", 4, json!({ "clusterIP": "None" })),
        (
            "Service",
            "d-rolled",
            2,
            json!({ "ports": [{ "name": "named", "port": 80, "targetPort": "web" }] }),
        ),
        (
            "Service",
            "r-waiting",
            2,
            json!({ "publishNotReadyAddresses": true }),
        ),
        ("Service", "by-hand", 2, json!({ "selector": null })),
        ("Endpoints", "by-hand", 2, json!({})),
    ]
}

/// An object whose pods, if it has any, carry its name as the label `app`.
fn manifest(kind: &str, name: &str, special: &Value) -> Value {
    let labels = json!({ "app": name });
    let (version, spec) = match kind {
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => {
            let selector = json!({ "matchLabels": labels });
            let mut spec = json!({ "selector": selector, "template": template(name, "Always") });
            if kind != "DaemonSet" {
                spec["replicas"] = json!(2);
            }
            if kind == "StatefulSet" {
                spec["serviceName"] = json!(name);
            }
            ("apps/v1", spec)
        }
        "ReplicationController" => {
            let template = template(name, "Always");
            (
                "v1",
                json!({ "selector": labels, "replicas": 2, "template": template }),
            )
        }
        "Job" => ("batch/v1", json!({ "template": template(name, "Never") })),
        "CronJob" => {
            let job = json!({ "spec": { "template": template(name, "Never") } });
            (
                "batch/v1",
                json!({ "schedule": "0 0 29 2 *", "jobTemplate": job }),
            )
        }
        "HorizontalPodAutoscaler" => (
            "autoscaling/v2",
            json!({
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
                "minReplicas": 1, "maxReplicas": 5,
                "metrics": [{ "type": "Resource", "resource": {
                    "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 },
                }}],
            }),
        ),
        "PodDisruptionBudget" => (
            "policy/v1",
            json!({ "selector": { "matchLabels": labels } }),
        ),
        "Service" => (
            "v1",
            json!({ "selector": labels, "ports": [{ "port": 80 }] }),
        ),
        _ => ("v1", json!({})),
    };
    let mut object = json!({
        "apiVersion": version, "kind": kind, "metadata": { "name": name, "labels": labels },
    });
    match kind {
        "Endpoints" => {
            object["subsets"] =
                json!([{ "addresses": [{ "ip": "192.0.2.7" }], "ports": [{ "port": 80 }] }]);
        }
        _ => object["spec"] = with(spec, special.clone()),
    }
    object
}

fn template(app: &str, restart: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": app } },
        "spec": {
            "restartPolicy": restart,
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "main", "image": IMAGE,
                "ports": [{ "name": "web", "containerPort": 8080 }],
                "resources": { "requests": { "cpu": "100m" } },
            }],
        },
    })
}

/// What a spec says of its pods: annotations, and fields of their spec.
fn pods(annotations: Value, spec: Value) -> Value {
    json!({ "template": { "metadata": { "annotations": annotations }, "spec": spec } })
}

fn run(run_for: Option<&str>, code: &str) -> Value {
    let annotations =
        json!({ "hollow.corten.dev/run-for": run_for, "hollow.corten.dev/exit-code": code });
    pods(annotations, json!({}))
}

fn claims() -> Value {
    json!({
        "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Delete", "whenScaled": "Retain" },
        "volumeClaimTemplates": [{
            "metadata": { "name": "data" },
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "",
                "resources": { "requests": { "storage": "1Mi" } },
            },
        }],
    })
}

/// A merge, as a merge patch does it, but that null stays.
pub(crate) fn with(mut one: Value, other: Value) -> Value {
    match (&mut one, other) {
        (Value::Object(fields), Value::Object(others)) => {
            for (key, value) in others {
                let merged = with(fields.remove(&key).unwrap_or_default(), value);
                fields.insert(key, merged);
            }
            one
        }
        (_, other) => other,
    }
}

/// Merges a patch into all objects of a kind whose names begin so.
pub(crate) async fn change<K: Kind>(ns: &Namespace, beginning: &str, patch: Value) -> Result<()> {
    let all = ns.list::<K>("").await?;
    let names = all.iter().map(ResourceExt::name_any);
    let mut changed = 0;
    for name in names.filter(|name| name.starts_with(beginning)) {
        ns.merge::<K>(&name, patch.clone()).await?;
        changed += 1;
    }
    anyhow::ensure!(changed > 0, "nothing begins with {beginning}");
    Ok(())
}

/// Tells `story` while claims are given volumes.
pub(crate) async fn provided(
    ns: &Namespace,
    story: impl Future<Output = Result<()>>,
) -> Result<()> {
    let providing = async {
        loop {
            provide(ns).await?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        failed = providing => failed,
        outcome = story => outcome,
    }
}

/// Gives each claim that has none a volume, as who provides volumes would.
async fn provide(ns: &Namespace) -> Result<usize> {
    let volumes: Api<PersistentVolume> = Api::all(ns.client());
    let mut provided = 0;
    for claim in ns.list::<PersistentVolumeClaim>("").await? {
        let (name, spec) = (claim.name_any(), claim.spec.clone().context("spec")?);
        if spec.volume_name.is_some() {
            continue;
        }
        let volume = format!("{}-{name}", ns.name());
        let manifest = serde_json::from_value(json!({
            "metadata": { "name": volume, "annotations": { "pv.kubernetes.io/bound-by-controller": "yes" } },
            "spec": {
                "accessModes": spec.access_modes, "storageClassName": "",
                "capacity": { "storage": "1Mi" }, "hostPath": { "path": "/tmp" },
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                    "namespace": ns.name(), "name": name, "uid": claim.metadata.uid,
                },
            },
        }))?;
        volumes.create(&PostParams::default(), &manifest).await?;
        let bound = json!({ "status": { "phase": "Bound" } });
        let params = PatchParams::default();
        volumes
            .patch_status(&volume, &params, &Patch::Merge(&bound))
            .await?;
        ns.merge::<PersistentVolumeClaim>(
            &name,
            json!({
                "metadata": { "annotations": { "pv.kubernetes.io/bind-completed": "yes" } },
                "spec": { "volumeName": volume },
            }),
        )
        .await?;
        ns.merge_status::<PersistentVolumeClaim>(&name, json!({
            "phase": "Bound", "accessModes": spec.access_modes, "capacity": { "storage": "1Mi" },
        }))
        .await?;
        provided += 1;
    }
    Ok(provided)
}
