//! Each kind of the groups does what the built-in one does.

use crate::{kubectl, with_namespace};
use anyhow::{Context, Result, ensure};
use cluster::{Namespace, Outcome, eventually, summary, within};
use k8s_openapi::api::apps::v1::{
    ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet,
};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use runtime::groups::Family;
use serde_json::{Value, json};
use std::time::Duration;

/// No write for so long is rest: each autoscaler is looked at once in this time.
const ROUND: Duration = Duration::from_secs(16);

fn template(app: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": app } },
        "spec": { "containers": [{
            "name": "main", "image": "app:1", "resources": { "requests": { "cpu": "100m" } },
        }] },
    })
}

fn deployment(name: &str, replicas: i32) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": template(name),
        },
    })
}

/// As many pods as wanted are available, all of the newest template.
fn is_rolled_out(deployment: &Deployment) -> bool {
    let status = deployment.status.clone().unwrap_or_default();
    let wanted = deployment.spec.as_ref().and_then(|s| s.replicas);
    status.observed_generation == deployment.metadata.generation
        && status.available_replicas == wanted
        && status.updated_replicas == wanted
        && status.replicas == wanted
}

async fn rolled_out(ns: &Namespace, name: &str) -> Result<Deployment> {
    ns.until(name, "is rolled out", is_rolled_out).await
}

/// Waits until nobody has written anything for a round.
async fn at_rest(ns: &Namespace) -> Result<()> {
    within(
        Duration::from_mins(1),
        "the loops are at rest",
        async || {
            let before = ns.writes()?.len();
            tokio::time::sleep(ROUND).await;
            let after = ns.writes()?;
            ensure!(after.len() == before, "{}", summary(&after[before..]));
            Ok(())
        },
    )
    .await
}

#[test]
fn a_deployment_rolls_out_beside_the_built_in_one_of_its_name() -> Outcome {
    with_namespace("beside", async |built_in| {
        let ours = built_in.of(Family::Corten);
        built_in.create::<Deployment>(deployment("web", 2)).await?;
        rolled_out(&built_in, "web").await?;
        let pods = |pods: &[Pod]| {
            let mut uids: Vec<_> = pods.iter().filter_map(Pod::uid).collect();
            uids.sort();
            uids
        };
        let theirs = pods(&built_in.list::<Pod>("app=web").await?);

        let mut manifest = deployment("web", 3);
        manifest["spec"]["selector"]["matchLabels"] = json!({ "app": "ours" });
        manifest["spec"]["template"]["metadata"]["labels"] = json!({ "app": "ours" });
        ours.create::<Deployment>(manifest).await?;
        rolled_out(&ours, "web").await?;
        let own = ours.list::<Pod>("app=ours").await?;
        ensure!(own.len() == 3, "{} pods", own.len());

        // As others see it.
        let pod = built_in.get::<Pod>(&own[0].name_any()).await?;
        let owner = &pod.owner_references()[0];
        ensure!(owner.api_version == "apps.corten.dev/v1", "{owner:?}");
        let set = kubectl(
            &built_in,
            &[
                "get",
                "replicasets.apps.corten.dev",
                "-o",
                "jsonpath={.items[*].metadata.ownerReferences[0].apiVersion}",
            ],
        );
        ensure!(set.await? == "apps.corten.dev/v1");
        let told = kubectl(
            &built_in,
            &[
                "get",
                "events",
                "-o",
                "jsonpath={.items[*].involvedObject.apiVersion}",
            ],
        )
        .await?;
        ensure!(
            told.contains("apps/v1") && told.contains("apps.corten.dev/v1"),
            "{told}"
        );

        let image = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "main", "image": "app:2" }] } } } });
        ours.merge::<Deployment>("web", image).await?;
        let new = rolled_out(&ours, "web").await?;
        let revision = new
            .annotations()
            .get("deployment.kubernetes.io/revision")
            .cloned();
        ensure!(revision.as_deref() == Some("2"), "{revision:?}");
        let sets = ours.list::<ReplicaSet>("").await?;
        ensure!(sets.len() == 2, "{} ReplicaSets", sets.len());

        kubectl(
            &built_in,
            &["scale", "deployments.apps.corten.dev/web", "--replicas=5"],
        )
        .await?;
        rolled_out(&ours, "web").await?;
        let shown = kubectl(&built_in, &["get", "cdeploy", "web"]).await?;
        let lines: Vec<Vec<&str>> = shown
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        ensure!(
            lines[0] == ["NAME", "DESIRED", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"],
            "{shown}"
        );
        ensure!(lines[1][..5] == ["web", "5", "5", "5", "5"], "{shown}");
        let scale = kubectl(
            &built_in,
            &[
                "get",
                "--raw",
                &format!(
                    "/apis/apps.corten.dev/v1/namespaces/{}/deployments/web/scale",
                    built_in.name()
                ),
            ],
        )
        .await?;
        ensure!(scale.contains("\"selector\":\"app=ours\""), "{scale}");

        at_rest(&built_in).await?;
        ensure!(
            pods(&built_in.list::<Pod>("app=web").await?) == theirs,
            "the other's pods are the same"
        );

        // What it owns goes after it, and the other stays.
        ours.delete::<Deployment>("web").await?;
        ours.until_all::<Pod>("app=ours", "are gone", <[_]>::is_empty)
            .await?;
        ours.until_all::<ReplicaSet>("", "are gone", <[_]>::is_empty)
            .await?;
        ensure!(
            pods(&built_in.list::<Pod>("app=web").await?) == theirs,
            "the other's pods are still the same"
        );
        ensure!(is_rolled_out(&built_in.get::<Deployment>("web").await?));
        Ok(())
    })
}

