//! Input that makes no sense: huge numbers, annotations and revisions that somebody wrote, claims and templates that
//! the API server takes and then refuses. Each is told, costs a bounded number of writes, and does nobody else harm.

use crate::manifest::{
    condition, deployment, is_complete, is_ready, pod, replica_set, spec, template, uid, version,
};
use anyhow::{Context, Result, ensure};
use cluster::{
    Actor, Namespace, Outcome, actor, eventually, summary, upstream_fails, with_namespace,
};
use k8s_openapi::api::apps::v1::{
    ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet,
};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, Pod, ReplicationController, ResourceQuota, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::PostParams;
use serde_json::{Value, json};
use std::time::Duration;

/// Runs a story beside a workload that has no part in it: it must not be touched, and be worked on afterwards.
/// The loops may write so often for all of it.
fn hostile<T>(name: &str, most: usize, story: T) -> Outcome
where
    T: AsyncFnOnce(&Namespace) -> Result<()>,
{
    with_namespace(name, async |ns| {
        ns.create::<ReplicaSet>(replica_set("bystander", 1)).await?;
        ns.until("bystander", "has its pod", is_ready).await?;
        let before = ns.list::<Pod>("app=bystander").await?.remove(0);
        story(&ns).await?;
        // What goes on without end is seen now.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let writes = ns.writes()?;
        ensure!(
            writes.len() <= most,
            "{} writes: {}",
            writes.len(),
            summary(&writes)
        );
        let after = ns.list::<Pod>("app=bystander").await?;
        ensure!(
            after.len() == 1 && uid(&after[0]) == uid(&before),
            "the bystander was touched"
        );
        ns.merge::<ReplicaSet>("bystander", spec(json!({ "replicas": 0 })))
            .await?;
        ns.until("bystander", "has no pod", is_ready).await?;
        Ok(())
    })
}

/// Makes the namespace full: no more pods.
async fn fill(ns: &Namespace) -> Result<()> {
    let hard = json!({ "metadata": { "name": "q" }, "spec": { "hard": { "pods": "1" } } });
    ns.create::<ResourceQuota>(hard).await?;
    let status = json!({ "hard": { "pods": "1" }, "used": { "pods": "1" } });
    ns.merge_status::<ResourceQuota>("q", status).await?;
    // Admission sees the quota through a watch of its own.
    eventually("the quota is in force", async || {
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let probe = serde_json::from_value(pod("probe", "probe"))?;
        let refused = ns.api::<Pod>().create(&params, &probe).await;
        ensure!(refused.is_err(), "a pod could be created");
        Ok(())
    })
    .await
}

fn with(mut manifest: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().into_iter().flatten() {
        manifest["spec"][name] = value.clone();
    }
    manifest
}

fn stateful(name: &str, replicas: i32, fields: Value) -> Value {
    let mut manifest = replica_set(name, replicas);
    manifest["spec"]["serviceName"] = json!(name);
    with(manifest, fields)
}

fn job(name: &str, fields: Value) -> Value {
    let mut template = template(name);
    template["spec"]["restartPolicy"] = json!("Never");
    with(
        json!({ "metadata": { "name": name }, "spec": { "template": template } }),
        fields,
    )
}

/// What the API server refuses never reaches a loop: this says what need not be tested here.
#[test]
fn numbers_that_make_no_sense_are_refused_by_the_api_server() -> Outcome {
    with_namespace("bad-refused", async |ns| {
        let rolling = |field: &str, value: &str| json!({ "strategy": { "type": "RollingUpdate", "rollingUpdate": { field: value } } });
        let web = || deployment("web", 1);
        refused::<Deployment>(&ns, deployment("web", -1), "spec.replicas").await?;
        refused::<Deployment>(
            &ns,
            with(web(), rolling("maxUnavailable", "101%")),
            "maxUnavailable",
        )
        .await?;
        refused::<Deployment>(&ns, with(web(), rolling("maxSurge", "many")), "maxSurge").await?;
        refused::<ReplicaSet>(&ns, replica_set("web", -1), "spec.replicas").await?;
        refused::<StatefulSet>(&ns, stateful("web", -1, json!({})), "spec.replicas").await?;
        refused::<Job>(
            &ns,
            job("web", json!({ "parallelism": -1 })),
            "spec.parallelism",
        )
        .await?;
        let cron = |fields: Value| {
            let job = json!({ "spec": job("web", json!({}))["spec"] });
            let spec = json!({ "schedule": "* * * * *", "jobTemplate": job });
            with(
                json!({ "metadata": { "name": "web" }, "spec": spec }),
                fields,
            )
        };
        refused::<CronJob>(
            &ns,
            cron(json!({ "timeZone": "Mars/Olympus" })),
            "spec.timeZone",
        )
        .await?;
        refused::<CronJob>(
            &ns,
            cron(json!({ "schedule": "61 * * * *" })),
            "spec.schedule",
        )
        .await?;
        let budget = json!({ "metadata": { "name": "web" }, "spec": { "minAvailable": "101%" } });
        refused::<PodDisruptionBudget>(&ns, budget, "spec.minAvailable").await
    })
}

