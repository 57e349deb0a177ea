//! Bugs of upstream's that people have reported or its source shows: ours must not have them.

use crate::manifest::{deployment, is_complete, is_ready, pod, replica_set, spec, version};
use anyhow::{Context, Result, ensure};
use cluster::{Namespace, Outcome, eventually, upstream_fails, with_namespace};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::time::Duration;

/// kubernetes#72593: a pod that its node refuses is replaced at once, for ever.
#[test]
fn pods_that_their_node_refuses_are_replaced_ever_more_slowly() -> Outcome {
    let outcome = with_namespace("known-storm", async |ns| {
        let port = json!([{ "containerPort": 21018, "hostPort": 21018 }]);
        let mut blocker = pod("blocker", "blocker");
        blocker["spec"]["nodeName"] = json!("node-1");
        blocker["spec"]["containers"][0]["ports"] = port.clone();
        ns.create::<Pod>(blocker).await?;
        let runs =
            |pod: &Pod| pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running");
        ns.until("blocker", "runs", runs).await?;
        let mut set = replica_set("web", 1);
        set["spec"]["template"]["spec"]["nodeName"] = json!("node-1");
        set["spec"]["template"]["spec"]["containers"][0]["ports"] = port;
        ns.create::<ReplicaSet>(set).await?;
        tokio::time::sleep(Duration::from_secs(10)).await;
        ns.merge::<ReplicaSet>("web", spec(json!({ "replicas": 0 })))
            .await?;
        let writes = ns.writes()?;
        let created = writes
            .iter()
            .filter(|w| w.verb == "create" && w.resource == "pods");
        let created = created.count();
        println!("{created} pods were made");
        ensure!(created > 1, "none was replaced");
        ensure!(created <= 10, "{created} pods in ten seconds");
        Ok(())
    });
    upstream_fails("kubernetes#72593", "pods in ten seconds", outcome)
}

/// kubernetes#138840: a size that was noted before is taken for a change of size, for ever.
#[test]
fn a_size_that_is_noted_wrongly_does_not_hold_a_rollout_up() -> Outcome {
    let outcome = with_namespace("known-size", async |ns| {
        ns.create::<Deployment>(deployment("web", 2)).await?;
        ns.until("web", "is complete", is_complete).await?;
        let set = ns.list::<ReplicaSet>("app=web").await?.remove(0).name_any();
        let stale = json!({ "deployment.kubernetes.io/desired-replicas": "3" });
        ns.merge::<ReplicaSet>(&set, json!({ "metadata": { "annotations": stale } }))
            .await?;
        ns.merge::<Deployment>("web", version("2")).await?;
        ns.until("web", "is complete", is_complete).await?;
        Ok(())
    });
    upstream_fails("kubernetes#138840", "web is complete", outcome)
}

/// kubernetes#128798: the end of the last pod that runs is not noticed when a pod that has ended is beside it. Upstream
/// notices it since ReplicaSets count pods that terminate.
#[test]
fn a_pod_that_has_ended_does_not_hold_a_recreation_up() -> Outcome {
    with_namespace("known-ended", async |ns| {
        let mut web = deployment("web", 1);
        web["spec"]["strategy"] = json!({ "type": "Recreate" });
        let template = &mut web["spec"]["template"];
        template["spec"]["terminationGracePeriodSeconds"] = json!(10);
        template["metadata"]["annotations"] = json!({ "hollow.corten.dev/stop-after": "2s" });
        ns.create::<Deployment>(web).await?;
        ns.until("web", "is complete", is_complete).await?;
        let set = ns.list::<ReplicaSet>("app=web").await?.remove(0);
        // No node has it, so it stays as it is. It is the set's when it has ended, so that it does not count.
        let mut ended = pod("ended", "ended");
        ended["spec"]["schedulingGates"] = json!([{ "name": "example.com/never" }]);
        ns.create::<Pod>(ended).await?;
        ns.merge_status::<Pod>("ended", json!({ "phase": "Failed" }))
            .await?;
        let template = set.spec.clone().and_then(|spec| spec.template?.metadata);
        let owner = json!([{
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": set.name_any(), "uid": set.uid(), "controller": true,
        }]);
        let labels = template.and_then(|m| m.labels).context("labels")?;
        let of_set = json!({ "metadata": { "labels": labels, "ownerReferences": owner } });
        ns.merge::<Pod>("ended", of_set).await?;
        ns.until::<ReplicaSet>(&set.name_any(), "has its pod", is_ready)
            .await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        ns.merge::<Deployment>("web", version("2")).await?;
        ns.until("web", "is complete", is_complete).await?;
        Ok(())
    })
}