#[test]
fn a_replicaset_adopts_orphans_as_the_built_in_one_does() -> Outcome {
    with_namespace("orphans", async |ns| {
        let ours = ns.of(Family::Corten);
        ours.create::<Deployment>(deployment("web", 2)).await?;
        rolled_out(&ours, "web").await?;
        let params = kube::api::DeleteParams {
            propagation_policy: Some(kube::api::PropagationPolicy::Orphan),
            ..Default::default()
        };
        let before = ours.list::<ReplicaSet>("").await?;
        ours.api::<Deployment>()
            .delete("web", &params)
            .await
            .context("orphaned")?;
        let is_orphan =
            |sets: &[ReplicaSet]| sets.len() == 1 && sets[0].owner_references().is_empty();
        ours.until_all("", "is nobody's", is_orphan).await?;
        eventually("it is gone", async || {
            let gone = ours.api::<Deployment>().get_opt("web").await?;
            ensure!(gone.is_none());
            Ok(())
        })
        .await?;
        let again = ours.create::<Deployment>(deployment("web", 2)).await?;
        let uid = again.uid().unwrap_or_default();
        let sets = ours.until_all("", "are adopted", |sets: &[ReplicaSet]| {
            sets.iter()
                .all(|set| set.owner_references().iter().any(|owner| owner.uid == uid))
        });
        let sets = sets.await?;
        ensure!(
            sets.len() == 1 && sets[0].uid() == before[0].uid(),
            "the same one"
        );
        rolled_out(&ours, "web").await?;
        Ok(())
    })
}

#[test]
fn a_statefulset_and_a_daemonset_come_to_their_ends_and_are_updated() -> Outcome {
    with_namespace("sets", async |ns| {
        let ours = ns.of(Family::Corten);
        ours.create::<StatefulSet>(json!({
            "metadata": { "name": "db" },
            "spec": {
                "serviceName": "db",
                "replicas": 2,
                "selector": { "matchLabels": { "app": "db" } },
                "template": template("db"),
                "volumeClaimTemplates": [{
                    "metadata": { "name": "data" },
                    "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
                }],
            },
        }))
        .await?;
        ours.create::<DaemonSet>(json!({
            "metadata": { "name": "logs" },
            "spec": { "selector": { "matchLabels": { "app": "logs" } }, "template": template("logs") },
        }))
        .await?;
        // The claims wait for a volume of a class that nobody makes: the pods are there all the same.
        let there = |pods: &[Pod]| !pods.is_empty();
        ours.until_all::<Pod>("app=db", "has begun", there).await?;
        let claims = |claims: &[PersistentVolumeClaim]| !claims.is_empty();
        ours.until_all("", "has a claim", claims).await?;
        let spread = |set: &DaemonSet| {
            let status = set.status.clone().unwrap_or_default();
            status.observed_generation == set.metadata.generation
                && status.number_available == Some(cluster::NODES as i32)
                && status.updated_number_scheduled == Some(cluster::NODES as i32)
        };
        ours.until("logs", "is on all nodes", spread).await?;
        let image = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "main", "image": "app:2" }] } } } });
        ours.merge::<DaemonSet>("logs", image).await?;
        ours.until("logs", "is updated", spread).await?;
        let of_logs = ours.list::<ControllerRevision>("app=logs").await?;
        ensure!(of_logs.len() == 2, "{} revisions", of_logs.len());
        ours.delete::<DaemonSet>("logs").await?;
        ours.until_all::<ControllerRevision>("app=logs", "are gone", <[_]>::is_empty)
            .await?;
        Ok(())
    })
}

#[test]
fn a_statefulset_rolls_in_order() -> Outcome {
    with_namespace("order", async |ns| {
        let ours = ns.of(Family::Corten);
        ours.create::<StatefulSet>(json!({
            "metadata": { "name": "db" },
            "spec": { "replicas": 3, "selector": { "matchLabels": { "app": "db" } }, "template": template("db") },
        }))
        .await?;
        let ready = |set: &StatefulSet| {
            let status = set.status.clone().unwrap_or_default();
            status.observed_generation == set.metadata.generation
                && status.available_replicas == Some(3)
                && status.current_revision == status.update_revision
                && status.updated_replicas == Some(3)
        };
        ours.until("db", "is ready", ready).await?;
        let image = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "main", "image": "app:2" }] } } } });
        ours.merge::<StatefulSet>("db", image).await?;
        ours.until("db", "is updated", ready).await?;
        let pods = ours.list::<Pod>("app=db").await?;
        let mut names: Vec<_> = pods.iter().map(ResourceExt::name_any).collect();
        names.sort();
        ensure!(names == ["db-0", "db-1", "db-2"], "{names:?}");
        at_rest(&ns).await
    })
}

