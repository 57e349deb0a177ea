//! The life of nodes: taints, silence, return, and the pods on them.
//!
//! The nodes are hollow ones of the tests' own, in zones of their own, on which nothing else is scheduled.

use crate::manifest::pod;
use anyhow::{Context, Result, ensure};
use cluster::{Namespace, Outcome, eventually, with_namespace, within};
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use objects::{conditions, node as nodes, pod as pods};
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than it takes to call a node silent.
const SILENCE: Duration = Duration::from_secs(100);

/// A node of a test.
struct Own {
    ns: Namespace,
    name: String,
}

impl Own {
    /// Runs `test` with a node of its own. A hollow kubelet keeps it if it is `alive`.
    async fn with(
        ns: Namespace,
        alive: bool,
        test: impl AsyncFnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        let name = format!("node-of-{}", ns.name());
        let kept = if alive {
            json!({ "kwok.x-k8s.io/node": "fake" })
        } else {
            json!({})
        };
        let node = serde_json::from_value(json!({
            "metadata": {
                "name": name, "annotations": kept,
                "labels": { "topology.kubernetes.io/zone": name, "kubernetes.io/os": "linux" },
            },
            "spec": { "taints": [{ "key": "test", "effect": "NoSchedule" }] },
        }))?;
        let own = Self { ns, name };
        own.api().create(&PostParams::default(), &node).await?;
        let outcome = async {
            if alive {
                own.until("is ready", |node| {
                    nodes::is_ready(node) && taints(node).is_empty()
                })
                .await?;
            }
            test(&own).await
        };
        let outcome = outcome.await;
        drop(own.api().delete(&own.name, &DeleteParams::default()).await);
        outcome
    }

    fn api(&self) -> Api<Node> {
        Api::all(self.ns.client())
    }

    async fn merge(&self, patch: Value) -> Result<Node> {
        let patch = Patch::Merge(patch);
        Ok(self
            .api()
            .patch(&self.name, &PatchParams::default(), &patch)
            .await?)
    }

