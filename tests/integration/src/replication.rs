//! The ReplicationController controller: what it shares with that of ReplicaSets is tested there.

use crate::manifest::{living, pod, spec, template, uid};
use anyhow::ensure;
use cluster::{Outcome, eventually, with_namespace};
use k8s_openapi::api::core::v1::{Pod, ReplicationController, ResourceQuota};
use kube::ResourceExt;
use serde_json::{Value, json};

fn replication(name: &str, replicas: i32) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": { "replicas": replicas, "selector": { "app": name }, "template": template(name) },
    })
}

fn is_ready(rc: &ReplicationController) -> bool {
    let wanted = rc.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    let status = rc.status.clone().unwrap_or_default();
    status.observed_generation == rc.metadata.generation
        && status.replicas == wanted
        && status.fully_labeled_replicas.unwrap_or(0) == wanted
        && status.ready_replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
}

#[test]
fn a_replication_controller_has_as_many_pods_as_it_wants() -> Outcome {
    with_namespace("rc-scales", async |ns| {
        ns.create::<ReplicationController>(replication("web", 2))
            .await?;
        let web = ns.until("web", "has 2 pods", is_ready).await?;
        for pod in ns.list::<Pod>("app=web").await? {
            let owner = &pod.owner_references()[0];
            ensure!(owner.uid == uid(&web) && owner.controller == Some(true));
            ensure!(owner.kind == "ReplicationController" && owner.api_version == "v1");
            ensure!(owner.block_owner_deletion == Some(true));
        }
        let created = ns
            .event("web", "SuccessfulCreate", "Created pod: web-")
            .await?;
        let source = created.source.and_then(|s| s.component);
        ensure!(
            source.as_deref() == Some("replication-controller"),
            "{source:?}"
        );
        ns.merge::<ReplicationController>("web", spec(json!({ "replicas": 0 })))
            .await?;
        ns.until_all::<Pod>("app=web", "are gone", <[_]>::is_empty)
            .await?;
        ns.event("web", "SuccessfulDelete", "Deleted pod: web-")
            .await?;
        ns.until("web", "has none", is_ready).await?;
        Ok(())
    })
}

#[test]
fn a_replication_controller_adopts_and_releases() -> Outcome {
    with_namespace("rc-adopts", async |ns| {
        ns.create::<Pod>(pod("stray", "web")).await?;
        let web = ns
            .create::<ReplicationController>(replication("web", 1))
            .await?;
        ns.until("web", "has a pod", is_ready).await?;
        let owner = |pod: &Pod| pod.owner_references().first().map(|o| o.uid.clone());
        ensure!(owner(&ns.get::<Pod>("stray").await?) == web.uid());

        let released = json!({ "metadata": { "labels": { "app": "lab" } } });
        ns.merge::<Pod>("stray", released).await?;
        ns.until::<Pod>("stray", "has no owner", |pod| owner(pod).is_none())
            .await?;
        ns.until_all::<Pod>("app=web", "is one", |pods| living(pods).len() == 1)
            .await?;
        Ok(())
    })
}

#[test]
fn a_replication_controller_without_a_selector_selects_its_templates_labels() -> Outcome {
    with_namespace("rc-default", async |ns| {
        let mut manifest = replication("web", 1);
        manifest["spec"]["selector"] = Value::Null;
        ns.create::<ReplicationController>(manifest).await?;
        ns.until("web", "has a pod", is_ready).await?;
        Ok(())
    })
}

#[test]
fn a_replication_controller_reports_a_full_quota_until_there_is_room() -> Outcome {
    with_namespace("rc-quota", async |ns| {
        let hard = json!({ "metadata": { "name": "q" }, "spec": { "hard": { "pods": "1" } } });
        ns.create::<ResourceQuota>(hard).await?;
        let status = json!({ "hard": { "pods": "1" }, "used": { "pods": "1" } });
        ns.merge_status::<ResourceQuota>("q", status).await?;
        // Admission sees the quota through a watch of its own.
        eventually("the quota is in force", async || {
            let refused = ns.create::<Pod>(pod("probe", "probe")).await;
            if refused.is_ok() {
                ns.delete::<Pod>("probe").await?;
            }
            ensure!(refused.is_err(), "a pod could be created");
            Ok(())
        })
        .await?;
        ns.create::<ReplicationController>(replication("web", 3))
            .await?;
        let failure = |rc: &ReplicationController| {
            let conditions = rc.status.clone().unwrap_or_default().conditions;
            conditions.unwrap_or_default().iter().any(|c| {
                c.type_ == "ReplicaFailure"
                    && c.status == "True"
                    && c.reason.as_deref() == Some("FailedCreate")
            })
        };
        ns.until("web", "has ReplicaFailure", failure).await?;
        ns.event("web", "FailedCreate", "exceeded quota: q").await?;
        ns.merge::<ReplicationController>("web", spec(json!({ "replicas": 0 })))
            .await?;
        ns.until::<ReplicationController>("web", "has no failure", |rc| {
            is_ready(rc) && !failure(rc)
        })
        .await?;
        Ok(())
    })
}
