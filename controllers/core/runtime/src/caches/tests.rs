#![allow(clippy::unwrap_used)]

use super::{Cache, Change, Key};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use objects::Selector;
use serde_json::{Value, json};
use std::sync::Arc;

fn map(namespace: &str, name: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
            resource_version: Some("1".to_owned()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    }
}

#[test]
fn few_are_found_in_large_namespaces_and_in_small_ones() {
    let cache = Cache::new();
    for name in ["a", "b", "c", "d"] {
        cache.apply(map("large", name));
    }
    cache.apply(map("small", "a"));
    let selected = |namespace, names: &[&str]| {
        let wanted = |map: &ConfigMap| {
            let name = map.metadata.name.as_deref();
            name.is_some_and(|name| names.contains(&name))
        };
        let mut found: Vec<_> = cache.filter(namespace, wanted);
        found.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        let names = found.iter().map(|map| map.metadata.name.clone());
        names.map(Option::unwrap_or_default).collect::<Vec<_>>()
    };
    assert_eq!(selected("large", &["a", "d"]), ["a", "d"]);
    assert_eq!(selected("small", &["a", "d"]), ["a"]);
    assert!(selected("none", &["a"]).is_empty());
}

fn labelled(namespace: &str, name: &str, version: u64, labels: &Value) -> ConfigMap {
    let meta = json!({
        "namespace": namespace, "name": name, "resourceVersion": version.to_string(), "labels": labels,
    });
    serde_json::from_value(json!({ "metadata": meta })).unwrap()
}

fn names(mut found: Vec<Arc<ConfigMap>>) -> Vec<String> {
    found.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    let names = found.iter().map(|map| map.metadata.name.clone());
    names.map(Option::unwrap_or_default).collect()
}

#[test]
fn a_selector_finds_what_has_its_labels_now() {
    let cache = Cache::new();
    cache.apply(labelled(
        "shop",
        "a",
        1,
        &json!({ "app": "web", "tier": "front" }),
    ));
    cache.apply(labelled(
        "shop",
        "b",
        1,
        &json!({ "app": "web", "tier": "back" }),
    ));
    cache.apply(labelled("shop", "c", 1, &Value::Null));
    cache.apply(labelled("bank", "a", 1, &json!({ "app": "web" })));
    let selected = |selector: Value| {
        let selector: LabelSelector = serde_json::from_value(selector).unwrap();
        names(cache.select("shop", &Selector::parse(&selector).unwrap()))
    };
    let web = || json!({ "matchLabels": { "app": "web" } });
    let is = |operator, values: &[&str]| {
        let tier = json!({ "key": "tier", "operator": operator, "values": values });
        json!({ "matchLabels": { "app": "web" }, "matchExpressions": [tier] })
    };
    assert_eq!(selected(json!({})), ["a", "b", "c"]);
    assert_eq!(selected(web()), ["a", "b"]);
    assert_eq!(selected(is("In", &["back"])), ["b"]);
    assert_eq!(selected(is("In", &["back", "front"])), ["a", "b"]);
    assert_eq!(selected(is("NotIn", &["back"])), ["a"]);
    // Labels that change, come and go after they were indexed.
    cache.apply(labelled("shop", "a", 2, &json!({ "app": "db" })));
    cache.apply(labelled("shop", "c", 2, &json!({ "app": "web" })));
    cache.remove(&labelled("shop", "b", 2, &Value::Null));
    assert_eq!(selected(web()), ["c"]);
    assert_eq!(selected(json!({ "matchLabels": { "app": "db" } })), ["a"]);
    assert!(selected(json!({ "matchLabels": { "app": "none" } })).is_empty());
}

#[test]
fn an_object_is_found_by_its_new_owner_and_value_and_no_more_by_the_old_ones() {
    let cache = Cache::new();
    cache.index("data", |map: &ConfigMap| {
        map.data
            .iter()
            .flatten()
            .map(|(key, _)| key.clone())
            .collect()
    });
    let version = |version: u64, owner: &str, key: &str| {
        let mut map = labelled("shop", "a", version, &Value::Null);
        map.metadata.owner_references = Some(vec![OwnerReference {
            controller: Some(true),
            uid: owner.to_owned(),
            ..OwnerReference::default()
        }]);
        map.data = Some([(key.to_owned(), String::new())].into());
        map
    };
    cache.apply(map("shop", "a"));
    assert_eq!(names(cache.orphans("shop")), ["a"]);
    cache.apply(version(2, "u-1", "one"));
    assert!(cache.orphans("shop").is_empty());
    assert_eq!(names(cache.owned_by("u-1")), ["a"]);
    cache.apply(version(3, "u-2", "two"));
    assert!(cache.owned_by("u-1").is_empty());
    assert!(cache.indexed("data", "one").is_empty());
    assert_eq!(names(cache.owned_by("u-2")), ["a"]);
    assert_eq!(names(cache.indexed("data", "two")), ["a"]);
    let held = cache.find(&Key::new("shop", "a")).unwrap();
    assert_eq!(held.metadata.resource_version.as_deref(), Some("3"));
}

/// What listeners hear, as `+name` and `-name/uid`.
fn heard(cache: &Cache<ConfigMap>) -> Arc<std::sync::Mutex<Vec<String>>> {
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let into = heard.clone();
    cache.listen(Box::new(move |change: &Change<ConfigMap>| {
        let of = &change.latest().metadata;
        let name = of.name.clone().unwrap_or_default();
        let uid = of.uid.clone().unwrap_or_default();
        let said = match &change.new {
            Some(_) => format!("+{name}/{uid}"),
            None => format!("-{name}/{uid}"),
        };
        into.lock().unwrap().push(said);
    }));
    heard
}

fn version(name: &str, uid: &str, version: u64) -> ConfigMap {
    let meta = json!({
        "namespace": "shop", "name": name, "uid": uid, "resourceVersion": version.to_string(),
    });
    serde_json::from_value(json!({ "metadata": meta })).unwrap()
}

#[test]
fn the_same_is_heard_whether_objects_are_kept_or_not() {
    let first = [
        "+a/1", "+a/1", "-a/1", "+a/2", "+b/3", "+c/4", "-b/3", "-c/4",
    ];
    // Of a later list nothing is taken in before it is complete.
    let later = [
        "+a/1", "+a/1", "-a/1", "+a/2", "+b/3", "-b/3", "+c/4", "-c/4",
    ];
    for (kept, synced, said) in [
        (true, false, first),
        (false, false, first),
        (true, true, later),
        (false, true, later),
    ] {
        let cache = Cache::new();
        cache.keep(kept);
        let heard = heard(&cache);
        if synced {
            cache.begin_list();
            cache.finish_list();
        }
        cache.apply(version("a", "1", 5));
        cache.apply(version("a", "1", 4));
        cache.apply(version("a", "1", 6));
        // Another one of the same name, and one that a watch never said was gone.
        cache.apply(version("a", "2", 7));
        cache.apply(version("b", "3", 8));
        cache.remove(&version("a", "1", 9));
        // A list that breaks off, and another.
        cache.begin_list();
        cache.list(version("b", "3", 8));
        cache.begin_list();
        cache.list(version("a", "2", 7));
        cache.list(version("c", "4", 3));
        cache.finish_list();
        cache.remove(&version("c", "4", 11));
        assert_eq!(*heard.lock().unwrap(), said, "{kept} {synced}");
        assert_eq!(cache.len(), usize::from(kept));
    }
}