    /// Says of the node what a kubelet would.
    async fn post(&self, conditions: &[(&str, &str)]) -> Result<()> {
        let conditions: Vec<_> = conditions
            .iter()
            .map(|(kind, status)| json!({ "type": kind, "status": status, "reason": "Test", "message": "a test" }))
            .collect();
        let patch = Patch::Merge(json!({ "status": { "conditions": conditions } }));
        self.api()
            .patch_status(&self.name, &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    async fn cut(&self, silent: bool) -> Result<()> {
        let silent = if silent { json!("true") } else { Value::Null };
        self.merge(
            json!({ "metadata": { "annotations": { "hollow.corten.dev/silent": silent } } }),
        )
        .await?;
        Ok(())
    }

    async fn taint(&self, key: &str) -> Result<()> {
        let mut list = self
            .api()
            .get(&self.name)
            .await?
            .spec
            .and_then(|s| s.taints)
            .unwrap_or_default();
        list.retain(|taint| taint.effect != "NoExecute");
        let mut list = json!(list);
        if let (false, Some(list)) = (key.is_empty(), list.as_array_mut()) {
            list.push(json!({ "key": key, "effect": "NoExecute" }));
        }
        self.merge(json!({ "spec": { "taints": list } })).await?;
        Ok(())
    }

    async fn until(&self, what: &str, is: impl Fn(&Node) -> bool) -> Result<Node> {
        let what = format!("{} {what}", self.name);
        within(SILENCE, &what, async || {
            let node = self.api().get(&self.name).await?;
            ensure!(
                is(&node),
                "{:?} {:?}",
                taints(&node),
                node.status.and_then(|s| s.conditions)
            );
            Ok(node)
        })
        .await
    }

    async fn until_tainted(&self, wanted: &[&str]) -> Result<Node> {
        self.until(&format!("has the taints {wanted:?}"), |node| {
            taints(node) == wanted
        })
        .await
    }

    /// Runs a pod on it that tolerates a taint.
    async fn run(&self, name: &str, key: &str, seconds: Option<u32>) -> Result<()> {
        let mut pod = pod(name, name);
        pod["spec"]["nodeName"] = json!(self.name);
        let mut toleration = json!({ "key": key, "operator": "Exists", "effect": "NoExecute" });
        if let Some(seconds) = seconds {
            toleration["tolerationSeconds"] = seconds.into();
        }
        pod["spec"]["tolerations"] = json!([toleration]);
        self.ns.create::<Pod>(pod).await?;
        self.ns
            .until::<Pod>(name, "is ready", pods::is_ready)
            .await?;
        Ok(())
    }

    async fn event(&self, reason: &str, message: &str) -> Result<()> {
        eventually(&format!("event {reason}: {message}"), async || {
            let api: Api<Event> = Api::namespaced(self.ns.client(), "default");
            let params =
                ListParams::default().fields(&format!("involvedObject.name={}", self.name));
            let events = api.list(&params).await?;
            let told: Vec<_> = events
                .iter()
                .map(|e| (e.reason.as_deref(), e.message.as_deref()))
                .collect();
            ensure!(told.contains(&(Some(reason), Some(message))), "{told:?}");
            Ok(())
        })
        .await
    }
}

/// The taints that are not the test's, `key:effect` without the prefix, sorted.
fn taints(node: &Node) -> Vec<String> {
    let others = nodes::taints(node)
        .iter()
        .filter(|taint| taint.key != "test");
    let mut taints: Vec<_> = others
        .map(|t| {
            format!(
                "{}:{}",
                t.key.trim_start_matches("node.kubernetes.io/"),
                t.effect
            )
        })
        .collect();
    taints.sort();
    taints
}

async fn gone(ns: &Namespace, name: &str) -> Result<()> {
    eventually(&format!("{name} is gone"), async || {
        let found = ns.api::<Pod>().get_opt(name).await?;
        ensure!(found.is_none(), "{:?}", found.and_then(|pod| pod.status));
        Ok(())
    })
    .await
}

#[test]
fn a_node_is_tainted_as_its_conditions_and_its_cordon_say() -> Outcome {
    with_namespace("conditions", async |ns| {
        Own::with(ns, false, async |node| {
            node.post(&[
                ("Ready", "True"),
                ("MemoryPressure", "True"),
                ("DiskPressure", "False"),
            ])
            .await?;
            node.until_tainted(&["memory-pressure:NoSchedule"]).await?;
            node.merge(json!({ "spec": { "unschedulable": true } }))
                .await?;
            node.until_tainted(&["memory-pressure:NoSchedule", "unschedulable:NoSchedule"])
                .await?;
            node.post(&[
                ("Ready", "True"),
                ("NetworkUnavailable", "True"),
                ("PIDPressure", "True"),
            ])
            .await?;
            node.merge(json!({ "spec": { "unschedulable": null } }))
                .await?;
            node.until_tainted(&["network-unavailable:NoSchedule", "pid-pressure:NoSchedule"])
                .await?;
            node.post(&[("Ready", "False")]).await?;
            let tainted = node
                .until_tainted(&["not-ready:NoExecute", "not-ready:NoSchedule"])
                .await?;
            let ours = nodes::taints(&tainted).iter().filter(|t| t.key != "test");
            ensure!(ours.clone().all(|taint| taint.time_added.is_some()));
            node.post(&[("Ready", "True")]).await?;
            node.until_tainted(&[]).await?;
            Ok(())
        })
        .await
    })
}

#[test]
fn the_old_labels_of_a_node_follow_the_new_ones() -> Outcome {
    with_namespace("labels", async |ns| {
        Own::with(ns, true, async |node| {
            let old = "beta.kubernetes.io/os";
            node.until("has the old label", |n| {
                n.labels().get(old).map(String::as_str) == Some("linux")
            })
            .await?;
            node.merge(json!({ "metadata": { "labels": { "kubernetes.io/os": "plan9" } } }))
                .await?;
            node.until("has it changed", |n| {
                n.labels().get(old).map(String::as_str) == Some("plan9")
            })
            .await?;
            Ok(())
        })
        .await
    })
}

#[test]
fn nodes_are_announced_when_they_come_and_go() -> Outcome {
    with_namespace("announced", async |ns| {
        Own::with(ns, true, async |node| {
            let name = &node.name;
            let message = format!("Node {name} event: Registered Node {name} in Controller");
            node.event("RegisteredNode", &message).await?;
            node.api().delete(name, &DeleteParams::default()).await?;
            let message = format!("Node {name} event: Removing Node {name} from Controller");
            node.event("RemovingNode", &message).await
        })
        .await
    })
}

#[test]
fn a_silent_node_loses_its_pods_when_their_time_is_over_and_may_come_back() -> Outcome {
    with_namespace("silent", async |ns| {
        Own::with(ns.clone(), true, async |node| {
            node.run("stays", "node.kubernetes.io/unreachable", Some(3600))
                .await?;
            node.run("goes", "node.kubernetes.io/unreachable", Some(3))
                .await?;
            node.cut(true).await?;
            let lost = node
                .until_tainted(&["unreachable:NoExecute", "unreachable:NoSchedule"])
                .await?;
            for kind in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
                let condition = nodes::condition(&lost, kind).context(kind)?;
                ensure!(condition.status == "Unknown", "{condition:?}");
                ensure!(
                    condition.reason.as_deref() == Some("NodeStatusUnknown"),
                    "{condition:?}"
                );
                let message = condition.message.as_deref();
                ensure!(
                    message == Some("Kubelet stopped posting node status."),
                    "{condition:?}"
                );
            }
            let message = format!("Node {} status is now: NodeNotReady", node.name);
            node.event("NodeNotReady", &message).await?;
            ns.until::<Pod>("stays", "is not ready", |pod| !pods::is_ready(pod))
                .await?;
            ns.event("stays", "NodeNotReady", "Node is not ready")
                .await?;
            let goes = ns
                .until::<Pod>("goes", "is going", |p| {
                    p.metadata.deletion_timestamp.is_some()
                })
                .await?;
            let target = pods::condition(&goes, "DisruptionTarget").context("DisruptionTarget")?;
            ensure!(
                target.reason.as_deref() == Some("DeletionByTaintManager"),
                "{target:?}"
            );

            node.cut(false).await?;
            node.until_tainted(&[]).await?;
            ns.until::<Pod>("stays", "is ready again", pods::is_ready)
                .await?;
            gone(&ns, "goes").await?;
            let text = format!("Cancelling deletion of Pod {}/stays", ns.name());
            ns.event("stays", "TaintManagerEviction", &text).await?;
            Ok(())
        })
        .await
    })
}

#[test]
fn a_node_whose_kubelet_never_posts_is_unknown_after_a_minute() -> Outcome {
    with_namespace("never", async |ns| {
        Own::with(ns, false, async |node| {
            let is_unknown = |node: &Node| nodes::condition(node, "Ready").is_some();
            let node = node.until("has a condition", is_unknown).await?;
            let found = node.status.and_then(|s| s.conditions).unwrap_or_default();
            for kind in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
                let condition = conditions::find(Some(&found), kind).context(kind)?;
                let told = (
                    condition.status.as_str(),
                    condition.reason.as_deref(),
                    condition.message.as_deref(),
                );
                let wanted = (
                    "Unknown",
                    Some("NodeStatusNeverUpdated"),
                    Some("Kubelet never posted node status."),
                );
                ensure!(told == wanted, "{told:?}");
                let beat = condition.last_heartbeat_time.as_ref();
                ensure!(
                    beat == node.metadata.creation_timestamp.as_ref(),
                    "{beat:?}"
                );
            }
            Ok(())
        })
        .await
    })
}

