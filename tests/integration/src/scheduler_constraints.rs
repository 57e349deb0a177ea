//! What the scheduler does about pods that are to be spread, near, apart, or more important than others.

use crate::manifest::pod;
use anyhow::{Result, ensure};
use cluster::{Namespace, Outcome, eventually, with_namespace};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The label that says which nodes of a test are near each other.
const RACK: &str = "rack";

/// Nodes of the test's own, `<namespace>-<rack><number>`, two in each of two racks: other pods are kept off by a taint with
/// the namespace's name.
async fn racks(ns: &Namespace, cpu: &str) -> Result<()> {
    let own = ns.name();
    let nodes: Api<Node> = Api::all(ns.client());
    for (rack, number) in [("a", 1), ("a", 2), ("b", 1), ("b", 2)] {
        let name = format!("{own}-{rack}{number}");
        let object: Node = serde_json::from_value(json!({
            "metadata": {
                "name": name,
                "labels": { "test": own, RACK: rack, "kubernetes.io/hostname": name },
                "annotations": { "kwok.x-k8s.io/node": "fake" },
            },
            "spec": { "taints": [{ "key": "test", "value": own, "effect": "NoSchedule" }] },
            "status": {
                "capacity": { "cpu": cpu, "memory": "4Gi", "pods": "20" },
                "allocatable": { "cpu": cpu, "memory": "4Gi", "pods": "20" },
            },
        }))?;
        nodes.create(&PostParams::default(), &object).await?;
        eventually("the node of the test is ready", async || {
            let node = nodes.get(&name).await?;
            let taints = node.spec.and_then(|s| s.taints).unwrap_or_default();
            ensure!(taints.len() == 1, "{taints:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn remove(ns: &Namespace) -> Result<()> {
    let nodes: Api<Node> = Api::all(ns.client());
    for end in ["a1", "a2", "b1", "b2"] {
        let name = format!("{}-{end}", ns.name());
        nodes.delete(&name, &DeleteParams::default()).await?;
    }
    Ok(())
}

/// A pod with the label `app` for the test's own nodes; `spec` is put over it.
fn there(ns: &Namespace, name: &str, app: &str, spec: Value) -> Value {
    let mut pod = pod(name, app);
    pod["spec"]["nodeSelector"] = json!({ "test": ns.name() });
    pod["spec"]["tolerations"] = json!([{ "key": "test", "value": ns.name() }]);
    for (field, value) in spec.as_object().into_iter().flatten() {
        pod["spec"][field] = value.clone();
    }
    pod
}

fn runs(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    phase == Some("Running")
}

/// How many of the pods with this label run on which node, by the end of its name.
async fn places(ns: &Namespace, app: &str) -> Result<BTreeMap<String, usize>> {
    let mut places = BTreeMap::new();
    for pod in ns.list::<Pod>(&format!("app={app}")).await? {
        let node = pod.spec.and_then(|s| s.node_name).unwrap_or_default();
        let end = node.rsplit('-').next().unwrap_or_default();
        *places.entry(end.to_owned()).or_default() += 1;
    }
    Ok(places)
}

fn by_rack(places: &BTreeMap<String, usize>) -> [usize; 2] {
    ["a", "b"].map(|rack| {
        let there = places.iter().filter(|(node, _)| node.starts_with(rack));
        there.map(|(_, count)| count).sum()
    })
}

fn term(key: &str, app: &str) -> Value {
    json!([{ "topologyKey": key, "labelSelector": { "matchLabels": { "app": app } } }])
}

fn required(kind: &str, key: &str, app: &str) -> Value {
    json!({ "affinity": { kind: { "requiredDuringSchedulingIgnoredDuringExecution": term(key, app) } } })
}

fn constraint(key: &str, more: Value) -> Value {
    let mut constraint = json!({ "topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": { "matchLabels": { "app": "web" } } });
    for (field, value) in more.as_object().into_iter().flatten() {
        constraint[field] = value.clone();
    }
    json!({ "topologySpreadConstraints": [constraint] })
}

#[test]
fn pods_are_spread_over_racks_as_evenly_as_they_ask() -> Outcome {
    with_namespace("sched-spread", async |ns| {
        racks(&ns, "4").await?;
        for i in 0..6 {
            let pod = there(&ns, &format!("web-{i}"), "web", constraint(RACK, json!({})));
            ns.create::<Pod>(pod).await?;
        }
        ns.until_all::<Pod>("app=web", "run", |pods| {
            pods.iter().filter(|pod| runs(pod)).count() == 6
        })
        .await?;
        let places = places(&ns, "web").await?;
        ensure!(by_rack(&places) == [3, 3], "{places:?}");
        remove(&ns).await
    })
}

#[test]
fn a_pod_waits_for_as_many_domains_as_it_asks_for() -> Outcome {
    with_namespace("sched-domains", async |ns| {
        racks(&ns, "4").await?;
        let wanting = || constraint(RACK, json!({ "minDomains": 3 }));
        for name in ["web-0", "web-1"] {
            ns.create::<Pod>(there(&ns, name, "web", wanting())).await?;
            ns.until(name, "runs", runs).await?;
        }
        ns.create::<Pod>(there(&ns, "web-2", "web", wanting()))
            .await?;
        let text = "node(s) didn't match pod topology spread constraints";
        ns.event("web-2", "FailedScheduling", text).await?;
        // One that leaves makes room in its rack, and only there.
        let gone = ns.get::<Pod>("web-0").await?;
        let rack = |pod: &Pod| {
            let node = pod.spec.as_ref().and_then(|s| s.node_name.clone());
            let node = node.unwrap_or_default();
            node.rsplit('-').next().map(|end| end[..1].to_owned())
        };
        ns.delete::<Pod>("web-0").await?;
        let runs_there = |pod: &Pod| runs(pod) && rack(pod) == rack(&gone);
        ns.until("web-2", "runs where there is room", runs_there)
            .await?;
        remove(&ns).await
    })
}

#[test]
fn pods_that_want_to_be_near_each_other_begin_anywhere_and_stay_together() -> Outcome {
    with_namespace("sched-near", async |ns| {
        racks(&ns, "4").await?;
        for i in 0..4 {
            let near = required("podAffinity", RACK, "db");
            ns.create::<Pod>(there(&ns, &format!("db-{i}"), "db", near))
                .await?;
        }
        ns.until_all::<Pod>("app=db", "run", |pods| {
            pods.iter().filter(|pod| runs(pod)).count() == 4
        })
        .await?;
        let places = places(&ns, "db").await?;
        ensure!(by_rack(&places).contains(&4), "{places:?}");

        let near = required("podAffinity", RACK, "cache");
        ns.create::<Pod>(there(&ns, "waits", "other", near)).await?;
        let text = "4 node(s) didn't match pod affinity rules";
        ns.event("waits", "FailedScheduling", text).await?;
        ns.create::<Pod>(there(&ns, "cache", "cache", json!({})))
            .await?;
        ns.until("waits", "runs", runs).await?;
        remove(&ns).await
    })
}

#[test]
fn pods_that_refuse_each_other_take_a_node_each_and_the_next_waits() -> Outcome {
    with_namespace("sched-apart", async |ns| {
        racks(&ns, "4").await?;
        let apart = || required("podAntiAffinity", "kubernetes.io/hostname", "lone");
        for i in 0..4 {
            ns.create::<Pod>(there(&ns, &format!("lone-{i}"), "lone", apart()))
                .await?;
        }
        ns.until_all::<Pod>("app=lone", "run", |pods| {
            pods.iter().filter(|pod| runs(pod)).count() == 4
        })
        .await?;
        let places = places(&ns, "lone").await?;
        ensure!(places.len() == 4, "{places:?}");
        ns.create::<Pod>(there(&ns, "next", "lone", apart()))
            .await?;
        let text = "4 node(s) didn't match pod anti-affinity rules";
        ns.event("next", "FailedScheduling", text).await?;
        // One without a wish of its own is refused by those that are there.
        ns.create::<Pod>(there(&ns, "plain", "lone", json!({})))
            .await?;
        let text = "4 node(s) didn't satisfy existing pods anti-affinity rules";
        ns.event("plain", "FailedScheduling", text).await?;
        ns.delete::<Pod>("plain").await?;
        ns.delete::<Pod>("lone-2").await?;
        ns.until("next", "runs", runs).await?;
        remove(&ns).await
    })
}

#[test]
fn less_important_pods_leave_for_a_more_important_one() -> Outcome {
    with_namespace("sched-preempt", async |ns| {
        racks(&ns, "1").await?;
        let classes: Api<PriorityClass> = Api::all(ns.client());
        let class = format!("{}-high", ns.name());
        let high: PriorityClass = serde_json::from_value(
            json!({ "metadata": { "name": class }, "value": 1000, "globalDefault": false }),
        )?;
        classes.create(&PostParams::default(), &high).await?;
        let wants = |cpu: &str| json!([{ "name": "main", "image": crate::manifest::IMAGE, "resources": { "requests": { "cpu": cpu } } }]);
        for i in 0..4 {
            let low = json!({ "containers": wants("600m") });
            ns.create::<Pod>(there(&ns, &format!("low-{i}"), "low", low))
                .await?;
        }
        ns.until_all::<Pod>("app=low", "run", |pods| {
            pods.iter().filter(|pod| runs(pod)).count() == 4
        })
        .await?;
        let high = json!({ "containers": wants("800m"), "priorityClassName": class });
        // Admission may not know the class yet.
        let high = eventually("the pod is admitted", async || {
            ns.create::<Pod>(there(&ns, "high", "high", high.clone()))
                .await
        })
        .await?;
        ns.until("high", "runs", runs).await?;
        let left = ns.list::<Pod>("app=low").await?;
        let left: Vec<String> = left
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .map(ResourceExt::name_any)
            .collect();
        ensure!(left.len() == 3, "one had to leave: {left:?}");
        let gone = (0..4)
            .map(|i| format!("low-{i}"))
            .find(|name| !left.contains(name));
        let node = ns.get::<Pod>("high").await?.spec.and_then(|s| s.node_name);
        let text = format!(
            "Preempted by pod {} on node {}",
            high.uid().unwrap_or_default(),
            node.unwrap_or_default()
        );
        ns.event(&gone.unwrap_or_default(), "Preempted", &text)
            .await?;
        let failed = ns
            .event("high", "FailedScheduling", "4 Insufficient cpu")
            .await?;
        let message = failed.message.unwrap_or_default();
        ensure!(!message.contains("preemption:"), "{message}");

        let never = json!({ "containers": wants("800m"), "priorityClassName": class, "preemptionPolicy": "Never" });
        classes.delete(&class, &DeleteParams::default()).await?;
        let gentle: PriorityClass = serde_json::from_value(
            json!({ "metadata": { "name": class }, "value": 1000, "preemptionPolicy": "Never" }),
        )?;
        eventually("the class is made anew", async || {
            Ok(classes.create(&PostParams::default(), &gentle).await?)
        })
        .await?;
        eventually("the pod is admitted", async || {
            ns.create::<Pod>(there(&ns, "gentle", "gentle", never.clone()))
                .await
        })
        .await?;
        let text = "preemption: not eligible due to preemptionPolicy=Never.";
        ns.event("gentle", "FailedScheduling", text).await?;
        classes.delete(&class, &DeleteParams::default()).await?;
        remove(&ns).await
    })
}
