//! The ReplicaSet controller and the ReplicationController controller: what one promises, the other does too.

use crate::manifest::{living, pod, replica_set, spec, template, uid};
use anyhow::{Result, ensure};
use cluster::{Kind, Namespace, Outcome, eventually, with_namespace};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, ReplicationController, ResourceQuota};
use kube::ResourceExt;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// A kind that keeps so many pods.
trait Set: Kind {
    const VERSION: &'static str;
    const SOURCE: &'static str;

    /// One that selects its name as label `app`.
    fn set(name: &str, replicas: i32) -> Value;
}

impl Set for ReplicaSet {
    const VERSION: &'static str = "apps/v1";
    const SOURCE: &'static str = "replicaset-controller";

    fn set(name: &str, replicas: i32) -> Value {
        replica_set(name, replicas)
    }
}

impl Set for ReplicationController {
    const VERSION: &'static str = "v1";
    const SOURCE: &'static str = "replication-controller";

    fn set(name: &str, replicas: i32) -> Value {
        json!({
            "metadata": { "name": name, "labels": { "app": name } },
            "spec": { "replicas": replicas, "selector": { "app": name }, "template": template(name) },
        })
    }
}

/// Each story, told of both kinds.
macro_rules! of_both {
    ($($story:ident),* $(,)?) => {
        mod replica_sets {
            $(#[test]
            fn $story() -> cluster::Outcome {
                cluster::with_namespace("rs", super::$story::<super::ReplicaSet>)
            })*
        }
        mod replication_controllers {
            $(#[test]
            fn $story() -> cluster::Outcome {
                cluster::with_namespace("rc", super::$story::<super::ReplicationController>)
            })*
        }
    };
}

of_both! {
    it_has_as_many_pods_as_it_wants,
    a_deleted_pod_is_replaced,
    an_orphan_is_adopted_and_a_pod_with_other_labels_released,
    a_pod_of_somebody_else_is_left_alone,
    a_full_quota_is_reported_and_does_not_cause_a_storm,
    a_selector_that_misses_the_template_is_refused,
    unready_and_cheap_pods_go_first,
}

/// Whether it has as many pods as it wants, all ready, and says so.
fn is_ready<S: Set>(set: &S) -> bool {
    let set = serde_json::to_value(set).unwrap();
    let status = |field: &str| set["status"][field].as_i64().unwrap_or(0);
    let fields = [
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
    ];
    let wanted = set["spec"]["replicas"].as_i64().unwrap_or(1);
    Some(status("observedGeneration")) == set["metadata"]["generation"].as_i64()
        && fields.iter().all(|field| status(field) == wanted)
}

/// Whether it says that pods are refused because of the quota.
fn is_refused<S: Set>(set: &S) -> bool {
    let set = serde_json::to_value(set).unwrap();
    let conditions = set["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|c| {
        let says = |field: &str, text: &str| c[field].as_str().is_some_and(|t| t.contains(text));
        c["type"] == "ReplicaFailure"
            && c["status"] == "True"
            && c["reason"] == "FailedCreate"
            && says("message", "exceeded quota: q")
    })
}

async fn it_has_as_many_pods_as_it_wants<S: Set>(ns: Namespace) -> Result<()> {
    ns.create::<S>(S::set("web", 2)).await?;
    let web = ns.until("web", "has 2 pods", is_ready::<S>).await?;
    let pods = ns.list::<Pod>("app=web").await?;
    ensure!(pods.len() == 2, "{} pods", pods.len());
    for pod in &pods {
        let owner = &pod.owner_references()[0];
        ensure!(owner.uid == uid(&web) && owner.controller == Some(true));
        ensure!(owner.block_owner_deletion == Some(true) && owner.kind == S::kind(&()));
        ensure!(owner.api_version == S::VERSION);
        ensure!(pod.metadata.generate_name.as_deref() == Some("web-"));
    }
    let created = ns
        .event("web", "SuccessfulCreate", "Created pod: web-")
        .await?;
    let source = created.source.and_then(|s| s.component);
    ensure!(source.as_deref() == Some(S::SOURCE), "{source:?}");

    ns.merge::<S>("web", spec(json!({ "replicas": 3 }))).await?;
    ns.until("web", "has 3 pods", is_ready::<S>).await?;
    ns.merge::<S>("web", spec(json!({ "replicas": 1 }))).await?;
    ns.until("web", "has 1 pod", is_ready::<S>).await?;
    ns.until_all::<Pod>("app=web", "are 1", |pods| pods.len() == 1)
        .await?;
    ns.event("web", "SuccessfulDelete", "Deleted pod: web-")
        .await?;
    ns.merge::<S>("web", spec(json!({ "replicas": 0 }))).await?;
    ns.until_all::<Pod>("app=web", "are gone", <[_]>::is_empty)
        .await?;
    Ok(())
}

