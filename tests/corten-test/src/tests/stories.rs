//! What operators build on: each story is told to a cluster, in memory or real.

use crate::{Cluster, Error};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    ConfigMap, Namespace, PersistentVolumeClaim, Pod, ResourceQuota, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use serde_json::{Value, json};

/// A workload of this kind with pods of its name.
fn workload(kind: &str, name: &str, spec: Value) -> String {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": { "name": name },
        "spec": {
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "main", "image": "web:1", "resources": { "requests": { "cpu": "100m" } } }] },
            },
        },
    });
    merge(&mut object["spec"], spec);
    object.to_string()
}

fn merge(target: &mut Value, with: Value) {
    match (target, with) {
        (Value::Object(target), Value::Object(with)) => {
            for (key, value) in with {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, with) => *target = with,
    }
}

pub(super) async fn a_deployment_gets_ready_pods_and_is_rolled_out(
    cluster: &Cluster,
) -> Result<(), Error> {
    cluster
        .apply(&workload("Deployment", "web", json!({ "replicas": 3 })))
        .await?;
    cluster.until_pods_ready("default", "app=web", 3).await?;
    let container = json!({ "name": "main", "image": "web:2" });
    let template = json!({ "spec": { "template": { "spec": { "containers": [container] } } } });
    cluster.merge::<Deployment>("web", template).await?;
    let is_rolled_out = |web: &Deployment| {
        let status = web.status.clone().unwrap_or_default();
        status.observed_generation == web.metadata.generation
            && (
                status.updated_replicas,
                status.replicas,
                status.available_replicas,
            ) == (Some(3), Some(3), Some(3))
    };
    cluster.until("web", "is rolled out", is_rolled_out).await?;
    let sets = cluster.list::<ReplicaSet>("default", "app=web").await?;
    assert_eq!(sets.len(), 2);
    Ok(())
}

pub(super) async fn pods_go_with_their_owner(cluster: &Cluster) -> Result<(), Error> {
    cluster
        .apply(&workload("Deployment", "gone", json!({ "replicas": 2 })))
        .await?;
    let pods = cluster.until_pods_ready("default", "app=gone", 2).await?;
    cluster.delete::<Deployment>("gone").await?;
    for pod in pods {
        cluster
            .until_gone::<Pod>(&format!("default/{}", pod.name_any()))
            .await?;
    }
    Ok(())
}

pub(super) async fn a_stateful_set_gets_its_volumes(cluster: &Cluster) -> Result<(), Error> {
    let claim = json!({
        "metadata": { "name": "data" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    });
    let spec = json!({ "replicas": 2, "serviceName": "store", "volumeClaimTemplates": [claim] });
    cluster
        .apply(&workload("StatefulSet", "store", spec))
        .await?;
    cluster.until_pods_ready("default", "app=store", 2).await?;
    let is_bound = |claim: &PersistentVolumeClaim| {
        claim
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref())
            == Some("Bound")
    };
    cluster.until("data-store-1", "is bound", is_bound).await?;
    let is_counted =
        |set: &StatefulSet| set.status.as_ref().and_then(|status| status.ready_replicas) == Some(2);
    cluster.until("store", "is counted", is_counted).await?;
    Ok(())
}

pub(super) async fn a_daemon_set_runs_on_each_node(cluster: &Cluster) -> Result<(), Error> {
    cluster
        .apply(&workload("DaemonSet", "agent", json!({})))
        .await?;
    let is_everywhere = |set: &DaemonSet| {
        set.status
            .as_ref()
            .is_some_and(|status| status.number_ready == 3)
    };
    cluster
        .until("agent", "is everywhere", is_everywhere)
        .await?;
    Ok(())
}

pub(super) async fn a_job_ends(cluster: &Cluster) -> Result<(), Error> {
    cluster
        .apply(
            "
apiVersion: batch/v1
kind: Job
metadata: {name: sum}
spec:
  completions: 2
  template:
    metadata: {annotations: {hollow.corten.dev/run-for: 200ms}}
    spec:
      restartPolicy: Never
      containers: [{name: main, image: sum}]
",
        )
        .await?;
    let is_complete =
        |job: &Job| job.status.as_ref().and_then(|status| status.succeeded) == Some(2);
    cluster.until("sum", "is complete", is_complete).await?;
    Ok(())
}

pub(super) async fn a_service_has_the_addresses_of_its_pods(
    cluster: &Cluster,
) -> Result<(), Error> {
    let service = "
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {selector: {app: front}, ports: [{port: 80}]}
---
";
    let deployment = workload("Deployment", "front", json!({ "replicas": 2 }));
    cluster.apply(&format!("{service}{deployment}")).await?;
    let what = "two addresses are ready";
    let selector = "kubernetes.io/service-name=front";
    cluster
        .eventually(what, async || {
            let slices = cluster.list::<EndpointSlice>("default", selector).await;
            let slices = slices.map_err(|error| error.to_string())?;
            let endpoints = slices.iter().flat_map(|slice| &slice.endpoints).flatten();
            let is_ready = |endpoint: &&k8s_openapi::api::discovery::v1::Endpoint| {
                let conditions = endpoint.conditions.as_ref();
                conditions.and_then(|conditions| conditions.ready) == Some(true)
            };
            match endpoints.filter(is_ready).count() {
                2 => Ok(()),
                other => Err(format!("{other} are ready")),
            }
        })
        .await
}

pub(super) async fn an_autoscaler_sees_what_pods_use(cluster: &Cluster) -> Result<(), Error> {
    let busy = json!({ "hollow.corten.dev/cpu": "200m" });
    let template = json!({ "template": { "metadata": { "annotations": busy } } });
    cluster
        .apply(&workload("Deployment", "busy", template))
        .await?;
    cluster
        .apply(
            "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: busy}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: busy}
  minReplicas: 1
  maxReplicas: 4
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 100}}}]
",
        )
        .await?;
    let grows = |scaler: &HorizontalPodAutoscaler| {
        scaler
            .status
            .as_ref()
            .is_some_and(|status| status.desired_replicas >= 2)
    };
    let patience = std::time::Duration::from_secs(90);
    let last = cluster.within(patience, "the autoscaler grows", async || {
        let scaler = cluster.get::<HorizontalPodAutoscaler>("busy").await;
        let scaler = scaler.map_err(|error| error.to_string())?;
        match grows(&scaler) {
            true => Ok(()),
            false => Err(format!("{:?}", scaler.status)),
        }
    });
    last.await
}

