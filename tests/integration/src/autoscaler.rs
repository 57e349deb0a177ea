//! The HorizontalPodAutoscaler controller, and what it measures by: `metrics.k8s.io` of hollow nodes.
//!
//! Upstream looks at an autoscaler 15 s after its creation for the first time, so these tests take their time.

use crate::looms::Looms;
use crate::manifest::{is_complete, is_ready, replica_set, spec};
use anyhow::{Context, Result, ensure};
use cluster::{Namespace, Outcome, eventually, with_namespace};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

/// A workload whose pods request 100m each and carry `load` together.
fn loaded(name: &str, replicas: i32, load: &str) -> Value {
    let mut set = replica_set(name, replicas);
    let template = &mut set["spec"]["template"];
    template["metadata"]["annotations"] = json!({ "hollow.corten.dev/cpu-shared": load });
    template["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "100m" } });
    set
}

/// An autoscaler of the object of its name: CPU at 50 %, 1 to 5 replicas.
fn autoscaler(kind: &str, name: &str, more: Value) -> Value {
    let mut hpa = json!({
        "metadata": { "name": name },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": kind, "name": name },
            "minReplicas": 1, "maxReplicas": 5,
            "metrics": [{ "type": "Resource", "resource": {
                "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 },
            }}],
        },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        hpa["spec"][key] = value.clone();
    }
    hpa
}

/// Status, reason and message of a condition.
fn condition(hpa: &HorizontalPodAutoscaler, kind: &str) -> Option<(String, String, String)> {
    let conditions = hpa.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|c| c.type_ == kind)?;
    Some((
        found.status.clone(),
        found.reason.clone().unwrap_or_default(),
        found.message.clone().unwrap_or_default(),
    ))
}

fn says(hpa: &HorizontalPodAutoscaler, kind: &str, holds: &str, reason: &str) -> bool {
    condition(hpa, kind).is_some_and(|(status, why, _)| status == holds && why == reason)
}

/// Waits for something that may need two looks at the autoscaler.
pub(crate) async fn patiently(
    ns: &Namespace,
    name: &str,
    what: &str,
    is: impl Fn(&HorizontalPodAutoscaler) -> bool,
) -> Result<HorizontalPodAutoscaler> {
    match ns.until(name, what, &is).await {
        Ok(hpa) => Ok(hpa),
        Err(_) => ns.until(name, what, &is).await,
    }
}

#[test]
fn what_nodes_and_pods_use_is_served_by_the_api_server() -> Outcome {
    with_namespace("hpa-top", async |ns| {
        ns.create::<ReplicaSet>(loaded("web", 2, "300m")).await?;
        ns.until("web", "has 2 pods", is_ready).await?;
        let ask = async |path: String| -> Result<Value> {
            let request = http::Request::get(path).body(Vec::new())?;
            Ok(ns.client().request(request).await?)
        };
        eventually("pods are measured", async || {
            let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods", ns.name());
            let list = ask(path).await?;
            let items = list["items"].as_array().context("items")?;
            ensure!(items.len() == 2, "{list}");
            ensure!(
                items[0]["containers"][0]["usage"]["cpu"] == "150m",
                "{list}"
            );
            Ok(())
        })
        .await?;
        let nodes = ask("/apis/metrics.k8s.io/v1beta1/nodes".to_owned()).await?;
        ensure!(nodes["items"][0]["metadata"]["name"] == "node-0", "{nodes}");
        ensure!(nodes["items"][0]["usage"]["memory"].is_string(), "{nodes}");
        Ok(())
    })
}

#[test]
fn load_above_the_target_makes_more_replicas_until_it_is_met() -> Outcome {
    with_namespace("hpa-up", async |ns| {
        ns.create::<Deployment>(loaded("web", 1, "160m")).await?;
        ns.until("web", "is complete", is_complete).await?;
        ns.create::<HorizontalPodAutoscaler>(autoscaler("Deployment", "web", json!({})))
            .await?;
        // 160 % of one request are 3.2 times what it should be.
        let grows = |web: &Deployment| web.spec.as_ref().and_then(|s| s.replicas) == Some(4);
        ns.until("web", "has 4 replicas", grows).await?;
        ns.event(
            "web",
            "SuccessfulRescale",
            "New size: 4; reason: cpu resource utilization (percentage of request) above target",
        )
        .await?;
        let settled = |hpa: &HorizontalPodAutoscaler| {
            let status = hpa.status.clone().unwrap_or_default();
            says(hpa, "AbleToScale", "True", "ReadyForNewScale")
                && status.current_replicas == Some(4)
                && status.desired_replicas == 4
                && status.last_scale_time.is_some()
        };
        let hpa = patiently(&ns, "web", "is settled", settled).await?;
        ensure!(says(&hpa, "ScalingActive", "True", "ValidMetricFound"));
        ensure!(says(&hpa, "ScalingLimited", "False", "DesiredWithinRange"));
        let metrics = hpa
            .status
            .context("status")?
            .current_metrics
            .context("metrics")?;
        let current = &metrics[0].resource.as_ref().context("resource")?.current;
        ensure!(current.average_utilization == Some(40), "{current:?}");
        ensure!(current.average_value.as_ref().map(|v| v.0.as_str()) == Some("40m"));
        Ok(())
    })
}