#[test]
fn jobs_are_done_and_cron_makes_them() -> Outcome {
    with_namespace("jobs", async |ns| {
        let ours = ns.of(Family::Corten);
        let work = json!({
            "metadata": { "annotations": { "hollow.corten.dev/run-for": "1s" } },
            "spec": { "restartPolicy": "Never", "containers": [{ "name": "main", "image": "app:1" }] },
        });
        ours.create::<Job>(json!({
            "metadata": { "name": "import" },
            "spec": { "completions": 3, "parallelism": 2, "completionMode": "Indexed", "template": work },
        }))
        .await?;
        // Neither a selector nor numbers: one pod, once.
        ours.create::<Job>(json!({
            "metadata": { "name": "once" },
            "spec": { "ttlSecondsAfterFinished": 2, "template": work },
        }))
        .await?;
        ours.create::<CronJob>(json!({
            "metadata": { "name": "report" },
            "spec": { "schedule": "*/1 * * * *", "jobTemplate": { "spec": { "template": work } } },
        }))
        .await?;
        let is_complete = |job: &Job| {
            let status = job.status.clone().unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            conditions
                .iter()
                .any(|c| c.type_ == "Complete" && c.status == "True")
        };
        let done = ours.until("import", "is complete", is_complete).await?;
        let status = done.status.unwrap_or_default();
        ensure!(
            status.succeeded == Some(3) && status.completed_indexes.as_deref() == Some("0-2"),
            "{status:?}"
        );
        eventually("the Job that may go has gone, and its pod", async || {
            let gone = ours.api::<Job>().get_opt("once").await?;
            ensure!(gone.is_none());
            let pods = ours.list::<Pod>("job-name=once").await?;
            ensure!(pods.is_empty());
            Ok(())
        })
        .await?;
        let patience = Duration::from_secs(90);
        within(patience, "a Job of the CronJob is done", async || {
            let jobs = ours.list::<Job>("").await?;
            let mut made = jobs
                .iter()
                .filter(|job| job.name_any().starts_with("report-"));
            ensure!(
                made.any(is_complete),
                "{:?}",
                jobs.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
            );
            Ok(())
        })
        .await?;
        ours.delete::<CronJob>("report").await?;
        ours.until_all::<Job>("", "of the CronJob are gone", |jobs| jobs.len() == 1)
            .await?;
        Ok(())
    })
}

#[test]
fn autoscalers_of_both_groups_scale_it() -> Outcome {
    with_namespace("scaled", async |ns| {
        let ours = ns.of(Family::Corten);
        let scaler = |kind: &str, name: &str, target: &str| {
            format!(
                "apiVersion: {kind}\nkind: HorizontalPodAutoscaler\nmetadata: {{name: {name}}}\nspec:\n  \
                 scaleTargetRef: {{apiVersion: {target}, kind: Deployment, name: {name}}}\n  minReplicas: 1\n  \
                 maxReplicas: 4\n  metrics: [{{type: Resource, resource: {{name: cpu, target: {{type: Utilization, \
                 averageUtilization: 50}}}}}}]\n"
            )
        };
        for (name, autoscaler, group) in [
            ("a", "autoscaling/v2", "apps.corten.dev/v1"),
            ("b", "autoscaling.corten.dev/v2", "apps.corten.dev/v1"),
            ("c", "autoscaling.corten.dev/v2", "apps/v1"),
        ] {
            let mut manifest = deployment(name, 1);
            manifest["spec"]["template"]["metadata"]["annotations"] =
                json!({ "hollow.corten.dev/cpu-shared": "150m" });
            let place = if group == "apps/v1" { &ns } else { &ours };
            place.create::<Deployment>(manifest).await?;
            ns.apply(&scaler(autoscaler, name, group)).await?;
        }
        for (name, autoscalers, deployments) in
            [("a", &ns, &ours), ("b", &ours, &ours), ("c", &ours, &ns)]
        {
            let patience = Duration::from_secs(90);
            within(
                patience,
                "it is scaled to what the load needs",
                async || {
                    let scaler: HorizontalPodAutoscaler = autoscalers.get(name).await?;
                    let scaled: Deployment = deployments.get(name).await?;
                    let replicas = scaled.spec.as_ref().and_then(|s| s.replicas);
                    ensure!(
                        replicas == Some(3),
                        "{name}: {replicas:?}: {:?}",
                        scaler.status
                    );
                    Ok(())
                },
            )
            .await?;
            rolled_out(deployments, name).await?;
        }
        let events = ns.list::<Event>("").await?;
        let rescaled = events
            .iter()
            .filter(|e| e.reason.as_deref() == Some("SuccessfulRescale"));
        ensure!(rescaled.count() >= 3);
        Ok(())
    })
}
