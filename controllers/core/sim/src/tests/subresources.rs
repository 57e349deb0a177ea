use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{EvictParams, Patch, PatchParams, PostParams};

use super::*;

#[tokio::test(start_paused = true)]
async fn scale_reads_and_writes_replicas() {
    let (sim, client) = sim();
    sim.create(deployment("d"));
    let deployments = api::<Deployment>(&client);
    let scale = deployments.get_scale("d").await.unwrap();
    assert_eq!(scale.status.unwrap().selector.as_deref(), Some("app=web"));
    let patch = json!({ "spec": { "replicas": 4 } });
    deployments
        .patch_scale("d", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    let object = sim.get::<Deployment>("default", "d").unwrap();
    assert_eq!(object.spec.unwrap().replicas, Some(4));
    assert_eq!(object.metadata.generation, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_bound_once() {
    let (sim, client) = sim();
    sim.create(pod("a"));
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": { "name": "a" },
        "target": { "kind": "Node", "name": "n1" },
    });
    let pods = api::<Pod>(&client);
    let given = PostParams::default();
    pods.create_subresource::<Value, Value>("binding", "a", &given, &binding)
        .await
        .unwrap();
    let a = raw(&sim.get::<Pod>("default", "a").unwrap());
    assert_eq!(a["spec"]["nodeName"], "n1");
    assert_eq!(a["status"]["conditions"][0]["type"], "PodScheduled");
    let again = pods
        .create_subresource::<Value, Value>("binding", "a", &given, &binding)
        .await;
    assert_eq!(refused(again), code(409, "Conflict"));
}

#[tokio::test(start_paused = true)]
async fn evictions_spend_the_budget() {
    let (sim, client) = sim();
    for name in ["a", "b"] {
        sim.create(pod(name));
        sim.update_with("default", name, |p: &mut Pod| {
            p.status.as_mut().unwrap().phase = Some("Running".to_owned());
        });
    }
    sim.create::<PodDisruptionBudget>(from(json!({
        "metadata": { "name": "b" }, "spec": { "selector": { "matchLabels": { "app": "web" } } },
    })));
    sim.update_with("default", "b", |b: &mut PodDisruptionBudget| {
        b.status.as_mut().unwrap().disruptions_allowed = Some(1);
    });
    let pods = api::<Pod>(&client);
    pods.evict("a", &EvictParams::default()).await.unwrap();
    assert!(sim.get::<Pod>("default", "a").is_none());
    let answer = pods.evict("b", &EvictParams::default()).await;
    assert_eq!(refused(answer), code(429, "TooManyRequests"));
    assert!(sim.get::<Pod>("default", "b").is_some());
}
