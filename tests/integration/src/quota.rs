//! The resource quota controller, and the admission of the API server, which goes by what it writes.

use crate::looms::Looms;
use crate::manifest::{pod, replica_set, spec};
use anyhow::{Context, Result, bail, ensure};
use cluster::{Namespace, Outcome, eventually, upstream_fails, with_namespace, within};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, Pod, ResourceQuota, Secret, Service,
};
use k8s_openapi::api::resource::v1::ResourceClaim;
use kube::api::{DeleteParams, PostParams};
use objects::Quantity;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn quota(name: &str, hard: Value, more: Value) -> Value {
    let mut quota = json!({ "metadata": { "name": name }, "spec": { "hard": hard } });
    for (field, value) in more.as_object().into_iter().flatten() {
        quota["spec"][field] = value.clone();
    }
    quota
}

/// Makes a quota and waits until it is in force.
async fn limit(ns: &Namespace, name: &str, hard: Value, more: Value) -> Result<()> {
    ns.create::<ResourceQuota>(quota(name, hard, more)).await?;
    let in_force = |quota: &ResourceQuota| {
        let status = quota.status.clone().unwrap_or_default();
        let limits = quota.spec.as_ref().and_then(|s| s.hard.as_ref());
        status.hard.as_ref() == limits && status.used.is_some()
    };
    ns.until(name, "is in force", in_force).await?;
    Ok(())
}

/// What of `wanted` is used otherwise.
fn differs(quota: &ResourceQuota, wanted: &[(&str, &str)]) -> Option<String> {
    let status = quota.status.clone().unwrap_or_default();
    let used = status.used.unwrap_or_default();
    let amount = |text: &str| text.parse::<Quantity>().ok();
    let wrong = wanted
        .iter()
        .find(|(name, wanted)| used.get(*name).and_then(|q| amount(&q.0)) != amount(wanted));
    wrong.map(|(name, _)| format!("{name} of {used:?}"))
}

async fn uses(ns: &Namespace, name: &str, wanted: &[(&str, &str)]) -> Result<()> {
    eventually(&format!("{name} uses {wanted:?}"), async || {
        match differs(&ns.get::<ResourceQuota>(name).await?, wanted) {
            None => Ok(()),
            Some(wrong) => bail!("{wrong}"),
        }
    })
    .await
}

fn asking(name: &str, requests: Value, limits: Value) -> Value {
    let mut pod = pod(name, "asking");
    pod["spec"]["containers"][0]["resources"] = json!({ "requests": requests, "limits": limits });
    pod
}

fn map(name: &str) -> Value {
    json!({ "metadata": { "name": name } })
}

fn claim(name: &str, class: &str, size: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "storageClassName": class,
            "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": size } },
        },
    })
}

fn service(name: &str, kind: &str, ports: &[i32]) -> Value {
    let ports: Vec<_> = ports
        .iter()
        .map(|p| json!({ "name": format!("p{p}"), "port": p }))
        .collect();
    json!({ "metadata": { "name": name }, "spec": { "type": kind, "ports": ports } })
}

