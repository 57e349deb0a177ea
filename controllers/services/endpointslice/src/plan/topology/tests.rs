#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::Routing;
use crate::plan::tests::{Town, pod, town};
use serde_json::{Value, json};

fn node(zone: &str, cpu: &str, ready: bool, labels: &[&str]) -> Arc<Node> {
    let mut all = json!({});
    if !zone.is_empty() {
        all["topology.kubernetes.io/zone"] = json!(zone);
    }
    for label in labels {
        all[*label] = json!("");
    }
    Arc::new(
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "n", "labels": all},
            "status": {
                "allocatable": {"cpu": cpu},
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
            },
        }))
        .unwrap(),
    )
}

#[test]
fn shares_are_of_the_cpus_of_ready_workers() {
    let control_plane = "node-role.kubernetes.io/control-plane";
    let (a, b) = (
        || node("a", "3", true, &[]),
        || node("b", "1000m", true, &[]),
    );
    let quarter = || {
        Ok(Shares::from([
            ("a".to_owned(), 0.75),
            ("b".to_owned(), 0.25),
        ]))
    };
    for (what, nodes, expected) in [
        ("two zones", vec![a(), b()], quarter()),
        (
            "a control plane does not count",
            vec![a(), b(), node("", "0", true, &[control_plane])],
            quarter(),
        ),
        (
            "nor does one that is not ready",
            vec![a(), b(), node("b", "64", false, &[])],
            quarter(),
        ),
        (
            "no zone",
            vec![a(), b(), node("", "1", true, &[])],
            Err(INSUFFICIENT_NODES),
        ),
        (
            "no cpu",
            vec![a(), b(), node("b", "0", true, &[])],
            Err(INSUFFICIENT_NODES),
        ),
        ("one zone", vec![a(), a()], Err(ONE_ZONE)),
        ("nothing", vec![], Err(INSUFFICIENT_NODES)),
    ] {
        assert_eq!(shares(&nodes), expected, "{what}");
    }
}

/// A town with this many pods in the zones a and b, which have these shares of the CPUs.
fn auto(pods: (usize, usize), shares: (f64, f64)) -> Town {
    let zones = [("a".to_owned(), shares.0), ("b".to_owned(), shares.1)];
    let mut town = town()
        .pods((0..pods.0).map(|n| pod(n, "a1")))
        .pods((0..pods.1).map(|n| pod(500 + n, "b1")));
    town.routing = Routing::Auto(Ok(zones.into()));
    town
}

/// How many endpoints are for each zone, and how many for none.
fn dealt(town: &Town) -> (usize, usize, usize) {
    let endpoints = town
        .slices
        .iter()
        .flat_map(|slice| slice.endpoints.iter().flatten());
    let zones = endpoints.map(|endpoint| {
        let hints = endpoint.hints.as_ref()?;
        Some(hints.for_zones.as_ref()?.first()?.name.clone())
    });
    let zones: Vec<_> = zones.collect();
    let count = |zone: Option<&str>| zones.iter().filter(|is| is.as_deref() == zone).count();
    (count(Some("a")), count(Some("b")), count(None))
}

fn notes(town: &Town) -> Vec<(&'static str, String)> {
    let notes = town.plan().notes;
    notes
        .into_iter()
        .map(|note| (note.reason, note.message))
        .collect()
}

#[test]
fn zones_get_endpoints_by_their_share() {
    for (pods, shares, expected) in [
        ((5, 5), (0.5, 0.5), (5, 5, 0)),
        ((10, 0), (0.5, 0.5), (5, 5, 0)),
        ((9, 1), (0.6, 0.4), (6, 4, 0)),
        ((2, 8), (0.6, 0.4), (6, 4, 0)),
        // Less than half an endpoint off: not worth traffic between zones.
        ((5, 4), (0.5, 0.5), (5, 4, 0)),
        // Too few, and too unlike, for less than a fifth of overload.
        ((1, 0), (0.5, 0.5), (0, 0, 1)),
        ((1, 1), (0.9, 0.1), (0, 0, 2)),
    ] {
        let mut town = auto(pods, shares);
        town.settle();
        assert_eq!(dealt(&town), expected, "{pods:?} {shares:?}");
    }
}

