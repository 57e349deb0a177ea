#![allow(clippy::unwrap_used)]

use super::{FEW, Looks, PodInfo};
use crate::kit::{merge, pod, requests};
use serde_json::{Value, json};
use std::sync::Arc;

fn of_template(name: &str, more: Value) -> Value {
    let mut value = json!({
        "metadata": {
            "labels": { "app": "web" },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs", "controller": true }],
        },
        "spec": { "volumes": [{ "name": format!("kube-api-access-{name}"), "projected": { "sources": [] } }] },
        "status": { "conditions": [{ "type": "PodScheduled", "status": "True" }], "startTime": "2026-01-01T00:00:00Z" },
    });
    merge(&mut value, more);
    value
}

#[test]
fn pods_of_one_template_look_the_same_and_are_told_apart() {
    let mut looks = Looks::default();
    let mut info = |name: &str, more| looks.info(&pod(name, of_template(name, more)));
    let (a, b) = (info("a", json!({})), info("b", json!({})));
    assert!(Arc::ptr_eq(&a.look, &b.look));
    assert_eq!((&*a.name, &*b.name), ("a", "b"));
    assert_eq!(a.reference().uid, "u-a");
    let bound = info("c", json!({ "spec": { "nodeName": "n" } }));
    assert!(Arc::ptr_eq(&a.look, &bound.look));
    assert_eq!(bound.node_name(), Some("n"));
    // What decisions look at makes another look.
    for more in [
        json!({ "metadata": { "labels": { "app": "db" } } }),
        json!({ "metadata": { "namespace": "other" } }),
        json!({ "metadata": { "annotations": { "a": "b" } } }),
        requests(json!({ "cpu": "1" })),
        json!({ "spec": { "priority": 7 } }),
        json!({ "spec": { "nodeSelector": { "a": "b" } } }),
        json!({ "spec": { "tolerations": [{ "operator": "Exists" }] } }),
        json!({ "spec": { "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": "c" } }] } }),
    ] {
        let other = info("d", more.clone());
        assert!(!Arc::ptr_eq(&a.look, &other.look), "{more}");
        assert!(!a.looks_like(&other), "{more}");
    }
}

#[test]
fn what_a_status_tells_is_taken_over() {
    let early = pod("a", json!({ "metadata": { "generation": 1 } }));
    let info = PodInfo::of(&early);
    assert!(info.renewed(&early).is_none());
    let status = json!({
        "metadata": { "generation": 1 },
        "status": {
            "startTime": "2026-01-01T00:00:00Z", "nominatedNodeName": "n",
            "conditions": [
                { "type": "PodScheduled", "status": "False", "message": "no" },
                { "type": "DisruptionTarget", "status": "True" },
                { "type": "Ready", "status": "False" },
            ],
        },
    });
    let late = pod("a", status);
    assert!(info.decides_like(&late));
    let new = info.renewed(&late).unwrap();
    assert!(Arc::ptr_eq(&info.look, &new.look));
    assert_eq!(new.nominated(), Some("n"));
    assert_eq!(
        new.started.map(|at| at.to_string()).as_deref(),
        Some("2026-01-01T00:00:00Z")
    );
    let message = |kind| new.condition(kind).map(|of| of.message.clone());
    assert_eq!(message("PodScheduled"), Some(Some("no".to_owned())));
    assert_eq!(message("DisruptionTarget"), Some(None));
    assert_eq!(message("Ready"), None);
    assert_eq!(PodInfo::of(&new.object()).told, new.told);
}

#[test]
fn looks_that_nobody_has_are_forgotten() {
    let mut looks = Looks::default();
    let labelled = |n: usize| json!({ "metadata": { "labels": { "n": n.to_string() } } });
    for n in 0..10 * FEW {
        let _ = looks.info(&pod("a", labelled(n)));
    }
    assert!(looks.count <= FEW, "{}", looks.count);
    // Those with one look too many in common are not shared, and nothing else is wrong with them.
    let held: Vec<PodInfo> = (0..20)
        .map(|n| looks.info(&pod("a", json!({ "spec": { "priority": n } }))))
        .collect();
    assert!((0..20).all(|n| held[n as usize].priority == n));
}
