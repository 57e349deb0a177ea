//! A cluster that upstream's loops have run is handed to ours, and back: nobody who works in it notices.
//!
//! `ACTOR=upstream` hands it to upstream's, which is a restart of them. A program of its own: it asks for
//! clusters of its own.
#![allow(clippy::unwrap_used, clippy::panic)]

mod commands;
mod countdown;
mod fleet;
mod load;
mod policy;
mod record;
mod stale;

use anyhow::{Context, Result, ensure};
use cluster::{
    Actor, Cluster, Namespace, Outcome, PATIENCE, Write, Writer, actor, eventually, summary, within,
};
use fleet::{UNPULLABLE, change, fleet, provided, with};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Endpoints, Pod, ReplicationController};
use record::Record;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const NODES: usize = 4;
/// Each autoscaler is looked at once in this time: no write for so long is rest.
const ROUND: Duration = Duration::from_secs(16);

#[test]
fn two_hundred_workloads_change_hands_and_nothing_else_changes() -> Outcome {
    let cluster = Cluster::start(Actor::Upstream, NODES)?;
    cluster.with_namespace("fleet", async |ns| {
        provided(&ns, Box::pin(story(&cluster, &ns))).await
    })
}

async fn story(cluster: &Cluster, ns: &Namespace) -> Result<()> {
    let begun = Instant::now();
    set_out(ns).await?;
    at_rest(cluster, ns)
        .await
        .context("before it is handed over")?;
    say(begun, "made");
    hand_over(cluster, ns, actor())
        .await
        .context("taken over")?;
    say(begun, "taken over");
    go_on(ns).await.context("after it was taken over")?;
    at_rest(cluster, ns)
        .await
        .context("before it is handed back")?;
    say(begun, "gone on");
    hand_over(cluster, ns, Actor::Upstream)
        .await
        .context("handed back")?;
    say(begun, "handed back");
    Ok(())
}

/// Lets another actor act, and sees that all stays as it was.
async fn hand_over(cluster: &Cluster, ns: &Namespace, to: Actor) -> Result<()> {
    let (before, mark) = (Record::of(ns).await?, cluster.mark());
    cluster.hand_over(to)?;
    tokio::time::sleep(ROUND).await;
    let writes = by_loops(cluster, mark)?;
    let differences = before.differences(&Record::of(ns).await?);
    let (pods, objects) = (before.all("Pod").count(), before.0.len());
    println!(
        "{to:?} takes {objects} objects, {pods} pods; it writes: {}",
        summary(&writes)
    );
    // A scheduler says in its own words why a pod waits, and a node lifecycle controller greets each node.
    let is_word = |write: &Write| match &*write.resource {
        "pods/status" => write.name.starts_with("d-nowhere"),
        "events" => write.name.starts_with("d-nowhere") || write.name.starts_with("node-"),
        _ => false,
    };
    let more: Vec<_> = writes
        .iter()
        .filter(|w| !is_word(w))
        .map(ToString::to_string)
        .collect();
    ensure!(more.is_empty(), "it writes:\n{}", more.join("\n"));
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}

fn by_loops(cluster: &Cluster, mark: u64) -> Result<Vec<Write>> {
    let mut writes = cluster.writes_since(mark)?;
    writes.retain(|write| write.writer == Writer::Loops);
    Ok(writes)
}

