use super::*;
use crate::testing::{node, pod};
use serde_json::json;

#[test]
fn the_first_reason_against_a_pod_is_told() {
    let asks = |resource: &str, amount: &str| json!({"containers": [{ "name": "a", "resources": { "requests": { resource: amount } } }]});
    let port = json!({"containers": [{ "name": "a", "ports": [{ "containerPort": 80, "hostPort": 80 }] }]});
    let held = Claim::of(&pod(port.clone(), json!({})));
    let busy = Claim {
        requests: Resources {
            milli_cpu: 1500,
            pods: 3,
            ..Resources::default()
        },
        ..Claim::default()
    };
    let full = Claim {
        requests: Resources {
            pods: 4,
            ..Resources::default()
        },
        ..Claim::default()
    };
    for (spec, used, refusal) in [
        (json!({}), &busy, None),
        (json!({}), &full, Some("OutOfpods")),
        (asks("cpu", "500m"), &busy, None),
        (asks("cpu", "501m"), &busy, Some("OutOfcpu")),
        (asks("memory", "5Gi"), &busy, Some("OutOfmemory")),
        (
            asks("example.com/gpu", "2"),
            &busy,
            Some("OutOfexample.com/gpu"),
        ),
        (asks("example.com/unknown", "2"), &busy, None),
        (json!({"nodeSelector": {"disk": "ssd"}}), &busy, None),
        (
            json!({"nodeSelector": {"disk": "hdd"}}),
            &busy,
            Some("NodeAffinity"),
        ),
        (port.clone(), &busy, None),
        (port.clone(), &held, Some("NodePorts")),
    ] {
        let pod = pod(spec.clone(), json!({}));
        let verdict = admit(&pod, &Claim::of(&pod), &node(), used);
        let reason = verdict.err().map(|refusal| refusal.reason);
        assert_eq!(reason.as_deref(), refusal, "{spec}");
    }
}

#[test]
fn messages_are_upstreams() {
    let needy = pod(
        json!({"containers": [{ "name": "a", "resources": { "requests": { "cpu": "3" } } }]}),
        json!({}),
    );
    let refusal = admit(&needy, &Claim::of(&needy), &node(), &Claim::default());
    assert_eq!(
        refusal.err().map(|refusal| refusal.message).as_deref(),
        Some("Node didn't have enough resource: cpu, requested: 3000, used: 0, capacity: 2000")
    );
}

#[test]
fn what_is_taken_is_given_back() {
    let one = Claim::of(&pod(
        json!({"containers": [{ "name": "a", "ports": [{ "containerPort": 80, "hostPort": 80 }] }]}),
        json!({}),
    ));
    let mut used = Claim::default();
    used.add(&one);
    used.sub(&one);
    assert_eq!(used, Claim::default());
}
