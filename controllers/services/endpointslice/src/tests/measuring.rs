//! What is counted.

use crate::plan::tests::{Town, pod, town, town_of};
use crate::{EndpointSliceController, Routing, Shares, World};
use ::plan::{Cause, Failure, Kind, Outcome, Turn};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use runtime::Controller;
use serde_json::json;

/// What a turn adds whose writes are committed.
fn measured(world: &World) -> Vec<String> {
    let plan = EndpointSliceController::plan(world);
    measured_after(world, &Outcome::of(&plan))
}

fn measured_after(world: &World, outcome: &Outcome) -> Vec<String> {
    let plan = EndpointSliceController::plan(world);
    let turn = Turn::new(&plan, outcome, jiff::Timestamp::UNIX_EPOCH);
    let samples = EndpointSliceController::measure(world, &turn);
    let line = |sample: &::plan::Sample| {
        let line = sample.to_string();
        line.replace("endpoint_slice_controller_", "")
    };
    samples.iter().map(line).collect()
}

fn settled(mut town: Town) -> Town {
    let plan = town.plan();
    town.carry_out(&plan);
    town
}

fn per_sync(added: u32, removed: u32, changed: u32) -> [String; 3] {
    let labels = r#"{topology="Disabled",traffic_distribution=""}"#;
    [
        format!("endpoints_added_per_sync {added}"),
        format!("endpoints_removed_per_sync {removed}"),
        format!("endpointslices_changed_per_sync{labels} {changed}"),
    ]
}

fn totals(endpoints: u32, slices: u32, full: u32) -> [String; 3] {
    [
        format!("endpoints_desired {endpoints}"),
        format!("num_endpoint_slices {slices}"),
        format!("desired_endpoint_slices {full}"),
    ]
}

const SUCCESS: &str = r#"syncs{result="success"} 1"#;

#[test]
fn what_a_turn_changes_is_counted() {
    let pods = |from: usize, to: usize| (from..to).map(|n| pod(n, "a1"));
    let empty = measured(&town().world());
    assert_eq!(empty[..2], [SUCCESS, r#"changes{operation="create"} 1"#]);
    assert_eq!(empty[2..5], per_sync(0, 0, 1));
    assert_eq!(empty[5..], totals(0, 1, 1));

    let mut town = settled(town().max(3).pods(pods(0, 5)));
    let quiet = measured(&town.world());
    assert_eq!(quiet[0], SUCCESS);
    assert_eq!(quiet[1..4], per_sync(0, 0, 0));
    assert_eq!(quiet[4..], totals(5, 2, 2));

    // Two go, one comes.
    town.pods.drain(..2);
    town = town.pods(pods(5, 6));
    let counts = measured(&town.world());
    let changes = counts.iter().filter(|line| line.starts_with("changes"));
    assert!(changes.count() > 0, "{counts:?}");
    assert_eq!(
        counts[counts.len() - 6..counts.len() - 4],
        per_sync(1, 2, 0)[..2]
    );
    assert_eq!(counts[counts.len() - 3], "endpoints_desired 4");
}

#[test]
fn both_families_count() {
    let town = settled(town_of(json!({ "ipFamilies": ["IPv4", "IPv6"] })).pods([pod(1, "a1")]));
    let counts = measured(&town.world());
    assert_eq!(counts[1..4], per_sync(0, 0, 0));
    assert_eq!(counts[4..7], per_sync(0, 0, 0));
    assert_eq!(counts[7..], totals(2, 2, 2));
}

#[test]
fn how_traffic_is_to_be_distributed_is_counted() {
    let mut near = settled(town_of(json!({ "trafficDistribution": "PreferClose" })));
    near.routing = Routing::SameZone;
    let counts = measured(&near.world());
    let distribution =
        r#"services_count_by_traffic_distribution{traffic_distribution="PreferClose"} 1"#;
    assert_eq!(counts.last().unwrap(), distribution);
    let changed = |topology: &str, distribution: &str| {
        format!(
            r#"endpointslices_changed_per_sync{{topology="{topology}",traffic_distribution="{distribution}"}} 0"#
        )
    };
    assert_eq!(counts[3], changed("Disabled", "PreferClose"));
    near.routing = Routing::Auto(Ok(Shares::new()));
    let counts = measured(&near.world());
    assert_eq!(counts[3], changed("Auto", ""));
    assert_ne!(counts.last().unwrap(), distribution);
}

#[test]
fn a_turn_that_fails_is_an_error_and_one_on_an_old_cache_is_stale() {
    let world = town().pods([pod(1, "a1")]).world();
    let plan = EndpointSliceController::plan(&world);
    let failures = plan.actions().map(|action| Failure {
        on: action.on.clone(),
        verb: action.verb.name(),
        cause: Cause::Forbidden,
        message: String::new(),
    });
    let outcome = Outcome {
        failures: failures.collect(),
        ..Outcome::default()
    };
    let counts = measured_after(&world, &outcome);
    assert_eq!(counts[0], r#"syncs{result="error"} 1"#);
    assert_eq!(counts[1..3], per_sync(1, 0, 0)[..2]);
    assert_eq!(counts[3..], totals(1, 1, 1));
    let held = EndpointSliceController::held(Kind::of::<EndpointSlice>()).unwrap();
    assert_eq!(
        held.to_string(),
        r#"endpoint_slice_controller_syncs{result="stale"} 1"#
    );
}

#[test]
fn what_is_not_ours_has_no_share_and_what_rests_keeps_its_own() {
    let none = measured(&World::NotOurs);
    assert_eq!(
        none,
        [
            "endpoints_desired 0",
            "num_endpoint_slices 0",
            "desired_endpoint_slices 0"
        ]
    );
    let resting = World::Resting(std::time::Duration::from_millis(5));
    assert!(measured(&resting).is_empty());
}
