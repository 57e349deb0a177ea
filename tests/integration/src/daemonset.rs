//! The DaemonSet controller, on nodes of the tests' own.

use crate::manifest::{UNPULLABLE, image, living, pod, spec, template, uid, version};
use anyhow::{Context, Result, ensure};
use cluster::{Namespace, Outcome, eventually, upstream_fails, with_namespace};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const REVISION: &str = "controller-revision-hash";

/// Nodes of one test: other pods are kept off them by a taint with the namespace's name.
struct Nodes {
    api: Api<Node>,
    test: String,
}

impl Nodes {
    fn of(ns: &Namespace) -> Self {
        Self {
            api: Api::all(ns.client()),
            test: ns.name().to_owned(),
        }
    }

    fn name(&self, n: usize) -> String {
        format!("{}-{n}", self.test)
    }

    /// Adds the nth one, and waits for it to be ready.
    async fn add(&self, n: usize) -> Result<()> {
        let name = self.name(n);
        let has = json!({ "cpu": "8", "memory": "8Gi", "pods": "20" });
        let node: Node = serde_json::from_value(json!({
            "metadata": {
                "name": name,
                "labels": { "test": self.test },
                "annotations": { "kwok.x-k8s.io/node": "fake" },
            },
            "spec": { "taints": [self.own()] },
            "status": { "capacity": has, "allocatable": has },
        }))?;
        self.api.create(&PostParams::default(), &node).await?;
        eventually("the node of the test is ready", async || {
            let node = self.api.get(&name).await?;
            let taints = node.spec.and_then(|s| s.taints).unwrap_or_default();
            ensure!(taints.len() == 1, "{taints:?}");
            Ok(())
        })
        .await
    }

    async fn remove(&self, n: usize) -> Result<()> {
        self.api
            .delete(&self.name(n), &DeleteParams::default())
            .await?;
        Ok(())
    }

    fn own(&self) -> Value {
        json!({ "key": "test", "value": self.test, "effect": "NoSchedule" })
    }

    /// Gives the nth one a taint with this effect besides its own, or none.
    async fn taint(&self, n: usize, effect: Option<&str>) -> Result<()> {
        let mut taints = vec![self.own()];
        taints.extend(effect.map(|effect| json!({ "key": "trouble", "effect": effect })));
        self.change(n, json!({ "spec": { "taints": taints } }))
            .await
    }

    async fn change(&self, n: usize, patch: Value) -> Result<()> {
        let params = PatchParams::default();
        self.api
            .patch(&self.name(n), &params, &Patch::Merge(patch))
            .await?;
        Ok(())
    }
}

/// A DaemonSet `web` for the nodes of the test; `more` is merged into its spec.
fn web(nodes: &Nodes, more: Value) -> Value {
    let mut manifest = json!({
        "metadata": { "name": "web", "labels": { "app": "web" }, "annotations": { "team": "blue" } },
        "spec": { "selector": { "matchLabels": { "app": "web" } }, "template": template("web") },
    });
    let pods = &mut manifest["spec"]["template"]["spec"];
    pods["nodeSelector"] = json!({ "test": nodes.test });
    pods["tolerations"] = json!([{ "key": "test", "operator": "Exists", "effect": "NoSchedule" }]);
    for (key, value) in more.as_object().into_iter().flatten() {
        manifest["spec"][key] = value.clone();
    }
    manifest
}

