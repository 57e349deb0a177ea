//! What is counted.
#![allow(clippy::unwrap_used)]

use super::kit::{bound, claim, class, reference, volume, world};
use crate::metrics::{of_claim, of_volume};
use crate::{ClaimWorld, Claimed, VolumeWorld};
use ::plan::{Cause, Failure, Object, Outcome, Plan, Sample, Turn};
use serde_json::{Value, json};

fn lines(samples: &[Sample]) -> Vec<String> {
    let line = |sample: &Sample| sample.to_string().replace("pv_collector_", "");
    samples.iter().map(line).collect()
}

/// All of a plan is refused.
fn refused(plan: &Plan) -> Outcome {
    let failures = plan.actions().map(|action| Failure {
        on: action.on.clone(),
        verb: action.verb.name(),
        cause: Cause::Forbidden,
        message: String::new(),
    });
    Outcome {
        failures: failures.collect(),
        ..Outcome::default()
    }
}

fn about_claim(world: &ClaimWorld, outcome: fn(&Plan) -> Outcome) -> Vec<String> {
    let plan = crate::plan::claim(world);
    let status = crate::status::claim(world).map(Object::new);
    let outcome = outcome(&plan);
    let turn = Turn {
        status: status.as_ref(),
        ..Turn::new(&plan, &outcome, jiff::Timestamp::UNIX_EPOCH)
    };
    lines(&of_claim(world, &turn))
}

fn about_volume(more: Value, claimed: Claimed, outcome: fn(&Plan) -> Outcome) -> Vec<String> {
    let world = VolumeWorld {
        volume: volume(more),
        claimed,
    };
    let plan = crate::plan::volume(&world);
    let status = crate::status::volume(&world).map(Object::new);
    let outcome = outcome(&plan);
    let turn = Turn {
        status: status.as_ref(),
        ..Turn::new(&plan, &outcome, jiff::Timestamp::UNIX_EPOCH)
    };
    lines(&of_volume(&world, &turn))
}

fn pvc(count: &str, class: &str, attributes: &str) -> String {
    format!(
        r#"{count}_pvc_count{{namespace="shop",storage_class="{class}",volume_attributes_class="{attributes}"}} 1"#
    )
}

#[test]
fn claims_are_counted_by_phase_namespace_and_classes() {
    let waiting = world(claim(json!({})));
    assert_eq!(about_claim(&waiting, Outcome::of), [pvc("unbound", "", "")]);
    let fast =
        json!({ "spec": { "storageClassName": "fast", "volumeAttributesClassName": "gold" } });
    let mut has = world(bound(fast));
    has.named = crate::Named::Is(volume(reference("u-data")));
    assert_eq!(
        about_claim(&has, Outcome::of),
        [pvc("bound", "fast", "gold")]
    );
}

#[test]
fn classes_that_claims_get_later_are_counted() {
    let mut none = world(claim(json!({})));
    none.default_class = Some("fast".to_owned());
    let counts = about_claim(&none, Outcome::of);
    assert_eq!(
        counts[1..],
        [
            "retroactive_storageclass_total 1",
            "retroactive_storageclass_errors_total 0"
        ]
    );
    let counts = about_claim(&none, refused);
    assert_eq!(counts[2], "retroactive_storageclass_errors_total 1");
}

#[test]
fn a_provision_that_cannot_be_asked_for_is_an_error() {
    let mut wants = world(claim(json!({ "spec": { "storageClassName": "fast" } })));
    wants.class = class("disks.example.com", "Immediate");
    assert_eq!(about_claim(&wants, Outcome::of).len(), 1);
    let labels = r#"{plugin_name="disks.example.com",operation_name="provision"} 1"#;
    assert_eq!(
        about_claim(&wants, refused)[1..],
        [
            format!("volume_operation_errors_total{labels}"),
            format!("volume_operation_total_errors{labels}"),
        ]
    );
}

#[test]
fn volumes_are_counted_by_plugin_mode_phase_and_class() {
    let total = |plugin: &str, mode: &str| {
        format!(r#"total_pv_count{{plugin_name="{plugin}",volume_mode="{mode}"}} 1"#)
    };
    for (spec, plugin, mode) in [
        (json!({}), "kubernetes.io/nfs", "Filesystem"),
        (
            json!({ "volumeMode": "Block" }),
            "kubernetes.io/nfs",
            "Block",
        ),
        (
            json!({ "nfs": null, "csi": { "driver": "disks.example.com", "volumeHandle": "h" } }),
            "kubernetes.io/csi:disks.example.com",
            "Filesystem",
        ),
        (
            json!({ "nfs": null, "hostPath": { "path": "/tmp" } }),
            "kubernetes.io/host-path",
            "Filesystem",
        ),
        (json!({ "nfs": null }), "N/A", "Filesystem"),
    ] {
        let counts = about_volume(json!({ "spec": spec }), Claimed::Not, Outcome::of);
        assert_eq!(counts[0], total(plugin, mode));
        assert_eq!(counts[1..], [r#"unbound_pv_count{storage_class=""} 1"#]);
    }
    // The phase that is written in this turn counts.
    let mut of = reference("u-data");
    of["spec"]["storageClassName"] = "fast".into();
    let counts = about_volume(of, Claimed::By(bound(json!({}))), Outcome::of);
    assert_eq!(counts[1], r#"bound_pv_count{storage_class="fast"} 1"#);
}

#[test]
fn a_volume_that_cannot_be_deleted_is_an_error() {
    let mut gone = reference("u-data");
    gone["spec"]["persistentVolumeReclaimPolicy"] = "Delete".into();
    gone["spec"]["hostPath"] = json!({ "path": "/tmp/x" });
    gone["spec"]["nfs"] = Value::Null;
    gone["status"] = json!({ "phase": "Released" });
    let fine = about_volume(gone.clone(), Claimed::ByNobody, Outcome::of);
    assert_eq!(fine.len(), 2, "{fine:?}");
    let counts = about_volume(gone, Claimed::ByNobody, refused);
    let labels = r#"{plugin_name="N/A",operation_name="delete"} 1"#;
    assert_eq!(counts[2], format!("volume_operation_errors_total{labels}"));
}
