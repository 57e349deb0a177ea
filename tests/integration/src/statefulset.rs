//! The StatefulSet controller.

use crate::manifest::{UNPULLABLE, image, living, pod, spec, template, uid, version};
use anyhow::{Context, Result, ensure};
use cluster::{Namespace, Outcome, eventually, upstream_fails, with_namespace};
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use serde_json::{Value, json};
use std::time::Duration;

/// A StatefulSet `web` of so many pods; `more` is merged into its spec.
fn web(replicas: i32, more: Value) -> Value {
    let mut manifest = json!({
        "metadata": { "name": "web", "labels": { "app": "web" } },
        "spec": {
            "replicas": replicas,
            "serviceName": "hearth",
            "selector": { "matchLabels": { "app": "web" } },
            "template": template("web"),
        },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        manifest["spec"][key] = value.clone();
    }
    manifest
}

fn claims() -> Value {
    json!([{
        "metadata": { "name": "data" },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": "1Mi" } },
        },
    }])
}

fn status(set: &StatefulSet) -> StatefulSetStatus {
    set.status.clone().unwrap_or_default()
}

/// Whether all pods are there and ready, and of the update revision.
fn is_complete(set: &StatefulSet) -> bool {
    let (status, wanted) = (status(set), set.spec.as_ref().and_then(|s| s.replicas));
    status.observed_generation == set.metadata.generation
        && Some(status.replicas) == wanted
        && status.ready_replicas.unwrap_or(0) == status.replicas
        && status.available_replicas.unwrap_or(0) == status.replicas
        && status.updated_replicas.unwrap_or(0) == status.replicas
        && status.current_revision == status.update_revision
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|c| c.type_ == "Ready" && c.status == "True")
}

fn label<'a>(pod: &'a Pod, key: &str) -> &'a str {
    pod.labels().get(key).map_or("", String::as_str)
}

const REVISION: &str = "controller-revision-hash";

async fn revision_of(ns: &Namespace, pod: &str) -> Result<String> {
    Ok(label(&ns.get::<Pod>(pod).await?, REVISION).to_owned())
}

#[test]
fn pods_have_names_and_come_in_their_order() -> Outcome {
    with_namespace("sts-order", async |ns| {
        let mut manifest = web(3, json!({ "ordinals": { "start": 4 } }));
        manifest["spec"]["template"]["metadata"]["annotations"] =
            json!({ "hollow.corten.dev/ready-after": "300ms" });
        ns.create::<StatefulSet>(manifest).await?;
        let set = ns.until("web", "is complete", is_complete).await?;
        ns.until_all::<Pod>("app=web", "are 3", |pods| pods.len() == 3)
            .await?;
        let mut before: Option<Pod> = None;
        for ordinal in 4..7 {
            let name = format!("web-{ordinal}");
            let pod = ns.get::<Pod>(&name).await?;
            ensure!(label(&pod, "statefulset.kubernetes.io/pod-name") == name);
            ensure!(label(&pod, "apps.kubernetes.io/pod-index") == ordinal.to_string());
            ensure!(Some(label(&pod, REVISION)) == status(&set).current_revision.as_deref());
            let made = pod.spec.clone().context("spec")?;
            ensure!(made.hostname.as_ref() == Some(&name));
            ensure!(made.subdomain.as_deref() == Some("hearth"));
            let owner = &pod.owner_references()[0];
            ensure!(owner.uid == uid(&set) && owner.kind == "StatefulSet");
            if let Some(before) = before {
                ensure!(
                    ready_at(&before)? <= pod.metadata.creation_timestamp.clone().map(|t| t.0),
                    "{name} came too early"
                );
            }
            before = Some(pod);
        }
        let created = "Create Pod web-4 in StatefulSet web successful";
        ns.event("web", "SuccessfulCreate", created).await?;

        ns.merge::<StatefulSet>("web", spec(json!({ "replicas": 1 })))
            .await?;
        let pods = ns
            .until_all::<Pod>("app=web", "are 1", |pods| pods.len() == 1)
            .await?;
        ensure!(pods[0].name_any() == "web-4");
        let deleted = "Delete Pod web-6 in StatefulSet web successful";
        ns.event("web", "SuccessfulDelete", deleted).await?;
        Ok(())
    })
}

