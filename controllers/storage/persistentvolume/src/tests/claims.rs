#![allow(clippy::unwrap_used)]

use super::kit::{about_claim, bound, claim, class, reference, volume, world};
use crate::{ClaimWorld, Class, Named};
use serde_json::{Value, json};

const TO_DISK: &str = r#"patch persistentvolume/disk {"metadata":{"annotations":{"pv.kubernetes.io/bound-by-controller":"yes"},"resourceVersion":"9","uid":"u-disk"},"spec":{"claimRef":{"apiVersion":"v1","kind":"PersistentVolumeClaim","name":"data","namespace":"shop","resourceVersion":"7","uid":"u-data"}}} (it is given to the claim)"#;
const TO_CLAIM: &str = r#"patch persistentvolumeclaim/data {"metadata":{"annotations":{"pv.kubernetes.io/bind-completed":"yes","pv.kubernetes.io/bound-by-controller":"yes"},"resourceVersion":"7","uid":"u-data"},"spec":{"volumeName":"disk"}} (the volume is its own)"#;

fn check(world: &ClaimWorld, wanted: &str) {
    assert_eq!(about_claim(world), wanted);
}

/// The claim's own part of a binding that a user began on the claim's side.
fn completed() -> String {
    TO_CLAIM.replace(r#","pv.kubernetes.io/bound-by-controller":"yes""#, "")
}

fn names_disk(more: Value) -> ClaimWorld {
    let mut spec = json!({ "spec": { "volumeName": "disk" } });
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    world(claim(spec))
}

#[test]
fn a_claim_gets_a_volume_and_both_say_so() {
    let volumes = vec![volume(json!({}))];
    let world = ClaimWorld {
        volumes,
        ..world(claim(json!({})))
    };
    check(&world, &format!("{TO_DISK}\n{TO_CLAIM}"));
}

#[test]
fn half_of_a_binding_is_finished() {
    let mut taken = reference("u-data");
    taken["metadata"] = json!({ "annotations": { "pv.kubernetes.io/bound-by-controller": "yes" } });
    check(
        &ClaimWorld {
            volumes: vec![volume(taken)],
            ..world(claim(json!({})))
        },
        TO_CLAIM,
    );
}

#[test]
fn what_is_bound_on_both_sides_is_told_in_the_status() {
    let volume = volume(reference("u-data"));
    let fresh = bound(json!({ "status": { "phase": "Pending" } }));
    let told = ClaimWorld {
        named: Named::Is(volume.clone()),
        ..world(fresh)
    };
    check(&told, "phase Bound");
    let status = crate::status::claim(&told).unwrap().status.unwrap();
    assert_eq!(status.capacity.unwrap()["storage"].0, "10Gi");
    assert_eq!(status.access_modes.unwrap(), ["ReadWriteOnce"]);

    let same =
        json!({ "status": { "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "1Gi" } } });
    check(
        &ClaimWorld {
            named: Named::Is(volume),
            ..world(bound(same))
        },
        "",
    );
}

#[test]
fn a_volume_that_shall_grow_is_told_with_the_size_that_it_has() {
    let before = "volume.alpha.kubernetes.io/pre-resize-capacity";
    let mut growing = reference("u-data");
    growing["metadata"] = json!({ "annotations": { before: "3Gi" } });
    let fresh = bound(json!({ "status": { "phase": "Pending" } }));
    let told = ClaimWorld {
        named: Named::Is(volume(growing)),
        ..world(fresh)
    };
    let status = crate::status::claim(&told).unwrap().status.unwrap();
    assert_eq!(status.capacity.unwrap()["storage"].0, "3Gi");
}

#[test]
fn nothing_to_bind_says_why() {
    let none = "note Normal FailedBinding: no persistent volumes available for this claim and no storage class is set";
    check(&world(claim(json!({}))), none);
    let small = vec![volume(
        json!({ "spec": { "capacity": { "storage": "1Gi" } } }),
    )];
    check(
        &ClaimWorld {
            volumes: small,
            ..world(claim(json!({})))
        },
        none,
    );

    let of_class = |class| ClaimWorld {
        class,
        ..world(claim(json!({ "spec": { "storageClassName": "fast" } })))
    };
    check(
        &of_class(Class::Missing("fast".to_owned())),
        "note Warning ProvisioningFailed: storageclass.storage.k8s.io \"fast\" not found",
    );
    check(
        &of_class(class("kubernetes.io/no-provisioner", "Immediate")),
        "note Warning ProvisioningFailed: no volume plugin matched name: kubernetes.io/no-provisioner",
    );
}

#[test]
fn an_invalid_selector_is_named() {
    let bad = json!({ "spec": { "selector": { "matchExpressions": [{ "key": "a", "operator": "Like" }] } } });
    let text = about_claim(&ClaimWorld {
        volumes: vec![volume(json!({}))],
        ..world(claim(bad))
    });
    assert!(
        text.starts_with("note Warning FailedBinding: spec.selector: "),
        "{text}"
    );
}

#[test]
fn a_claim_without_a_class_gets_the_default_one_and_one_with_the_empty_class_does_not() {
    let default_class = Some("fast".to_owned());
    let plain = ClaimWorld {
        default_class: default_class.clone(),
        ..world(claim(json!({})))
    };
    let patch = r#"patch persistentvolumeclaim/data {"metadata":{"resourceVersion":"7","uid":"u-data"},"spec":{"storageClassName":"fast"}} (it gets the default class)"#;
    check(&plain, patch);
    let fitting = ClaimWorld {
        volumes: vec![volume(json!({}))],
        ..plain.clone()
    };
    check(&fitting, &format!("{TO_DISK}\n{TO_CLAIM}"));
    let empty = claim(json!({ "spec": { "storageClassName": "" } }));
    let text = about_claim(&ClaimWorld {
        claim: empty,
        ..plain
    });
    assert!(text.contains("FailedBinding"), "{text}");
}

#[test]
fn who_makes_a_volume_is_told_once() {
    let wait = |who: &str| {
        format!(
            "Waiting for a volume to be created either by the external provisioner '{who}' or manually by the system \
             administrator. If volume creation is delayed, please verify that the provisioner is running and correctly \
             registered."
        )
    };
    for (provisioner, who) in [
        ("example.com/disk", "example.com/disk"),
        ("kubernetes.io/aws-ebs", "ebs.csi.aws.com"),
    ] {
        let class = class(provisioner, "Immediate");
        let spec = json!({ "spec": { "storageClassName": "fast" } });
        let fresh = ClaimWorld {
            class: class.clone(),
            ..world(claim(spec.clone()))
        };
        let text = about_claim(&fresh);
        let marks = format!(
            r#""annotations":{{"volume.beta.kubernetes.io/storage-provisioner":"{who}","volume.kubernetes.io/storage-provisioner":"{who}"}}"#
        );
        assert!(
            text.starts_with("patch persistentvolumeclaim/data") && text.contains(&marks),
            "{text}"
        );
        let plan = crate::plan::claim(&fresh);
        assert_eq!(
            plan.actions()
                .next()
                .unwrap()
                .note
                .as_ref()
                .unwrap()
                .message,
            wait(who)
        );

        let mut told = spec;
        told["metadata"] =
            json!({ "annotations": { "volume.kubernetes.io/storage-provisioner": who } });
        check(
            &ClaimWorld {
                class,
                ..world(claim(told))
            },
            &format!("note Normal ExternalProvisioning: {}", wait(who)),
        );
    }
}

#[test]
fn a_claim_that_waits_for_its_consumer_is_left_to_the_scheduler() {
    let spec = json!({ "storageClassName": "fast" });
    let of_class = json!({ "spec": spec });
    let waiting = ClaimWorld {
        class: class("example.com/disk", "WaitForFirstConsumer"),
        volumes: vec![volume(of_class.clone())],
        ..world(claim(of_class.clone()))
    };
    check(
        &waiting,
        "note Normal WaitForFirstConsumer: waiting for first consumer to be created before binding",
    );
    let pods = |names: &[&str]| ClaimWorld {
        unscheduled: names.iter().map(|name| (*name).to_owned()).collect(),
        ..waiting.clone()
    };
    check(
        &pods(&["web"]),
        "note Normal WaitForPodScheduled: waiting for pod web to be scheduled",
    );
    check(
        &pods(&["a", "b"]),
        "note Normal WaitForPodScheduled: waiting for pods a,b to be scheduled",
    );
    let mut reserved = reference("u-data");
    reserved["spec"]["storageClassName"] = "fast".into();
    let chosen = ClaimWorld {
        volumes: vec![volume(reserved)],
        ..waiting.clone()
    };
    check(&chosen, TO_CLAIM);
    let mut selected = of_class;
    selected["metadata"] = json!({ "annotations": { "volume.kubernetes.io/selected-node": "n1" } });
    let text = about_claim(&ClaimWorld {
        claim: claim(selected),
        ..waiting
    });
    assert!(
        text.contains(r#""volume.kubernetes.io/storage-provisioner":"example.com/disk""#),
        "{text}"
    );
}

#[test]
fn a_claim_gets_the_volume_that_it_names_or_waits_for_it() {
    let with = |named| ClaimWorld {
        named,
        ..names_disk(json!({}))
    };
    check(
        &with(Named::Is(volume(json!({})))),
        &format!("{TO_DISK}\n{}", completed()),
    );
    check(&with(Named::Gone), "");
    check(
        &with(Named::Is(volume(reference("u-other")))),
        "note Warning FailedBinding: volume \"disk\" already bound to a different claim.",
    );
    let reserved = volume(reference(""));
    let text = about_claim(&with(Named::Is(reserved)));
    assert!(
        text.contains(r#""uid":"u-data""#) && !text.contains("bound-by-controller"),
        "{text}"
    );
}

#[test]
fn a_volume_that_will_not_do_is_told() {
    for (of_volume, why) in [
        (
            json!({ "spec": { "capacity": { "storage": "1Gi" } } }),
            "requested PV is too small",
        ),
        (
            json!({ "spec": { "storageClassName": "x" } }),
            "storageClassName does not match",
        ),
        (
            json!({ "spec": { "volumeMode": "Block" } }),
            "incompatible volumeMode",
        ),
        (
            json!({ "spec": { "accessModes": ["ReadOnlyMany"] } }),
            "incompatible accessMode",
        ),
        (
            json!({ "spec": { "volumeAttributesClassName": "x" } }),
            "volumeAttributesClassName does not match",
        ),
        (
            json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } }),
            "the volume is marked for deletion \"disk\"",
        ),
    ] {
        let named = Named::Is(volume(of_volume));
        check(
            &ClaimWorld {
                named,
                ..names_disk(json!({}))
            },
            &format!(
                "note Warning VolumeMismatch: Cannot bind to requested volume \"disk\": {why}"
            ),
        );
    }
}

#[test]
fn what_was_bound_and_is_no_more_is_lost() {
    let with = |claim, named| ClaimWorld {
        named,
        ..world(claim)
    };
    check(
        &with(bound(json!({ "spec": { "volumeName": "" } })), Named::None),
        "phase Lost\nClaimLost",
    );
    check(
        &with(bound(json!({})), Named::Gone),
        "phase Lost\nClaimLost",
    );
    check(
        &with(bound(json!({})), Named::Is(volume(reference("u-other")))),
        "phase Lost\nClaimMisbound",
    );
    check(
        &with(bound(json!({ "status": { "phase": "Lost" } })), Named::Gone),
        "",
    );
    check(&with(bound(json!({})), Named::Unknown), "again in 1.000s");
}

#[test]
fn a_lost_claim_is_found_again_with_its_volume() {
    let lost = bound(json!({ "status": { "phase": "Lost" } }));
    let named = Named::Is(volume(reference("u-data")));
    check(
        &ClaimWorld {
            named,
            ..world(lost)
        },
        "phase Bound",
    );
}

#[test]
fn a_bound_claim_takes_its_volume_again_when_that_was_set_free() {
    let text = about_claim(&ClaimWorld {
        named: Named::Is(volume(json!({}))),
        ..world(bound(json!({})))
    });
    assert_eq!(text, TO_DISK);
}

#[test]
fn a_claim_that_goes_gets_nothing_any_more() {
    let going = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } });
    check(
        &ClaimWorld {
            volumes: vec![volume(json!({}))],
            ..world(claim(going))
        },
        "",
    );
}

#[test]
fn claims_of_former_plugins_are_handed_over() {
    let provisioner = json!({ "metadata": { "annotations": {
        "volume.beta.kubernetes.io/storage-provisioner": "kubernetes.io/gce-pd" } } });
    let text = about_claim(&world(claim(provisioner)));
    assert!(
        text.contains(r#"{"pv.kubernetes.io/migrated-to":"pd.csi.storage.gke.io"}"#),
        "{text}"
    );
    let other = json!({ "metadata": { "annotations": {
        "volume.kubernetes.io/storage-provisioner": "example.com/disk", "pv.kubernetes.io/migrated-to": "x" } } });
    let text = about_claim(&world(claim(other)));
    assert!(
        text.contains(r#"{"pv.kubernetes.io/migrated-to":null}"#),
        "{text}"
    );
}
