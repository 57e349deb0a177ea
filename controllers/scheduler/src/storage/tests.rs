#![allow(clippy::unwrap_used)]

use super::*;
use crate::kit::{bound_to, claim, class, info, merge, seen, uses, volume};
use k8s_openapi::api::storage::v1::CSIStorageCapacity;
use serde_json::{Value, json};

fn storage() -> Storage {
    let mut storage = Storage::default();
    storage.put_class(class(json!({})));
    storage
}

/// Where a pod with these claims can be, as `give VOLUME to CLAIM`, `make CLAIM`; or why nowhere.
fn place(storage: &Storage, claims: &[&str], on: &str) -> String {
    let info = info("web", uses(claims));
    let claims = match storage.claims_of(&info) {
        Ok(claims) => claims,
        Err(why) => return why,
    };
    let work = match storage.place(&claims.waiting, &seen(on, json!({}))) {
        Ok(work) => work,
        Err(Misfit::NoVolume) => return "not here".to_owned(),
        Err(Misfit::NoSpace) => return "no space here".to_owned(),
    };
    let name = |meta| meta::name(meta).to_owned();
    let give = work
        .give
        .iter()
        .map(|(v, c)| format!("give {} to {}", name(&v.metadata), name(&c.metadata)));
    let make = work
        .make
        .iter()
        .map(|c| format!("make {}", name(&c.metadata)));
    give.chain(make).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_claim_that_is_not_as_it_should_be_is_named() {
    let deleting = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } });
    let mut lost = bound_to("v");
    lost["status"]["phase"] = "Lost".into();
    let immediate = json!({ "spec": { "storageClassName": "other" } });
    let named = json!({ "spec": { "volumeName": "v" } });
    let cases = [
        (deleting, "persistentvolumeclaim \"data\" is being deleted"),
        (
            lost,
            "persistentvolumeclaim \"data\" bound to non-existent persistentvolume \"v\"",
        ),
        (
            immediate,
            "pod has unbound immediate PersistentVolumeClaims",
        ),
        (named, "pod has unbound immediate PersistentVolumeClaims"),
    ];
    for (more, why) in cases {
        let mut storage = storage();
        storage.put_claim(claim("data", more));
        assert_eq!(place(&storage, &["data"], "n1"), why);
    }
    assert_eq!(
        place(&storage(), &["data"], "n1"),
        "persistentvolumeclaim \"data\" not found"
    );
}

