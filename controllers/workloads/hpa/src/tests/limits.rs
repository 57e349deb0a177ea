//! Windows, rates and bounds.

use super::kit::{ago, condition, scene};
use crate::history::History;
use ::plan::Outcome;
use serde_json::{Value, json};

/// A past of recommendations and of changes, each so many seconds ago.
fn past(recommended: &[(i64, i32)], done: &[(i64, i32)]) -> History {
    History {
        recommendations: recommended.iter().map(|(s, n)| (ago(*s), *n)).collect(),
        events: done.iter().map(|(s, n)| (ago(*s), Some(*n))).collect(),
    }
}

/// The size, and the reasons of AbleToScale and ScalingLimited.
fn limited(replicas: i32, milli: i64, spec: Value, past: History) -> (Option<i32>, String, String) {
    let scene = scene(replicas).cpu(&vec![milli; replicas as usize]);
    let scene = scene
        .spec(json!({"maxReplicas": 100}))
        .spec(spec)
        .history(past);
    let size = scene.replicas();
    // What was done stands in AbleToScale in the place of what made it possible.
    let able = crate::plan::decide(&scene.world()).conditions;
    let able = able
        .iter()
        .find(|(kind, ..)| *kind == "AbleToScale")
        .unwrap()
        .2;
    let hpa = scene.status(&Outcome::default()).unwrap();
    let limited = condition(&hpa, "ScalingLimited").unwrap().1;
    (size, able.to_owned(), limited)
}

fn check(
    (replicas, milli): (i32, i64),
    spec: &Value,
    past: History,
    (size, able, limit): (Option<i32>, &str, &str),
) {
    let found = limited(replicas, milli, spec.clone(), past);
    assert_eq!(found, (size, able.to_owned(), limit.to_owned()));
}

#[test]
fn without_behavior_it_doubles_at_most_and_sinks_after_five_minutes() {
    let none = json!({});
    let ready = "ReadyForNewScale";
    check(
        (3, 5000),
        &none,
        past(&[], &[]),
        (Some(6), ready, "ScaleUpLimit"),
    );
    check(
        (1, 5000),
        &none,
        past(&[], &[]),
        (Some(4), ready, "ScaleUpLimit"),
    );
    check(
        (60, 5000),
        &none,
        past(&[], &[]),
        (Some(100), ready, "TooManyReplicas"),
    );
    check(
        (3, 5),
        &json!({"minReplicas": 2}),
        past(&[], &[]),
        (Some(2), ready, "TooFewReplicas"),
    );
    let down = "ScaleDownStabilized";
    check(
        (5, 100),
        &none,
        past(&[(200, 4)], &[]),
        (Some(4), down, "DesiredWithinRange"),
    );
    check(
        (5, 100),
        &none,
        past(&[(200, 5)], &[]),
        (None, down, "DesiredWithinRange"),
    );
    check(
        (5, 100),
        &none,
        past(&[(301, 5)], &[]),
        (Some(1), ready, "DesiredWithinRange"),
    );
}

#[test]
fn the_defaults_of_behavior_are_four_or_double_a_quarter_minute() {
    let behavior = json!({"behavior": {}});
    let ready = "ReadyForNewScale";
    check(
        (1, 5000),
        &behavior,
        past(&[], &[]),
        (Some(5), ready, "ScaleUpLimit"),
    );
    check(
        (10, 5000),
        &behavior,
        past(&[], &[]),
        (Some(20), ready, "ScaleUpLimit"),
    );
    // Ten were added within the quarter of a minute: the doubling is used up.
    check(
        (20, 5000),
        &behavior,
        past(&[], &[(10, 10)]),
        (None, ready, "ScaleUpLimit"),
    );
    check(
        (20, 5000),
        &behavior,
        past(&[], &[(15, 10)]),
        (Some(40), ready, "ScaleUpLimit"),
    );
    check(
        (10, 100),
        &behavior,
        past(&[(290, 10)], &[]),
        (None, "ScaleDownStabilized", "DesiredWithinRange"),
    );
}

fn one(direction: &str, kind: &str, value: i32, seconds: i32) -> Value {
    json!({"behavior": {
        "scaleDown": {"stabilizationWindowSeconds": 0},
        direction: {
            "stabilizationWindowSeconds": 0,
            "policies": [{"type": kind, "value": value, "periodSeconds": seconds}],
        },
    }})
}

