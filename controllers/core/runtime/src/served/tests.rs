#![allow(clippy::unwrap_used)]

use super::{Groups, Table};
use serde_json::{Value, json};

fn version(version: &str, resources: &[(&str, &str, &str)]) -> Value {
    let resource = |(plural, kind, verbs): &(&str, &str, &str)| {
        json!({
            "resource": plural, "scope": "Namespaced", "verbs": verbs.split(' ').collect::<Vec<_>>(),
            "responseKind": {"group": "", "version": "", "kind": kind},
            "subresources": [{"subresource": "status", "verbs": ["get"]}],
        })
    };
    let resources: Vec<_> = resources.iter().map(resource).collect();
    json!({"version": version, "freshness": "Current", "resources": resources})
}

fn table(groups: &Value, before: &Table) -> Table {
    let answer: Groups = serde_json::from_value(json!({"items": groups})).unwrap();
    Table::new(&[answer], before)
}

const ALL: &str = "create delete get list watch";

fn craft() -> Value {
    json!([
        {"metadata": {}, "versions": [version("v1", &[
            ("pods", "Pod", ALL), ("events", "Event", ALL), ("bindings", "Binding", "create"),
        ])]},
        {"metadata": {"name": "craft.example"}, "versions": [
            version("v2", &[("looms", "Loom", ALL)]),
            version("v1", &[("looms", "Loom", ALL), ("wheels", "Wheel", ALL)]),
        ]},
        {"metadata": {"name": "metrics.k8s.io"}, "versions": [version("v1", &[("pods", "PodMetrics", "get list")])]},
    ])
}

#[test]
fn what_can_be_listed_watched_and_deleted_is_watched_in_its_first_version() {
    let table = table(&craft(), &Table::default());
    let mut kinds: Vec<_> = table.collectable().into_values().collect();
    kinds.sort_by_key(|served| served.kind.plural);
    let paths: Vec<_> = kinds.iter().map(|served| served.kind.path("")).collect();
    assert_eq!(table.in_namespaces().len(), 4);
    let wanted = [
        "/apis/craft.example/v2/looms",
        "/api/v1/pods",
        "/apis/craft.example/v1/wheels",
    ];
    assert_eq!(paths, wanted);
}

#[test]
fn a_kind_is_found_in_any_version_that_is_served() {
    let table = table(&craft(), &Table::default());
    let find = |api_version, kind| table.find(api_version, kind).map(|s| s.kind.path("ns"));
    let loom = |v| Some(format!("/apis/craft.example/{v}/namespaces/ns/looms"));
    assert_eq!(find("craft.example/v1", "Loom"), loom("v1"));
    assert_eq!(find("craft.example/v1alpha1", "Loom"), loom("v2"));
    assert_eq!(find("other.example/v1", "Loom"), None);
    assert_eq!(find("v1", "Loom"), None);
    assert_eq!(
        find("v1", "Pod"),
        Some("/api/v1/namespaces/ns/pods".to_owned())
    );
}

#[test]
fn what_a_server_that_is_away_served_counts_until_it_is_back() {
    let before = table(&craft(), &Table::default());
    let mut groups = craft();
    groups[1]["versions"] = json!([{"version": "v2", "freshness": "Stale"}]);
    let now = table(&groups, &before);
    assert!(now.find("craft.example/v2", "Loom").is_some());
    assert!(now.find("craft.example/v1", "Wheel").is_none());
    assert_eq!(
        (before.away().len(), now.away()),
        (0, &["craft.example/v2".to_owned()][..])
    );
    groups[1]["versions"] = json!([]);
    assert!(
        table(&groups, &now)
            .find("craft.example/v2", "Loom")
            .is_none()
    );
}