async fn a_deleted_pod_is_replaced<S: Set>(ns: Namespace) -> Result<()> {
    ns.create::<S>(S::set("web", 1)).await?;
    ns.until("web", "has a pod", is_ready::<S>).await?;
    let first = ns.list::<Pod>("app=web").await?.remove(0);
    ns.delete::<Pod>(&first.name_any()).await?;
    let is_another = |pods: &[Pod]| pods.len() == 1 && uid(&pods[0]) != uid(&first);
    ns.until_all("app=web", "are another pod", is_another)
        .await?;
    ns.until("web", "has a pod", is_ready::<S>).await?;
    Ok(())
}

async fn an_orphan_is_adopted_and_a_pod_with_other_labels_released<S: Set>(
    ns: Namespace,
) -> Result<()> {
    ns.create::<Pod>(pod("stray", "web")).await?;
    let web = ns.create::<S>(S::set("web", 2)).await?;
    ns.until("web", "has 2 pods", is_ready::<S>).await?;
    let owner = |pod: &Pod| pod.owner_references().first().map(|o| o.uid.clone());
    let stray = ns.get::<Pod>("stray").await?;
    ensure!(owner(&stray) == web.uid(), "{:?}", stray.owner_references());

    let released = json!({ "metadata": { "labels": { "app": "lab" } } });
    ns.merge::<Pod>("stray", released).await?;
    let is_free = |pod: &Pod| owner(pod).is_none();
    ns.until("stray", "has no owner", is_free).await?;
    let two = |pods: &[Pod]| living(pods).len() == 2;
    ns.until_all("app=web", "are 2", two).await?;
    let stray = ns.get::<Pod>("stray").await?;
    ensure!(
        stray.metadata.deletion_timestamp.is_none(),
        "stray is deleted"
    );
    Ok(())
}

async fn a_pod_of_somebody_else_is_left_alone<S: Set>(ns: Namespace) -> Result<()> {
    let mut other = pod("other", "web");
    other["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "example.com/v1", "kind": "Other", "name": "o", "controller": true,
        "uid": "3c6e39f0-0b5a-4ed1-b9b9-6e1ee8a4b1f5",
    }]);
    ns.create::<Pod>(other).await?;
    ns.create::<S>(S::set("web", 1)).await?;
    ns.until("web", "has a pod of its own", is_ready::<S>)
        .await?;
    ns.until_all::<Pod>("app=web", "are two", |pods| pods.len() == 2)
        .await?;
    let other = ns.get::<Pod>("other").await?;
    ensure!(other.owner_references().len() == 1);
    Ok(())
}

async fn a_full_quota_is_reported_and_does_not_cause_a_storm<S: Set>(ns: Namespace) -> Result<()> {
    let hard = json!({ "metadata": { "name": "q" }, "spec": { "hard": { "pods": "1" } } });
    ns.create::<ResourceQuota>(hard).await?;
    // What a quota controller would write; without it admission waits for it.
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
    ns.create::<S>(S::set("web", 30)).await?;
    ns.until("web", "has ReplicaFailure", is_refused::<S>)
        .await?;
    ns.event("web", "FailedCreate", "exceeded quota: q").await?;
    // A failed batch ends the round: a round is one attempt, and rounds back off.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let attempts: i32 = ns.events("web").await?.iter().filter_map(|e| e.count).sum();
    ensure!(attempts <= 20, "{attempts} attempts in two seconds");

    ns.merge::<ResourceQuota>("q", json!({ "spec": { "hard": { "pods": "100" } } }))
        .await?;
    let status = json!({ "hard": { "pods": "100" }, "used": { "pods": "0" } });
    ns.merge_status::<ResourceQuota>("q", status).await?;
    ns.merge::<S>("web", spec(json!({ "replicas": 2 }))).await?;
    let mended = |set: &S| is_ready(set) && !is_refused(set);
    ns.until("web", "has its pods and no failure", mended)
        .await?;
    Ok(())
}