fn ready_at(pod: &Pod) -> Result<Option<jiff::Timestamp>> {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|c| c.type_ == "Ready");
    let ready = ready.context("the condition Ready")?;
    Ok(ready.last_transition_time.as_ref().map(|time| time.0))
}

#[test]
fn a_pod_that_is_not_ready_holds_up_the_next_ones_unless_they_are_parallel() -> Outcome {
    with_namespace("sts-parallel", async |ns| {
        let mut manifest = web(3, json!({}));
        manifest["spec"]["template"]["spec"]["containers"][0]["image"] = json!(UNPULLABLE);
        ns.create::<StatefulSet>(manifest.clone()).await?;
        manifest["metadata"]["name"] = json!("cow");
        for of in ["selector", "template"] {
            let labels = if of == "selector" {
                "matchLabels"
            } else {
                "metadata"
            };
            manifest["spec"][of][labels] = match of {
                "selector" => json!({ "app": "cow" }),
                _ => json!({ "labels": { "app": "cow" } }),
            };
        }
        manifest["spec"]["podManagementPolicy"] = json!("Parallel");
        ns.create::<StatefulSet>(manifest).await?;
        ns.until_all::<Pod>("app=cow", "are 3", |pods| pods.len() == 3)
            .await?;
        let pods = ns.list::<Pod>("app=web").await?;
        ensure!(pods.len() == 1, "{} pods", pods.len());
        Ok(())
    })
}

#[test]
fn updates_go_down_to_the_partition_and_an_undo_uses_the_old_revision_again() -> Outcome {
    with_namespace("sts-rolls", async |ns| {
        ns.create::<StatefulSet>(web(3, json!({}))).await?;
        let first = ns.until("web", "is complete", is_complete).await?;
        let old = status(&first).current_revision.context("a revision")?;
        let partition = |partition: i32| {
            spec(json!({ "updateStrategy": { "rollingUpdate": { "partition": partition } } }))
        };
        ns.merge::<StatefulSet>("web", partition(2)).await?;
        ns.merge::<StatefulSet>("web", version("two")).await?;
        let one = |set: &StatefulSet| {
            let status = status(set);
            status.observed_generation == set.metadata.generation
                && status.updated_replicas == Some(1)
                && status.current_replicas == Some(2)
                && status.ready_replicas == Some(3)
        };
        let half = ns.until("web", "has one updated pod", one).await?;
        let new = status(&half).update_revision.context("a revision")?;
        ensure!(old != new && status(&half).current_revision.as_ref() == Some(&old));
        ensure!(revision_of(&ns, "web-2").await? == new);
        ensure!(revision_of(&ns, "web-1").await? == old);

        // Below the partition a pod is made from what the others are made from.
        let before = uid(&ns.get::<Pod>("web-0").await?);
        ns.delete::<Pod>("web-0").await?;
        let again = |pod: &Pod| uid(pod) != before && is_ready(pod);
        let pod = ns.until("web-0", "is another one", again).await?;
        ensure!(label(&pod, REVISION) == old);

        ns.merge::<StatefulSet>("web", partition(0)).await?;
        ns.until("web", "is complete", is_complete).await?;
        ensure!(revision_of(&ns, "web-0").await? == new);

        let undo = json!({ "spec": { "template": { "metadata": { "annotations": { "version": null } } } } });
        ns.merge::<StatefulSet>("web", undo).await?;
        let is_back = |set: &StatefulSet| {
            is_complete(set) && status(set).current_revision.as_ref() == Some(&old)
        };
        ns.until("web", "is back", is_back).await?;
        let revisions = ns.list::<ControllerRevision>("app=web").await?;
        let mut numbers: Vec<_> = revisions
            .iter()
            .map(|r| (r.revision, r.name_any()))
            .collect();
        numbers.sort();
        ensure!(numbers == [(2, new), (3, old)], "{numbers:?}");
        Ok(())
    })
}