pub(super) async fn a_namespace_is_emptied(cluster: &Cluster) -> Result<(), Error> {
    cluster
        .apply("{apiVersion: v1, kind: Namespace, metadata: {name: team}}")
        .await?;
    cluster
        .until::<ServiceAccount>("team/default", "is there", |_| true)
        .await?;
    cluster
        .until::<ConfigMap>("team/kube-root-ca.crt", "is there", |_| true)
        .await?;
    let mut deployment: Value =
        serde_json::from_str(&workload("Deployment", "web", json!({}))).unwrap();
    deployment["metadata"]["namespace"] = json!("team");
    cluster.apply(&deployment.to_string()).await?;
    cluster.until_pods_ready("team", "app=web", 1).await?;
    cluster.delete::<Namespace>("team").await?;
    cluster.until_gone::<Namespace>("team").await
}

pub(super) async fn a_quota_counts(cluster: &Cluster) -> Result<(), Error> {
    cluster
        .apply(
            "
{apiVersion: v1, kind: Namespace, metadata: {name: small}}
---
{apiVersion: v1, kind: ResourceQuota, metadata: {name: pods, namespace: small}, spec: {hard: {pods: '2'}}}
",
        )
        .await?;
    let is_measured = |quota: &ResourceQuota| {
        quota
            .status
            .as_ref()
            .and_then(|status| status.used.as_ref())
            .is_some()
    };
    cluster
        .until("small/pods", "is measured", is_measured)
        .await?;
    let mut deployment: Value =
        serde_json::from_str(&workload("Deployment", "many", json!({ "replicas": 5 }))).unwrap();
    deployment["metadata"]["namespace"] = json!("small");
    cluster.apply(&deployment.to_string()).await?;
    cluster.until_pods_ready("small", "app=many", 2).await?;
    Ok(())
}

const WEBSITES: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: websites.test.example.com}
spec:
  group: test.example.com
  scope: Namespaced
  names: {plural: websites, singular: website, kind: Website}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [image]
            properties:
              image: {type: string, minLength: 1, maxLength: 20, pattern: '^[a-z:0-9]+$'}
              replicas: {type: integer, default: 2, minimum: 0, maximum: 10}
              mode: {type: string, enum: [plain, secure]}
              port: {x-kubernetes-int-or-string: true}
              note: {type: string, nullable: true}
              hosts: {type: array, items: {type: string}, maxItems: 2}
              paths:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [path]
                items: {type: object, required: [path], properties: {path: {type: string}, to: {type: string}}}
          status:
            type: object
            properties: {ready: {type: integer}}
";