async fn refused<K: cluster::Kind>(ns: &Namespace, manifest: Value, field: &str) -> Result<()> {
    let error = ns
        .create::<K>(manifest)
        .await
        .err()
        .context("it was taken")?;
    let text = format!("{error:#}");
    ensure!(text.contains(field), "{text}");
    Ok(())
}

#[test]
fn two_billion_pods_are_asked_for_no_faster_than_they_are_refused() -> Outcome {
    hostile("bad-huge", 150, async |ns| {
        fill(ns).await?;
        ns.create::<ReplicaSet>(replica_set("set", i32::MAX))
            .await?;
        let controller = json!({ "replicas": i32::MAX, "selector": { "app": "rc" }, "template": template("rc") });
        ns.create::<ReplicationController>(
            json!({ "metadata": { "name": "rc" }, "spec": controller }),
        )
        .await?;
        let many = json!({ "parallelism": i32::MAX, "completions": i32::MAX });
        ns.create::<Job>(job("job", many)).await?;
        for name in ["set", "rc", "job"] {
            ns.event(name, "FailedCreate", "exceeded quota: q").await?;
        }
        Ok(())
    })
}

/// Upstream adds maxSurge to replicas in 32 bits.
#[test]
fn a_surge_on_top_of_two_billion_pods_is_no_overflow() -> Outcome {
    let outcome = hostile("bad-surge", 60, async |ns| {
        fill(ns).await?;
        let surge = json!({ "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "100%" } } });
        ns.create::<Deployment>(with(deployment("web", i32::MAX), surge))
            .await?;
        let huge = |sets: &[ReplicaSet]| {
            sets.len() == 1 && sets[0].spec.as_ref().and_then(|s| s.replicas) == Some(i32::MAX)
        };
        ns.until_all("app=web", "are as many as can be", huge)
            .await?;
        Ok(())
    });
    upstream_fails(
        "the overflow of replicas and maxSurge",
        "as many as can be",
        outcome,
    )
}

#[test]
fn annotations_that_make_no_sense_do_not_stop_a_deployment() -> Outcome {
    hostile("bad-annotations", 400, async |ns| {
        ns.create::<Deployment>(deployment("web", 2)).await?;
        ns.until("web", "is complete", is_complete).await?;
        let set = ns.list::<ReplicaSet>("app=web").await?.remove(0).name_any();
        for (desired, most, revision) in [
            ("many", "-1", "junk"),
            ("-2147483648", "99999999999", "-7"),
            ("", "0", "9223372036854775807"),
        ] {
            let annotations = json!({
                "deployment.kubernetes.io/desired-replicas": desired,
                "deployment.kubernetes.io/max-replicas": most,
                "deployment.kubernetes.io/revision": revision,
            });
            ns.merge::<ReplicaSet>(&set, json!({ "metadata": { "annotations": annotations } }))
                .await?;
            ns.merge::<Deployment>("web", spec(json!({ "replicas": 3 })))
                .await?;
            ns.until("web", "is complete", is_complete).await?;
            ns.merge::<Deployment>("web", version(revision)).await?;
            ns.until("web", "is complete", is_complete).await?;
            ns.merge::<Deployment>("web", spec(json!({ "replicas": 2 })))
                .await?;
            ns.until("web", "is complete", is_complete).await?;
        }
        Ok(())
    })
}

#[test]
fn who_must_be_ready_for_decades_is_waited_for_in_peace() -> Outcome {
    hostile("bad-patience", 40, async |ns| {
        let decades =
            json!({ "minReadySeconds": i32::MAX - 1, "progressDeadlineSeconds": i32::MAX });
        ns.create::<Deployment>(with(deployment("web", 2), decades))
            .await?;
        let ready = |web: &Deployment| {
            let status = web.status.clone().unwrap_or_default();
            status.ready_replicas == Some(2) && status.available_replicas.unwrap_or(0) == 0
        };
        ns.until("web", "has 2 ready pods", ready).await?;
        Ok(())
    })
}

/// A ControllerRevision that nobody owns, with the highest number there is, and no template in it.
async fn last_revision(ns: &Namespace, app: &str) -> Result<()> {
    ns.create::<ControllerRevision>(json!({
        "metadata": { "name": format!("{app}-last"), "labels": { "app": app } },
        "revision": i64::MAX, "data": { "spec": { "template": "none" } },
    }))
    .await?;
    Ok(())
}

/// Upstream goes on from the highest number to a negative one, which the API server refuses.
#[test]
fn revisions_go_on_after_the_highest_number_of_a_stateful_set() -> Outcome {
    let outcome = hostile("bad-revision-sts", 120, async |ns| {
        ns.create::<StatefulSet>(stateful("web", 2, json!({})))
            .await?;
        let complete = |generation: i64| {
            move |set: &StatefulSet| {
                let status = set.status.clone().unwrap_or_default();
                status.observed_generation == Some(generation)
                    && status.updated_replicas == Some(2)
                    && status.ready_replicas == Some(2)
            }
        };
        ns.until("web", "is complete", complete(1)).await?;
        last_revision(ns, "web").await?;
        ns.merge::<StatefulSet>("web", version("2")).await?;
        ns.until("web", "is updated", complete(2)).await?;
        Ok(())
    });
    upstream_fails("the overflow of revisions", "is updated", outcome)
}

/// As of a StatefulSet.
#[test]
fn revisions_go_on_after_the_highest_number_of_a_daemon_set() -> Outcome {
    let outcome = hostile("bad-revision-ds", 120, async |ns| {
        let mut manifest = replica_set("web", 0);
        manifest["spec"]["replicas"].take();
        ns.create::<DaemonSet>(manifest).await?;
        let complete = |generation: i64| {
            move |set: &DaemonSet| {
                let status = set.status.clone().unwrap_or_default();
                status.observed_generation == Some(generation)
                    && status.updated_number_scheduled.is_some_and(|n| n > 0)
                    && status.updated_number_scheduled == Some(status.number_ready)
                    && status.number_ready == status.desired_number_scheduled
            }
        };
        ns.until("web", "is complete", complete(1)).await?;
        last_revision(ns, "web").await?;
        ns.merge::<DaemonSet>("web", version("2")).await?;
        ns.until("web", "is updated", complete(2)).await?;
        Ok(())
    });
    upstream_fails("the overflow of revisions", "is updated", outcome)
}

#[test]
fn a_stateful_set_of_two_billion_pods_is_no_bigger_than_another() -> Outcome {
    if actor() == Actor::Upstream {
        println!(
            "NOT RUN with ACTOR=upstream: it makes all two billion pods in memory before it creates one"
        );
        return Ok(());
    }
    hostile("bad-huge-sts", 60, async |ns| {
        fill(ns).await?;
        let parallel = json!({ "podManagementPolicy": "Parallel" });
        ns.create::<StatefulSet>(stateful("web", i32::MAX, parallel))
            .await?;
        ns.event("web", "FailedCreate", "exceeded quota: q").await?;
        Ok(())
    })
}

#[test]
fn a_template_that_admission_refuses_is_told_with_what_is_wrong() -> Outcome {
    hostile("bad-template", 160, async |ns| {
        let bad = |mut manifest: Value| {
            manifest["spec"]["template"]["spec"]["priorityClassName"] = json!("absent");
            manifest
        };
        ns.create::<ReplicaSet>(bad(replica_set("set", 3))).await?;
        ns.create::<StatefulSet>(bad(stateful("stateful", 3, json!({}))))
            .await?;
        ns.create::<Job>(bad(job("job", json!({ "parallelism": 3 }))))
            .await?;
        let mut daemon = replica_set("daemon", 0);
        daemon["spec"]["replicas"].take();
        ns.create::<DaemonSet>(bad(daemon)).await?;
        let rc = json!({ "replicas": 3, "selector": { "app": "rc" }, "template": template("rc") });
        ns.create::<ReplicationController>(bad(
            json!({ "metadata": { "name": "rc" }, "spec": rc }),
        ))
        .await?;
        for name in ["set", "stateful", "job", "daemon", "rc"] {
            ns.event(
                name,
                "FailedCreate",
                "no PriorityClass with name absent was found",
            )
            .await?;
        }
        ns.create::<Deployment>(bad(deployment("web", 3))).await?;
        let told = |web: &Deployment| {
            condition(web, "ReplicaFailure").is_some_and(|(holds, reason, message)| {
                holds == "True"
                    && reason == "FailedCreate"
                    && message.contains("PriorityClass with name absent")
            })
        };
        ns.until("web", "says so", told).await?;
        Ok(())
    })
}

#[test]
fn a_claim_that_is_refused_is_told_and_its_pod_waits() -> Outcome {
    hostile("bad-claim", 80, async |ns| {
        let none = json!({ "persistentvolumeclaims": "0" });
        ns.create::<ResourceQuota>(
            json!({ "metadata": { "name": "q" }, "spec": { "hard": none } }),
        )
        .await?;
        ns.merge_status::<ResourceQuota>("q", json!({ "hard": none, "used": none }))
            .await?;
        let claim = json!({ "metadata": { "name": "data" }, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Mi" } },
        } });
        let mut probe = claim.clone();
        probe["metadata"]["name"] = json!("probe");
        let probe: PersistentVolumeClaim = serde_json::from_value(probe)?;
        eventually("the quota is in force", async || {
            let params = PostParams {
                dry_run: true,
                ..PostParams::default()
            };
            let refused = ns
                .api::<PersistentVolumeClaim>()
                .create(&params, &probe)
                .await;
            ensure!(refused.is_err(), "a claim could be created");
            Ok(())
        })
        .await?;
        ns.create::<StatefulSet>(stateful(
            "web",
            2,
            json!({ "volumeClaimTemplates": [claim] }),
        ))
        .await?;
        ns.event(
            "web",
            "FailedCreate",
            "exceeded quota: q, requested: persistentvolumeclaims=1",
        )
        .await?;
        ensure!(
            ns.list::<Pod>("app=web").await?.is_empty(),
            "a pod came without its claim"
        );
        Ok(())
    })
}

/// Upstream reads the ordinals of pods with 32 bits.
#[test]
fn ordinals_go_on_after_two_billion() -> Outcome {
    let outcome = hostile("bad-ordinal", 60, async |ns| {
        let last = json!({ "ordinals": { "start": i32::MAX }, "podManagementPolicy": "Parallel" });
        ns.create::<StatefulSet>(stateful("web", 2, last)).await?;
        for ordinal in ["2147483647", "2147483648"] {
            ns.until::<Pod>(&format!("web-{ordinal}"), "is there", |_| true)
                .await?;
        }
        Ok(())
    });
    upstream_fails("its ordinals of 32 bits", "2147483648 is there", outcome)
}

#[test]
fn indexes_that_are_none_count_for_nothing() -> Outcome {
    hostile("bad-index", 80, async |ns| {
        for (name, index) in [
            ("a", "abc"),
            ("b", "-1"),
            ("c", "99999999999999999999"),
            ("d", "7"),
        ] {
            let mut stray = pod(name, "pi");
            stray["spec"]["restartPolicy"] = json!("Never");
            stray["metadata"]["annotations"] =
                json!({ "batch.kubernetes.io/job-completion-index": index });
            ns.create::<Pod>(stray).await?;
        }
        let mut pi = job(
            "pi",
            json!({
                "completionMode": "Indexed", "completions": 2, "parallelism": 2,
                "manualSelector": true, "selector": { "matchLabels": { "app": "pi" } },
            }),
        );
        pi["spec"]["template"]["metadata"]["annotations"] =
            json!({ "hollow.corten.dev/run-for": "1s" });
        ns.create::<Job>(pi).await?;
        let done = |job: &Job| {
            let status = job.status.clone().unwrap_or_default();
            status.completed_indexes.as_deref() == Some("0,1") && status.completion_time.is_some()
        };
        ns.until("pi", "has its two indexes", done).await?;
        Ok(())
    })
}

#[test]
fn decades_of_missed_minutes_are_one_job() -> Outcome {
    hostile("bad-decades", 30, async |ns| {
        for (name, schedule) in [("minutely", "* * * * *"), ("leap", "*/7 3-4 29 2 *")] {
            let mut template = template(name);
            template["spec"]["restartPolicy"] = json!("Never");
            let job = json!({
                "metadata": { "labels": { "cron": name } },
                "spec": { "managedBy": "example.com/nobody", "template": template },
            });
            ns.create::<CronJob>(json!({
                "metadata": { "name": name },
                "spec": { "schedule": schedule, "suspend": true, "concurrencyPolicy": "Forbid", "jobTemplate": job },
            }))
            .await?;
            let epoch = json!({ "lastScheduleTime": "1970-01-01T00:00:00Z" });
            ns.merge_status::<CronJob>(name, epoch).await?;
            ns.merge::<CronJob>(name, spec(json!({ "suspend": false })))
                .await?;
        }
        ns.until_all::<Job>("cron=minutely", "is one", |jobs| jobs.len() == 1)
            .await?;
        ns.event(
            "minutely",
            "TooManyMissedTimes",
            "too many missed start times",
        )
        .await?;
        Ok(())
    })
}

#[test]
fn budgets_of_two_billion_are_as_good_as_others() -> Outcome {
    hostile("bad-budget", 60, async |ns| {
        ns.create::<ReplicaSet>(replica_set("web", 2)).await?;
        ns.until("web", "has 2 pods", is_ready).await?;
        let web = |name: &str, field: &str| {
            let selector = json!({ "matchLabels": { "app": "web" } });
            json!({ "metadata": { "name": name }, "spec": { "selector": selector, field: i32::MAX } })
        };
        ns.create::<PodDisruptionBudget>(web("all", "minAvailable"))
            .await?;
        ns.create::<PodDisruptionBudget>(web("none", "maxUnavailable"))
            .await?;
        for (name, wanted) in [("all", [0, 2, i32::MAX, 2]), ("none", [2, 2, 0, 2])] {
            let counts = |budget: &PodDisruptionBudget| {
                let status = budget.status.clone().unwrap_or_default();
                [
                    status.disruptions_allowed.unwrap_or(0),
                    status.current_healthy.unwrap_or(0),
                    status.desired_healthy.unwrap_or(0),
                    status.expected_pods.unwrap_or(0),
                ] == wanted
            };
            ns.until(name, &format!("comes to {wanted:?}"), counts)
                .await?;
        }
        Ok(())
    })
}

#[test]
fn slices_that_somebody_wrote_are_mended_and_foreign_ones_left_alone() -> Outcome {
    hostile("bad-slices", 60, async |ns| {
        ns.create::<Pod>(pod("web", "web")).await?;
        let slice = |name: &str, manager: &str, kind: &str, address: &str| {
            json!({
                "metadata": { "name": name, "labels": {
                    "kubernetes.io/service-name": "web",
                    "endpointslice.kubernetes.io/managed-by": manager,
                } },
                "addressType": kind, "endpoints": [{ "addresses": [address] }],
            })
        };
        let ours = "endpointslice-controller.k8s.io";
        for manifest in [
            slice("name", ours, "FQDN", "example.com"),
            slice("family", ours, "IPv6", "2001:db8::1"),
            slice("address", ours, "IPv4", "192.0.2.1"),
            slice("foreign", "example.com", "IPv4", "192.0.2.2"),
        ] {
            ns.create::<EndpointSlice>(manifest).await?;
        }
        let ports = json!([{ "name": "a", "port": 80 }, { "name": "b", "port": 81, "targetPort": "nowhere" }]);
        let spec = json!({ "selector": { "app": "web" }, "ports": ports });
        ns.create::<Service>(json!({ "metadata": { "name": "web" }, "spec": spec }))
            .await?;
        let mended = |slices: &[EndpointSlice]| {
            let mut addresses: Vec<_> = slices
                .iter()
                .flat_map(|slice| slice.endpoints.iter().flatten())
                .flat_map(|endpoint| endpoint.addresses.clone())
                .filter(|address| !address.starts_with("10."))
                .collect();
            addresses.sort();
            addresses == ["192.0.2.2"] && slices.len() == 2
        };
        ns.until_all("kubernetes.io/service-name=web", "are mended", mended)
            .await?;
        Ok(())
    })
}