async fn a_selector_that_misses_the_template_is_refused<S: Set>(ns: Namespace) -> Result<()> {
    let mut manifest = S::set("web", 1);
    // The one kind of selector or the other.
    let selector = &mut manifest["spec"]["selector"];
    match selector.get_mut("matchLabels") {
        Some(labels) => labels["app"] = json!("another"),
        None => selector["app"] = json!("another"),
    }
    let refused = ns.create::<S>(manifest).await;
    let error = refused.err().and_then(|e| e.downcast::<kube::Error>().ok());
    let code = match &error {
        Some(kube::Error::Api(status)) => status.code,
        _ => 0,
    };
    ensure!(code == 422, "{error:?}");
    Ok(())
}

async fn unready_and_cheap_pods_go_first<S: Set>(ns: Namespace) -> Result<()> {
    let mut manifest = S::set("web", 4);
    manifest["spec"]["template"]["spec"]["readinessGates"] =
        json!([{ "conditionType": "example.com/ok" }]);
    ns.create::<S>(manifest).await?;
    let run = |pods: &[Pod]| {
        let phase = |p: &Pod| p.status.as_ref().and_then(|s| s.phase.clone());
        pods.len() == 4 && pods.iter().all(|p| phase(p).as_deref() == Some("Running"))
    };
    let pods = ns.until_all("app=web", "run", run).await?;
    let names: Vec<_> = pods.iter().map(ResourceExt::name_any).collect();
    // 0 stays unready; 1 is ready and cheap; 2 and 3 are ready and dear.
    for (name, cost) in names.iter().zip(["100", "1", "5", "5"]) {
        let cost = json!({ "controller.kubernetes.io/pod-deletion-cost": cost });
        ns.merge::<Pod>(name, json!({ "metadata": { "annotations": cost } }))
            .await?;
    }
    for name in &names[1..] {
        let mut pod = ns.get::<Pod>(name).await?;
        let status = pod.status.get_or_insert_default();
        let gate = serde_json::from_value(json!({ "type": "example.com/ok", "status": "True" }))?;
        status.conditions.get_or_insert_default().push(gate);
        let conditions = serde_json::to_value(&status.conditions)?;
        ns.merge_status::<Pod>(name, json!({ "conditions": conditions }))
            .await?;
    }
    let three =
        |set: &S| serde_json::to_value(set).is_ok_and(|set| set["status"]["readyReplicas"] == 3);
    ns.until("web", "has 3 ready pods", three).await?;
    let left = async |count: usize| -> Result<BTreeSet<String>> {
        ns.merge::<S>("web", spec(json!({ "replicas": count })))
            .await?;
        let pods = ns
            .until_all::<Pod>("app=web", "are fewer", |pods| living(pods).len() == count)
            .await?;
        Ok(living(&pods).iter().map(|p| p.name_any()).collect())
    };
    let all_but = |gone: &[usize]| -> BTreeSet<String> {
        let stays = |(at, _): &(usize, &String)| !gone.contains(at);
        names
            .iter()
            .enumerate()
            .filter(stays)
            .map(|(_, n)| n.clone())
            .collect()
    };
    ensure!(left(3).await? == all_but(&[0]), "the unready pod stayed");
    ensure!(left(2).await? == all_but(&[0, 1]), "the cheap pod stayed");
    Ok(())
}

#[test]
fn a_replication_controller_without_a_selector_selects_its_templates_labels() -> Outcome {
    with_namespace("rc-default", async |ns| {
        let mut manifest = ReplicationController::set("web", 1);
        manifest["spec"]["selector"] = Value::Null;
        ns.create::<ReplicationController>(manifest).await?;
        ns.until("web", "has a pod", is_ready::<ReplicationController>)
            .await?;
        Ok(())
    })
}
