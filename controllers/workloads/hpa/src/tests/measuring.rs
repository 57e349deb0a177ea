//! What is counted.

use super::failed;
use super::kit::{Scene, resource, samples, scene};
use crate::metrics::measure;
use ::plan::{Cause, Outcome, Turn};
use serde_json::json;
use std::time::Duration;

/// What a turn adds whose writes are committed; durations left out.
fn counted(scene: &Scene) -> Vec<String> {
    counted_after(scene, &Outcome::of(&scene.plan()))
}

fn counted_after(scene: &Scene, outcome: &Outcome) -> Vec<String> {
    let mut lines = all(scene, outcome);
    lines.retain(|line| !line.contains("duration"));
    lines
}

fn all(scene: &Scene, outcome: &Outcome) -> Vec<String> {
    let (world, plan) = (scene.world(), scene.plan());
    let turn = Turn {
        took: Duration::from_millis(5),
        ..Turn::new(&plan, outcome, world.now())
    };
    let samples = measure(&world, &turn);
    let line = |sample: &::plan::Sample| {
        let line = sample.to_string();
        line.replace("horizontal_pod_autoscaler_controller_", "")
    };
    samples.iter().map(line).collect()
}

fn reconciled(action: &str, error: &str) -> String {
    format!(r#"reconciliations_total{{action="{action}",error="{error}"}} 1"#)
}

fn computed(action: &str, error: &str, kind: &str) -> String {
    format!(
        r#"metric_computation_total{{action="{action}",error="{error}",metric_type="{kind}"}} 1"#
    )
}

fn desired(replicas: i32) -> String {
    format!(r#"desired_replicas{{namespace="forge",hpa_name="bellows"}} {replicas}"#)
}

const ONE: &str = "num_horizontal_pod_autoscalers 1";

#[test]
fn a_turn_is_counted_by_what_it_did() {
    for (cpu, action, replicas) in [
        (900, "scale_up", 6),
        (500, "none", 3),
        (50, "scale_down", 1),
    ] {
        let scene = scene(3).cpu(&[cpu; 3]);
        assert_eq!(
            counted(&scene),
            [
                reconciled(action, "none"),
                ONE.to_owned(),
                desired(replicas),
                computed(action, "none", "Resource"),
            ]
        );
    }
    // A metric is measured against the replicas that the status says, the turn against those that the scale has.
    let scene = scene(3)
        .cpu(&[900; 3])
        .hpa(json!({ "status": { "currentReplicas": 6 } }));
    assert_eq!(counted(&scene)[3], computed("none", "none", "Resource"));
}

#[test]
fn what_bounds_command_is_no_metrics_doing() {
    let scene = scene(12).cpu(&[]);
    assert_eq!(
        counted(&scene),
        [
            reconciled("scale_down", "none"),
            ONE.to_owned(),
            desired(10)
        ]
    );
}

#[test]
fn what_went_wrong_is_counted() {
    let lost = scene(3).lost("gone");
    let wanted = [reconciled("none", "internal"), ONE.to_owned(), desired(3)];
    assert_eq!(counted(&lost), wanted);
    let spec = json!({ "scaleTargetRef": { "apiVersion": "a/b/c" } });
    assert_eq!(
        counted(&scene(3).spec(spec).lost("bad"))[0],
        reconciled("none", "spec")
    );

    let refused = scene(3).cpu(&[900; 3]);
    assert_eq!(
        counted_after(&refused, &failed(Cause::Forbidden)),
        [
            reconciled("none", "internal"),
            ONE.to_owned(),
            desired(3),
            computed("scale_up", "none", "Resource"),
        ]
    );
    let metrics = json!([resource("cpu", 50), resource("memory", 50), { "type": "Moon" }]);
    let half = scene(3).metrics(metrics).measured(vec![
        Ok(samples(&[900; 3])),
        Err("gone".into()),
        Err("none".into()),
    ]);
    assert_eq!(
        counted(&half)[3..],
        [
            computed("scale_up", "none", "Resource"),
            computed("none", "internal", "Resource"),
            computed("none", "spec", ""),
        ]
    );
    assert_eq!(counted(&half)[0], reconciled("scale_up", "internal"));
}

#[test]
fn an_autoscaler_that_never_had_a_status_wants_nothing_yet() {
    let mut new = scene(3).lost("gone");
    std::sync::Arc::make_mut(&mut new.hpa).status = None;
    assert_eq!(
        counted(&new),
        [reconciled("none", "internal"), ONE.to_owned()]
    );
}

#[test]
fn durations_are_those_of_the_turn_and_of_getting_each_metric() {
    let mut scene = scene(3).cpu(&[500; 3]);
    scene.target.as_mut().unwrap().took = vec![Duration::from_millis(3)];
    let mut lines = all(&scene, &Outcome::default());
    lines.retain(|line| line.contains("duration"));
    assert_eq!(
        lines,
        [
            r#"reconciliation_duration_seconds{action="none",error="none"} 0.005"#,
            r#"metric_computation_duration_seconds{action="none",error="none",metric_type="Resource"} 0.003"#,
        ]
    );
}
