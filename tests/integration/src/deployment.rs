//! The Deployment controller: revisions, ReplicaSets kept and reused, what it says about itself.

use crate::manifest::{
    UNPULLABLE, condition, deployment, image, is_complete, revision, spec, uid, version,
};
use anyhow::{Context, Result, ensure};
use cluster::{Namespace, Outcome, with_namespace};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;

const HASH: &str = "pod-template-hash";

/// Makes a Deployment and waits until it is rolled out.
async fn made(ns: &Namespace, replicas: i32) -> Result<Deployment> {
    ns.create::<Deployment>(deployment("web", replicas)).await?;
    ns.until("web", "is rolled out", is_complete).await
}

/// Rolls out another template and waits for it.
async fn rolled(ns: &Namespace, to: &str) -> Result<Deployment> {
    ns.merge::<Deployment>("web", version(to)).await?;
    ns.until("web", "is rolled out", is_complete).await
}

/// The ReplicaSet whose template has this version.
async fn of_version(ns: &Namespace, wanted: &str) -> Result<ReplicaSet> {
    let has = |rs: &ReplicaSet| {
        let template = rs.spec.as_ref().and_then(|s| s.template.clone());
        let annotations = template
            .and_then(|t| t.metadata)
            .and_then(|m| m.annotations);
        annotations
            .and_then(|a| a.get("version").cloned())
            .as_deref()
            == Some(wanted)
    };
    let all = ns.list::<ReplicaSet>("").await?;
    all.into_iter()
        .find(has)
        .with_context(|| format!("no ReplicaSet of version {wanted}"))
}

#[test]
fn it_rolls_out_through_a_replica_set() -> Outcome {
    with_namespace("deploy-rolls-out", async |ns| {
        let web = made(&ns, 2).await?;
        ensure!(revision(&web) == "1");
        let sets = ns.list::<ReplicaSet>("app=web").await?;
        ensure!(sets.len() == 1);
        let rs = &sets[0];
        let hash = rs.labels()[HASH].clone();
        ensure!(rs.name_any() == format!("web-{hash}"));
        ensure!(rs.owner_references()[0].uid == uid(&web));
        ensure!(revision(rs) == "1");
        let annotation = |name: &str| {
            rs.annotations()
                .get(&format!("deployment.kubernetes.io/{name}"))
                .cloned()
        };
        ensure!(annotation("desired-replicas").as_deref() == Some("2"));
        ensure!(annotation("max-replicas").as_deref() == Some("3"));
        let pods = ns.list::<Pod>(&format!("{HASH}={hash}")).await?;
        ensure!(pods.len() == 2);
        let text = format!("Scaled up replica set {} from 0 to 2", rs.name_any());
        ns.event("web", "ScalingReplicaSet", &text).await?;
        let done = |d: &Deployment| {
            let is = |kind, reason: &str| {
                condition(d, kind).is_some_and(|c| c.0 == "True" && c.1 == reason)
            };
            is("Available", "MinimumReplicasAvailable")
                && is("Progressing", "NewReplicaSetAvailable")
        };
        let web = ns.until("web", "says that it is done", done).await?;
        let (_, _, message) = condition(&web, "Progressing").context("Progressing")?;
        ensure!(
            message
                == format!(
                    "ReplicaSet \"{}\" has successfully progressed.",
                    rs.name_any()
                ),
            "{message}"
        );
        Ok(())
    })
}

#[test]
fn undo_reuses_the_old_replica_set_and_renumbers_it() -> Outcome {
    with_namespace("deploy-undo", async |ns| {
        made(&ns, 1).await?;
        rolled(&ns, "one").await?;
        let one = of_version(&ns, "one").await?;
        rolled(&ns, "two").await?;
        let web = rolled(&ns, "one").await?;
        let again = of_version(&ns, "one").await?;
        ensure!(uid(&again) == uid(&one), "another ReplicaSet");
        ensure!((revision(&web), revision(&again)) == ("4".into(), "4".into()));
        let history = &again.annotations()["deployment.kubernetes.io/revision-history"];
        ensure!(history == "2", "{history}");
        ensure!(ns.list::<ReplicaSet>("").await?.len() == 3);
        Ok(())
    })
}

#[test]
fn a_paused_one_scales_and_does_not_roll_out() -> Outcome {
    with_namespace("deploy-paused", async |ns| {
        made(&ns, 1).await?;
        ns.merge::<Deployment>("web", spec(json!({ "paused": true })))
            .await?;
        let paused =
            |d: &Deployment| condition(d, "Progressing").is_some_and(|c| c.1 == "DeploymentPaused");
        ns.until("web", "says that it is paused", paused).await?;
        ns.merge::<Deployment>("web", version("one")).await?;
        ns.merge::<Deployment>("web", spec(json!({ "replicas": 2 })))
            .await?;
        let scaled = |d: &Deployment| {
            let status = d.status.clone().unwrap_or_default();
            status.observed_generation == d.metadata.generation
                && status.available_replicas == Some(2)
                && status.updated_replicas.unwrap_or(0) == 0
        };
        ns.until("web", "is scaled with the old template", scaled)
            .await?;
        ensure!(ns.list::<ReplicaSet>("").await?.len() == 1);
        ns.merge::<Deployment>("web", spec(json!({ "paused": false })))
            .await?;
        ns.until("web", "is rolled out", is_complete).await?;
        ensure!(ns.list::<ReplicaSet>("").await?.len() == 2);
        Ok(())
    })
}

