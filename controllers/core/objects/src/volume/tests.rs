#![allow(clippy::unwrap_used)]
use super::*;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, from_value, json};

fn claim(spec: Value) -> PersistentVolumeClaim {
    let mut whole = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "5Gi" } } });
    let (whole_map, spec) = (whole.as_object_mut().unwrap(), spec);
    whole_map.extend(spec.as_object().unwrap().clone());
    let meta = json!({ "name": "data", "namespace": "shop", "uid": "u-data" });
    from_value(json!({ "metadata": meta, "spec": whole })).unwrap()
}

fn volume(name: &str, size: &str, more: Value) -> Arc<PersistentVolume> {
    let mut spec = json!({ "accessModes": ["ReadWriteOnce"], "capacity": { "storage": size } });
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let meta = json!({ "name": name, "labels": { "name": name } });
    let volume = json!({ "metadata": meta, "spec": spec, "status": { "phase": "Available" } });
    Arc::new(from_value(volume).unwrap())
}

fn best(claim: &PersistentVolumeClaim, volumes: &[Arc<PersistentVolume>]) -> Option<String> {
    let best = Wish::of(claim)
        .unwrap()
        .best(volumes)?
        .metadata
        .name
        .clone();
    Some(best.unwrap())
}

#[test]
fn the_smallest_that_is_enough_is_taken() {
    let volumes = ["1Gi", "100Gi", "10Gi", "5Gi"].map(|size| volume(size, size, json!({})));
    assert_eq!(best(&claim(json!({})), &volumes).as_deref(), Some("5Gi"));
    assert_eq!(
        best(&claim(json!({})), &volumes[..3]).as_deref(),
        Some("10Gi")
    );
    assert_eq!(best(&claim(json!({})), &volumes[..1]), None);
}

#[test]
fn fewer_access_modes_go_before_a_smaller_size() {
    let many = json!({ "accessModes": ["ReadWriteOnce", "ReadOnlyMany"] });
    let volumes = [
        volume("many", "5Gi", many.clone()),
        volume("one", "50Gi", json!({})),
    ];
    assert_eq!(best(&claim(json!({})), &volumes).as_deref(), Some("one"));
    assert_eq!(best(&claim(many), &volumes).as_deref(), Some("many"));
    assert_eq!(
        best(
            &claim(json!({ "accessModes": ["ReadWriteMany"] })),
            &volumes
        ),
        None
    );
}

#[test]
fn what_does_not_match_is_not_taken() {
    let other = json!({ "name": "x", "namespace": "shop", "uid": "u-x" });
    for (of_claim, of_volume) in [
        (json!({ "storageClassName": "fast" }), json!({})),
        (json!({}), json!({ "storageClassName": "fast" })),
        (json!({ "volumeMode": "Block" }), json!({})),
        (json!({ "volumeAttributesClassName": "gold" }), json!({})),
        (
            json!({ "selector": { "matchLabels": { "name": "b" } } }),
            json!({}),
        ),
        (json!({}), json!({ "claimRef": other })),
    ] {
        let volumes = [volume("a", "5Gi", of_volume.clone())];
        assert_eq!(
            best(&claim(of_claim.clone()), &volumes),
            None,
            "{of_claim} {of_volume}"
        );
    }
    let mut released = (*volume("a", "5Gi", json!({}))).clone();
    released.status.as_mut().unwrap().phase = Some("Released".to_owned());
    assert_eq!(best(&claim(json!({})), &[Arc::new(released)]), None);
    let same = json!({ "storageClassName": "fast", "volumeMode": "Block" });
    assert!(best(&claim(same.clone()), &[volume("a", "5Gi", same)]).is_some());
}

#[test]
fn a_reserved_volume_needs_neither_class_nor_label_but_room() {
    let claim = claim(json!({ "selector": { "matchLabels": { "name": "other" } } }));
    let mine = |uid: &str| json!({ "claimRef": { "name": "data", "namespace": "shop", "uid": uid }, "storageClassName": "x" });
    for (volume, is) in [
        (volume("a", "5Gi", mine("")), true),
        (volume("a", "5Gi", mine("u-data")), true),
        (volume("a", "5Gi", mine("u-former")), false),
        (volume("a", "1Gi", mine("")), false),
        (volume("a", "5Gi", json!({})), false),
    ] {
        assert_eq!(Wish::of(&claim).unwrap().reserved(&[volume]).is_some(), is);
    }
}