#[test]
fn an_ephemeral_claim_has_to_be_there_and_the_pods_own() {
    let template = json!({ "volumeClaimTemplate": { "spec": {} } });
    let pod = json!({ "spec": { "volumes": [{ "name": "data", "ephemeral": template }] } });
    let info = info("web", pod);
    let mut storage = storage();
    assert_eq!(
        storage.claims_of(&info).unwrap_err(),
        "waiting for ephemeral volume controller to create the persistentvolumeclaim \"web-data\""
    );
    storage.put_claim(claim("web-data", json!({})));
    let why = storage.claims_of(&info).unwrap_err();
    assert_eq!(
        why,
        "PVC ns/web-data was not created for pod ns/web (pod is not owner)"
    );
    let owner = json!({ "apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "u-web", "controller": true });
    storage.put_claim(claim(
        "web-data",
        json!({ "metadata": { "ownerReferences": [owner] } }),
    ));
    assert!(storage.claims_of(&info).is_ok());
}

#[test]
fn a_volume_that_is_there_is_taken_and_otherwise_made() {
    let mut storage = storage();
    storage.put_claim(claim("data", json!({})));
    storage.put_volume(volume("disk", "n1", json!({})));
    assert_eq!(place(&storage, &["data"], "n1"), "give disk to data");
    assert_eq!(place(&storage, &["data"], "n2"), "make data");
    storage.put_class(class(
        json!({ "provisioner": "kubernetes.io/no-provisioner" }),
    ));
    assert_eq!(place(&storage, &["data"], "n2"), "not here");
    storage.remove_volume("disk");
    assert_eq!(place(&storage, &["data"], "n1"), "not here");
}

#[test]
fn two_claims_of_a_pod_get_two_volumes_the_small_one_the_small_one() {
    let mut storage = storage();
    let large = json!({ "spec": { "resources": { "requests": { "storage": "8Gi" } } } });
    storage.put_claim(claim("large", large));
    storage.put_claim(claim("small", json!({})));
    storage.put_volume(volume(
        "a",
        "n1",
        json!({ "spec": { "capacity": { "storage": "20Gi" } } }),
    ));
    assert_eq!(
        place(&storage, &["large", "small"], "n1"),
        "give a to small, make large"
    );
    storage.put_volume(volume(
        "b",
        "n1",
        json!({ "spec": { "capacity": { "storage": "6Gi" } } }),
    ));
    assert_eq!(
        place(&storage, &["large", "small"], "n1"),
        "give b to small, give a to large"
    );
}

#[test]
fn what_is_promised_is_given_to_nobody_else_until_it_is_taken_back() {
    let mut storage = storage();
    for name in ["data", "other"] {
        storage.put_claim(claim(name, json!({})));
    }
    storage.put_volume(volume("disk", "n1", json!({})));
    let work = {
        let info = info("web", uses(&["data"]));
        let claims = storage.claims_of(&info).unwrap();
        storage
            .place(&claims.waiting, &seen("n1", json!({})))
            .unwrap()
    };
    storage.promise(&work, &"n1".into());
    assert_eq!(place(&storage, &["other"], "n1"), "make other");
    assert_eq!(place(&storage, &["data"], "n1"), "give disk to data");
    storage.take_back(&work);
    assert_eq!(place(&storage, &["other"], "n1"), "give disk to other");
}

#[test]
fn a_claim_stays_with_the_node_that_was_chosen_for_it() {
    let mut storage = storage();
    let data = claim("data", json!({}));
    storage.put_claim(data.clone());
    let work = Work {
        give: Vec::new(),
        make: vec![data],
    };
    storage.promise(&work, &"n1".into());
    assert_eq!(place(&storage, &["data"], "n2"), "not here");
    assert_eq!(place(&storage, &["data"], "n1"), "make data");
    let chosen =
        json!({ "metadata": { "annotations": { "volume.kubernetes.io/selected-node": "n2" } } });
    storage.put_claim(claim("data", chosen));
    assert_eq!(place(&storage, &["data"], "n1"), "not here");
    assert_eq!(place(&storage, &["data"], "n2"), "make data");
}

#[test]
fn volumes_are_made_only_where_their_class_may_have_some() {
    let mut storage = storage();
    storage.put_claim(claim("data", json!({})));
    let hosts = json!([{ "key": "kubernetes.io/hostname", "values": ["n1", "n3"] }]);
    storage.put_class(class(
        json!({ "allowedTopologies": [{ "matchLabelExpressions": hosts }] }),
    ));
    assert_eq!(place(&storage, &["data"], "n1"), "make data");
    assert_eq!(place(&storage, &["data"], "n2"), "not here");
}

#[test]
fn a_bound_volume_counts_where_it_is() {
    let mut storage = storage();
    storage.put_claim(claim("data", bound_to("disk")));
    let info = info("web", uses(&["data"]));
    let volumes = |storage: &Storage| storage.claims_of(&info).unwrap().volumes.len();
    assert_eq!(volumes(&storage), 1);
    assert!(storage.claims_of(&info).unwrap().volumes[0].is_none());
    let mut taken: Value =
        json!({ "spec": { "claimRef": { "name": "data", "namespace": "ns", "uid": "u-data" } } });
    merge(&mut taken, json!({ "status": { "phase": "Bound" } }));
    storage.put_volume(volume("disk", "n1", taken));
    assert!(storage.claims_of(&info).unwrap().volumes[0].is_some());
    assert!(storage.free.is_empty());
}

#[test]
fn a_volume_is_made_where_its_driver_has_the_space() {
    let driver = |tells: bool| {
        let driver = json!({ "metadata": { "name": "example.com/disk" }, "spec": { "storageCapacity": tells } });
        serde_json::from_value(driver).unwrap()
    };
    let left = |name: &str, on: &str, more: Value| {
        let mut left = json!({
            "metadata": { "name": name, "namespace": "drivers" }, "storageClassName": "late",
            "nodeTopology": { "matchLabels": { "kubernetes.io/hostname": on } },
        });
        merge(&mut left, more);
        serde_json::from_value(left).unwrap()
    };
    let mut storage = storage();
    // It asks for 5Gi.
    storage.put_claim(claim("data", json!({})));
    assert_eq!(place(&storage, &["data"], "n1"), "make data");
    assert!(!storage.space_mut().put_driver(&driver(true)));
    assert_eq!(place(&storage, &["data"], "n1"), "no space here");

    // What is left, what is said of it, whether that may help.
    let cases = [
        (json!({ "capacity": "5Gi" }), "make data", true),
        (json!({ "capacity": "4Gi" }), "no space here", false),
        (
            json!({ "capacity": "9Gi", "maximumVolumeSize": "4Gi" }),
            "no space here",
            false,
        ),
        (
            json!({ "capacity": "1Gi", "maximumVolumeSize": "6Gi" }),
            "make data",
            true,
        ),
        (json!({}), "no space here", false),
        (
            json!({ "capacity": "9Gi", "storageClassName": "other" }),
            "no space here",
            true,
        ),
    ];
    for (more, expected, helps) in cases {
        let said = storage.space_mut().put(&left("one", "n1", more.clone()));
        assert_eq!(said, helps, "{more}");
        assert_eq!(place(&storage, &["data"], "n1"), expected, "{more}");
    }
    // It is somewhere else, or nowhere.
    for (more, on) in [
        (json!({ "capacity": "9Gi" }), "n2"),
        (json!({ "capacity": "9Gi", "nodeTopology": null }), "n1"),
    ] {
        storage.space_mut().put(&left("one", on, more));
        assert_eq!(place(&storage, &["data"], "n1"), "no space here");
    }
    let enough: CSIStorageCapacity = left("two", "n1", json!({ "capacity": "9Gi" }));
    storage.space_mut().put(&enough);
    assert_eq!(place(&storage, &["data"], "n1"), "make data");
    storage.space_mut().remove(&enough);
    assert_eq!(place(&storage, &["data"], "n1"), "no space here");
    assert!(storage.space_mut().put_driver(&driver(false)));
    assert_eq!(place(&storage, &["data"], "n1"), "make data");
}