fn surging() -> Value {
    json!({ "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } } })
}

/// Runs a test with so many nodes of its own.
fn with_nodes(
    name: &str,
    count: usize,
    test: impl AsyncFnOnce(Namespace, &Nodes) -> Result<()>,
) -> Outcome {
    with_namespace(name, async |ns| {
        let nodes = Nodes::of(&ns);
        for n in 0..count {
            nodes.add(n).await?;
        }
        let outcome = test(ns.clone(), &nodes).await;
        drop(ns.delete::<DaemonSet>("web").await);
        for n in 0..5 {
            drop(nodes.remove(n).await);
        }
        outcome
    })
}

fn status(set: &DaemonSet) -> DaemonSetStatus {
    set.status.clone().unwrap_or_default()
}

/// Whether so many nodes have an available pod made from the current template.
fn runs_on(count: i32) -> impl Fn(&DaemonSet) -> bool {
    move |set| {
        let status = status(set);
        status.observed_generation == set.metadata.generation
            && status.desired_number_scheduled == count
            && status.current_number_scheduled == count
            && status.number_ready == count
            && status.number_available.unwrap_or(0) == count
            && status.updated_number_scheduled.unwrap_or(0) == count
            && status.number_unavailable.unwrap_or(0) == 0
    }
}

fn node_of(pod: &Pod) -> String {
    pod.spec
        .as_ref()
        .and_then(|s| s.node_name.clone())
        .unwrap_or_default()
}

fn hash(pod: &Pod) -> String {
    pod.labels().get(REVISION).cloned().unwrap_or_default()
}

async fn pods(ns: &Namespace) -> Result<Vec<Pod>> {
    ns.list::<Pod>("app=web").await
}

/// The UIDs of the pods by their node.
async fn uids(ns: &Namespace) -> Result<BTreeMap<String, String>> {
    let pods = pods(ns).await?;
    Ok(living(&pods)
        .iter()
        .map(|pod| (node_of(pod), uid(*pod)))
        .collect())
}

async fn revisions(ns: &Namespace) -> Result<Vec<ControllerRevision>> {
    let mut revisions = ns.list::<ControllerRevision>("app=web").await?;
    revisions.sort_by_key(|revision| revision.revision);
    Ok(revisions)
}

#[test]
fn each_node_has_one_pod_that_is_bound_to_it_by_its_name() -> Outcome {
    with_nodes("ds-each", 3, async |ns, nodes| {
        ns.create::<DaemonSet>(web(nodes, json!({}))).await?;
        let web = ns.until("web", "runs on 3 nodes", runs_on(3)).await?;
        let pods = pods(&ns).await?;
        let on: BTreeSet<_> = pods.iter().map(node_of).collect();
        ensure!(pods.len() == 3 && on.len() == 3, "{on:?}");
        let recorded = revisions(&ns).await?;
        ensure!(recorded.len() == 1, "{} revisions", recorded.len());
        for pod in &pods {
            let owner = &pod.owner_references()[0];
            ensure!(owner.uid == uid(&web) && owner.kind == "DaemonSet");
            ensure!(pod.metadata.generate_name.as_deref() == Some("web-"));
            ensure!(Some(&hash(pod)) == recorded[0].labels().get(REVISION));
            ensure!(pod.labels()["pod-template-generation"] == "1");
            let made = serde_json::to_value(&pod.spec)?;
            let affinity =
                &made["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
            let named =
                json!({ "key": "metadata.name", "operator": "In", "values": [node_of(pod)] });
            ensure!(
                *affinity == json!({ "nodeSelectorTerms": [{ "matchFields": [named] }] }),
                "{affinity}"
            );
            let tolerated: Vec<_> = made["tolerations"]
                .as_array()
                .context("tolerations")?
                .iter()
                .filter_map(|t| t["key"].as_str()?.strip_prefix("node.kubernetes.io/"))
                .collect();
            let troubles = [
                "not-ready",
                "unreachable",
                "disk-pressure",
                "memory-pressure",
                "pid-pressure",
                "unschedulable",
            ];
            ensure!(tolerated == troubles, "{tolerated:?}");
        }
        ns.event("web", "SuccessfulCreate", "Created pod: web-")
            .await?;

        // What is stored is what kubectl compares with, byte for byte.
        let recorded = &recorded[0];
        let template = &web.spec.as_ref().context("spec")?.template;
        ensure!(recorded.revision == 1 && recorded.owner_references()[0].uid == uid(&web));
        ensure!(recorded.annotations()["team"] == "blue");
        let stored = recorded.data.as_ref().context("data")?;
        let wanted = objects::history::data(template);
        ensure!(stored.0 == wanted, "{} and not {wanted}", stored.0);
        Ok(())
    })
}

#[test]
fn pods_follow_nodes_labels_and_taints() -> Outcome {
    with_nodes("ds-follows", 1, async |ns, nodes| {
        ns.create::<DaemonSet>(web(nodes, json!({}))).await?;
        ns.until("web", "runs on a node", runs_on(1)).await?;
        nodes.add(1).await?;
        ns.until("web", "runs on the new node too", runs_on(2))
            .await?;

        nodes.taint(1, Some("NoExecute")).await?;
        ns.until("web", "runs on the other", runs_on(1)).await?;
        ns.until_all::<Pod>("app=web", "are 1", |pods| pods.len() == 1)
            .await?;
        nodes.taint(1, None).await?;
        ns.until("web", "runs on both", runs_on(2)).await?;

        nodes
            .change(0, json!({ "metadata": { "labels": { "test": null } } }))
            .await?;
        ns.until("web", "runs on the other", runs_on(1)).await?;
        let pods = ns
            .until_all::<Pod>("app=web", "are 1", |pods| pods.len() == 1)
            .await?;
        ensure!(node_of(&pods[0]) == nodes.name(1));
        ns.event("web", "SuccessfulDelete", "Deleted pod: web-")
            .await?;
        Ok(())
    })
}

#[test]
fn an_update_replaces_one_node_after_the_other() -> Outcome {
    with_nodes("ds-rolls", 3, async |ns, nodes| {
        ns.create::<DaemonSet>(web(nodes, json!({}))).await?;
        ns.until("web", "runs on 3 nodes", runs_on(3)).await?;
        let before = uids(&ns).await?;
        // A pod that does not come up stops it with one node without.
        ns.merge::<DaemonSet>("web", image(UNPULLABLE)).await?;
        let stuck = |set: &DaemonSet| {
            let status = status(set);
            status.updated_number_scheduled == Some(1) && status.number_unavailable == Some(1)
        };
        ns.until("web", "has updated one", stuck).await?;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let during = uids(&ns).await?;
        let kept = before
            .values()
            .filter(|uid| during.values().any(|u| u == *uid));
        ensure!(kept.count() == 2, "{before:?} {during:?}");
        Ok(())
    })
}

#[test]
fn an_undone_update_restarts_no_pod_that_has_the_old_template() -> Outcome {
    with_nodes("ds-undo", 3, async |ns, nodes| {
        ns.create::<DaemonSet>(web(nodes, json!({}))).await?;
        let first = ns.until("web", "runs on 3 nodes", runs_on(3)).await?;
        let before = uids(&ns).await?;
        ns.merge::<DaemonSet>("web", image(UNPULLABLE)).await?;
        let begun = |set: &DaemonSet| status(set).number_unavailable == Some(1);
        ns.until("web", "has begun", begun).await?;
        ns.until_all::<Pod>("app=web", "are of two revisions", |pods| {
            living(pods)
                .iter()
                .map(|pod| hash(pod))
                .collect::<BTreeSet<_>>()
                .len()
                == 2
        })
        .await?;
        // As kubectl rollout undo: the template of the first revision is put in the place of today's.
        let template = serde_json::to_value(first.spec.context("spec")?.template)?;
        ns.merge::<DaemonSet>("web", json!({ "spec": { "template": template } }))
            .await?;
        ns.until("web", "runs on 3 nodes", runs_on(3)).await?;
        let after = uids(&ns).await?;
        let kept = before
            .iter()
            .filter(|(node, uid)| after.get(*node) == Some(*uid));
        ensure!(kept.count() == 2, "{before:?} {after:?}");
        let numbers: Vec<_> = revisions(&ns).await?.iter().map(|r| r.revision).collect();
        ensure!(numbers == [2, 3], "{numbers:?}");
        Ok(())
    })
}

#[test]
fn with_surge_no_node_is_ever_without_a_ready_pod() -> Outcome {
    with_nodes("ds-surge", 2, async |ns, nodes| {
        ns.create::<DaemonSet>(web(nodes, surging())).await?;
        ns.until("web", "runs on 2 nodes", runs_on(2)).await?;
        let before = uids(&ns).await?;
        ns.merge::<DaemonSet>("web", image(UNPULLABLE)).await?;
        ns.until_all::<Pod>("app=web", "are 3", |pods| pods.len() == 3)
            .await?;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let during = pods(&ns).await?;
        let kept = before
            .values()
            .filter(|old| living(&during).iter().any(|pod| uid(*pod) == **old));
        ensure!(
            during.len() == 3 && kept.count() == 2,
            "{} pods",
            during.len()
        );

        ns.merge::<DaemonSet>("web", image(crate::manifest::IMAGE))
            .await?;
        ns.merge::<DaemonSet>("web", version("3")).await?;
        ns.until("web", "runs on 2 nodes", runs_on(2)).await?;
        ns.until_all::<Pod>("app=web", "are 2", |pods| pods.len() == 2)
            .await?;
        Ok(())
    })
}

#[test]
fn on_delete_waits_for_somebody_to_delete() -> Outcome {
    with_nodes("ds-ondelete", 2, async |ns, nodes| {
        let strategy =
            json!({ "updateStrategy": { "type": "OnDelete" }, "revisionHistoryLimit": 0 });
        ns.create::<DaemonSet>(web(nodes, strategy)).await?;
        ns.until("web", "runs on 2 nodes", runs_on(2)).await?;
        let before = uids(&ns).await?;
        ns.merge::<DaemonSet>("web", version("2")).await?;
        let seen = |set: &DaemonSet| {
            let status = status(set);
            status.observed_generation == Some(2)
                && status.updated_number_scheduled.unwrap_or(0) == 0
        };
        ns.until("web", "has seen it", seen).await?;
        ensure!(uids(&ns).await? == before);
        for pod in pods(&ns).await? {
            // A revision that a pod was made from stays, whatever the limit.
            ensure!(revisions(&ns).await?.len() == 2);
            ns.delete::<Pod>(&pod.name_any()).await?;
        }
        ns.until("web", "runs on 2 nodes", runs_on(2)).await?;
        eventually("the old revision is gone", async || {
            let left = revisions(&ns).await?;
            ensure!(left.len() == 1, "{} revisions", left.len());
            Ok(())
        })
        .await
    })
}

#[test]
fn a_failed_pod_is_replaced_and_told_of() -> Outcome {
    with_nodes("ds-failed", 1, async |ns, nodes| {
        ns.create::<DaemonSet>(web(nodes, json!({}))).await?;
        for _ in 0..2 {
            // Before that its kubelet still writes how it fares.
            ns.until("web", "runs on a node", runs_on(1)).await?;
            let pod = pods(&ns).await?.remove(0);
            ns.merge_status::<Pod>(&pod.name_any(), json!({ "phase": "Failed" }))
                .await?;
            let replaced = |pods: &[Pod]| {
                pods.len() == 1
                    && uid(&pods[0]) != uid(&pod)
                    && pods[0].name_any() != pod.name_any()
            };
            ns.until_all("app=web", "are another pod", replaced).await?;
        }
        let message = format!("Found failed daemon pod {}/web-", ns.name());
        ns.event("web", "FailedDaemonPod", &message).await?;
        ns.until("web", "runs on a node", runs_on(1)).await?;
        Ok(())
    })
}

#[test]
fn a_matching_pod_is_adopted_and_one_with_other_labels_released() -> Outcome {
    with_nodes("ds-adopts", 1, async |ns, nodes| {
        let mut stray = pod("stray", "web");
        stray["spec"]["nodeName"] = nodes.name(0).into();
        ns.create::<Pod>(stray).await?;
        let strategy = json!({ "updateStrategy": { "type": "OnDelete" } });
        let web = ns.create::<DaemonSet>(web(nodes, strategy)).await?;
        let owner = |pod: &Pod| pod.owner_references().first().map(|o| o.uid.clone());
        ns.until("stray", "has an owner", |pod: &Pod| owner(pod) == web.uid())
            .await?;
        ensure!(pods(&ns).await?.len() == 1);
        let released = json!({ "metadata": { "labels": { "app": "lab" } } });
        ns.merge::<Pod>("stray", released).await?;
        ns.until("stray", "has no owner", |pod: &Pod| owner(pod).is_none())
            .await?;
        ns.until("web", "runs on a node", runs_on(1)).await?;
        ensure!(
            ns.get::<Pod>("stray")
                .await?
                .metadata
                .deletion_timestamp
                .is_none()
        );
        Ok(())
    })
}

#[test]
fn a_pod_that_may_only_stay_is_misscheduled_at_once() -> Outcome {
    let outcome = with_nodes("ds-stays", 2, async |ns, nodes| {
        ns.create::<DaemonSet>(web(nodes, json!({}))).await?;
        ns.until("web", "runs on 2 nodes", runs_on(2)).await?;
        nodes.taint(1, Some("NoSchedule")).await?;
        let stays = |set: &DaemonSet| {
            let status = status(set);
            status.number_misscheduled == 1 && status.desired_number_scheduled == 1
        };
        ns.until("web", "has one misscheduled", stays).await?;
        ensure!(pods(&ns).await?.len() == 2);
        Ok(())
    });
    upstream_fails(
        "syncNodeUpdate's neglect of pods that may stay",
        "has one misscheduled",
        outcome,
    )
}

#[test]
fn revisions_that_are_the_same_become_one_and_old_pods_are_still_updated() -> Outcome {
    let outcome = with_nodes("ds-twins", 2, async |ns, nodes| {
        let strategy = json!({ "updateStrategy": { "type": "OnDelete" } });
        ns.create::<DaemonSet>(web(nodes, strategy)).await?;
        ns.until("web", "runs on 2 nodes", runs_on(2)).await?;
        let old = uids(&ns).await?;
        ns.merge::<DaemonSet>("web", version("2")).await?;
        let recorded = eventually("the new template is on record", async || {
            let recorded = revisions(&ns).await?;
            ensure!(recorded.len() == 2);
            Ok(recorded)
        })
        .await?;
        let mut twin = recorded[1].clone();
        twin.metadata = serde_json::from_value(json!({
            "name": "web-twin",
            "labels": { "app": "web", REVISION: "twin" },
            "ownerReferences": recorded[1].metadata.owner_references,
        }))?;
        twin.revision = 9;
        ns.create::<ControllerRevision>(serde_json::to_value(&twin)?)
            .await?;
        let rolling = json!({ "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 1 } } });
        ns.merge::<DaemonSet>("web", spec(rolling)).await?;
        ns.until_all::<Pod>("app=web", "are all new", |pods| {
            pods.len() == 2
                && pods
                    .iter()
                    .all(|pod| hash(pod) == "twin" && !old.values().any(|u| *u == uid(pod)))
        })
        .await?;
        Ok(())
    });
    upstream_fails(
        "dedupCurHistories' relabelling of old pods",
        "are all new",
        outcome,
    )
}