#[test]
fn a_volume_is_where_its_affinity_says() {
    let node = |zone: &str| -> Node {
        from_value(json!({ "metadata": { "name": "n", "labels": { "zone": zone } } })).unwrap()
    };
    let term =
        json!({ "matchExpressions": [{ "key": "zone", "operator": "In", "values": ["a"] }] });
    let there = json!({ "nodeAffinity": { "required": { "nodeSelectorTerms": [term] } } });
    let (there, anywhere) = (
        volume("there", "5Gi", there),
        volume("big", "9Gi", json!({})),
    );
    let (claim, volumes) = (claim(json!({})), [there, anywhere]);
    let on = |zone: &str, taken: &str| {
        let wish = Wish::of(&claim).unwrap();
        let best = wish.best_on(volumes.iter(), &node(zone).metadata, |v| {
            meta::name(&v.metadata) == taken
        });
        best.map(|v| meta::name(&v.metadata).to_owned())
    };
    assert_eq!(on("a", "").as_deref(), Some("there"));
    assert_eq!(on("b", "").as_deref(), Some("big"));
    assert_eq!(on("a", "there").as_deref(), Some("big"));
    assert_eq!(on("b", "big"), None);
}

#[test]
fn many_claims_do_not_all_want_the_same_of_equal_volumes() {
    let volumes: Vec<_> = (0..20)
        .map(|n| volume(&format!("v{n}"), "5Gi", json!({})))
        .collect();
    let wanted = (0..20).map(|n| {
        let mut claim = claim(json!({}));
        claim.metadata.uid = Some(format!("uid-{n}"));
        best(&claim, &volumes).unwrap()
    });
    let wanted: std::collections::BTreeSet<_> = wanted.collect();
    assert!(wanted.len() > 8, "{wanted:?}");
}

#[test]
fn the_newest_default_class_counts() {
    let class = |name: &str, time: &str, default: &str| -> Arc<StorageClass> {
        let marks = json!({ "storageclass.kubernetes.io/is-default-class": default });
        let meta = json!({ "name": name, "creationTimestamp": time, "annotations": marks });
        Arc::new(from_value(json!({ "metadata": meta, "provisioner": "p" })).unwrap())
    };
    let (old, new) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    let classes = [
        class("a", old, "true"),
        class("c", new, "true"),
        class("b", new, "true"),
        class("d", new, "no"),
    ];
    let name = default_class(&classes).map(|class| meta::name(&class.metadata));
    assert_eq!(name, Some("b"));
    assert!(default_class(&classes[3..]).is_none());
}

#[test]
fn the_empty_class_is_a_class() {
    assert!(has_class(&claim(json!({ "storageClassName": "" }))));
    assert!(!has_class(&claim(json!({}))));
    let mut old = claim(json!({ "storageClassName": "new" }));
    old.metadata.annotations = Some([(BETA_CLASS.to_owned(), "old".to_owned())].into());
    assert_eq!((has_class(&old), class_of_claim(&old)), (true, "old"));
}

#[test]
fn a_pod_uses_claims_by_name_and_by_its_own() {
    let volumes = json!([
        { "name": "v", "persistentVolumeClaim": { "claimName": "data" } },
        { "name": "scratch", "ephemeral": { "volumeClaimTemplate": { "spec": {} } } },
        { "name": "e", "emptyDir": {} },
    ]);
    let meta = json!({ "name": "web", "namespace": "shop", "uid": "u-web" });
    let pod: Pod =
        from_value(json!({ "metadata": meta, "spec": { "containers": [], "volumes": volumes } }))
            .unwrap();
    assert_eq!(claim_keys(&pod), ["shop/data", "shop/web-scratch"]);
    let mut claim = claim(json!({}));
    let why = is_for(&pod.metadata, &claim).unwrap_err();
    assert_eq!(
        why,
        "PVC shop/data was not created for pod shop/web (pod is not owner)"
    );
    claim.metadata.owner_references = Some(vec![meta::owner_reference("v1", "Pod", &pod.metadata)]);
    assert_eq!(is_for(&pod.metadata, &claim), Ok(()));
}
