#![allow(clippy::unwrap_used)]

use super::{ZoneState, Zones, zone_of};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use serde_json::json;

fn at(second: i64) -> Timestamp {
    Timestamp::constant(second, 0)
}

fn node(name: &str, zone: &str, ready: bool) -> Node {
    let ready = if ready { "True" } else { "False" };
    serde_json::from_value(json!({
        "metadata": { "name": name, "labels": { "topology.kubernetes.io/zone": zone } },
        "status": { "conditions": [{ "type": "Ready", "status": ready }] },
    }))
    .unwrap()
}

/// Nodes of a zone of which the first `unready` are not ready.
fn fill(zones: &mut Zones, zone: &str, unready: usize, size: usize, now: i64) {
    for n in 0..size {
        let name = format!("{zone}-{n}");
        // A zone that fills must not look as if all were lost.
        zones.put(&node(&name, zone, true), at(now));
    }
    for n in 0..unready {
        zones.put(&node(&format!("{zone}-{n}"), zone, false), at(now));
    }
}

fn name(zone: &str) -> String {
    format!(":\0:{zone}")
}

#[test]
fn a_zone_fares_as_its_nodes_do() {
    use ZoneState::{FullDisruption, Normal, PartialDisruption};
    for (unready, size, wanted) in [
        (0, 3, Normal),
        (1, 3, Normal),
        (2, 3, Normal),
        (3, 3, FullDisruption),
        (1, 1, FullDisruption),
        (3, 6, Normal),
        (3, 5, PartialDisruption),
        (54, 100, Normal),
        (55, 100, PartialDisruption),
        (99, 100, PartialDisruption),
    ] {
        let mut zones = Zones::default();
        fill(&mut zones, "z", unready, size, 0);
        assert_eq!(zones.state(&name("z")), wanted, "{unready} of {size}");
    }
}

#[test]
fn a_zone_loses_nodes_at_the_pace_of_its_state() {
    // Unready, size, seconds between two nodes.
    for (unready, size, pace) in [
        (1, 10, Some(10)),
        (6, 10, None),
        (50, 50, Some(10)),
        (30, 50, None),
        (30, 51, Some(100)),
        (51, 51, Some(10)),
    ] {
        let mut zones = Zones::default();
        fill(&mut zones, "z", unready, size, 0);
        fill(&mut zones, "other", 0, 1, 0);
        let first = zones.claim(name("z"), at(1000));
        assert_eq!(first, pace.is_some(), "{unready} of {size}");
        let opens = zones.opens(name("z")).map(|at| at.as_second() - 1000);
        assert_eq!(opens, pace, "{unready} of {size}");
        let early = pace.is_some_and(|pace| zones.claim(name("z"), at(1000 + pace - 1)));
        let due = pace.is_some_and(|pace| zones.claim(name("z"), at(1000 + pace)));
        assert_eq!((early, due), (false, pace.is_some()));
    }
}

#[test]
fn zones_have_a_pace_each() {
    let mut zones = Zones::default();
    fill(&mut zones, "a", 1, 3, 0);
    fill(&mut zones, "b", 1, 3, 0);
    assert!(zones.claim(name("a"), at(100)));
    assert!(!zones.claim(name("a"), at(101)));
    assert!(zones.claim(name("b"), at(101)));
}

#[test]
fn no_zone_loses_a_node_while_none_is_ready() {
    let mut zones = Zones::default();
    fill(&mut zones, "a", 2, 2, 0);
    assert!(zones.are_disrupted());
    assert_eq!(zones.opens(name("a")), None);
    fill(&mut zones, "b", 0, 1, 10);
    assert!(!zones.are_disrupted());
    assert_eq!(zones.resumed(), Some(at(10)));
    // The first one after that waits as if another had gone.
    assert_eq!(zones.opens(name("a")), Some(at(20)));
    zones.put(&node("b-0", "b", false), at(30));
    assert!(zones.are_disrupted());
    zones.put(&node("a-0", "a", true), at(40));
    assert_eq!(
        (zones.are_disrupted(), zones.resumed()),
        (false, Some(at(40)))
    );
}

#[test]
fn an_empty_cluster_and_excluded_nodes_are_no_disruption() {
    let mut zones = Zones::default();
    assert!(!zones.are_disrupted());
    let mut master = node("m", "z", false);
    let labels = master.metadata.labels.as_mut().unwrap();
    labels.insert(
        "node.kubernetes.io/exclude-disruption".into(),
        String::new(),
    );
    zones.put(&master, at(0));
    assert!(!zones.are_disrupted());
    assert!(zones.claim(name("z"), at(1)));
    fill(&mut zones, "z", 1, 1, 2);
    assert!(zones.are_disrupted());
    zones.remove("z-0", at(3));
    assert!(!zones.are_disrupted());
}

#[test]
fn a_node_may_move_to_another_zone() {
    let mut zones = Zones::default();
    fill(&mut zones, "a", 1, 1, 0);
    zones.put(&node("a-0", "b", false), at(1));
    let counts: Vec<_> = zones
        .counts()
        .map(|(_, size, unready)| (size, unready))
        .collect();
    assert_eq!(counts, [(0, 0), (1, 1)]);
}

#[test]
fn a_restart_does_not_hasten_the_next_taint() {
    let mut zones = Zones::default();
    fill(&mut zones, "a", 1, 3, 1000);
    zones.tainted(name("a"), at(995));
    assert_eq!(zones.opens(name("a")), Some(at(1005)));
}

#[test]
fn region_and_zone_are_the_zone() {
    let of = |labels: serde_json::Value| {
        let node = json!({ "metadata": { "labels": labels } });
        zone_of(&serde_json::from_value(node).unwrap())
    };
    assert_eq!(of(json!({})), "");
    assert_eq!(of(json!({ "topology.kubernetes.io/zone": "z" })), ":\0:z");
    assert_eq!(
        of(
            json!({ "failure-domain.beta.kubernetes.io/zone": "z", "topology.kubernetes.io/region": "r" })
        ),
        "r:\0:z"
    );
}