#[test]
fn what_cannot_be_is_told_once() {
    let enough = "Topology Aware Hints has been enabled, addressType: IPv4";
    let few = "Insufficient number of endpoints (1 endpoints, 2 zones), addressType: IPv4";
    let uneven = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold \
                  (2 endpoints, 2 zones), addressType: IPv4";
    for (pods, shares, reason, message) in [
        ((5, 5), (0.5, 0.5), "TopologyAwareHintsEnabled", enough),
        ((1, 0), (0.5, 0.5), "TopologyAwareHintsDisabled", few),
        ((1, 1), (0.9, 0.1), "TopologyAwareHintsDisabled", uneven),
    ] {
        let mut town = auto(pods, shares);
        assert_eq!(notes(&town), [(reason, message.to_owned())]);
        town.settle();
        assert_eq!(notes(&town), [], "{message}");
        town.news = true;
        let expected = usize::from(reason == "TopologyAwareHintsDisabled");
        assert_eq!(
            notes(&town).len(),
            expected,
            "somebody changed the Service and wants to know"
        );
    }
}

#[test]
fn hints_go_when_the_mode_does() {
    let mut town = auto((5, 5), (0.5, 0.5));
    town.settle();
    town.routing = Routing::Anywhere;
    town.was_auto = true;
    let disabled = "Topology Aware Hints has been disabled, addressType: IPv4".to_owned();
    assert_eq!(notes(&town), [("TopologyAwareHintsDisabled", disabled)]);
    town.settle();
    assert_eq!(dealt(&town), (0, 0, 10));
    assert_eq!(notes(&town), []);
}

#[test]
fn hints_go_when_the_nodes_do_not_say_enough() {
    let mut town = auto((5, 5), (0.5, 0.5));
    town.settle();
    town.routing = Routing::Auto(Err(ONE_ZONE));
    let message = format!("{ONE_ZONE}, addressType: IPv4");
    assert_eq!(notes(&town), [("TopologyAwareHintsDisabled", message)]);
    town.settle();
    assert_eq!(dealt(&town), (0, 0, 10));
}

#[test]
fn hints_that_will_do_are_left_alone() {
    let mut town = auto((5, 5), (0.5, 0.5));
    town.settle();
    town.routing = Routing::Auto(Ok([("a".to_owned(), 0.55), ("b".to_owned(), 0.45)].into()));
    assert_eq!(town.settle(), "");
}

#[test]
fn a_zone_that_is_gone_gives_all_it_has() {
    let mut town = auto((5, 5), (0.5, 0.5));
    town.settle();
    town.routing = Routing::Auto(Ok([("a".to_owned(), 0.5), ("c".to_owned(), 0.5)].into()));
    assert_eq!(town.settle(), "update ×1");
    assert_eq!(dealt(&town), (5, 0, 0));
}

#[test]
fn one_endpoint_without_zone_is_too_many() {
    let mut town = auto((5, 5), (0.5, 0.5));
    town.service
        .spec
        .as_mut()
        .unwrap()
        .publish_not_ready_addresses = Some(true);
    town.pods.push(pod(900, "unknown"));
    let message =
        "One or more endpoints do not have a zone specified, addressType: IPv4".to_owned();
    assert_eq!(notes(&town), [("TopologyAwareHintsDisabled", message)]);
    town.settle();
    assert_eq!(dealt(&town), (0, 0, 11));
}

#[test]
fn endpoints_that_are_not_ready_are_for_nobody() {
    let mut town = auto((5, 5), (0.5, 0.5));
    let mut status: Value = serde_json::to_value(town.pods[0].status.as_ref().unwrap()).unwrap();
    status["conditions"][0]["status"] = json!("False");
    town.pods[0].status = serde_json::from_value(status).unwrap();
    town.settle();
    assert_eq!(dealt(&town), (4, 5, 1));
}