/// What a server answers to this request, without what differs between any two.
async fn answer(cluster: &Cluster, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let path = format!("/apis/test.example.com/v1/namespaces/default/websites{path}");
    let content = match method {
        "PATCH" if path.contains("fieldManager") => "application/apply-patch+yaml",
        "PATCH" if path.contains("strategic") => "application/strategic-merge-patch+json",
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::CONTENT_TYPE, content)
        .body(serde_json::to_vec(body).unwrap().into());
    let answer = cluster.client().send(request.unwrap()).await.unwrap();
    let code = answer.status().as_u16();
    let bytes = http_body_util::BodyExt::collect(answer.into_body())
        .await
        .unwrap();
    let object: Value = serde_json::from_slice(&bytes.to_bytes()).unwrap();
    let told = match object["kind"] == "Status" {
        true => {
            json!({ "reason": object["reason"], "message": object["message"], "causes": object["details"]["causes"] })
        }
        false => json!({
            "generation": object["metadata"]["generation"], "labels": object["metadata"]["labels"],
            "spec": object["spec"], "status": object["status"],
        }),
    };
    (code, told)
}

/// Requests, and what each server must answer to them.
pub(super) fn requests() -> Vec<(&'static str, &'static str, Value)> {
    let website = |name: &str, spec: Value| {
        json!({
            "apiVersion": "test.example.com/v1", "kind": "Website",
            "metadata": { "name": name }, "spec": spec,
        })
    };
    let with =
        |field: &str, value: Value| website("wrong", json!({ "image": "web", field: value }));
    let mut labelled = website("labelled", json!({ "image": "web" }));
    labelled["metadata"]["labels"] = json!({ "app": "x" });
    labelled["metadata"]["colour"] = json!("red");
    labelled["status"] = json!({ "ready": 1 });
    let path =
        |to: &str, path: &str| json!({ "image": "web", "paths": [{ "path": path, "to": to }] });
    vec![
        (
            "POST",
            "",
            website(
                "a",
                json!({ "image": "web", "colour": "red", "replicas": null, "note": null }),
            ),
        ),
        ("POST", "", labelled),
        ("POST", "", website("a", json!({ "image": "web" }))),
        ("POST", "", website("wrong", json!({}))),
        ("POST", "", with("image", json!(1))),
        ("POST", "", with("image", json!(""))),
        ("POST", "", with("image", json!("aaaaaaaaaaaaaaaaaaaaa"))),
        ("POST", "", with("image", json!("WEB"))),
        ("POST", "", with("replicas", json!(11))),
        ("POST", "", with("replicas", json!(-1))),
        ("POST", "", with("replicas", json!("2"))),
        ("POST", "", with("mode", json!("other"))),
        ("POST", "", with("port", json!(true))),
        ("POST", "", with("hosts", json!(["a", "b", "c"]))),
        ("POST", "", with("hosts", json!(["a", null]))),
        ("POST", "", with("paths", json!([{ "to": "x" }]))),
        (
            "POST",
            "",
            with("paths", json!([{ "path": "/" }, { "path": "/" }])),
        ),
        (
            "PATCH",
            "/a",
            json!({ "spec": { "replicas": 3 }, "status": { "ready": 2 } }),
        ),
        (
            "PATCH",
            "/a/status",
            json!({ "spec": { "replicas": 4 }, "status": { "ready": 2 } }),
        ),
        (
            "PATCH",
            "/a/status",
            json!({ "status": { "ready": "two" } }),
        ),
        (
            "PATCH",
            "/a",
            json!({ "metadata": { "labels": { "app": "y" } } }),
        ),
        (
            "PATCH",
            "/a?strategic",
            json!({ "spec": { "replicas": 3 } }),
        ),
        ("PUT", "/a", website("a", json!({ "image": "web" }))),
        (
            "PATCH",
            "/applied?fieldManager=one&force=true",
            website("applied", path("x", "/")),
        ),
        (
            "PATCH",
            "/applied?fieldManager=two&force=true",
            website("applied", path("y", "/b")),
        ),
        (
            "PATCH",
            "/applied?fieldManager=one&force=true",
            website("applied", json!({ "image": "web" })),
        ),
        ("GET", "/nobody", json!({})),
        ("DELETE", "/labelled", json!({})),
        ("DELETE", "/a", json!({})),
        ("GET", "/a", json!({})),
    ]
}

/// Both give the same answers; those of a real one are in a file.
pub(super) async fn custom_resources_are_kept_alike(cluster: &Cluster) -> Result<(), Error> {
    cluster.apply(WEBSITES).await?;
    let mut answers = Vec::new();
    for (method, path, body) in requests() {
        let (code, told) = answer(cluster, method, path, &body).await;
        answers.push(
            json!({ "request": format!("{method} {path} {body}"), "code": code, "told": told }),
        );
    }
    let text = serde_json::to_string_pretty(&answers).unwrap() + "\n";
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/custom.json");
    if std::env::var_os("UPDATE").is_some() && cluster.in_memory().is_none() {
        std::fs::write(file, &text).unwrap();
    }
    let known: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    for (own, known) in answers.iter().zip(&known) {
        assert_eq!(
            own, known,
            "on the left this cluster, on the right a real one"
        );
    }
    assert_eq!(answers.len(), known.len());
    Ok(())
}
