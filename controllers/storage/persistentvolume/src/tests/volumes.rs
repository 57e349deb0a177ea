#![allow(clippy::unwrap_used)]

use super::kit::{about_volume, bound, claim, reference, volume};
use crate::Claimed;
use serde_json::{Value, json};

fn with(
    mut more: Value,
    phase: &str,
    policy: &str,
) -> std::sync::Arc<k8s_openapi::api::core::v1::PersistentVolume> {
    more["status"] = json!({ "phase": phase });
    more["spec"]["persistentVolumeReclaimPolicy"] = policy.into();
    volume(more)
}

#[test]
fn what_is_nobodys_is_available() {
    let fresh = json!({ "status": { "phase": "Pending" } });
    assert_eq!(about_volume(volume(fresh), Claimed::Not), "phase Available");
    assert_eq!(about_volume(volume(json!({})), Claimed::Not), "");
    assert_eq!(about_volume(volume(reference("")), Claimed::Not), "");
}

#[test]
fn what_both_sides_say_is_bound() {
    let claimed = || Claimed::By(bound(json!({})));
    assert_eq!(
        about_volume(volume(reference("u-data")), claimed()),
        "phase Bound"
    );
    assert_eq!(
        about_volume(with(reference("u-data"), "Bound", "Retain"), claimed()),
        ""
    );
}

#[test]
fn a_claim_that_names_no_volume_yet_is_waited_for() {
    assert_eq!(
        about_volume(volume(reference("u-data")), Claimed::By(claim(json!({})))),
        ""
    );
    let block = claim(json!({ "spec": { "volumeMode": "Block" } }));
    let text = about_volume(volume(reference("u-data")), Claimed::By(block));
    assert_eq!(
        text,
        "note Warning VolumeMismatch: Cannot bind PersistentVolume to requested PersistentVolumeClaim \"data\" due to \
         incompatible volumeMode.\nnote Warning VolumeMismatch: Cannot bind PersistentVolume \"disk\" to requested \
         PersistentVolumeClaim due to incompatible volumeMode."
    );
}

#[test]
fn a_volume_whose_claim_took_another_one_is_free_again() {
    let elsewhere = || Claimed::By(bound(json!({ "spec": { "volumeName": "other" } })));
    let mut ours = reference("u-data");
    ours["metadata"] = json!({ "annotations": { "pv.kubernetes.io/bound-by-controller": "yes" } });
    let text = about_volume(volume(ours.clone()), elsewhere());
    assert!(text.contains(r#""spec":{"claimRef":null}"#), "{text}");
    assert!(
        text.contains(r#"{"pv.kubernetes.io/bound-by-controller":null}"#),
        "{text}"
    );
    let text = about_volume(volume(reference("u-data")), elsewhere());
    assert!(
        text.contains(r#""spec":{"claimRef":{"uid":null}}"#),
        "{text}"
    );

    // One that was made for the claim is of no use to anybody else.
    ours["metadata"] =
        json!({ "annotations": { "pv.kubernetes.io/provisioned-by": "example.com/disk" } });
    ours["spec"]["persistentVolumeReclaimPolicy"] = "Delete".into();
    assert_eq!(about_volume(volume(ours), elsewhere()), "phase Released");
}

#[test]
fn what_becomes_of_a_volume_whose_claim_is_gone_is_its_policys() {
    let gone = |more, phase, policy| about_volume(with(more, phase, policy), Claimed::ByNobody);
    let of = || reference("u-data");
    for policy in ["Retain", "Delete", "Recycle"] {
        assert_eq!(gone(of(), "Bound", policy), "phase Released");
    }
    assert_eq!(gone(of(), "Released", "Retain"), "");
    assert_eq!(
        gone(of(), "Released", "Recycle"),
        "phase Failed\nVolumeFailedRecycle: No recycler plugin found for the volume!"
    );
    assert_eq!(
        gone(of(), "Released", "Delete"),
        "phase Failed\nVolumeFailedDelete: error getting deleter volume plugin for volume \"disk\": no deletable volume \
         plugin matched"
    );
    assert_eq!(gone(of(), "Failed", "Delete"), "");
    let mut csi = of();
    csi["spec"]["csi"] = json!({ "driver": "d", "volumeHandle": "h" });
    let mut made = of();
    made["metadata"] =
        json!({ "annotations": { "pv.kubernetes.io/provisioned-by": "example.com/disk" } });
    for others in [csi, made] {
        assert_eq!(gone(others, "Released", "Delete"), "");
    }
}

#[test]
fn only_directories_under_tmp_are_given_up() {
    let on = |path: &str| {
        let mut more = reference("u-data");
        more["spec"]["hostPath"] = json!({ "path": path });
        about_volume(with(more, "Released", "Delete"), Claimed::ByNobody)
    };
    let deleted =
        "delete persistentvolume/disk if persistentvolumeclaim/data is gone (its claim is gone)";
    assert_eq!(on("/tmp/x"), deleted);
    for path in ["/tmp/", "/tmp", "/mnt/x", "/tmp/../etc"] {
        let failed = format!(
            "phase Failed\nVolumeFailedDelete: host_path deleter only supports /tmp/.+ but received provided {path}"
        );
        assert_eq!(on(path), failed);
    }
}

#[test]
fn what_is_not_known_is_asked_again() {
    assert_eq!(
        about_volume(volume(reference("u-data")), Claimed::Unknown),
        "again in 1.000s"
    );
}

#[test]
fn volumes_of_former_plugins_are_handed_over() {
    let of = |by: &str, policy: &str, finalizers: &[&str], to: Option<&str>| {
        let mut marks = json!({ "pv.kubernetes.io/provisioned-by": by });
        if let Some(to) = to {
            marks["pv.kubernetes.io/migrated-to"] = to.into();
        }
        let mut more = reference("");
        more["metadata"] = json!({ "annotations": marks, "finalizers": finalizers });
        more["spec"]["persistentVolumeReclaimPolicy"] = policy.into();
        about_volume(volume(more), Claimed::Not)
    };
    let (ebs, keeper) = ("kubernetes.io/aws-ebs", "kubernetes.io/pv-controller");
    let text = of(ebs, "Delete", &[keeper], None);
    assert!(
        text.contains(r#"{"pv.kubernetes.io/migrated-to":"ebs.csi.aws.com"}"#),
        "{text}"
    );
    let text = of(ebs, "Delete", &[keeper, "x"], Some("ebs.csi.aws.com"));
    assert!(text.contains(r#""finalizers":["x"]"#), "{text}");
    let text = of("kubernetes.io/host-path", "Delete", &[], None);
    assert!(
        text.contains(r#""finalizers":["kubernetes.io/pv-controller"]"#),
        "{text}"
    );
    let text = of("kubernetes.io/host-path", "Retain", &[keeper], None);
    assert!(text.contains(r#""finalizers":[]"#), "{text}");
    assert_eq!(of("example.com/disk", "Delete", &["y"], None), "");
}