#[test]
fn what_is_there_is_counted_and_what_goes_is_given_back() -> Outcome {
    with_namespace("quota-life", async |ns| {
        ns.create::<Secret>(map("before")).await?;
        let hard = json!({
            "pods": "5", "count/pods": "5", "requests.cpu": "2", "limits.memory": "4Gi",
            "services": "5", "services.nodeports": "5", "services.loadbalancers": "2",
            "persistentvolumeclaims": "5", "requests.storage": "10Gi",
            "gold.storageclass.storage.k8s.io/requests.storage": "5Gi",
            "secrets": "5", "configmaps": "5", "count/replicasets.apps": "3", "resourcequotas": "2",
        });
        limit(&ns, "all", hard, json!({})).await?;
        uses(
            &ns,
            "all",
            &[
                ("secrets", "1"),
                ("configmaps", "1"),
                ("resourcequotas", "1"),
            ],
        )
        .await?;

        let asks = (
            json!({ "cpu": "100m" }),
            json!({ "cpu": "1", "memory": "1Gi" }),
        );
        ns.create::<Pod>(asking("a", asks.0, asks.1)).await?;
        ns.create::<Service>(service("plain", "ClusterIP", &[80]))
            .await?;
        ns.create::<Service>(service("door", "NodePort", &[80, 81]))
            .await?;
        ns.create::<PersistentVolumeClaim>(claim("one", "gold", "1Gi"))
            .await?;
        ns.create::<PersistentVolumeClaim>(claim("two", "tin", "2Gi"))
            .await?;
        ns.create::<ConfigMap>(map("more")).await?;
        ns.create::<ReplicaSet>(replica_set("web", 0)).await?;
        let full = [
            ("pods", "1"),
            ("count/pods", "1"),
            ("requests.cpu", "100m"),
            ("limits.memory", "1Gi"),
            ("services", "2"),
            ("services.nodeports", "2"),
            ("services.loadbalancers", "0"),
            ("persistentvolumeclaims", "2"),
            ("requests.storage", "3Gi"),
            ("gold.storageclass.storage.k8s.io/requests.storage", "1Gi"),
            ("secrets", "1"),
            ("configmaps", "2"),
            ("count/replicasets.apps", "1"),
        ];
        uses(&ns, "all", &full).await?;

        ns.merge::<Service>("door", spec(json!({ "type": "ClusterIP" })))
            .await?;
        uses(
            &ns,
            "all",
            &[("services", "2"), ("services.nodeports", "0")],
        )
        .await?;
        ns.delete::<Pod>("a").await?;
        ns.delete::<Service>("plain").await?;
        ns.delete::<PersistentVolumeClaim>("one").await?;
        ns.delete::<ConfigMap>("more").await?;
        ns.delete::<Secret>("before").await?;
        ns.delete::<ReplicaSet>("web").await?;
        let left = [
            ("pods", "0"),
            ("count/pods", "0"),
            ("requests.cpu", "0"),
            ("limits.memory", "0"),
            ("services", "1"),
            ("persistentvolumeclaims", "1"),
            ("requests.storage", "2Gi"),
            ("gold.storageclass.storage.k8s.io/requests.storage", "0"),
            ("secrets", "0"),
            ("configmaps", "1"),
            ("count/replicasets.apps", "0"),
        ];
        uses(&ns, "all", &left).await
    })
}

#[test]
fn a_pod_that_has_ended_gives_back_all_but_its_place() -> Outcome {
    with_namespace("quota-ended", async |ns| {
        let hard = json!({ "pods": "2", "count/pods": "5", "requests.cpu": "2" });
        limit(&ns, "all", hard, json!({})).await?;
        // Nobody runs it.
        let mut one = asking("one", json!({ "cpu": "1" }), json!({ "cpu": "1" }));
        one["spec"]["schedulerName"] = "nobody".into();
        ns.create::<Pod>(one).await?;
        uses(
            &ns,
            "all",
            &[("pods", "1"), ("count/pods", "1"), ("requests.cpu", "1")],
        )
        .await?;
        ns.merge_status::<Pod>("one", json!({ "phase": "Failed" }))
            .await?;
        uses(
            &ns,
            "all",
            &[("pods", "0"), ("count/pods", "1"), ("requests.cpu", "0")],
        )
        .await
    })
}

#[test]
fn scopes_say_what_a_quota_is_about() -> Outcome {
    with_namespace("quota-scopes", async |ns| {
        let pods = || json!({ "pods": "5" });
        let scopes = |scope: &str| json!({ "scopes": [scope] });
        let priority = |operator: &str, values: Value| {
            json!({ "scopeSelector": { "matchExpressions": [
                { "scopeName": "PriorityClass", "operator": operator, "values": values }
            ] } })
        };
        limit(&ns, "ends", pods(), scopes("Terminating")).await?;
        limit(&ns, "stays", pods(), scopes("NotTerminating")).await?;
        limit(&ns, "modest", pods(), scopes("BestEffort")).await?;
        limit(&ns, "asks", pods(), scopes("NotBestEffort")).await?;
        let critical = json!(["system-node-critical"]);
        limit(&ns, "critical", pods(), priority("In", critical.clone())).await?;
        limit(&ns, "others", pods(), priority("NotIn", critical)).await?;

        let mut job = pod("job", "job");
        job["spec"]["activeDeadlineSeconds"] = 3600.into();
        ns.create::<Pod>(job).await?;
        ns.create::<Pod>(asking("asks", json!({ "cpu": "1m" }), json!({})))
            .await?;
        for (name, wanted) in [
            ("ends", "1"),
            ("stays", "1"),
            ("modest", "1"),
            ("asks", "1"),
            ("critical", "0"),
            ("others", "2"),
        ] {
            uses(&ns, name, &[("pods", wanted)]).await?;
        }
        ns.delete::<Pod>("job").await?;
        for (name, wanted) in [
            ("ends", "0"),
            ("modest", "0"),
            ("asks", "1"),
            ("others", "1"),
        ] {
            uses(&ns, name, &[("pods", wanted)]).await?;
        }
        Ok(())
    })
}