/// Makes the fleet and lets things happen to it, by upstream's loops.
async fn set_out(ns: &Namespace) -> Result<()> {
    let fleet = fleet();
    ensure!(fleet.len() >= 200, "{} objects", fleet.len());
    let texts: Vec<String> = fleet.iter().map(ToString::to_string).collect();
    let applied = stream::iter(&texts)
        .map(|text| ns.apply(text))
        .buffer_unordered(8);
    applied.try_collect::<Vec<_>>().await?;
    caught_up(ns).await.context("made")?;

    let image = |image: &str| json!({ "spec": { "template": { "spec": { "containers": [{ "name": "main", "image": image }] } } } });
    for variant in ["d-rolled", "d-forgetful", "d-recreate"] {
        change::<Deployment>(ns, variant, version("2")).await?;
    }
    let paused = with(json!({ "spec": { "paused": true } }), version("2"));
    change::<Deployment>(ns, "d-paused", paused).await?;
    for variant in ["d-stuck", "d-late"] {
        change::<Deployment>(ns, variant, image(UNPULLABLE)).await?;
    }
    for variant in ["s-partition", "s-ondelete"] {
        change::<StatefulSet>(ns, variant, version("2")).await?;
    }
    change::<StatefulSet>(ns, "s-stuck", image(UNPULLABLE)).await?;
    for variant in ["ds-ondelete", "ds-rolled", "ds-surge"] {
        change::<DaemonSet>(ns, variant, version("2")).await?;
    }
    change::<Job>(ns, "j-halted", json!({ "spec": { "suspend": true } })).await?;
    caught_up(ns).await.context("changed")?;
    change::<Deployment>(ns, "d-rolled", version("3")).await?;
    caught_up(ns).await.context("changed again")
}

/// Does something to all that stands still, and sees that it is done.
async fn go_on(ns: &Namespace) -> Result<()> {
    let before = Record::of(ns).await?;
    let replicas = |n: i32| json!({ "spec": { "replicas": n } });
    let anywhere = || json!({ "spec": { "template": { "spec": { "nodeSelector": null } } } });
    let mended = || {
        json!({ "spec": { "template": { "spec": { "containers": [
            { "name": "main", "image": "registry.k8s.io/pause:3.9" }] } } } })
    };
    // More replicas, more of them where there is more load, old templates again, new ones, broken ones mended.
    change::<Deployment>(ns, "d-plain", replicas(3)).await?;
    let busy = json!({ "spec": { "template": { "metadata": { "annotations": {
        "hollow.corten.dev/cpu": "100m" } } } } });
    change::<Deployment>(ns, "d-plain-0", busy).await?;
    change::<Deployment>(ns, "d-rolled", version("2")).await?;
    change::<Deployment>(ns, "d-paused", json!({ "spec": { "paused": false } })).await?;
    for variant in ["d-stuck", "d-late"] {
        change::<Deployment>(ns, variant, mended()).await?;
    }
    change::<Deployment>(ns, "d-zero", replicas(1)).await?;
    for variant in ["d-recreate", "d-forgetful"] {
        change::<Deployment>(ns, variant, version("4")).await?;
    }
    change::<Deployment>(ns, "d-shares", with(replicas(4), version("4"))).await?;
    change::<Deployment>(ns, "d-nowhere", anywhere()).await?;
    for variant in ["r-plain", "r-patient"] {
        change::<ReplicaSet>(ns, variant, replicas(3)).await?;
    }
    change::<ReplicaSet>(ns, "r-zero", replicas(1)).await?;
    change::<ReplicationController>(ns, "rc-plain", replicas(1)).await?;
    change::<DaemonSet>(ns, "ds-plain", version("4")).await?;
    change::<DaemonSet>(
        ns,
        "ds-rolled",
        json!({ "spec": { "template": { "metadata": { "annotations": null } } } }),
    )
    .await?;
    change::<DaemonSet>(ns, "ds-nowhere", anywhere()).await?;
    change::<StatefulSet>(ns, "s-plain", version("4")).await?;
    for variant in ["s-parallel", "s-claims"] {
        change::<StatefulSet>(ns, variant, replicas(3)).await?;
    }
    change::<StatefulSet>(ns, "s-ordinals", replicas(1)).await?;
    let whole = json!({ "spec": { "updateStrategy": { "rollingUpdate": { "partition": 0 } } } });
    change::<StatefulSet>(ns, "s-partition", whole).await?;
    change::<StatefulSet>(ns, "s-stuck", mended()).await?;
    for set in ["s-ondelete-0", "s-ondelete-1", "s-ondelete-2", "s-stuck-0"] {
        ns.delete::<Pod>(&format!("{set}-1")).await?;
    }
    for (name, pod) in before.all("Pod") {
        let app = pod["metadata"]["labels"]["app"]
            .as_str()
            .unwrap_or_default();
        if app.starts_with("j-indexed-") && !app.contains("done") || app.starts_with("ds-ondelete")
        {
            ns.delete::<Pod>(name).await?;
        }
    }
    for variant in ["j-suspended", "j-halted"] {
        change::<Job>(ns, variant, json!({ "spec": { "suspend": false } })).await?;
    }
    change::<Job>(ns, "j-queue", json!({ "spec": { "parallelism": 3 } })).await?;
    change::<Job>(
        ns,
        "j-ttl",
        json!({ "spec": { "ttlSecondsAfterFinished": 0 } }),
    )
    .await?;
    let hourly = json!({ "spec": { "schedule": "0 * * * *" } });
    change::<CronJob>(ns, "c-suspended", hourly).await?;
    for n in 0..4 {
        let two_hours_ago = Timestamp::now() - SignedDuration::from_hours(2);
        let missed =
            json!({ "lastScheduleTime": two_hours_ago.strftime("%Y-%m-%dT%H:%M:%SZ").to_string() });
        ns.merge_status::<CronJob>(&format!("c-suspended-{n}"), missed)
            .await?;
    }
    change::<CronJob>(ns, "c-suspended", json!({ "spec": { "suspend": false } })).await?;
    let moved =
        json!({ "subsets": [{ "addresses": [{ "ip": "192.0.2.8" }], "ports": [{ "port": 81 }] }] });
    change::<Endpoints>(ns, "by-hand", moved).await?;

    eventually("all of it is done", async || {
        let now = Record::of(ns).await?;
        let missing = missing(&before, &now);
        ensure!(missing.is_empty(), "{}", missing.join("; "));
        Ok(())
    })
    .await?;
    caught_up(ns).await
}