#[test]
fn a_rollout_without_progress_is_reported() -> Outcome {
    with_namespace("deploy-deadline", async |ns| {
        let mut manifest = deployment("web", 1);
        manifest["spec"]["progressDeadlineSeconds"] = json!(2);
        manifest["spec"]["template"]["spec"]["containers"][0]["image"] = json!(UNPULLABLE);
        ns.create::<Deployment>(manifest).await?;
        let late = |d: &Deployment| {
            condition(d, "Progressing")
                .is_some_and(|c| c.0 == "False" && c.1 == "ProgressDeadlineExceeded")
        };
        let web = ns.until("web", "is late", late).await?;
        let (_, _, message) = condition(&web, "Progressing").context("Progressing")?;
        let name = ns.list::<ReplicaSet>("").await?[0].name_any();
        ensure!(
            message == format!("ReplicaSet \"{name}\" has timed out progressing."),
            "{message}"
        );
        let (status, reason, _) = condition(&web, "Available").context("Available")?;
        ensure!((&*status, &*reason) == ("False", "MinimumReplicasUnavailable"));
        // It goes on when it can.
        ns.merge::<Deployment>("web", image(crate::manifest::IMAGE))
            .await?;
        let done = |d: &Deployment| {
            is_complete(d)
                && condition(d, "Progressing")
                    .is_some_and(|c| c.0 == "True" && c.1 == "NewReplicaSetAvailable")
        };
        ns.until("web", "is rolled out", done).await?;
        Ok(())
    })
}

#[test]
fn old_revisions_beyond_the_limit_are_deleted() -> Outcome {
    with_namespace("deploy-history", async |ns| {
        let mut manifest = deployment("web", 1);
        manifest["spec"]["revisionHistoryLimit"] = json!(1);
        ns.create::<Deployment>(manifest).await?;
        ns.until("web", "is rolled out", is_complete).await?;
        for to in ["one", "two", "three"] {
            rolled(&ns, to).await?;
        }
        let sets = ns
            .until_all::<ReplicaSet>("", "are two", |sets| sets.len() == 2)
            .await?;
        let mut revisions: Vec<_> = sets.iter().map(revision).collect();
        revisions.sort();
        ensure!(revisions == ["3", "4"], "{revisions:?}");
        Ok(())
    })
}

#[test]
fn pods_must_be_ready_for_a_while() -> Outcome {
    with_namespace("deploy-min-ready", async |ns| {
        let mut manifest = deployment("web", 1);
        manifest["spec"]["minReadySeconds"] = json!(3);
        ns.create::<Deployment>(manifest).await?;
        let ready = |d: &Deployment| d.status.as_ref().and_then(|s| s.ready_replicas) == Some(1);
        let web = ns.until("web", "has a ready pod", ready).await?;
        let available = web.status.and_then(|s| s.available_replicas).unwrap_or(0);
        ensure!(available == 0, "available at once");
        ns.until("web", "is available after three seconds", is_complete)
            .await?;
        let pod = ns.list::<Pod>("app=web").await?.remove(0);
        let conditions = pod.status.and_then(|s| s.conditions).unwrap_or_default();
        let ready = conditions.into_iter().find(|c| c.type_ == "Ready");
        let since = ready
            .and_then(|c| c.last_transition_time)
            .context("Ready")?
            .0;
        let waited = jiff::Timestamp::now().duration_since(since);
        // Kubernetes' times are whole seconds.
        ensure!(waited.as_millis() >= 3000, "{waited:?}");
        Ok(())
    })
}

#[test]
fn a_name_that_is_taken_gives_another_hash() -> Outcome {
    with_namespace("deploy-collision", async |ns| {
        made(&ns, 1).await?;
        let first = ns.list::<ReplicaSet>("").await?.remove(0);
        let name = first.name_any();
        // A stranger with the name that the same template would get again.
        ns.delete::<Deployment>("web").await?;
        ns.until_all::<ReplicaSet>("", "are gone", <[_]>::is_empty)
            .await?;
        let mut stranger = crate::manifest::replica_set(&name, 0);
        stranger["metadata"]["labels"] = json!({ "app": "stranger" });
        ns.create::<ReplicaSet>(stranger).await?;
        let web = made(&ns, 1).await?;
        ensure!(web.status.and_then(|s| s.collision_count) == Some(1));
        let sets = ns.list::<ReplicaSet>("app=web").await?;
        ensure!(sets.len() == 1 && sets[0].name_any() != name);
        Ok(())
    })
}

#[test]
fn an_orphaned_replica_set_is_adopted() -> Outcome {
    with_namespace("deploy-adopts", async |ns| {
        made(&ns, 1).await?;
        let before = ns.list::<ReplicaSet>("").await?.remove(0);
        let orphan = kube::api::DeleteParams::orphan();
        ns.api::<Deployment>().delete("web", &orphan).await?;
        ns.until_all::<Deployment>("", "are gone", <[_]>::is_empty)
            .await?;
        let web = made(&ns, 1).await?;
        let after = ns.list::<ReplicaSet>("").await?;
        ensure!(after.len() == 1 && uid(&after[0]) == uid(&before));
        ensure!(after[0].owner_references()[0].uid == uid(&web));
        Ok(())
    })
}