#[test]
fn limits_may_change_and_usage_of_what_was_not_limited_is_told() -> Outcome {
    with_namespace("quota-changes", async |ns| {
        ns.create::<Secret>(map("one")).await?;
        limit(&ns, "all", json!({ "pods": "5" }), json!({})).await?;
        ns.merge::<ResourceQuota>(
            "all",
            spec(json!({ "hard": { "pods": "0", "secrets": "1" } })),
        )
        .await?;
        uses(&ns, "all", &[("pods", "0"), ("secrets", "1")]).await?;
        eventually("a second Secret is refused", async || {
            let manifest = serde_json::from_value(map("two"))?;
            let secrets = ns.api::<Secret>();
            match secrets.create(&PostParams::default(), &manifest).await {
                Ok(_) => {
                    ns.delete::<Secret>("two").await?;
                    bail!("it was let in")
                }
                Err(error) => {
                    ensure!(error.to_string().contains("exceeded quota: all"), "{error}");
                    Ok(())
                }
            }
        })
        .await?;
        ns.merge::<ResourceQuota>("all", spec(json!({ "hard": { "secrets": null } })))
            .await?;
        let gone = |quota: &ResourceQuota| {
            let status = quota.status.clone().unwrap_or_default();
            let names = |list: Option<std::collections::BTreeMap<String, _>>| {
                list.is_some_and(|list| list.contains_key("secrets"))
            };
            !names(status.hard) && !names(status.used)
        };
        ns.until("all", "limits no Secrets any more", gone).await?;
        Ok(())
    })
}

#[test]
fn claims_to_devices_are_counted() -> Outcome {
    with_namespace("quota-devices", async |ns| {
        let devices = "gpu.deviceclass.resource.k8s.io/devices";
        let claims = "count/resourceclaims.resource.k8s.io";
        limit(&ns, "all", json!({ devices: "5", claims: "5" }), json!({})).await?;
        let manifest = |name: &str, count: i64| {
            json!({
                "metadata": { "name": name },
                "spec": { "devices": { "requests": [{
                    "name": "r",
                    "exactly": { "deviceClassName": "gpu", "allocationMode": "ExactCount", "count": count },
                }] } },
            })
        };
        ns.create::<ResourceClaim>(manifest("two", 2)).await?;
        ns.create::<ResourceClaim>(manifest("three", 3)).await?;
        uses(&ns, "all", &[(devices, "5"), (claims, "2")]).await?;
        ns.delete::<ResourceClaim>("two").await?;
        uses(&ns, "all", &[(devices, "3"), (claims, "1")]).await
    })
}

