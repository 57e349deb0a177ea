#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use serde_json::json;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn failed(name: &str) -> Arc<Pod> {
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": name, "uid": name}, "spec": {"containers": []}, "status": {"phase": "Failed"},
        }))
        .unwrap(),
    )
}

impl OnNode {
    /// For how many seconds the failed pods that are there wait.
    fn waits(&mut self, names: &[&str], now: i64) -> Vec<i64> {
        let pods: Vec<_> = names.iter().map(|name| failed(name)).collect();
        self.see(&pods, at(now));
        let until = self.failed.iter();
        until
            .map(|(_, until)| until.duration_since(at(now)).as_secs())
            .collect()
    }
}

#[test]
fn each_failure_doubles_the_delay_up_to_fifteen_minutes() {
    let mut node = OnNode::default();
    let mut now = 0;
    for (n, expected) in [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
        .iter()
        .enumerate()
    {
        let waits = node.waits(&[&format!("p{n}")], now);
        assert_eq!(waits, [*expected], "failure {n}");
        now += expected;
    }
}

#[test]
fn looking_again_changes_nothing() {
    let mut node = OnNode::default();
    node.waits(&["a"], 0);
    node.waits(&["b"], 0);
    assert_eq!(node.waits(&["b"], 0), [1]);
    assert_eq!(node.waits(&["b"], 5), [-4]);
    assert_eq!(node.newest, "b");
}

#[test]
fn a_node_that_was_well_for_long_begins_anew() {
    let mut node = OnNode::default();
    for n in 0..5 {
        node.waits(&[&format!("p{n}")], 0);
    }
    assert_eq!(node.waits(&["late"], 60), [0]);
    assert_eq!(node.waits(&["later"], 60), [32]);
    assert_eq!(node.waits(&["much-later"], 10_000), [0]);
    assert_eq!(node.waits(&["and-again"], 10_000), [1]);
}
