//! The disruption controller, and the eviction of pods by the API server, which goes by what it writes.

use crate::manifest::{deployment, is_complete, is_ready, living, pod, replica_set, spec, uid};
use anyhow::{Context, Result, bail, ensure};
use cluster::{Cluster, Namespace, Outcome, eventually, upstream_fails, with_namespace};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::{DeleteParams, EvictParams};
use serde_json::{Value, json};
use std::time::Duration;

/// A budget for the pods with the label `app: web`.
fn budget(fields: Value) -> Value {
    let mut budget = json!({
        "metadata": { "name": "web" },
        "spec": { "selector": { "matchLabels": { "app": "web" } } },
    });
    for (name, value) in fields.as_object().into_iter().flatten() {
        budget["spec"][name] = value.clone();
    }
    budget
}

/// Allowed, healthy, desired and expected; nothing while the budget as it is has not been looked at.
fn counts(budget: &PodDisruptionBudget) -> Option<[i32; 4]> {
    let status = budget.status.as_ref()?;
    (status.observed_generation == budget.metadata.generation).then(|| {
        [
            status.disruptions_allowed.unwrap_or(0),
            status.current_healthy.unwrap_or(0),
            status.desired_healthy.unwrap_or(0),
            status.expected_pods.unwrap_or(0),
        ]
    })
}

/// Status and reason of the condition `DisruptionAllowed`.
fn condition(budget: &PodDisruptionBudget) -> Option<(String, String)> {
    let conditions = budget.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|c| c.type_ == "DisruptionAllowed")?;
    Some((condition.status.clone(), condition.reason.clone()))
}

async fn comes_to(
    ns: &Namespace,
    name: &str,
    wanted: [i32; 4],
    reason: &str,
) -> Result<PodDisruptionBudget> {
    let what = format!("comes to {wanted:?} {reason}");
    let is = |budget: &PodDisruptionBudget| {
        counts(budget) == Some(wanted) && condition(budget).is_some_and(|(_, r)| r == reason)
    };
    ns.until(name, &what, is).await
}

/// Whether the API server lets a pod go.
async fn evict(ns: &Namespace, pod: &str) -> Result<bool> {
    let client = Cluster::shared()?.plain_client()?;
    let pods: Api<Pod> = Api::namespaced(client, ns.name());
    match pods.evict(pod, &EvictParams::default()).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 429 => Ok(false),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(true),
        Err(error) => Err(error).with_context(|| format!("evict {pod}")),
    }
}

fn ago(seconds: i64) -> String {
    let now = Timestamp::now().round(jiff::Unit::Second);
    (now.unwrap_or_default() - SignedDuration::from_secs(seconds)).to_string()
}

#[test]
fn an_eviction_is_refused_while_the_budget_is_spent() -> Outcome {
    with_namespace("pdb-evict", async |ns| {
        ns.create::<PodDisruptionBudget>(budget(json!({ "minAvailable": 2 })))
            .await?;
        // Nobody replaces them.
        for name in ["a", "b", "c"] {
            ns.create::<Pod>(pod(name, "web")).await?;
        }
        let full = comes_to(&ns, "web", [1, 3, 2, 3], "SufficientPods").await?;
        ensure!(condition(&full) == Some(("True".to_owned(), "SufficientPods".to_owned())));
        ensure!(evict(&ns, "a").await?, "the first is let go");
        ensure!(!evict(&ns, "b").await?, "the second is not");
        let spent = comes_to(&ns, "web", [0, 2, 2, 2], "InsufficientPods").await?;
        ensure!(condition(&spent) == Some(("False".to_owned(), "InsufficientPods".to_owned())));
        let disrupted = spent.status.and_then(|s| s.disrupted_pods);
        let done = disrupted.is_none_or(|d| d.is_empty());
        ensure!(done, "the entry of a pod that is gone goes");
        ensure!(!evict(&ns, "b").await?, "the second is still not");

        ns.merge::<PodDisruptionBudget>("web", spec(json!({ "minAvailable": 1 })))
            .await?;
        comes_to(&ns, "web", [1, 2, 1, 2], "SufficientPods").await?;
        ensure!(evict(&ns, "b").await?, "now it is");
        ensure!(!evict(&ns, "c").await?, "the last is not");
        Ok(())
    })
}