/// Upstream forgets a Deployment whose old ReplicaSet it could not make smaller (`reconcileOldReplicaSets`).
#[test]
fn a_refusal_at_the_end_of_a_rollout_is_overcome() -> Outcome {
    let outcome = with_namespace("known-refusal", async |ns| {
        let name = ns.name().to_owned();
        let policies: Api<ValidatingAdmissionPolicy> = Api::all(ns.client());
        let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(ns.client());
        let outcome = refusal(&ns, &policies, &bindings).await;
        let gone = DeleteParams::default();
        // It may be gone.
        drop(bindings.delete(&name, &gone).await);
        drop(policies.delete(&name, &gone).await);
        outcome
    });
    upstream_fails(
        "the swallowed error of reconcileOldReplicaSets",
        "web is complete",
        outcome,
    )
}

async fn refusal(
    ns: &Namespace,
    policies: &Api<ValidatingAdmissionPolicy>,
    bindings: &Api<ValidatingAdmissionPolicyBinding>,
) -> Result<()> {
    let mut web = deployment("web", 1);
    web["spec"]["strategy"] =
        json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } });
    ns.create::<Deployment>(web).await?;
    ns.until("web", "is complete", is_complete).await?;
    let set = ns.list::<ReplicaSet>("app=web").await?.remove(0).name_any();

    let policy = json!({
        "metadata": { "name": ns.name() },
        "spec": {
            "matchConstraints": { "resourceRules": [{
                "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["replicasets"], "operations": ["UPDATE"],
            }]},
            "validations": [{ "expression": "object.spec.replicas >= oldObject.spec.replicas" }],
        },
    });
    let post = PostParams::default();
    policies
        .create(&post, &serde_json::from_value(policy)?)
        .await?;
    let here = json!({ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": ns.name() } } });
    let binding = json!({
        "metadata": { "name": ns.name() },
        "spec": { "policyName": ns.name(), "validationActions": ["Deny"], "matchResources": here },
    });
    bindings
        .create(&post, &serde_json::from_value(binding)?)
        .await?;
    let sets = ns.api::<ReplicaSet>();
    let smaller = async || {
        let params = PatchParams {
            dry_run: true,
            ..PatchParams::default()
        };
        let none: Value = spec(json!({ "replicas": 0 }));
        sets.patch(&set, &params, &Patch::Merge(&none))
            .await
            .is_ok()
    };
    eventually("the policy is in force", async || {
        ensure!(!smaller().await, "a ReplicaSet could be made smaller");
        Ok(())
    })
    .await?;

    ns.merge::<Deployment>("web", version("2")).await?;
    let both = |web: &Deployment| {
        let status = web.status.clone().unwrap_or_default();
        status.available_replicas == Some(2) && status.updated_replicas == Some(1)
    };
    ns.until("web", "has an old and a new pod", both).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    bindings.delete(ns.name(), &DeleteParams::default()).await?;
    eventually("the policy is gone", async || {
        ensure!(smaller().await, "no ReplicaSet can be made smaller");
        Ok(())
    })
    .await?;
    ns.until("web", "is complete", is_complete).await?;
    Ok(())
}
