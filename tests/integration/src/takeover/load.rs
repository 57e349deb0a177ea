//! Users who go on working while their cluster changes hands, and what must be true of their workloads at any time.

use anyhow::{Result, ensure};
use cluster::Namespace;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use objects::pod::is_ready;
use serde_json::{Value, json};
use std::time::Duration;

/// All that they have begins so.
pub(crate) const BUSY: &str = "busy-";
/// Between two of their commands, and between two looks at what came of them.
const PAUSE: Duration = Duration::from_millis(150);
const REPLICAS: usize = 4;
const LIVES: usize = 6;
const COMPLETIONS: usize = 2;

fn manifest(name: &str, replicas: usize, more: Value) -> Value {
    let labels = json!({ "app": name });
    let mut object = json!({
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": template(name, json!({})),
        },
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    object
}

fn template(app: &str, annotations: Value) -> Value {
    json!({
        "metadata": { "labels": { "app": app }, "annotations": annotations },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{ "name": "main", "image": "registry.k8s.io/pause:3.10" }],
        },
    })
}

/// What they have when they begin.
pub(crate) async fn set_out(ns: &Namespace) -> Result<()> {
    let bounds = json!({ "strategy": { "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 1 } } });
    ns.create::<Deployment>(manifest("busy-rolled", REPLICAS, bounds))
        .await?;
    ns.create::<Deployment>(manifest("busy-scaled", 1, json!({})))
        .await?;
    let ready = |d: &Deployment| {
        let status = d.status.as_ref();
        status.and_then(|s| s.ready_replicas) == Some(REPLICAS as i32)
    };
    ns.until("busy-rolled", "is ready", ready).await.map(drop)
}

/// They scale, roll out, make and delete workloads, for ever; `since` makes their names new.
pub(crate) async fn churn(ns: &Namespace, since: usize) -> Result<()> {
    for turn in since.. {
        let replicas = json!({ "spec": { "replicas": 1 + turn % 5 } });
        ns.merge::<Deployment>("busy-scaled", replicas).await?;
        if turn % 8 == 0 {
            let version = json!({ "spec": { "template": { "metadata": { "annotations": {
                "version": turn.to_string() } } } } });
            ns.merge::<Deployment>("busy-rolled", version).await?;
        }
        let name = format!("busy-{turn}");
        ns.create::<Deployment>(manifest(&name, 2, json!({})))
            .await?;
        if turn % 3 == 0 {
            ns.create::<StatefulSet>(manifest(&format!("busy-s-{turn}"), 2, json!({})))
                .await?;
            let mut ends = template(&name, json!({ "hollow.corten.dev/run-for": "1s" }));
            ends["spec"]["restartPolicy"] = "Never".into();
            ns.create::<Job>(json!({
                "metadata": { "name": format!("busy-j-{turn}") },
                "spec": { "completions": COMPLETIONS, "parallelism": COMPLETIONS, "template": ends },
            }))
            .await?;
        }
        if turn >= since + LIVES {
            let old = turn - LIVES;
            let background = DeleteParams::background();
            let name = format!("busy-{old}");
            ns.api::<Deployment>().delete(&name, &background).await?;
            if old.is_multiple_of(3) {
                let name = format!("busy-s-{old}");
                ns.api::<StatefulSet>().delete(&name, &background).await?;
                let name = format!("busy-j-{old}");
                ns.api::<Job>().delete(&name, &background).await?;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Sees, for ever, that the rollout stays within its bounds.
pub(crate) async fn bounds(ns: &Namespace) -> Result<()> {
    loop {
        let pods = ns.list::<Pod>("app=busy-rolled").await?;
        let stays = |pod: &&Pod| pod.metadata.deletion_timestamp.is_none();
        let (all, ready) = (
            pods.iter().filter(stays).count(),
            pods.iter()
                .filter(stays)
                .filter(|pod| is_ready(pod))
                .count(),
        );
        ensure!(all <= REPLICAS + 1, "{all} pods of busy-rolled");
        ensure!(
            ready >= REPLICAS - 1,
            "{ready} pods of busy-rolled are ready"
        );
        tokio::time::sleep(PAUSE).await;
    }
}

/// What of their work is not done.
pub(crate) async fn unfinished(ns: &Namespace) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    let pods = ns.list::<Pod>("").await?;
    let of = |name: &str, job: Option<&str>| {
        let has = |pod: &&Pod| {
            let labels = pod.metadata.labels.as_ref();
            let label = |key: &str| {
                labels
                    .and_then(|labels| labels.get(key))
                    .map(String::as_str)
            };
            match job {
                Some(job) => label("batch.kubernetes.io/job-name") == Some(job),
                None => {
                    label("app") == Some(name) && label("batch.kubernetes.io/job-name").is_none()
                }
            }
        };
        pods.iter().filter(has).count() as i32
    };
    let mut expect = |is: bool, what: String| missing.extend((!is).then_some(what));
    let mut lives = vec!["busy-rolled".to_owned()];
    for deployment in ns.list::<Deployment>("").await? {
        let name = deployment.metadata.name.clone().unwrap_or_default();
        if name.starts_with(BUSY) {
            let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
            let status = deployment.status.unwrap_or_default();
            let counts = [
                status.replicas,
                status.ready_replicas,
                status.updated_replicas,
            ];
            let fits =
                counts.iter().all(|count| *count == wanted) && Some(of(&name, None)) == wanted;
            expect(
                fits,
                format!("{name}: {counts:?}, {} pods of {wanted:?}", of(&name, None)),
            );
            lives.push(name);
        }
    }
    for set in ns.list::<StatefulSet>("").await? {
        let name = set.metadata.name.clone().unwrap_or_default();
        if name.starts_with(BUSY) {
            let ready = set.status.and_then(|status| status.ready_replicas);
            expect(
                ready == Some(2) && of(&name, None) == 2,
                format!("{name}: {ready:?}"),
            );
            lives.push(name);
        }
    }
    for job in ns.list::<Job>("").await? {
        let name = job.metadata.name.clone().unwrap_or_default();
        if name.starts_with(BUSY) {
            let status = job.status.unwrap_or_default();
            let (wanted, made) = (COMPLETIONS as i32, of("", Some(&name)));
            let fits = status.succeeded == Some(wanted) && status.completion_time.is_some();
            expect(
                fits && made == wanted,
                format!("{name}: {:?}, {made} pods", status.succeeded),
            );
        }
    }
    // What was deleted is gone, with all that it had.
    for pod in &pods {
        let labels = pod.metadata.labels.clone().unwrap_or_default();
        let app = labels.get("app").cloned().unwrap_or_default();
        let is_job = labels.contains_key("batch.kubernetes.io/job-name");
        expect(
            !app.starts_with(BUSY) || is_job || lives.contains(&app),
            format!("a pod of {app} is left"),
        );
    }
    Ok(missing)
}