#[test]
fn the_history_has_its_limit() -> Outcome {
    with_namespace("sts-history", async |ns| {
        ns.create::<StatefulSet>(web(1, json!({ "revisionHistoryLimit": 1 })))
            .await?;
        ns.until("web", "is complete", is_complete).await?;
        for n in ["two", "three", "four"] {
            ns.merge::<StatefulSet>("web", version(n)).await?;
            ns.until("web", "is complete", is_complete).await?;
        }
        let numbers = |revisions: &[ControllerRevision]| {
            let mut numbers: Vec<_> = revisions.iter().map(|r| r.revision).collect();
            numbers.sort_unstable();
            numbers == [3, 4]
        };
        ns.until_all("app=web", "are the last two", numbers).await?;
        Ok(())
    })
}

#[test]
fn with_on_delete_a_pod_is_updated_when_it_is_deleted() -> Outcome {
    with_namespace("sts-ondelete", async |ns| {
        ns.create::<StatefulSet>(web(2, json!({ "updateStrategy": { "type": "OnDelete" } })))
            .await?;
        let first = ns.until("web", "is complete", is_complete).await?;
        let old = status(&first).current_revision.context("a revision")?;
        ns.merge::<StatefulSet>("web", version("two")).await?;
        let seen = |set: &StatefulSet| {
            let status = status(set);
            status.update_revision.as_ref() != Some(&old)
                && status.updated_replicas.unwrap_or(0) == 0
        };
        let second = ns.until("web", "has seen the template", seen).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        ensure!(revision_of(&ns, "web-1").await? == old);
        let before = uid(&ns.get::<Pod>("web-0").await?);
        ns.delete::<Pod>("web-0").await?;
        let again = |pod: &Pod| uid(pod) != before && is_ready(pod);
        let pod = ns.until("web-0", "is another one", again).await?;
        ensure!(Some(label(&pod, REVISION)) == status(&second).update_revision.as_deref());
        ensure!(revision_of(&ns, "web-1").await? == old);
        Ok(())
    })
}

#[test]
fn a_pod_that_its_node_refuses_is_made_again_until_it_is_not() -> Outcome {
    with_namespace("sts-refused", async |ns| {
        let port = json!([{ "containerPort": 21017, "hostPort": 21017 }]);
        let mut blocker = pod("blocker", "blocker");
        blocker["spec"]["nodeName"] = json!("node-1");
        blocker["spec"]["containers"][0]["ports"] = port.clone();
        ns.create::<Pod>(blocker).await?;
        ns.until("blocker", "is ready", is_ready).await?;
        let mut manifest = web(1, json!({}));
        manifest["spec"]["template"]["spec"]["nodeName"] = json!("node-1");
        manifest["spec"]["template"]["spec"]["containers"][0]["ports"] = port;
        ns.create::<StatefulSet>(manifest).await?;
        let deleted = "Delete Pod web-0 in StatefulSet web successful";
        ns.event("web", "SuccessfulDelete", deleted).await?;
        ns.delete::<Pod>("blocker").await?;
        ns.until("web", "is complete", is_complete).await?;
        Ok(())
    })
}

