#![allow(clippy::unwrap_used)]

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::{Value, json};

use super::*;
use crate::names::ALPHABET;

fn template(value: Value) -> PodTemplateSpec {
    serde_json::from_value(value).unwrap()
}

fn web() -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "containers": [{"name": "c", "image": "nginx", "resources": {"limits": {"memory": "1Gi"}}}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        },
    })
}

/// `web` with the value at a JSON pointer's parent set.
fn with(path: &str, key: &str, value: Value) -> Value {
    let mut web = web();
    web.pointer_mut(path).unwrap()[key] = value;
    web
}

#[test]
fn hashes_are_stable() {
    // A changed value would give every Deployment a new ReplicaSet name; nothing else would break.
    assert_eq!(hash(&template(web()), None), "86b57d777f");
    assert_eq!(hash(&template(web()), Some(0)), "86cc558b79");
}

#[test]
fn hashes_are_short_and_safe_and_differ_by_collision_count() {
    let counts = [None, Some(0), Some(1), Some(i32::MAX)];
    let hashes = counts.map(|count| hash(&template(web()), count));
    for (index, hash) in hashes.iter().enumerate() {
        assert!((1..=10).contains(&hash.len()) && hash.bytes().all(|b| ALPHABET.contains(&b)));
        assert!(!hashes[..index].contains(hash));
    }
}

#[test]
fn what_means_the_same_is_equal_and_has_one_hash() {
    for same in [
        with("/metadata", "annotations", json!({})),
        with("/metadata", "creationTimestamp", Value::Null),
        with("/spec", "nodeSelector", json!({})),
        with("/spec", "tolerations", json!([])),
        with("/spec/containers/0/resources", "requests", json!({})),
        with(
            "/spec/containers/0/resources/limits",
            "memory",
            json!("1024Mi"),
        ),
        with(
            "/spec/containers/0/resources/limits",
            "memory",
            json!("1073741824"),
        ),
    ] {
        let (a, b) = (template(web()), template(same.clone()));
        assert!(equal_ignoring_hash(&a, &b), "{same}");
        assert_eq!(hash(&a, None), hash(&b, None), "{same}");
    }
}

#[test]
fn what_differs_is_not_equal_and_hashes_otherwise() {
    let mut no_source = web();
    no_source["spec"]["volumes"][0] = json!({"name": "v"});
    for other in [
        with("/metadata/labels", "app", json!("db")),
        with(
            "/metadata",
            "annotations",
            json!({"kubectl.kubernetes.io/restartedAt": "now"}),
        ),
        with("/spec", "securityContext", json!({})), // a pointer in Go: set, though empty
        with("/spec/containers/0", "image", json!("nginx:2")),
        with(
            "/spec/containers/0/resources/limits",
            "memory",
            json!("2Gi"),
        ),
        no_source,
    ] {
        let (a, b) = (template(web()), template(other.clone()));
        assert!(!equal_ignoring_hash(&a, &b), "{other}");
        assert_ne!(hash(&a, None), hash(&b, None), "{other}");
    }
}

#[test]
fn equality_ignores_the_label_on_either_side() {
    let labelled = |hash: &str| template(with("/metadata/labels", POD_TEMPLATE_HASH, json!(hash)));
    assert!(equal_ignoring_hash(&template(web()), &labelled("x")));
    assert!(equal_ignoring_hash(&labelled("y"), &labelled("x")));
    let only = template(json!({"metadata": {"labels": {POD_TEMPLATE_HASH: "x"}}}));
    assert!(equal_ignoring_hash(&only, &PodTemplateSpec::default()));
}

#[test]
fn annotations_that_look_like_quantities_are_text() {
    let noted = |text: &str| template(with("/metadata", "annotations", json!({"sizeLimit": text})));
    assert!(!equal_ignoring_hash(&noted("1"), &noted("1000m")));
}

#[test]
fn a_pod_is_made_of_the_template() {
    let mut value = with("/metadata", "finalizers", json!(["example.com/f"]));
    value["metadata"]["name"] = json!("ignored");
    let template = template(value);
    let owner = OwnerReference {
        uid: "u".to_owned(),
        controller: Some(true),
        ..OwnerReference::default()
    };
    let pod = pod_from_template(&template, &owner, "default", "web-1");
    assert_eq!(pod.metadata.name.as_deref(), Some("web-1"));
    assert_eq!(pod.metadata.namespace.as_deref(), Some("default"));
    assert_eq!(pod.metadata.owner_references, Some(vec![owner]));
    assert_eq!(
        pod.metadata.finalizers,
        Some(vec!["example.com/f".to_owned()])
    );
    assert_eq!(
        pod.metadata.labels,
        template.metadata.as_ref().unwrap().labels
    );
    assert_eq!(pod.spec, template.spec);
    assert_eq!(pod.status, None);
}
