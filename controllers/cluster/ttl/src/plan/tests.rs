#![allow(clippy::unwrap_used)]

use super::*;
use serde_json::from_value;
use std::sync::Arc;

#[test]
fn a_step_is_left_late_in_both_directions() {
    for (old, nodes, expected) in [
        (0, 0, 0),
        (0, 100, 0),
        (0, 101, 1),
        (1, 100, 1),
        (1, 90, 1),
        (1, 89, 0),
        (1, 500, 1),
        (1, 501, 2),
        (0, 5000, 4),
        (4, 1800, 4),
        (4, 1799, 3),
        (4, 3, 0),
    ] {
        assert_eq!(step(old, nodes), expected, "{nodes} nodes after step {old}");
    }
    assert_eq!([0, 1, 2, 3, 4].map(seconds), [0, 15, 30, 60, 300]);
}

#[test]
fn a_node_that_says_another_number_is_told() {
    let text = |annotation: Option<&str>, seconds| {
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": "a", "uid": "u1", "annotations": { ANNOTATION: annotation } },
        });
        let node = match annotation {
            Some(_) => node,
            None => {
                json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "a", "uid": "u1" } })
            }
        };
        let node = Arc::new(from_value::<Node>(node).unwrap());
        plan(&World { node, seconds }).to_string()
    };
    let told = |seconds: u32| {
        format!(
            "patch node/a {{\"metadata\":{{\"annotations\":{{\"{ANNOTATION}\":\"{seconds}\"}},\"uid\":\"u1\"}}}}"
        )
    };
    assert_eq!(text(None, 0), told(0));
    assert_eq!(text(Some("0"), 0), "");
    assert_eq!(text(Some("0"), 15), told(15));
    assert_eq!(text(Some("soon"), 15), told(15));
}
