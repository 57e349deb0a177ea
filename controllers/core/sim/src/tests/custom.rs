//! Kinds that a CustomResourceDefinition makes.

use super::{from, refused};
use crate::Sim;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
    WatchParams,
};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;

fn definition() -> CustomResourceDefinition {
    from(json!({
        "metadata": { "name": "websites.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": { "plural": "websites", "singular": "website", "kind": "Website" },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {
                    "status": {},
                    "scale": { "specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size",
                        "labelSelectorPath": ".status.selector" },
                },
                "schema": { "openAPIV3Schema": { "type": "object", "properties": {
                    "spec": { "type": "object", "required": ["image"], "properties": {
                        "image": { "type": "string" },
                        "size": { "type": "integer", "default": 2, "minimum": 0 },
                        "hosts": { "type": "array", "items": { "type": "string" } },
                        "paths": { "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["path"],
                            "items": { "type": "object", "properties": { "path": { "type": "string" }, "to": { "type": "string" } } } },
                    } },
                    "status": { "type": "object", "properties": {
                        "size": { "type": "integer" }, "selector": { "type": "string" },
                    } },
                } } },
            }],
        },
    }))
}

/// What becomes of a new object.
async fn create<K>(api: &Api<K>, new: &K) -> K
where
    K: Clone + Debug + DeserializeOwned + Serialize,
{
    api.create(&PostParams::default(), new).await.unwrap()
}

async fn defined() -> (Sim, Client) {
    let sim = Sim::new();
    let client = sim.client();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let made = create(&definitions, &definition()).await;
    let established = made.status.unwrap().conditions.unwrap();
    assert!(
        established
            .iter()
            .any(|c| c.type_ == "Established" && c.status == "True")
    );
    (sim, client)
}

fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("example.com", "v1", "Website"),
        "websites",
    )
}

fn websites(client: &Client) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), "default", &resource())
}

fn website(name: &str, spec: Value) -> DynamicObject {
    DynamicObject::new(name, &resource()).data(json!({ "spec": spec }))
}

#[tokio::test(start_paused = true)]
async fn a_definition_is_served_at_once_and_found_by_discovery() {
    let (_, client) = defined().await;
    let gvk = GroupVersionKind::gvk("example.com", "v1", "Website");
    let (found, capabilities) = kube::discovery::pinned_kind(&client, &gvk).await.unwrap();
    assert_eq!(found.plural, "websites");
    let subresources: Vec<_> = capabilities
        .subresources
        .iter()
        .map(|(r, _)| &*r.plural)
        .collect();
    assert_eq!(subresources, ["status", "scale"]);
}

