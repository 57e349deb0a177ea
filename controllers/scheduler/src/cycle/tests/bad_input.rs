//! What nobody should write, and somebody does: a clear message, and others are as well off as before.

use super::*;
use crate::decide::decide;
use k8s_openapi::api::core::v1::Node;

/// One good node, and whatever the case has; the message about the bad pod, after a good one has got its node beside it.
fn said(nodes: Vec<Arc<Node>>, on_node: Vec<Value>, bad: Value) -> String {
    let mut cycle = cycle();
    cycle.node(node("good", json!({})), at(0.0));
    for node in nodes {
        cycle.node(node, at(0.0));
    }
    for (index, mut of) in on_node.into_iter().enumerate() {
        merge(&mut of, json!({ "spec": { "nodeName": "bad" } }));
        cycle.pod(&pod(&format!("there{index}"), of), at(0.0));
    }
    cycle.pod(&pod("bad", bad), at(0.0));
    cycle.pod(&pod("fine", wants("1")), at(0.0));
    let (mut message, mut bound) = (String::new(), String::new());
    for _ in 0..2 {
        match cycle.next(at(0.0), 0) {
            Next::Bind { info, node, .. } => {
                bound = format!("{} on {node}", &info.name);
            }
            Next::Nobody { message: of, .. } => message = of.to_string(),
            Next::Ask(_) | Next::Failed { .. } => panic!("there are no extenders"),
            Next::Idle(_) => panic!("there are two pods"),
        }
    }
    assert_eq!(bound, "fine on good");
    message
}

fn demanding(affinity: Value) -> Value {
    json!({ "spec": { "affinity": affinity } })
}

#[test]
fn a_pod_that_asks_for_more_than_numbers_hold_fits_nowhere() {
    for cpu in ["9223372036854775808", "9223372036854775807", "9e30"] {
        assert_eq!(
            said(vec![], vec![], wants(cpu)),
            "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: \
             1 Preemption is not helpful for scheduling.",
            "{cpu}"
        );
    }
    let memory = requests(
        json!({ "memory": "9223372036854775807", "example.com/x": "9223372036854775807" }),
    );
    assert_eq!(
        said(vec![], vec![], memory),
        "0/1 nodes are available: 1 Insufficient example.com/x, 1 Insufficient memory. preemption: 0/1 nodes are \
         available: 1 Preemption is not helpful for scheduling."
    );
}

#[test]
fn pods_that_somebody_put_on_a_node_may_hold_more_than_numbers_do() {
    let huge = || requests(json!({ "cpu": "9223372036854775", "memory": "9223372036854775807" }));
    let message = said(
        vec![node("bad", json!({}))],
        vec![huge(), huge(), huge()],
        wants("5"),
    );
    assert!(
        message.starts_with("0/2 nodes are available: 2 Insufficient cpu."),
        "{message}"
    );
}

#[test]
fn a_node_that_offers_less_than_nothing_is_full() {
    let less = |cpu: &str| json!({ "status": { "allocatable": { "cpu": cpu, "memory": cpu, "pods": "-1" } } });
    for cpu in ["-1", "-9223372036854775808", "-9e30"] {
        let full = json!({ "spec": { "nodeSelector": { "kubernetes.io/hostname": "bad" } } });
        let message = said(vec![node("bad", less(cpu))], vec![wants("1")], full);
        assert!(
            message.starts_with(
                "0/2 nodes are available: 1 Too many pods, 1 node(s) didn't match Pod's node affinity/selector."
            ),
            "{message}"
        );
    }
}

#[test]
fn a_selector_that_cannot_be_understood_is_told_in_the_pods_message() {
    let selector =
        json!({ "matchExpressions": [{ "key": "a", "operator": "Like", "values": ["b"] }] });
    let term = json!([{ "topologyKey": "kubernetes.io/hostname", "labelSelector": selector }]);
    let near = demanding(
        json!({ "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": term } }),
    );
    let message = said(vec![], vec![], near);
    assert!(
        message.starts_with("0/1 nodes are available: parsing pod: "),
        "{message}"
    );
    let spread = json!({ "spec": { "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector }] } });
    let message = said(vec![], vec![], spread);
    assert!(
        message.contains("obtaining pod's hard topology spread constraints: "),
        "{message}"
    );
    let expressions = json!([{ "key": "a b", "operator": "In", "values": ["c"] }]);
    let of_nodes = demanding(
        json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{ "matchExpressions": expressions }] } } }),
    );
    let message = said(vec![], vec![], of_nodes);
    assert!(
        message.contains("1 node(s) didn't match Pod's node affinity/selector"),
        "{message}"
    );
}

#[test]
fn a_topology_key_that_no_node_has_is_told_as_such() {
    let all = json!({ "matchLabels": {} });
    let spread = json!({ "spec": { "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "planet",
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": all }] } });
    let message = said(vec![], vec![], spread);
    assert!(
        message.contains(
            "1 node(s) didn't match pod topology spread constraints (missing required label)"
        ),
        "{message}"
    );
    let term = json!([{ "topologyKey": "planet", "labelSelector": all }]);
    let near = demanding(
        json!({ "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": term } }),
    );
    let message = said(vec![], vec![], near);
    assert!(
        message.contains("1 node(s) didn't match pod affinity rules"),
        "{message}"
    );
    // Nobody is beside anybody where there are no planets.
    let apart = demanding(
        json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": term } }),
    );
    let cycle = {
        let mut cycle = cycle();
        cycle.node(node("good", json!({})), at(0.0));
        cycle
    };
    let apart = crate::kit::info("apart", apart);
    let decided = decide(&Table::default(), &apart, cycle.cluster.snapshot(), 0);
    assert!(matches!(decided, Decision::Bind { .. }), "{decided:?}");
}