#[test]
fn pods_go_from_a_tainted_node_that_do_not_tolerate_it() -> Outcome {
    with_namespace("tainted", async |ns| {
        Own::with(ns.clone(), true, async |node| {
            node.run("never", "k", None).await?;
            node.run("soon", "k", Some(3)).await?;
            node.run("now", "other", None).await?;
            // So that what happened to it can be seen.
            for name in ["soon", "now"] {
                let held = json!({ "metadata": { "finalizers": ["example.com/hold"] } });
                ns.merge::<Pod>(name, held).await?;
            }
            node.taint("k").await?;
            for name in ["now", "soon"] {
                let is_going = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
                let pod = ns.until::<Pod>(name, "is going", is_going).await?;
                let target =
                    pods::condition(&pod, "DisruptionTarget").context("DisruptionTarget")?;
                ensure!(target.status == "True", "{target:?}");
                ensure!(
                    target.reason.as_deref() == Some("DeletionByTaintManager"),
                    "{target:?}"
                );
                let message = target.message.as_deref();
                ensure!(
                    message == Some("Taint manager: deleting due to NoExecute taint"),
                    "{target:?}"
                );
                let text = format!("Marking for deletion Pod {}/{name}", ns.name());
                ns.event(name, "TaintManagerEviction", &text).await?;
                ns.merge::<Pod>(name, json!({ "metadata": { "finalizers": null } }))
                    .await?;
                gone(&ns, name).await?;
            }
            let never = ns.get::<Pod>("never").await?;
            ensure!(pods::is_ready(&never) && never.metadata.deletion_timestamp.is_none());
            Ok(())
        })
        .await
    })
}

#[test]
fn a_pod_stays_when_the_taint_goes_in_time() -> Outcome {
    with_namespace("untainted", async |ns| {
        Own::with(ns.clone(), true, async |node| {
            node.run("web", "k", Some(4)).await?;
            node.taint("k").await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            node.taint("").await?;
            let text = format!("Cancelling deletion of Pod {}/web", ns.name());
            ns.event("web", "TaintManagerEviction", &text).await?;
            tokio::time::sleep(Duration::from_secs(4)).await;
            let web = ns.get::<Pod>("web").await?;
            ensure!(pods::is_ready(&web) && web.metadata.deletion_timestamp.is_none());
            Ok(())
        })
        .await
    })
}

#[test]
fn a_pod_that_comes_to_a_tainted_node_goes_again() -> Outcome {
    with_namespace("late", async |ns| {
        Own::with(ns.clone(), true, async |node| {
            node.taint("k").await?;
            tokio::time::sleep(Duration::from_secs(2)).await;
            node.run("web", "k", Some(2)).await?;
            gone(&ns, "web").await
        })
        .await
    })
}