#[test]
fn a_policy_counts_what_was_done_in_its_period_both_ways() {
    let up = one("scaleUp", "Pods", 3, 60);
    let ready = "ReadyForNewScale";
    check(
        (5, 5000),
        &up,
        past(&[], &[(30, 2)]),
        (Some(6), ready, "ScaleUpLimit"),
    );
    check(
        (5, 5000),
        &up,
        past(&[], &[(30, 3)]),
        (None, ready, "ScaleUpLimit"),
    );
    check(
        (5, 5000),
        &up,
        past(&[], &[(60, 3)]),
        (Some(8), ready, "ScaleUpLimit"),
    );
    // What was taken away may come back.
    check(
        (5, 5000),
        &up,
        past(&[], &[(30, -2)]),
        (Some(10), ready, "ScaleUpLimit"),
    );
    let down = one("scaleDown", "Percent", 50, 60);
    check(
        (9, 5),
        &down,
        past(&[], &[]),
        (Some(4), ready, "ScaleDownLimit"),
    );
    check(
        (6, 5),
        &down,
        past(&[], &[(30, -4)]),
        (Some(5), ready, "ScaleDownLimit"),
    );
    check(
        (4, 5),
        &down,
        past(&[], &[(30, -6)]),
        (None, ready, "ScaleDownLimit"),
    );
}

#[test]
fn percentages_are_rounded_so_that_something_happens_upwards() {
    let up = one("scaleUp", "Percent", 1, 60);
    let ready = "ReadyForNewScale";
    check(
        (1, 5000),
        &up,
        past(&[], &[]),
        (Some(2), ready, "ScaleUpLimit"),
    );
    let down = one("scaleDown", "Percent", 1, 60);
    check(
        (9, 5),
        &down,
        past(&[], &[]),
        (Some(8), ready, "ScaleDownLimit"),
    );
}

#[test]
fn the_policy_that_allows_most_or_least_is_chosen_or_none() {
    let ready = "ReadyForNewScale";
    for (select, up, down) in [("Max", 20, 5), ("Min", 13, 7)] {
        let rules = json!({
            "stabilizationWindowSeconds": 0, "selectPolicy": select,
            "policies": [
                {"type": "Pods", "value": 3, "periodSeconds": 60},
                {"type": "Percent", "value": 100, "periodSeconds": 60},
            ],
        });
        let mut less = rules.clone();
        less["policies"][1]["value"] = json!(50);
        let spec = json!({"behavior": {"scaleUp": rules, "scaleDown": less}});
        check(
            (10, 5000),
            &spec,
            past(&[], &[]),
            (Some(up), ready, "ScaleUpLimit"),
        );
        check(
            (10, 5),
            &spec,
            past(&[], &[]),
            (Some(down), ready, "ScaleDownLimit"),
        );
    }
    let off = json!({"behavior": {
        "scaleUp": {"selectPolicy": "Disabled"},
        "scaleDown": {"selectPolicy": "Disabled", "stabilizationWindowSeconds": 0},
    }});
    check(
        (10, 5000),
        &off,
        past(&[], &[]),
        (None, ready, "ScaleUpLimit"),
    );
    check(
        (10, 5),
        &off,
        past(&[], &[]),
        (None, ready, "ScaleDownLimit"),
    );
}

#[test]
fn windows_hold_in_both_directions() {
    let spec = json!({"behavior": {
        "scaleUp": {"stabilizationWindowSeconds": 60},
        "scaleDown": {"stabilizationWindowSeconds": 120},
    }});
    check(
        (5, 1000),
        &spec,
        past(&[(50, 6)], &[]),
        (Some(6), "ScaleUpStabilized", "DesiredWithinRange"),
    );
    check(
        (5, 1000),
        &spec,
        past(&[(61, 6)], &[]),
        (Some(10), "ReadyForNewScale", "DesiredWithinRange"),
    );
    check(
        (5, 100),
        &spec,
        past(&[(110, 4)], &[]),
        (Some(4), "ScaleDownStabilized", "DesiredWithinRange"),
    );
    check(
        (5, 100),
        &spec,
        past(&[(121, 4)], &[]),
        (Some(1), "ReadyForNewScale", "DesiredWithinRange"),
    );
}

#[test]
fn what_is_not_known_may_have_used_all_that_was_allowed() {
    let spec = one("scaleUp", "Pods", 3, 60);
    let unknown = |seconds| History {
        recommendations: Vec::new(),
        events: vec![(ago(seconds), None)],
    };
    let ready = "ReadyForNewScale";
    check((5, 5000), &spec, unknown(59), (None, ready, "ScaleUpLimit"));
    check(
        (5, 5000),
        &spec,
        unknown(60),
        (Some(8), ready, "ScaleUpLimit"),
    );
}

#[test]
fn numbers_beyond_all_bounds_do_no_harm() {
    let spec = json!({"minReplicas": -5, "maxReplicas": i32::MAX, "behavior": {
        "scaleUp": {"stabilizationWindowSeconds": -1, "policies": [
            {"type": "Percent", "value": i32::MAX, "periodSeconds": i32::MAX},
            {"type": "Pods", "value": -7, "periodSeconds": -1},
        ]},
        "scaleDown": {"stabilizationWindowSeconds": i32::MAX},
    }});
    let (size, ..) = limited(5, 5000, spec, past(&[], &[(10, i32::MAX), (20, i32::MIN)]));
    assert_eq!(size, Some(50));
}
