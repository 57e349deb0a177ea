#![allow(clippy::unwrap_used)]

use super::*;
use jiff::SignedDuration;
use serde_json::{Value, from_value};
use std::sync::Arc;

/// The first of June, and a token of January that was made for its account; a token may be unused for 30 days.
fn world(labels: &Value) -> LegacyWorld {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {
            "namespace": "shop", "name": "till-token", "uid": "u1", "resourceVersion": "7",
            "creationTimestamp": "2026-01-01T12:00:00Z", "labels": labels,
        },
    });
    LegacyWorld {
        secret: Arc::new(from_value(secret).unwrap()),
        made: true,
        mounted: false,
        tracked: Some("2026-01-01".parse().unwrap()),
        period: SignedDuration::from_hours(24 * 30),
        now: "2026-06-01T12:00:00Z".parse().unwrap(),
    }
}

fn first_line(world: &LegacyWorld) -> String {
    let text = plan(world).to_string();
    assert!(text.ends_with("again in 86400.000s"), "{text}");
    text.lines().next().unwrap().to_owned()
}

const MARK: &str = "patch secret/till-token {\"metadata\":{\"labels\":{\"kubernetes.io/legacy-token-invalid-since\":\
                    \"2026-06-01\"},\"uid\":\"u1\"}} (nobody uses the token)";
const DELETE: &str = "delete secret/till-token (nobody uses the token)";
const LATER: &str = "again in 86400.000s";

#[test]
fn what_nobody_uses_is_marked_and_then_deleted() {
    for (used, invalid, expected) in [
        (None, None, MARK),
        (Some("2026-05-01"), None, MARK),
        (Some("2026-05-02"), None, LATER),
        (Some("yesterday"), None, LATER),
        (None, Some("2026-05-02"), LATER),
        (None, Some("2026-05-01"), DELETE),
        (None, Some("long ago"), MARK),
        (Some("2026-05-31"), Some("2026-04-01"), LATER),
    ] {
        let mut labels = json!({});
        for (label, value) in [(LAST_USED, used), (INVALID_SINCE, invalid)] {
            if let Some(value) = value {
                labels[label] = value.into();
            }
        }
        assert_eq!(
            first_line(&world(&labels)),
            expected,
            "{used:?} {invalid:?}"
        );
    }
}

#[test]
fn what_may_be_used_stays() {
    type Edit = fn(&mut LegacyWorld);
    let labels = json!({});
    let cases: [(&str, Edit); 6] = [
        ("a user's", |w| w.made = false),
        ("mounted", |w| w.mounted = true),
        ("tracked for an unknown time", |w| w.tracked = None),
        ("tracked for too short a time", |w| {
            w.tracked = Some("2026-05-02".parse().unwrap());
        }),
        ("young", |w| {
            let secret = Arc::make_mut(&mut w.secret);
            secret.metadata.creation_timestamp.as_mut().unwrap().0 =
                "2026-05-02T12:00:00Z".parse().unwrap();
        }),
        ("younger than for ever", |w| w.period = SignedDuration::MAX),
    ];
    for (what, edit) in cases {
        let mut world = world(&labels);
        edit(&mut world);
        assert_eq!(first_line(&world), LATER, "{what}");
    }
}

#[test]
fn a_pod_names_a_secret_in_many_places() {
    let reference = json!({ "name": "s" });
    for (spec, expected) in [
        (json!({}), false),
        (json!({ "imagePullSecrets": [reference] }), true),
        (json!({ "imagePullSecrets": [{ "name": "other" }] }), false),
        (
            json!({ "volumes": [{ "name": "v", "secret": { "secretName": "s" } }] }),
            true,
        ),
        (
            json!({ "volumes": [{ "name": "v", "projected": { "sources": [{ "secret": reference }] } }] }),
            true,
        ),
        (
            json!({ "volumes": [{ "name": "v", "csi": { "driver": "d", "nodePublishSecretRef": reference } }] }),
            true,
        ),
        (
            json!({ "volumes": [{ "name": "v", "azureFile": { "secretName": "s", "shareName": "x" } }] }),
            true,
        ),
        (
            json!({ "volumes": [{ "name": "v", "configMap": { "name": "s" } }] }),
            false,
        ),
        (
            json!({ "initContainers": [{ "name": "c", "envFrom": [{ "secretRef": reference }] }] }),
            true,
        ),
        (
            json!({ "ephemeralContainers": [{ "name": "c", "envFrom": [{ "secretRef": reference }] }] }),
            true,
        ),
        (
            json!({ "containers": [{ "name": "c", "env": [{
                "name": "E", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } },
            }] }] }),
            true,
        ),
    ] {
        let mut spec = spec;
        if spec.get("containers").is_none() {
            spec["containers"] = json!([]);
        }
        let pod =
            json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" }, "spec": spec });
        let pod: Pod = from_value(pod).unwrap();
        assert_eq!(mounts(&pod, "s"), expected, "{spec}");
    }
}
