use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions, PropagationPolicy};

use super::*;

fn bound(sim: &Sim, name: &str) -> Pod {
    let mut object = pod(name);
    object.spec.as_mut().unwrap().node_name = Some("n".to_owned());
    sim.create(object)
}

#[tokio::test(start_paused = true)]
async fn bound_pods_wait_for_their_grace_period() {
    let (sim, client) = sim();
    let pods = api::<Pod>(&client);
    bound(&sim, "a");
    let waiting = pods
        .delete("a", &DeleteParams::default())
        .await
        .unwrap()
        .left()
        .unwrap();
    assert_eq!(waiting.metadata.deletion_grace_period_seconds, Some(30));
    assert_eq!(
        waiting.metadata.deletion_timestamp.unwrap().0.to_string(),
        "2026-01-01T00:00:30Z"
    );
    assert_eq!(waiting.metadata.generation, Some(2));
    // A longer period changes nothing, a shorter one does, none ends it.
    pods.delete("a", &DeleteParams::default().grace_period(60))
        .await
        .unwrap();
    assert_eq!(sim.history().len(), 2);
    pods.delete("a", &DeleteParams::default().grace_period(5))
        .await
        .unwrap();
    let meta = sim.get::<Pod>("default", "a").unwrap().metadata;
    assert_eq!(
        meta.deletion_timestamp.unwrap().0.to_string(),
        "2026-01-01T00:00:05Z"
    );
    pods.delete("a", &DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    assert!(sim.get::<Pod>("default", "a").is_none());
}

#[tokio::test(start_paused = true)]
async fn unbound_and_finished_pods_go_at_once() {
    let (sim, client) = sim();
    let pods = api::<Pod>(&client);
    sim.create(pod("a"));
    pods.delete("a", &DeleteParams::default()).await.unwrap();
    bound(&sim, "b");
    sim.update_with("default", "b", |p: &mut Pod| {
        p.status.as_mut().unwrap().phase = Some("Succeeded".to_owned());
    });
    pods.delete("b", &DeleteParams::default()).await.unwrap();
    assert!(sim.list::<Pod>(None).is_empty());
}

#[tokio::test(start_paused = true)]
async fn preconditions_hold() {
    let (sim, client) = sim();
    let a = sim.create(pod("a"));
    let pods = api::<Pod>(&client);
    let with = |uid: Option<&str>, version: Option<&str>| DeleteParams {
        preconditions: Some(Preconditions {
            uid: uid.map(str::to_owned),
            resource_version: version.map(str::to_owned),
        }),
        ..DeleteParams::default()
    };
    assert_eq!(
        refused(pods.delete("a", &with(Some("x"), None)).await),
        code(409, "Conflict")
    );
    assert_eq!(
        refused(pods.delete("a", &with(None, Some("1"))).await),
        code(409, "Conflict")
    );
    let meta = a.metadata;
    pods.delete(
        "a",
        &with(meta.uid.as_deref(), meta.resource_version.as_deref()),
    )
    .await
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn finalizers_hold_an_object_and_none_can_be_added_then() {
    let (sim, client) = sim();
    let mut a = config_map("a");
    a.metadata.finalizers = Some(vec!["x/y".to_owned()]);
    sim.create(a);
    let maps = api::<ConfigMap>(&client);
    let held = maps
        .delete("a", &DeleteParams::default())
        .await
        .unwrap()
        .left()
        .unwrap();
    assert_eq!(held.metadata.deletion_grace_period_seconds, Some(0));
    let more = json!({ "metadata": { "finalizers": ["x/y", "x/z"] } });
    let answer = maps
        .patch("a", &PatchParams::default(), &Patch::Merge(&more))
        .await;
    assert_eq!(refused(answer), code(422, "Invalid"));
    let none = json!({ "metadata": { "finalizers": null } });
    maps.patch("a", &PatchParams::default(), &Patch::Merge(&none))
        .await
        .unwrap();
    assert!(sim.get::<ConfigMap>("default", "a").is_none());
    assert!(sim.history().last().unwrap().gone);
}

#[tokio::test(start_paused = true)]
async fn finalizers_and_grace_hold_a_pod_together() {
    let (sim, client) = sim();
    let mut a = pod("a");
    a.metadata.finalizers = Some(vec!["batch.kubernetes.io/job-tracking".to_owned()]);
    a.spec.as_mut().unwrap().node_name = Some("n".to_owned());
    sim.create(a);
    let pods = api::<Pod>(&client);
    pods.delete("a", &DeleteParams::default()).await.unwrap();
    pods.delete("a", &DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    assert!(sim.get::<Pod>("default", "a").is_some());
    let none = json!({ "metadata": { "finalizers": null } });
    pods.patch("a", &PatchParams::default(), &Patch::Merge(&none))
        .await
        .unwrap();
    assert!(sim.get::<Pod>("default", "a").is_none());
}

/// A ReplicaSet, and a pod of it that blocks its deletion.
fn family(sim: &Sim) {
    let owner = sim.create(replica_set("r", "web"));
    let mut child = pod("a");
    child.metadata.owner_references = Some(vec![from(json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r",
        "uid": owner.metadata.uid, "controller": true, "blockOwnerDeletion": true,
    }))]);
    sim.create(child);
}

async fn delete_owner(policy: PropagationPolicy) -> Sim {
    let (sim, client) = sim();
    family(&sim);
    let params = DeleteParams {
        propagation_policy: Some(policy),
        ..DeleteParams::default()
    };
    api::<ReplicaSet>(&client)
        .delete("r", &params)
        .await
        .unwrap();
    sim
}

#[tokio::test(start_paused = true)]
async fn dependents_go_by_the_propagation_policy() {
    let sim = delete_owner(PropagationPolicy::Background).await;
    assert!(sim.get::<ReplicaSet>("default", "r").is_none());
    assert!(sim.get::<Pod>("default", "a").is_some());
    sim.garbage_collect();
    assert!(sim.get::<Pod>("default", "a").is_none());

    let sim = delete_owner(PropagationPolicy::Foreground).await;
    let owner = sim.get::<ReplicaSet>("default", "r").unwrap();
    assert_eq!(owner.metadata.finalizers.unwrap(), ["foregroundDeletion"]);
    sim.garbage_collect();
    assert!(sim.get::<ReplicaSet>("default", "r").is_none());
    assert!(sim.get::<Pod>("default", "a").is_none());

    let sim = delete_owner(PropagationPolicy::Orphan).await;
    let owner = sim.get::<ReplicaSet>("default", "r").unwrap();
    assert_eq!(owner.metadata.finalizers.unwrap(), ["orphan"]);
    sim.garbage_collect();
    assert!(sim.get::<ReplicaSet>("default", "r").is_none());
    let child = sim.get::<Pod>("default", "a").unwrap();
    assert!(child.metadata.owner_references.is_none());
}

#[tokio::test(start_paused = true)]
async fn jobs_orphan_by_default() {
    let (sim, client) = sim();
    sim.create::<Job>(from(json!({
        "metadata": { "name": "j" },
        "spec": { "template": { "spec": {
            "restartPolicy": "Never", "containers": [{ "name": "c", "image": "i" }],
        } } },
    })));
    api::<Job>(&client)
        .delete("j", &DeleteParams::default())
        .await
        .unwrap();
    let job = sim.get::<Job>("default", "j").unwrap();
    assert_eq!(job.metadata.finalizers.unwrap(), ["orphan"]);
}

#[tokio::test(start_paused = true)]
async fn collections_are_deleted_by_selector() {
    let (sim, client) = sim();
    let mut other = pod("b");
    other.metadata.labels = None;
    sim.create(pod("a"));
    sim.create(other);
    let selected = ListParams::default().labels("app=web");
    api::<Pod>(&client)
        .delete_collection(&DeleteParams::default(), &selected)
        .await
        .unwrap();
    let names: Vec<_> = sim
        .list::<Pod>(None)
        .into_iter()
        .filter_map(|p| p.metadata.name)
        .collect();
    assert_eq!(names, ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_goes_when_it_is_finalized() {
    let (sim, client) = sim();
    sim.create::<Namespace>(from(json!({ "metadata": { "name": "old" } })));
    let spaces: kube::Api<Namespace> = kube::Api::all(client.clone());
    spaces
        .delete("old", &DeleteParams::default())
        .await
        .unwrap();
    let mut space = raw(&spaces.get("old").await.unwrap());
    assert_eq!(space["status"]["phase"], "Terminating");
    space["spec"] = json!({});
    let request = http::Request::put("/api/v1/namespaces/old/finalize")
        .body(serde_json::to_vec(&space).unwrap())
        .unwrap();
    client.request::<Namespace>(request).await.unwrap();
    assert!(sim.get::<Namespace>("", "old").is_none());
}