/// A set that always wants more, and somebody who always takes some away: there are never more than there may be.
#[test]
fn as_pods_come_and_go_a_quota_lets_in_as_many_as_it_says() -> Outcome {
    with_namespace("quota-churn", async |ns| {
        limit(&ns, "few", json!({ "count/pods": "5" }), json!({})).await?;
        ns.create::<ReplicaSet>(replica_set("web", 9)).await?;
        let begun = Instant::now();
        let mut most = 0;
        while begun.elapsed() < Duration::from_secs(8) {
            let pods = ns.list::<Pod>("app=web").await?;
            most = most.max(pods.len());
            ensure!(pods.len() <= 5, "{} pods", pods.len());
            if let Some(name) = pods.first().and_then(|p| p.metadata.name.clone()) {
                let now = DeleteParams::default().grace_period(0);
                // It may be gone already.
                let _ = ns.api::<Pod>().delete(&name, &now).await;
            }
            // The set waits longer with each refusal; a change of its size has it look again.
            let replicas = 9 + i32::from(pods.len() % 2 == 0);
            ns.merge::<ReplicaSet>("web", spec(json!({ "replicas": replicas })))
                .await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        ensure!(most > 0, "no pod was ever there");
        ns.merge::<ReplicaSet>("web", spec(json!({ "replicas": 0 })))
            .await?;
        uses(&ns, "few", &[("count/pods", "0")]).await
    })
}

/// Upstream learns of the kind within 30 s, but counts it at the next full count, five minutes after the last: until
/// then the API server refuses all objects of the kind, for nobody says how many there are.
#[test]
fn a_kind_that_is_installed_after_its_quota_is_counted() -> Outcome {
    let outcome = with_namespace("quota-custom", async |ns| {
        let looms = Looms::of(&ns);
        let name = format!("count/{}", looms.name());
        ns.create::<ResourceQuota>(quota("all", json!({ &name: "1" }), json!({})))
            .await?;
        let known = |quota: &ResourceQuota| quota.status.as_ref().is_some_and(|s| s.hard.is_some());
        ns.until("all", "is seen", known).await?;
        let create = async |name: &str| {
            let loom = json!({ "metadata": { "name": name } });
            looms.create(loom).await
        };
        let story = async || {
            let patience = Duration::from_mins(1);
            within(patience, "an object of the kind is let in", async || {
                create("a").await
            })
            .await?;
            uses(&ns, "all", &[(&name, "1")]).await?;
            let refusal = create("b").await.err().context("the second was let in")?;
            ensure!(
                refusal.to_string().contains("exceeded quota: all"),
                "{refusal}"
            );
            looms.api.delete("a", &DeleteParams::default()).await?;
            uses(&ns, "all", &[(&name, "0")]).await
        };
        looms.installed(story).await
    });
    upstream_fails("its late count", "is let in", outcome)
}

/// Upstream says nothing.
#[test]
fn a_limit_that_cannot_be_meant_is_told_and_written_once() -> Outcome {
    let outcome = with_namespace("quota-odd", async |ns| {
        let hard = json!({ "count/nothings.example.com": "5", "count/secrets": "5" });
        let odd = quota("odd", hard, json!({ "scopes": ["Terminating"] }));
        ns.create::<ResourceQuota>(odd).await?;
        let field = "spec.hard[count/nothings.example.com]";
        ns.event("odd", "UnknownResource", field).await?;
        ns.event("odd", "UnsupportedScope", "spec.hard[count/secrets]")
            .await?;
        ns.create::<Secret>(map("one")).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let quota = ns.get::<ResourceQuota>("odd").await?;
        ensure!(
            differs(&quota, &[("count/secrets", "0")]).is_none(),
            "{quota:?}"
        );
        let writes = ns.writes()?;
        let about = writes
            .iter()
            .filter(|w| format!("{w:?}").contains("resourcequotas"))
            .count();
        ensure!(about <= 2, "{about} writes");
        Ok(())
    });
    upstream_fails("its silence", "event UnknownResource", outcome)
}

/// The API server itself refuses what is plainly wrong.
#[test]
fn quotas_that_make_no_sense_are_refused() -> Outcome {
    with_namespace("quota-refused", async |ns| {
        let refused = async |hard: Value, more: Value, why: &str| {
            let manifest = serde_json::from_value(quota("bad", hard, more))?;
            let quotas = ns.api::<ResourceQuota>();
            let answer = quotas.create(&PostParams::default(), &manifest).await;
            let error = answer.err().context("it was taken")?;
            ensure!(error.to_string().contains(why), "{error}");
            anyhow::Ok(())
        };
        refused(
            json!({ "pods": "-1" }),
            json!({}),
            "must be greater than or equal to 0",
        )
        .await?;
        refused(json!({ "pods": "1.5" }), json!({}), "must be an integer").await?;
        let scopes = json!({ "scopes": ["BestEffort", "NotBestEffort"] });
        refused(json!({ "pods": "1" }), scopes, "conflicting scopes").await?;
        let scopes = json!({ "scopes": ["BestEffort"] });
        refused(json!({ "requests.cpu": "1" }), scopes, "unsupported scope").await?;
        // As large as can be.
        let huge =
            json!({ "requests.memory": "9223372036854775807", "pods": "9223372036854775807" });
        limit(&ns, "huge", huge, json!({})).await?;
        ns.create::<Pod>(asking(
            "a",
            json!({ "memory": "4Ei", "cpu": "1" }),
            json!({}),
        ))
        .await?;
        ns.create::<Deployment>(replica_set("web", 0)).await?;
        uses(&ns, "huge", &[("requests.memory", "4Ei"), ("pods", "1")]).await
    })
}