/// What `kubectl drain` does: each pod is evicted, again and again until it is let go.
#[test]
fn a_drain_waits_for_replacements() -> Outcome {
    with_namespace("pdb-drain", async |ns| {
        ns.create::<PodDisruptionBudget>(budget(json!({ "maxUnavailable": 1 })))
            .await?;
        let mut web = deployment("web", 4);
        web["spec"]["template"]["metadata"]["annotations"] =
            json!({ "hollow.corten.dev/ready-after": "300ms" });
        ns.create::<Deployment>(web).await?;
        comes_to(&ns, "web", [1, 4, 3, 4], "SufficientPods").await?;
        let pods = ns.list::<Pod>("app=web").await?;
        let mut refused = 0;
        for pod in pods.iter().filter_map(|pod| pod.metadata.name.as_deref()) {
            eventually(&format!("{pod} is let go"), async || {
                if evict(&ns, pod).await? {
                    return Ok(());
                }
                refused += 1;
                bail!("the budget is spent");
            })
            .await?;
            let all = ns.list::<Pod>("app=web").await?;
            let is_ready = |pod: &&&Pod| {
                let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
                let mut all = conditions.into_iter().flatten();
                all.any(|c| c.type_ == "Ready" && c.status == "True")
            };
            let ready = living(&all).iter().filter(is_ready).count();
            ensure!(ready >= 3, "{ready} pods are left");
        }
        ensure!(refused > 0, "somebody had to wait");
        ns.until("web", "is complete", is_complete).await?;
        comes_to(&ns, "web", [1, 4, 3, 4], "SufficientPods").await?;
        Ok(())
    })
}

#[test]
fn a_share_is_of_what_the_deployment_wants() -> Outcome {
    with_namespace("pdb-share", async |ns| {
        ns.create::<Deployment>(deployment("web", 4)).await?;
        ns.create::<PodDisruptionBudget>(budget(json!({ "maxUnavailable": "26%" })))
            .await?;
        comes_to(&ns, "web", [2, 4, 2, 4], "SufficientPods").await?;
        ns.merge::<Deployment>("web", spec(json!({ "replicas": 8 })))
            .await?;
        comes_to(&ns, "web", [3, 8, 5, 8], "SufficientPods").await?;
        let fields = json!({ "maxUnavailable": null, "minAvailable": "51%" });
        ns.merge::<PodDisruptionBudget>("web", spec(fields)).await?;
        comes_to(&ns, "web", [3, 8, 5, 8], "SufficientPods").await?;
        Ok(())
    })
}

#[test]
fn a_budget_without_pods_allows_nothing_and_says_so() -> Outcome {
    with_namespace("pdb-empty", async |ns| {
        ns.create::<PodDisruptionBudget>(budget(json!({ "maxUnavailable": 1 })))
            .await?;
        comes_to(&ns, "web", [0, 0, 0, 0], "InsufficientPods").await?;
        ns.event("web", "NoPods", "No matching pods found").await?;
        Ok(())
    })
}

#[test]
fn pods_that_nobody_controls_are_counted_by_number_only() -> Outcome {
    with_namespace("pdb-orphans", async |ns| {
        ns.create::<Pod>(pod("a", "web")).await?;
        ns.create::<Pod>(pod("b", "web")).await?;
        ns.create::<PodDisruptionBudget>(budget(json!({ "maxUnavailable": 1 })))
            .await?;
        comes_to(&ns, "web", [0, 2, 0, 0], "InsufficientPods").await?;
        let text = "(selector: &LabelSelector{MatchLabels:map[string]string{app: web,},MatchExpressions:[]LabelSelectorRequirement{},}) were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly";
        ns.event("web", "UnmanagedPods", text).await?;
        let fields = json!({ "maxUnavailable": null, "minAvailable": 1 });
        ns.merge::<PodDisruptionBudget>("web", spec(fields)).await?;
        comes_to(&ns, "web", [1, 2, 1, 2], "SufficientPods").await?;
        Ok(())
    })
}

#[test]
fn an_owner_without_a_scale_is_named_and_nothing_may_go() -> Outcome {
    with_namespace("pdb-no-scale", async |ns| {
        let owner = ns
            .create::<ConfigMap>(json!({ "metadata": { "name": "owner" } }))
            .await?;
        let mut manifest = pod("web-1", "web");
        manifest["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid(&owner), "controller": true,
        }]);
        ns.create::<Pod>(manifest).await?;
        ns.create::<PodDisruptionBudget>(budget(json!({ "maxUnavailable": 1 })))
            .await?;
        let failed = |budget: &PodDisruptionBudget| {
            condition(budget) == Some(("False".to_owned(), "SyncFailed".to_owned()))
        };
        let failed = ns.until("web", "cannot be counted", failed).await?;
        let status = failed.status.context("status")?;
        let message = status
            .conditions
            .and_then(|c| c.first().map(|c| c.message.clone()));
        let text = "configmaps does not implement the scale subresource";
        ensure!(message.as_deref() == Some(text), "{message:?}");
        ensure!(status.disruptions_allowed.unwrap_or(0) == 0);
        let text = format!("Failed to calculate the number of expected pods: {text}");
        ns.event("web", "CalculateExpectedPodCountFailed", &text)
            .await?;
        Ok(())
    })
}