#[test]
fn the_bounds_hold_without_any_metric() -> Outcome {
    with_namespace("hpa-bounds", async |ns| {
        ns.create::<ReplicaSet>(replica_set("web", 4)).await?;
        ns.until("web", "has 4 pods", is_ready).await?;
        let bounds = json!({ "maxReplicas": 2 });
        ns.create::<HorizontalPodAutoscaler>(autoscaler("ReplicaSet", "web", bounds))
            .await?;
        let two = |web: &ReplicaSet| web.spec.as_ref().and_then(|s| s.replicas) == Some(2);
        ns.until("web", "has 2 replicas", two).await?;
        let text = "New size: 2; reason: Current number of replicas above Spec.MaxReplicas";
        ns.event("web", "SuccessfulRescale", text).await?;
        Ok(())
    })
}

#[test]
fn a_policy_limits_how_fast_it_grows() -> Outcome {
    with_namespace("hpa-rate", async |ns| {
        ns.create::<ReplicaSet>(loaded("web", 1, "500m")).await?;
        ns.until("web", "has a pod", is_ready).await?;
        let rate = json!({ "behavior": { "scaleUp": {
            "policies": [{ "type": "Pods", "value": 1, "periodSeconds": 600 }],
        }}});
        ns.create::<HorizontalPodAutoscaler>(autoscaler("ReplicaSet", "web", rate))
            .await?;
        let two = |web: &ReplicaSet| web.spec.as_ref().and_then(|s| s.replicas) == Some(2);
        ns.until("web", "has 2 replicas", two).await?;
        let held = |hpa: &HorizontalPodAutoscaler| {
            says(hpa, "ScalingLimited", "True", "ScaleUpLimit")
                && says(hpa, "AbleToScale", "True", "ReadyForNewScale")
        };
        patiently(&ns, "web", "is limited", held).await?;
        ensure!(two(&ns.get("web").await?));
        Ok(())
    })
}

#[test]
fn idle_pods_go_when_the_window_is_over() -> Outcome {
    with_namespace("hpa-down", async |ns| {
        ns.create::<Deployment>(loaded("web", 3, "90m")).await?;
        ns.until("web", "is complete", is_complete).await?;
        let now = json!({ "behavior": { "scaleDown": { "stabilizationWindowSeconds": 0 } } });
        ns.create::<HorizontalPodAutoscaler>(autoscaler("Deployment", "web", now))
            .await?;
        // 30 % of each request is 0.6 of what it should be: 1.8 of 3.
        let two = |web: &Deployment| web.spec.as_ref().and_then(|s| s.replicas) == Some(2);
        ns.until("web", "has 2 replicas", two).await?;
        let text = "New size: 2; reason: All metrics below target";
        ns.event("web", "SuccessfulRescale", text).await?;
        Ok(())
    })
}

#[test]
fn what_is_scaled_to_nothing_is_left_alone() -> Outcome {
    with_namespace("hpa-zero", async |ns| {
        ns.create::<ReplicaSet>(replica_set("web", 0)).await?;
        ns.create::<HorizontalPodAutoscaler>(autoscaler("ReplicaSet", "web", json!({})))
            .await?;
        let disabled =
            |hpa: &HorizontalPodAutoscaler| says(hpa, "ScalingActive", "False", "ScalingDisabled");
        patiently(&ns, "web", "is disabled", disabled).await?;
        Ok(())
    })
}

#[test]
fn a_target_that_is_not_there_is_told() -> Outcome {
    with_namespace("hpa-lost", async |ns| {
        ns.create::<HorizontalPodAutoscaler>(autoscaler("Deployment", "web", json!({})))
            .await?;
        let other =
            json!({ "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Loom", "name": "web" } });
        ns.create::<HorizontalPodAutoscaler>(autoscaler("Deployment", "other", other))
            .await?;
        let lost =
            |hpa: &HorizontalPodAutoscaler| says(hpa, "AbleToScale", "False", "FailedGetScale");
        let hpa = patiently(&ns, "web", "has no target", lost).await?;
        let (.., message) = condition(&hpa, "AbleToScale").context("AbleToScale")?;
        let text = "deployments.apps \"web\" not found";
        ensure!(
            message
                == format!(
                    "the HPA controller was unable to get the target's current scale: {text}"
                ),
            "{message}"
        );
        ns.event("web", "FailedGetScale", text).await?;
        let hpa = patiently(&ns, "other", "has no target", lost).await?;
        let (.., message) = condition(&hpa, "AbleToScale").context("AbleToScale")?;
        ensure!(
            message.contains("no matches for kind \"Loom\""),
            "{message}"
        );
        Ok(())
    })
}

