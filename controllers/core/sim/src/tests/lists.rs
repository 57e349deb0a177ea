use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::{ListParams, PartialObjectMeta};

use super::*;

fn scene() -> (Sim, kube::Client) {
    let (sim, client) = sim();
    for (name, tier, node) in [("a", "front", "n1"), ("b", "back", "n2"), ("c", "", "n1")] {
        let mut object = pod(name);
        let labels = object.metadata.labels.as_mut().unwrap();
        if !tier.is_empty() {
            labels.insert("tier".to_owned(), tier.to_owned());
        }
        object.spec.as_mut().unwrap().node_name = Some(node.to_owned());
        sim.create(object);
    }
    (sim, client)
}

async fn names(client: &kube::Client, params: ListParams) -> Vec<String> {
    let list = Api::<Pod>::all(client.clone()).list(&params).await.unwrap();
    list.items
        .into_iter()
        .filter_map(|p| p.metadata.name)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn labels_and_fields_select() {
    let (_sim, client) = scene();
    let cases = [
        ("tier=front", "", vec!["a"]),
        ("tier==front", "", vec!["a"]),
        ("tier!=front", "", vec!["b", "c"]),
        ("tier in (front,back),app=web", "", vec!["a", "b"]),
        ("tier notin (front)", "", vec!["b", "c"]),
        ("tier", "", vec!["a", "b"]),
        ("!tier", "", vec!["c"]),
        ("", "spec.nodeName=n1", vec!["a", "c"]),
        (
            "",
            "spec.nodeName!=n1,metadata.namespace=default",
            vec!["b"],
        ),
        ("", "status.phase=Running", vec![]),
        ("", "metadata.name=b", vec!["b"]),
    ];
    for (labels, fields, expected) in cases {
        let params = ListParams::default().labels(labels).fields(fields);
        assert_eq!(names(&client, params).await, expected, "{labels} {fields}");
    }
    let params = ListParams::default().fields("spec.nonsense=1");
    let answer = Api::<Pod>::all(client).list(&params).await;
    assert_eq!(refused(answer), code(400, "BadRequest"));
}

#[tokio::test(start_paused = true)]
async fn pages_are_of_one_revision() {
    let (sim, client) = scene();
    let pods = api::<Pod>(&client);
    let first = pods.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(first.items.len(), 2);
    assert_eq!(first.metadata.remaining_item_count, Some(1));
    let token = first.metadata.continue_.unwrap();
    sim.create(pod("d"));
    let next = ListParams::default().limit(2).continue_token(&token);
    let second = pods.list(&next).await.unwrap();
    assert_eq!(second.items.len(), 1);
    assert_eq!(
        second.metadata.resource_version,
        first.metadata.resource_version
    );
    assert_eq!(second.metadata.continue_, None);
    sim.compact();
    sim.create(pod("e"));
    assert_eq!(refused(pods.list(&next).await), code(410, "Expired"));
}

#[tokio::test(start_paused = true)]
async fn metadata_alone_is_served() {
    let (_sim, client) = scene();
    let pods = api::<Pod>(&client);
    let one: PartialObjectMeta<Pod> = pods.get_metadata("a").await.unwrap();
    assert_eq!(one.types.as_ref().unwrap().kind, "PartialObjectMetadata");
    assert_eq!(one.metadata.name.as_deref(), Some("a"));
    assert_eq!(
        pods.list_metadata(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        3
    );
}

#[tokio::test(start_paused = true)]
async fn lists_can_be_stale_for_one_actor() {
    let (sim, client) = scene();
    let revision = sim.revision();
    let slow = sim.client_for("slow");
    sim.create(pod("d"));
    sim.stale_lists("slow", "Pod", Some(revision));
    assert_eq!(names(&slow, ListParams::default()).await, ["a", "b", "c"]);
    assert_eq!(names(&client, ListParams::default()).await.len(), 4);
    sim.stale_lists("slow", "Pod", None);
    assert_eq!(names(&slow, ListParams::default()).await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_future_revision_is_too_large() {
    let (_sim, client) = sim();
    let params = ListParams::default()
        .at("999")
        .matching(kube::api::VersionMatch::NotOlderThan);
    let answer = api::<ConfigMap>(&client).list(&params).await;
    assert_eq!(refused(answer), code(504, "Timeout"));
}

#[tokio::test(start_paused = true)]
async fn discovery_is_minimal() {
    let (_sim, client) = sim();
    assert_eq!(client.apiserver_version().await.unwrap().minor, "36");
    let groups = client.list_api_groups().await.unwrap();
    assert!(groups.groups.iter().any(|g| g.name == "apps"));
    let core = client.list_core_api_resources("v1").await.unwrap();
    assert!(core.resources.iter().any(|r| r.name == "pods/status"));
}