/// What of [`go_on`] is not done yet.
fn missing(before: &Record, now: &Record) -> Vec<String> {
    let mut missing = Vec::new();
    let mut expect = |is: bool, what: String| {
        if !is {
            missing.push(what);
        }
    };
    let count = |of: &Value, field: &str| of[field].as_i64().unwrap_or(0);
    for kind in [
        "Deployment",
        "ReplicaSet",
        "ReplicationController",
        "StatefulSet",
    ] {
        for (name, object) in now.all(kind) {
            let (wanted, status) = (count(&object["spec"], "replicas"), &object["status"]);
            let updated = match kind {
                "Deployment" | "StatefulSet" => "updatedReplicas",
                _ => "replicas",
            };
            let fits = ["replicas", "readyReplicas", updated]
                .iter()
                .all(|f| count(status, f) == wanted);
            // One of the two pods of each was deleted.
            let halfway = name.starts_with("s-ondelete");
            expect(
                fits || halfway || name.contains("waiting"),
                format!("{kind} {name}: {status}"),
            );
        }
    }
    for (name, set) in now.all("DaemonSet") {
        let ready = [
            "desiredNumberScheduled",
            "numberReady",
            "updatedNumberScheduled",
        ];
        let fits = ready
            .iter()
            .all(|f| count(&set["status"], f) == NODES as i64);
        expect(fits, format!("DaemonSet {name}: {}", set["status"]));
    }
    // An old template is an old ReplicaSet, whoever made it.
    let sets = |record: &Record| {
        record
            .all("ReplicaSet")
            .filter(|(n, _)| n.starts_with("d-rolled"))
            .count()
    };
    expect(
        sets(before) == sets(now),
        format!("d-rolled have {} ReplicaSets", sets(now)),
    );
    let revisions = |record: &Record| {
        let of = |(name, _): &(&str, &Value)| {
            name.starts_with("ds-rolled") || name.starts_with("s-partition")
        };
        record.all("ControllerRevision").filter(of).count()
    };
    expect(
        revisions(before) == revisions(now),
        format!("they have {} revisions", revisions(now)),
    );
    let jobs = |beginning: &str| {
        now.all("Job")
            .filter(|(n, _)| n.starts_with(beginning))
            .count()
    };
    expect(
        jobs("c-suspended") == 4,
        format!("{} Jobs on time", jobs("c-suspended")),
    );
    expect(jobs("j-ttl") == 0, "j-ttl is there".to_owned());
    for (name, job) in now.all("Job") {
        let wanted = match name.split_at(name.len() - 2).0 {
            "j-queue" => 3,
            "j-indexed" | "j-runs" => 2,
            "j-suspended" | "j-halted" => 1,
            _ => continue,
        };
        expect(
            count(&job["status"], "ready") == wanted,
            format!("{name}: {}", job["status"]),
        );
    }
    let scaled = now.all("Deployment").find(|(name, _)| *name == "d-plain-0");
    expect(
        scaled.is_some_and(|(_, d)| count(&d["spec"], "replicas") == 5),
        "d-plain-0 is not scaled".to_owned(),
    );
    for (name, budget) in now.all("PodDisruptionBudget") {
        let pods = now
            .all("Pod")
            .filter(|(_, p)| p["metadata"]["labels"]["app"] == name)
            .count();
        let fits = ["expectedPods", "currentHealthy"]
            .iter()
            .all(|f| count(&budget["status"], f) == pods as i64);
        expect(
            fits,
            format!("budget {name} of {pods}: {}", budget["status"]),
        );
    }
    for (name, _) in now.all("Service") {
        let pods = now
            .all("Pod")
            .filter(|(_, p)| p["metadata"]["labels"]["app"] == name)
            .count();
        let wanted = pods.max(1);
        let of =
            |(_, s): &(&str, &Value)| s["metadata"]["labels"]["kubernetes.io/service-name"] == name;
        let sizes = now
            .all("EndpointSlice")
            .filter(of)
            .map(|(_, s)| s["endpoints"].as_array().map_or(0, Vec::len));
        let listed: usize = sizes.sum();
        expect(
            listed == wanted,
            format!("Service {name} has {listed} of {wanted} endpoints"),
        );
    }
    let is_moved =
        |(_, slice): (&str, &Value)| slice["endpoints"][0]["addresses"][0] == "192.0.2.8";
    let moved = now
        .all("EndpointSlice")
        .filter(|entry| is_moved(*entry))
        .count();
    expect(moved == 2, format!("{moved} slices are mirrored"));
    missing
}

