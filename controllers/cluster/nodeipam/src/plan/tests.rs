#![allow(clippy::unwrap_used)]

use super::*;
use serde_json::from_value;
use std::sync::Arc;

fn plan_of(share: Share) -> Plan {
    let node =
        json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "a", "uid": "u1" } });
    let node = Arc::new(from_value(node).unwrap());
    plan(&World { node, share })
}

#[test]
fn a_node_is_given_what_is_kept_for_it_in_one_write() {
    let ranges = ["10.244.1.0/24", "fd00:0:0:1::/64"].map(|text| text.parse().unwrap());
    let plan = plan_of(Share::Ranges(ranges.to_vec()));
    assert_eq!(
        plan.to_string(),
        "patch node/a {\"metadata\":{\"uid\":\"u1\"},\"spec\":{\"podCIDR\":\"10.244.1.0/24\",\
         \"podCIDRs\":[\"10.244.1.0/24\",\"fd00:0:0:1::/64\"]}}"
    );
    let failure = plan.actions().next().unwrap().on_failure.clone().unwrap();
    assert_eq!(failure.reason, "CIDRAssignmentFailed");
    assert_eq!(
        failure.message,
        "Node a status is now: CIDRAssignmentFailed"
    );
}

#[test]
fn where_no_range_is_left_an_event_says_so() {
    assert_eq!(
        plan_of(Share::NoneLeft).to_string(),
        "note Normal CIDRNotAvailable: Node a status is now: CIDRNotAvailable"
    );
    assert!(plan_of(Share::Nothing).is_empty());
}
