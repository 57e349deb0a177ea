use super::Cache;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

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
fn few_are_selected_in_large_namespaces_and_in_small_ones() {
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
        let mut found: Vec<_> = cache.select(namespace, wanted);
        found.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        let names = found.iter().map(|map| map.metadata.name.clone());
        names.map(Option::unwrap_or_default).collect::<Vec<_>>()
    };
    assert_eq!(selected("large", &["a", "d"]), ["a", "d"]);
    assert_eq!(selected("small", &["a", "d"]), ["a"]);
    assert!(selected("none", &["a"]).is_empty());
}