#[test]
fn an_orphan_of_its_name_is_adopted_and_a_pod_with_other_labels_released() -> Outcome {
    with_namespace("sts-adopts", async |ns| {
        ns.create::<Pod>(pod("web-0", "web")).await?;
        ns.create::<Pod>(pod("stray", "web")).await?;
        ns.until("web-0", "is ready", is_ready).await?;
        let orphan = uid(&ns.get::<Pod>("web-0").await?);
        let partition = json!({ "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 1 } } });
        let set = ns.create::<StatefulSet>(web(2, partition)).await?;
        ns.until("web-1", "is ready", is_ready).await?;
        let pod = ns.get::<Pod>("web-0").await?;
        ensure!(uid(&pod) == orphan && pod.owner_references()[0].uid == uid(&set));
        ensure!(label(&pod, "statefulset.kubernetes.io/pod-name") == "web-0");
        ensure!(ns.get::<Pod>("stray").await?.owner_references().is_empty());

        let released = json!({ "metadata": { "labels": { "app": "lab" } } });
        ns.merge::<Pod>("web-1", released).await?;
        let is_free = |pod: &Pod| pod.owner_references().is_empty();
        ns.until("web-1", "has no owner", is_free).await?;
        // Its name is taken: the set can only wait.
        tokio::time::sleep(Duration::from_millis(300)).await;
        ns.delete::<Pod>("web-1").await?;
        let again = |pod: &Pod| is_ready(pod) && label(pod, "app") == "web";
        ns.until("web-1", "is there again", again).await?;
        Ok(())
    })
}

#[test]
fn claims_come_before_pods_and_have_the_owners_that_the_policy_names() -> Outcome {
    with_namespace("sts-claims", async |ns| {
        let policy = |deleted: &str, scaled: &str| json!({ "persistentVolumeClaimRetentionPolicy": { "whenDeleted": deleted, "whenScaled": scaled } });
        let mut more = policy("Delete", "Retain");
        more["volumeClaimTemplates"] = claims();
        more["podManagementPolicy"] = json!("Parallel");
        let set = ns.create::<StatefulSet>(web(2, more)).await?;
        let pods = ns
            .until_all::<Pod>("app=web", "are 2", |pods| pods.len() == 2)
            .await?;
        let owners = async |claim: &str| -> Result<Vec<(String, String)>> {
            let claim = ns.get::<PersistentVolumeClaim>(claim).await?;
            let owners = claim.owner_references().iter();
            Ok(owners.map(|o| (o.kind.clone(), o.uid.clone())).collect())
        };
        let until = async |claim: &str, wanted: Vec<(String, String)>| {
            eventually(&format!("{claim} is owned by {wanted:?}"), async || {
                let owners = owners(claim).await?;
                ensure!(owners == wanted, "{owners:?}");
                Ok(())
            })
            .await
        };
        let by_set = || vec![("StatefulSet".to_owned(), uid(&set))];
        for pod in &pods {
            let name = format!("data-{}", pod.name_any());
            let claim = ns.get::<PersistentVolumeClaim>(&name).await?;
            ensure!(claim.labels().get("app").map(String::as_str) == Some("web"));
            ensure!(claim.metadata.creation_timestamp <= pod.metadata.creation_timestamp);
            let volumes = pod.spec.as_ref().and_then(|s| s.volumes.clone());
            let mounts = volumes.unwrap_or_default().into_iter().any(|v| {
                v.name == "data"
                    && v.persistent_volume_claim
                        .is_some_and(|c| c.claim_name == name)
            });
            ensure!(mounts, "{name} is not mounted");
            until(&name, by_set()).await?;
        }
        let message = "Create Claim data-web-0 Pod web-0 in StatefulSet web success";
        ns.event("web", "SuccessfulCreate", message).await?;

        ns.merge::<StatefulSet>("web", spec(policy("Retain", "Retain")))
            .await?;
        until("data-web-0", vec![]).await?;
        ns.merge::<StatefulSet>("web", spec(policy("Retain", "Delete")))
            .await?;
        let last = uid(&ns.get::<Pod>("web-1").await?);
        ns.merge::<StatefulSet>("web", spec(json!({ "replicas": 1 })))
            .await?;
        // The pod that goes owns its claim, and the garbage collector takes it.
        eventually("data-web-1 is owned by its pod, or gone", async || {
            let claims = ns.list::<PersistentVolumeClaim>("app=web").await?;
            let claim = claims.iter().find(|claim| claim.name_any() == "data-web-1");
            let is_owner = |claim: &PersistentVolumeClaim| {
                claim
                    .owner_references()
                    .iter()
                    .any(|o| o.uid == last && o.kind == "Pod")
            };
            ensure!(claim.is_none_or(is_owner), "{claim:?}");
            Ok(())
        })
        .await?;
        ns.until_all::<Pod>("app=web", "are 1", |pods| living(pods).len() == 1)
            .await?;
        until("data-web-0", vec![]).await
    })
}

#[test]
fn a_pod_is_available_when_it_has_been_ready_for_long_enough() -> Outcome {
    with_namespace("sts-minready", async |ns| {
        ns.create::<StatefulSet>(web(2, json!({ "minReadySeconds": 3 })))
            .await?;
        let first = |set: &StatefulSet| {
            let status = status(set);
            status.ready_replicas == Some(1) && status.available_replicas.unwrap_or(0) == 0
        };
        ns.until("web", "has a ready pod that is not available", first)
            .await?;
        ensure!(ns.list::<Pod>("app=web").await?.len() == 1);
        let set = ns.until("web", "is complete", is_complete).await?;
        ensure!(status(&set).available_replicas == Some(2));
        let before = ready_at(&ns.get::<Pod>("web-0").await?)?.context("a time")?;
        let next = ns.get::<Pod>("web-1").await?.metadata.creation_timestamp;
        let waited = next.context("a time")?.0.duration_since(before);
        ensure!(waited.as_secs() >= 3, "{waited:?}");
        Ok(())
    })
}

/// kubernetes#67250: a pod that never became ready is waited for before its template may be mended.
#[test]
fn a_rollout_that_cannot_work_is_mended_by_another_template() -> Outcome {
    let outcome = with_namespace("sts-heals", async |ns| {
        ns.create::<StatefulSet>(web(3, json!({}))).await?;
        ns.until("web", "is complete", is_complete).await?;
        let kept = uid(&ns.get::<Pod>("web-0").await?);
        ns.merge::<StatefulSet>("web", image(UNPULLABLE)).await?;
        let is_stuck = |pod: &Pod| {
            let statuses = pod
                .status
                .as_ref()
                .and_then(|s| s.container_statuses.as_ref());
            let waits = statuses
                .into_iter()
                .flatten()
                .filter_map(|s| s.state.as_ref()?.waiting.as_ref()?.reason.clone());
            waits
                .into_iter()
                .any(|reason| reason.ends_with("BackOff") || reason.starts_with("Err"))
        };
        ns.until("web-2", "cannot pull its image", is_stuck).await?;
        let stuck = uid(&ns.get::<Pod>("web-2").await?);
        ensure!(uid(&ns.get::<Pod>("web-0").await?) == kept);

        ns.merge::<StatefulSet>("web", image("registry.k8s.io/pause:3.9"))
            .await?;
        let replaced = |pod: &Pod| uid(pod) != stuck;
        ns.until("web-2", "is replaced", replaced).await?;
        ns.until("web", "is complete", is_complete).await?;
        Ok(())
    });
    upstream_fails("kubernetes#67250", "web-2 is replaced", outcome)
}

/// kubernetes#64023: the revision's name is a label of the pods, and too long for one.
#[test]
fn a_name_may_be_as_long_as_its_pods_names_allow() -> Outcome {
    let outcome = with_namespace("sts-long", async |ns| {
        let name = "a".repeat(60);
        let mut manifest = web(1, json!({}));
        manifest["metadata"]["name"] = json!(name);
        ns.create::<StatefulSet>(manifest).await?;
        ns.until(&name, "is complete", is_complete).await?;
        Ok(())
    });
    upstream_fails("kubernetes#64023", "is complete", outcome)
}
