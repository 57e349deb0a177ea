use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Patch, PatchParams};

use super::*;
use crate::patch::{PatchType, patched};

#[test]
fn strategic_patches_merge_lists_by_key() {
    let cases = [
        (
            json!({ "status": { "conditions": [{ "type": "A", "status": "True" }, { "type": "B" }] } }),
            json!({ "status": { "conditions": [{ "type": "A", "status": "False" }] } }),
            json!({ "status": { "conditions": [{ "type": "A", "status": "False" }, { "type": "B" }] } }),
        ),
        (
            json!({ "metadata": { "ownerReferences": [{ "uid": "1", "name": "x" }, { "uid": "2" }] } }),
            json!({ "metadata": { "ownerReferences": [{ "$patch": "delete", "uid": "1" }] } }),
            json!({ "metadata": { "ownerReferences": [{ "uid": "2" }] } }),
        ),
        (
            json!({ "metadata": { "finalizers": ["a", "b"] } }),
            json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"] } }),
            json!({ "metadata": { "finalizers": ["c", "b"] } }),
        ),
        (
            json!({ "spec": { "containers": [{ "name": "c", "image": "a", "ports": [{ "containerPort": 1 }] }] } }),
            json!({ "spec": { "containers": [
                { "name": "c", "image": "b", "ports": [{ "containerPort": 2 }] }, { "name": "d", "tty": null },
            ] } }),
            json!({ "spec": { "containers": [
                { "name": "c", "image": "b", "ports": [{ "containerPort": 2 }, { "containerPort": 1 }] }, { "name": "d" },
            ] } }),
        ),
        (
            json!({ "spec": { "containers": [{ "name": "c" }, { "name": "d" }] } }),
            json!({ "spec": { "$setElementOrder/containers": [{ "name": "d" }, { "name": "c" }], "containers": [{ "name": "c", "image": "x" }] } }),
            json!({ "spec": { "containers": [{ "name": "d" }, { "name": "c", "image": "x" }] } }),
        ),
        (
            json!({ "spec": { "taints": [{ "key": "a" }], "tolerations": [{ "key": "a" }] } }),
            json!({ "spec": { "taints": [{ "key": "b" }], "tolerations": [{ "$patch": "replace" }] } }),
            json!({ "spec": { "taints": [{ "key": "b" }], "tolerations": [] } }),
        ),
        (
            json!({ "spec": { "strategy": { "type": "RollingUpdate", "rollingUpdate": {} } } }),
            json!({ "spec": { "strategy": { "$retainKeys": ["type"], "type": "Recreate" } } }),
            json!({ "spec": { "strategy": { "type": "Recreate" } } }),
        ),
    ];
    for (object, patch, expected) in cases {
        let result = patched(&object, patch, PatchType::Strategic, None, None).unwrap();
        assert_eq!(result, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_patch_is_taken() {
    let (_sim, client) = sim();
    let maps = api::<ConfigMap>(&client);
    let mine = PatchParams::apply("me");
    let applied =
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "a": "1", "b": "2" } });
    maps.patch("m", &mine, &Patch::Apply(&applied))
        .await
        .unwrap();
    let merged = json!({ "data": { "c": "3" } });
    maps.patch("m", &PatchParams::default(), &Patch::Merge(&merged))
        .await
        .unwrap();
    let fewer = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "a": "9" } });
    let map = maps.patch("m", &mine, &Patch::Apply(&fewer)).await.unwrap();
    assert_eq!(raw(&map.data), json!({ "a": "9", "c": "3" }));
    let steps: json_patch::Patch = from(
        json!([{ "op": "test", "path": "/data/a", "value": "9" }, { "op": "remove", "path": "/data/a" }]),
    );
    let map = maps
        .patch(
            "m",
            &PatchParams::default(),
            &Patch::Json::<()>(steps.clone()),
        )
        .await
        .unwrap();
    assert_eq!(raw(&map.data), json!({ "c": "3" }));
    let again = maps
        .patch("m", &PatchParams::default(), &Patch::Json::<()>(steps))
        .await;
    assert_eq!(refused(again).0, 422);
}

#[tokio::test(start_paused = true)]
async fn a_patch_may_carry_preconditions() {
    let (sim, client) = sim();
    sim.create(pod("a"));
    let pods = api::<Pod>(&client);
    let stale = json!({ "metadata": { "resourceVersion": "1", "labels": { "x": "y" } } });
    let answer = pods
        .patch("a", &PatchParams::default(), &Patch::Merge(&stale))
        .await;
    assert_eq!(refused(answer), code(409, "Conflict"));
    // What controller_ref_manager.go relies on.
    let stranger = json!({ "metadata": { "uid": "other", "labels": { "x": "y" } } });
    let answer = pods
        .patch("a", &PatchParams::default(), &Patch::Strategic(&stranger))
        .await;
    assert_eq!(refused(answer), code(422, "Invalid"));
}

#[tokio::test(start_paused = true)]
async fn a_patch_of_the_status_leaves_the_spec() {
    let (sim, client) = sim();
    sim.create(replica_set("r", "web"));
    let patch =
        json!({ "spec": { "replicas": 9 }, "status": { "replicas": 2, "observedGeneration": 1 } });
    let set = api::<ReplicaSet>(&client)
        .patch_status("r", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    assert_eq!(set.spec.unwrap().replicas, Some(1));
    assert_eq!(set.status.unwrap().replicas, 2);
}

#[tokio::test(start_paused = true)]
async fn annotations_of_a_deployment_raise_its_generation() {
    let (sim, client) = sim();
    sim.create(deployment("d"));
    let patch = json!({ "metadata": { "annotations": { "a": "b" } } });
    let object = api::<Deployment>(&client)
        .patch("d", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    assert_eq!(object.metadata.generation, Some(2));
}
