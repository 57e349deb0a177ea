#![allow(clippy::unwrap_used)]

use super::*;
use serde_json::Value;
use std::sync::Arc;

/// A ServiceCIDR `extra` of these ranges, and the time 12:00:00.
fn world(cidrs: &[&str]) -> World {
    let cidr = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": { "name": "extra", "uid": "u1", "finalizers": [FINALIZER] },
        "spec": { "cidrs": cidrs },
        "status": { "conditions": [{
            "type": "Ready", "status": "True", "reason": "", "message": "Kubernetes Service CIDR is ready",
            "lastTransitionTime": "2026-01-01T11:00:00Z",
        }] },
    });
    World {
        cidr: Arc::new(serde_json::from_value(cidr).unwrap()),
        others: Vec::new(),
        addresses: Vec::new(),
        now: "2026-01-01T12:00:00Z".parse().unwrap(),
    }
}

impl World {
    fn with(mut self, edit: impl FnOnce(&mut ServiceCIDR)) -> Self {
        edit(Arc::make_mut(&mut self.cidr));
        self
    }

    fn deleted(self, seconds_ago: i64) -> Self {
        let at = self.now - SignedDuration::from_secs(seconds_ago);
        self.with(|cidr| {
            cidr.metadata.deletion_timestamp =
                Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
        })
    }

    fn beside(mut self, others: &[&str]) -> Self {
        self.others = others.iter().map(|other| other.parse().unwrap()).collect();
        self
    }

    fn given(mut self, addresses: &[&str]) -> Self {
        self.addresses = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        self
    }
}

#[test]
fn one_that_stays_is_protected_and_ready() {
    assert!(plan(&world(&["10.1.0.0/24"])).is_empty(), "it is already");
    let new = world(&["10.1.0.0/24"]).with(|cidr| {
        cidr.metadata.finalizers = None;
        cidr.status = None;
    });
    let text = plan(&new).to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[0],
        r#"patch servicecidr/extra {"metadata":{"finalizers":["networking.k8s.io/service-cidr-finalizer"],"uid":"u1"}}"#
    );
    for part in [
        "patch servicecidr/extra/status",
        r#""lastTransitionTime":"2026-01-01T12:00:00Z""#,
        r#""message":"Kubernetes Service CIDR is ready","reason":"","status":"True","type":"Ready""#,
    ] {
        assert!(lines[1].contains(part), "{}", lines[1]);
    }
}

#[test]
fn what_somebody_else_wrote_into_the_condition_is_put_right() {
    let edited = world(&["10.1.0.0/24"]).with(|cidr| {
        let status = cidr.status.as_mut().unwrap();
        status.conditions.as_mut().unwrap()[0].message = "?".into();
    });
    let text = plan(&edited).to_string();
    assert!(
        text.contains("2026-01-01T11:00:00Z"),
        "ready since then: {text}"
    );
}

const GOES: &str = "goes";
const WAITS: &str = "waits";

/// What becomes of a ServiceCIDR that was deleted a minute ago.
fn fate(world: World) -> &'static str {
    let plan = plan(&world.deleted(60));
    let bodies: Vec<Value> = plan
        .actions()
        .filter_map(|action| match &action.verb {
            ::plan::Verb::Patch(_, body) => Some(body.clone()),
            _ => None,
        })
        .collect();
    match bodies.as_slice() {
        [body] if body["metadata"]["$deleteFromPrimitiveList/finalizers"][0] == FINALIZER => GOES,
        [body] if body["status"]["conditions"][0]["reason"] == "Terminating" => WAITS,
        _ => "?",
    }
}

#[test]
fn one_that_is_deleted_goes_when_nobody_needs_it() {
    let v4 = || world(&["10.1.0.0/24"]);
    let both = || world(&["10.1.0.0/24", "fd01::/112"]);
    for (what, world, expected) in [
        ("unused", v4(), GOES),
        ("used", v4().given(&["10.1.0.7"]), WAITS),
        (
            "inside another",
            v4().given(&["10.1.0.7"]).beside(&["10.1.0.0/16"]),
            GOES,
        ),
        (
            "the same again",
            v4().given(&["10.1.0.7"]).beside(&["10.1.0.0/24"]),
            GOES,
        ),
        (
            "its address in a smaller one",
            v4().given(&["10.1.0.7"]).beside(&["10.1.0.0/28"]),
            GOES,
        ),
        (
            "its address in none",
            v4().given(&["10.1.0.77"]).beside(&["10.1.0.0/28"]),
            WAITS,
        ),
        (
            "its address is the last of the smaller one",
            v4().given(&["10.1.0.15"]).beside(&["10.1.0.0/28"]),
            WAITS,
        ),
        (
            "another family",
            v4().given(&["10.1.0.7"]).beside(&["fd01::/64"]),
            WAITS,
        ),
        (
            "both families, one inside",
            both().given(&["fd01::7"]).beside(&["10.1.0.0/16"]),
            WAITS,
        ),
        (
            "both families, both inside",
            both()
                .given(&["fd01::7", "10.1.0.7"])
                .beside(&["10.1.0.0/16", "fd01::/108"]),
            GOES,
        ),
    ] {
        assert_eq!(fate(world), expected, "{what}");
    }
}

#[test]
fn the_api_servers_get_ten_seconds_to_learn_of_the_end() {
    let early = plan(&world(&["10.1.0.0/24"]).deleted(3));
    assert_eq!(early.to_string(), "again in 7.000s");
    let used = plan(&world(&["10.1.0.0/24"]).deleted(3).given(&["10.1.0.1"]));
    assert_eq!(used.len(), 1, "but that it must wait is told at once");
}

#[test]
fn what_others_hold_is_none_of_our_business() {
    let held = world(&["10.1.0.0/24"]).deleted(60);
    let held = held.with(|cidr| cidr.metadata.finalizers = Some(vec!["example.com/x".into()]));
    assert!(plan(&held).is_empty());
}
