#![allow(clippy::unwrap_used)]

use super::*;
use crate::kit::{bound_to, claim, info, merge, seen, uses, volume};
use plan::{Done, Kind};
use serde_json::json;

fn work(give: bool) -> Work {
    let data = claim("data", json!({}));
    if give {
        Work {
            give: vec![(volume("disk", "n1", json!({})), data)],
            make: Vec::new(),
        }
    } else {
        Work {
            give: Vec::new(),
            make: vec![data],
        }
    }
}

#[test]
fn volumes_are_given_and_nodes_are_told() {
    let text = plan(&work(true), "n1").to_string();
    assert!(text.starts_with(r#"patch persistentvolume/disk {"metadata":{"annotations":{"pv.kubernetes.io/bound-by-controller":"yes"},"resourceVersion":"6","uid":"u-disk"}"#), "{text}");
    assert!(
        text.contains(r#""name":"data","namespace":"ns","resourceVersion":"5","uid":"u-data""#),
        "{text}"
    );
    let text = plan(&work(false), "n1").to_string();
    assert!(
        text.contains(r#"{"volume.kubernetes.io/selected-node":"n1"}"#),
        "{text}"
    );
    let told =
        json!({ "metadata": { "annotations": { "volume.kubernetes.io/selected-node": "n1" } } });
    let told = Work {
        give: Vec::new(),
        make: vec![claim("data", told)],
    };
    assert!(plan(&told, "n1").is_empty());
}

/// Whether the pod's claim counts as bound on n1, being so, with the volume being so.
fn check(
    more: serde_json::Value,
    disk: Option<serde_json::Value>,
    work: &Work,
    version: u64,
) -> Result<bool, String> {
    let mut storage = Storage::default();
    let data = claim("data", more);
    let on = Reference::from_meta(Kind::of::<PersistentVolumeClaim>(), &data.metadata);
    storage.put_claim(data);
    if let Some(disk) = disk {
        storage.put_volume(volume("disk", "n1", disk));
    }
    let done = vec![Done {
        on,
        verb: "patch",
        version: Some(version),
    }];
    let written = Written::of(&Outcome {
        done,
        ..Outcome::default()
    });
    let n1 = seen("n1", json!({}));
    are_bound(
        &storage,
        &info("web", uses(&["data"])),
        Some(&n1),
        work,
        &written,
    )
}

#[test]
fn it_waits_until_the_claim_has_its_volume() {
    let selected = |node: &str| json!({ "metadata": { "annotations": { "volume.kubernetes.io/selected-node": node } } });
    let mut bound = selected("n1");
    merge(&mut bound, bound_to("disk"));
    let make = work(false);
    assert_eq!(
        check(json!({}), None, &make, 6),
        Ok(false),
        "what was written is not seen yet"
    );
    assert_eq!(check(selected("n1"), None, &make, 5), Ok(false));
    assert_eq!(
        check(bound.clone(), None, &make, 5),
        Ok(false),
        "the volume is not seen yet"
    );
    assert_eq!(check(bound.clone(), Some(json!({})), &make, 5), Ok(true));
    let why = check(json!({}), None, &make, 5).unwrap_err();
    assert_eq!(why, "binding volumes: provisioning failed for PVC \"data\"");
    let elsewhere =
        json!({ "spec": { "nodeAffinity": { "required": { "nodeSelectorTerms": [] } } } });
    let why = check(bound, Some(elsewhere), &make, 5).unwrap_err();
    assert_eq!(
        why,
        "binding volumes: pv \"disk\" node affinity doesn't match node \"n1\""
    );
}

#[test]
fn a_volume_that_was_set_free_again_is_told() {
    let mine =
        json!({ "spec": { "claimRef": { "name": "data", "namespace": "ns", "uid": "u-data" } } });
    let give = work(true);
    assert_eq!(check(json!({}), Some(mine), &give, 5), Ok(false));
    let why = check(json!({}), Some(json!({})), &give, 5).unwrap_err();
    assert_eq!(why, "binding volumes: ClaimRef got reset for pv \"disk\"");
    let why = check(json!({}), None, &give, 5).unwrap_err();
    assert_eq!(why, "binding volumes: pv \"disk\" does not exist any more");
}
