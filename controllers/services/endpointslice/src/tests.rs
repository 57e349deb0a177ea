#![allow(clippy::unwrap_used, clippy::panic)]

mod closed_loop;
mod measuring;

use super::*;
use serde_json::{Value, json};

#[test]
fn hints_are_what_the_annotation_or_the_field_asks_for() {
    let auto = || Routing::Auto(Ok(Shares::new()));
    for (annotations, field, expected) in [
        (json!({}), Value::Null, Routing::Anywhere),
        (json!({}), json!("PreferClose"), Routing::SameZone),
        (json!({}), json!("PreferSameZone"), Routing::SameZone),
        (json!({}), json!("PreferSameNode"), Routing::SameNode),
        (json!({}), json!("PreferMoon"), Routing::Anywhere),
        (json!({TOPOLOGY_MODE: "Auto"}), Value::Null, auto()),
        (json!({TOPOLOGY_MODE: "auto"}), json!("PreferClose"), auto()),
        (
            json!({TOPOLOGY_MODE: "Disabled"}),
            json!("PreferClose"),
            Routing::SameZone,
        ),
        (json!({TOPOLOGY_AWARE_HINTS: "auto"}), Value::Null, auto()),
        // The deprecated one has precedence.
        (
            json!({TOPOLOGY_AWARE_HINTS: "Disabled", TOPOLOGY_MODE: "Auto"}),
            Value::Null,
            Routing::Anywhere,
        ),
    ] {
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "front", "annotations": annotations},
            "spec": {"trafficDistribution": field},
        });
        let parsed = serde_json::from_value(service.clone()).unwrap();
        assert_eq!(
            routing(&parsed, || Ok(Shares::new())),
            expected,
            "{service}"
        );
    }
}

#[test]
fn many_slices_are_written_more_rarely() {
    let gaps = [0, 1, 10, 50, 100_000].map(|slices| gap(slices).as_millis());
    assert_eq!(gaps, [100, 100, 100, 500, 1000]);
}

#[test]
fn a_slice_is_about_the_services_of_its_label_and_its_owner() {
    let owner = |name: &str| json!([{"apiVersion": "v1", "kind": "Service", "name": name, "uid": "u", "controller": true}]);
    for (manager, label, owners, expected) in [
        (MANAGED_BY, json!("front"), owner("front"), vec!["front"]),
        (
            MANAGED_BY,
            json!("stolen"),
            owner("front"),
            vec!["stolen", "front"],
        ),
        (MANAGED_BY, Value::Null, owner("front"), vec!["front"]),
        (MANAGED_BY, json!("front"), json!([]), vec!["front"]),
        (
            "endpointslicemirroring-controller.k8s.io",
            json!("front"),
            owner("front"),
            vec![],
        ),
        ("", json!("front"), owner("front"), vec![]),
    ] {
        let mut labels = json!({MANAGED_BY_LABEL: manager});
        if !label.is_null() {
            labels[SERVICE_NAME_LABEL] = label;
        }
        let meta = json!({"labels": labels, "ownerReferences": owners});
        let parsed: ObjectMeta = serde_json::from_value(meta.clone()).unwrap();
        assert_eq!(services_of(&parsed).collect::<Vec<_>>(), expected, "{meta}");
    }
}

#[test]
fn a_new_incarnation_of_a_service_is_a_stranger() {
    let controller = EndpointSliceController::default();
    let key = Key::new("shop", "front");
    controller.remember(&key, "u1", |memory| memory.was_auto = true);
    assert!(controller.remember(&key, "u1", |memory| memory.was_auto));
    assert!(!controller.remember(&key, "u2", |memory| memory.was_auto));
}