#[tokio::test(start_paused = true)]
async fn objects_are_pruned_filled_in_and_checked() {
    let (_, client) = defined().await;
    let api = websites(&client);
    let made = website("a", json!({ "image": "web", "colour": "red" }));
    let made = create(&api, &made).await;
    assert_eq!(made.data["spec"], json!({ "image": "web", "size": 2 }));
    assert_eq!(made.metadata.generation, Some(1));
    let wrong = website("b", json!({ "size": -1 }));
    let refusal = api.create(&PostParams::default(), &wrong).await;
    assert_eq!(refused(refusal), (422, "Invalid".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn status_and_spec_are_written_apart() {
    let (_, client) = defined().await;
    let (api, params) = (websites(&client), PatchParams::default());
    let mut new = website("a", json!({ "image": "web" }));
    new.data["status"] = json!({ "size": 9 });
    let made = create(&api, &new).await;
    assert_eq!(made.data.get("status"), None);
    let both = json!({ "spec": { "image": "other" }, "status": { "size": 3 } });
    let status = api
        .patch_status("a", &params, &Patch::Merge(&both))
        .await
        .unwrap();
    assert_eq!(
        status.data,
        json!({ "spec": { "image": "web", "size": 2 }, "status": { "size": 3 } })
    );
    assert_eq!(status.metadata.generation, Some(1));
    let spec = api.patch("a", &params, &Patch::Merge(&both)).await.unwrap();
    assert_eq!(
        (&spec.data["spec"]["image"], spec.metadata.generation),
        (&json!("other"), Some(2))
    );
}

#[tokio::test(start_paused = true)]
async fn writes_need_a_version_and_patches_are_of_three_kinds() {
    let (_, client) = defined().await;
    let api = websites(&client);
    create(&api, &website("a", json!({ "image": "web" }))).await;
    let blind = api
        .replace(
            "a",
            &PostParams::default(),
            &website("a", json!({ "image": "x" })),
        )
        .await;
    assert_eq!(refused(blind), (422, "Invalid".to_owned()));
    let strategic = Patch::Strategic(json!({ "spec": { "image": "x" } }));
    let strategic = api.patch("a", &PatchParams::default(), &strategic).await;
    assert_eq!(refused(strategic), (415, "UnsupportedMediaType".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn lists_are_applied_as_their_schema_says() {
    let (_, client) = defined().await;
    let api = websites(&client);
    let apply = async |manager: &str, spec: Value| {
        let mut new = website("a", spec);
        new.metadata.namespace = Some("default".to_owned());
        let params = PatchParams::apply(manager).force();
        api.patch("a", &params, &Patch::Apply(&new)).await.unwrap()
    };
    let first = json!({ "image": "web", "hosts": ["one"], "paths": [{ "path": "/", "to": "a" }] });
    apply("one", first).await;
    let second =
        json!({ "image": "web", "hosts": ["two"], "paths": [{ "path": "/b", "to": "b" }] });
    let both = apply("two", second).await;
    assert_eq!(both.data["spec"]["hosts"], json!(["two"]));
    assert_eq!(both.data["spec"]["paths"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_scale_stands_where_the_definition_says() {
    let (_, client) = defined().await;
    let api = websites(&client);
    create(&api, &website("a", json!({ "image": "web" }))).await;
    let patch = Patch::Merge(json!({ "spec": { "replicas": 5 } }));
    let scale = api
        .patch_scale("a", &PatchParams::default(), &patch)
        .await
        .unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(5));
    assert_eq!(api.get("a").await.unwrap().data["spec"]["size"], 5);
}

#[tokio::test(start_paused = true)]
async fn objects_go_with_their_definition_and_hold_it_while_they_have_finalizers() {
    let (_, client) = defined().await;
    let api = websites(&client);
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut held = website("held", json!({ "image": "web" }));
    held.metadata.finalizers = Some(vec!["example.com/wait".to_owned()]);
    for object in [website("free", json!({ "image": "web" })), held] {
        create(&api, &object).await;
    }
    let name = "websites.example.com";
    definitions
        .delete(name, &DeleteParams::default())
        .await
        .unwrap();
    let left = api.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(left.len(), 1);
    assert!(
        definitions
            .get(name)
            .await
            .unwrap()
            .metadata
            .deletion_timestamp
            .is_some()
    );
    let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    api.patch("held", &PatchParams::default(), &release)
        .await
        .unwrap();
    assert_eq!(definitions.get_opt(name).await.unwrap(), None);
    assert_eq!(refused(api.list(&ListParams::default()).await).0, 404);
    create(&definitions, &definition()).await;
    assert_eq!(
        api.list(&ListParams::default()).await.unwrap().items.len(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_of_custom_objects() {
    use futures::{StreamExt, TryStreamExt};
    let (_, client) = defined().await;
    let api = websites(&client);
    let events = api
        .watch(&WatchParams::default(), "0")
        .await
        .unwrap()
        .boxed();
    create(&api, &website("a", json!({ "image": "web" }))).await;
    let first: Vec<_> = events.take(1).try_collect().await.unwrap();
    assert!(
        matches!(&first[0], kube::core::WatchEvent::Added(object) if object.metadata.name.as_deref() == Some("a"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_custom_kind_of_a_built_in_name_has_none_of_its_rules() {
    let sim = Sim::new();
    let client = sim.client();
    let mut definition = definition();
    definition.metadata.name = Some("services.example.com".to_owned());
    definition.spec.names.plural = "services".to_owned();
    definition.spec.names.kind = "Service".to_owned();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    create(&definitions, &definition).await;
    let gvk = GroupVersionKind::gvk("example.com", "v1", "Service");
    let kind = ApiResource::from_gvk_with_plural(&gvk, "services");
    let api: Api<DynamicObject> = Api::namespaced_with(client, "default", &kind);
    let new = DynamicObject::new("a", &kind).data(json!({ "spec": { "image": "web" } }));
    let made = create(&api, &new).await;
    assert_eq!(made.data["spec"], json!({ "image": "web", "size": 2 }));
}