#[test]
fn metrics_that_cannot_be_had_are_told() -> Outcome {
    with_namespace("hpa-blind", async |ns| {
        ns.create::<ReplicaSet>(replica_set("web", 1)).await?;
        ns.until("web", "has a pod", is_ready).await?;
        ns.create::<HorizontalPodAutoscaler>(autoscaler("ReplicaSet", "web", json!({})))
            .await?;
        let pods = ns.list::<Pod>("app=web").await?;
        let text = format!(
            "missing request for cpu in container main of Pod {}",
            pods[0].name_any()
        );
        let blind = |hpa: &HorizontalPodAutoscaler| {
            condition(hpa, "ScalingActive").is_some_and(|(holds, reason, message)| {
                holds == "False" && reason == "FailedGetResourceMetric" && message.ends_with(&text)
            })
        };
        patiently(&ns, "web", "has no request", blind).await?;
        ns.event("web", "FailedComputeMetricsReplicas", &text)
            .await?;

        let outside = spec(json!({ "metrics": [{ "type": "External", "external": {
            "metric": { "name": "queue" },
            "target": { "type": "Value", "value": "5" },
        }}]}));
        ns.merge::<HorizontalPodAutoscaler>("web", outside).await?;
        let reason = "FailedGetExternalMetric";
        let blind = |hpa: &HorizontalPodAutoscaler| says(hpa, "ScalingActive", "False", reason);
        let hpa = patiently(&ns, "web", "has no adapter", blind).await?;
        let (.., message) = condition(&hpa, "ScalingActive").context("ScalingActive")?;
        let text = "unable to fetch metrics from external metrics API: the server could not find the requested resource";
        ensure!(message.contains(text), "{message}");
        Ok(())
    })
}

#[test]
fn two_autoscalers_of_the_same_pods_stand_still() -> Outcome {
    with_namespace("hpa-rivals", async |ns| {
        ns.create::<ReplicaSet>(loaded("web", 1, "20m")).await?;
        ns.until("web", "has a pod", is_ready).await?;
        for name in ["one", "two"] {
            let target = json!({
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web" },
            });
            ns.create::<HorizontalPodAutoscaler>(autoscaler("ReplicaSet", name, target))
                .await?;
        }
        let torn = |hpa: &HorizontalPodAutoscaler| {
            says(hpa, "ScalingActive", "False", "AmbiguousSelector")
        };
        for name in ["one", "two"] {
            let hpa = patiently(&ns, name, "has a rival", torn).await?;
            let (.., message) = condition(&hpa, "ScalingActive").context("ScalingActive")?;
            let text = "pods by selector app=web are controlled by multiple HPAs: [";
            ensure!(message.starts_with(text), "{message}");
        }
        Ok(())
    })
}

#[test]
fn a_custom_resource_is_scaled_through_its_scale() -> Outcome {
    with_namespace("hpa-custom", async |ns| {
        let looms = Looms::of(&ns);
        looms.installed(async || custom(&ns, &looms).await).await
    })
}

async fn custom(ns: &Namespace, looms: &Looms) -> Result<()> {
    let loom = json!({ "metadata": { "name": "web" }, "spec": { "replicas": 1 } });
    eventually("the kind is served", async || {
        looms.create(loom.clone()).await
    })
    .await?;
    let status = json!({ "replicas": 1, "selector": "app=web" });
    looms.says("web", status).await?;
    let mut pod = loaded("web", 1, "0")["spec"]["template"].clone();
    pod["metadata"]["name"] = "web-1".into();
    pod["metadata"]["annotations"] = json!({ "hollow.corten.dev/cpu": "150m" });
    ns.create::<Pod>(pod).await?;
    ns.until("web-1", "is ready", |pod: &Pod| {
        let status = pod.status.as_ref();
        let conditions = status
            .and_then(|s| s.conditions.as_deref())
            .unwrap_or_default();
        conditions
            .iter()
            .any(|c| c.type_ == "Ready" && c.status == "True")
    })
    .await?;
    let target = json!({
        "scaleTargetRef": { "apiVersion": looms.version, "kind": "Loom", "name": "web" },
    });
    ns.create::<HorizontalPodAutoscaler>(autoscaler("Loom", "web", target))
        .await?;
    let grown = async || {
        let loom = looms.api.get("web").await?;
        ensure!(loom.data["spec"]["replicas"] == 3, "{}", loom.data);
        Ok(())
    };
    match eventually("the loom has 3 replicas", grown).await {
        Ok(()) => Ok(()),
        Err(_) => eventually("the loom has 3 replicas", grown).await,
    }
}