#[test]
fn an_eviction_that_came_to_nothing_is_forgotten() -> Outcome {
    with_namespace("pdb-stale", async |ns| {
        ns.create::<ReplicaSet>(replica_set("web", 2)).await?;
        ns.until("web", "has 2 pods", is_ready).await?;
        ns.create::<PodDisruptionBudget>(budget(json!({ "minAvailable": 1 })))
            .await?;
        comes_to(&ns, "web", [1, 2, 1, 2], "SufficientPods").await?;
        let pods = ns.list::<Pod>("app=web").await?;
        let name = pods[0].metadata.name.clone().context("name")?;
        let entry = json!({ "disruptedPods": { (name.clone()): ago(0) } });
        ns.merge_status::<PodDisruptionBudget>("web", entry).await?;
        comes_to(&ns, "web", [0, 1, 1, 2], "InsufficientPods").await?;
        // One of a pod that is gone, and one whose two minutes are over.
        let done = json!({ "disruptedPods": { "gone": ago(0), (name): ago(121) } });
        ns.merge_status::<PodDisruptionBudget>("web", done).await?;
        let forgotten = |budget: &PodDisruptionBudget| {
            let status = budget.status.clone().unwrap_or_default();
            status.disrupted_pods.is_none_or(|d| d.is_empty())
                && counts(budget) == Some([1, 2, 1, 2])
        };
        ns.until("web", "has forgotten both", forgotten).await?;
        Ok(())
    })
}

#[test]
fn an_announced_end_that_does_not_come_is_taken_back() -> Outcome {
    with_namespace("pdb-target", async |ns| {
        ns.create::<ReplicaSet>(replica_set("web", 1)).await?;
        ns.until("web", "has its pod", is_ready).await?;
        let pods = ns.list::<Pod>("app=web").await?;
        let name = pods[0].metadata.name.clone().context("name")?;
        let mut conditions = pods[0].status.clone().and_then(|s| s.conditions);
        let mut conditions = serde_json::to_value(conditions.take().unwrap_or_default())?;
        conditions.as_array_mut().context("conditions")?.push(json!({
            "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "m",
            "lastTransitionTime": ago(119),
        }));
        ns.merge_status::<Pod>(&name, json!({ "conditions": conditions }))
            .await?;
        let taken_back = |pod: &Pod| {
            let status = pod.status.clone().unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            conditions.iter().any(|c| {
                c.type_ == "DisruptionTarget"
                    && c.status == "False"
                    && c.reason.as_deref().unwrap_or_default().is_empty()
            })
        };
        ns.until(&name, "is not about to go", taken_back).await?;
        Ok(())
    })
}

/// Upstream tells one of the budgets of a pod of its changes (`getPdbForPod`).
#[test]
fn each_budget_of_a_pod_is_counted() -> Outcome {
    let outcome = with_namespace("pdb-many", async |ns| {
        for name in ["one", "two"] {
            ns.create::<Pod>(pod(name, "web")).await?;
            let runs =
                |pod: &Pod| pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running");
            ns.until(name, "runs", runs).await?;
        }
        let names = ["a", "b", "c", "d", "e", "f"];
        for name in names {
            let mut manifest = budget(json!({ "minAvailable": 1 }));
            manifest["metadata"]["name"] = json!(name);
            ns.create::<PodDisruptionBudget>(manifest).await?;
        }
        for name in names {
            comes_to(&ns, name, [1, 2, 1, 2], "SufficientPods").await?;
        }
        let at_once = DeleteParams::default().grace_period(0);
        ns.api::<Pod>().delete("one", &at_once).await?;
        for name in names {
            comes_to(&ns, name, [0, 1, 1, 1], "InsufficientPods").await?;
        }
        let text = format!(
            "Pod \"{}\"/\"two\" matches multiple PodDisruptionBudgets.  Chose \"a\" arbitrarily.",
            ns.name()
        );
        ns.event("two", "MultiplePodDisruptionBudgets", &text)
            .await?;
        Ok(())
    });
    upstream_fails("one budget a pod", "comes to [0, 1, 1, 1]", outcome)
}

/// Upstream looks at sizes when a pod changes, and at no other time.
#[test]
fn a_size_counts_before_its_pods_are_there() -> Outcome {
    let outcome = with_namespace("pdb-size", async |ns| {
        let mut manifest = replica_set("web", 1);
        manifest["spec"]["serviceName"] = json!("web");
        manifest["spec"]["template"]["metadata"]["annotations"] =
            json!({ "hollow.corten.dev/ready": "false" });
        ns.create::<StatefulSet>(manifest).await?;
        ns.create::<PodDisruptionBudget>(budget(json!({ "maxUnavailable": 1 })))
            .await?;
        comes_to(&ns, "web", [0, 0, 0, 1], "InsufficientPods").await?;
        // The pod runs and is not ready: the second one waits for it, and nothing happens to any pod.
        let runs =
            |pod: &Pod| pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running");
        ns.until("web-0", "runs", runs).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        ns.merge::<StatefulSet>("web", spec(json!({ "replicas": 3 })))
            .await?;
        comes_to(&ns, "web", [0, 0, 2, 3], "InsufficientPods").await?;
        Ok(())
    });
    upstream_fails(
        "sizes are looked at with pods",
        "comes to [0, 0, 2, 3]",
        outcome,
    )
}