fn version(version: &str) -> Value {
    json!({ "spec": { "template": { "metadata": { "annotations": { "version": version } } } } })
}

/// Waits until each object has been looked at as it is.
async fn caught_up(ns: &Namespace) -> Result<()> {
    eventually("all has been looked at", async || {
        let record = Record::of(ns).await?;
        let mut waiting = Vec::new();
        for ((kind, name), object) in &record.0 {
            let (generation, status) = (&object["metadata"]["generation"], &object["status"]);
            let seen = match *kind {
                "HorizontalPodAutoscaler" => status["conditions"].is_array(),
                "Deployment"
                | "ReplicaSet"
                | "StatefulSet"
                | "DaemonSet"
                | "PodDisruptionBudget"
                | "ReplicationController" => &status["observedGeneration"] == generation,
                "Job" => status.get("startTime").is_some() || object["spec"]["suspend"] == true,
                _ => true,
            };
            if !seen {
                waiting.push(format!("{kind} {name}"));
            }
        }
        ensure!(waiting.is_empty(), "{}", waiting.join(", "));
        Ok(())
    })
    .await
}

/// Waits until loops have written nothing for a while, and pods are what they will be.
async fn at_rest(cluster: &Cluster, ns: &Namespace) -> Result<()> {
    let (mut mark, mut since) = (cluster.mark(), Instant::now());
    within(2 * PATIENCE + ROUND, "loops write nothing", async || {
        let writes = by_loops(cluster, mark)?;
        let pods = ns.list::<Pod>("").await?;
        let going = pods
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_some())
            .count();
        if !writes.is_empty() || going > 0 {
            (mark, since) = (cluster.mark(), Instant::now());
        }
        ensure!(
            since.elapsed() > ROUND,
            "{going} pods go; {}",
            summary(&writes)
        );
        Ok(())
    })
    .await
}

fn say(begun: Instant, what: &str) {
    println!("{what} after {:.1} s", begun.elapsed().as_secs_f64());
}
