#![allow(clippy::unwrap_used, clippy::panic)]

use crate::since::Since;
use crate::{Taint, World, plan};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

const BEGIN: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::constant(BEGIN + second, 0)
}

/// A taint of this key and value since a second.
fn taint(key: &str, value: &str, since: i64) -> Taint {
    let taint = json!({ "key": key, "value": value, "effect": "NoExecute" });
    Taint {
        taint: serde_json::from_value(taint).unwrap(),
        since: at(since),
    }
}

fn pod(name: &str, tolerations: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": "5", "generation": 2,
            "creationTimestamp": at(-1000).to_string(),
        },
        "spec": { "nodeName": "a", "containers": [], "tolerations": tolerations },
    }))
    .unwrap()
}

fn world(taints: Vec<Taint>, pods: Vec<Pod>, now: i64) -> World {
    World {
        taints,
        pods: pods.into_iter().map(Arc::new).collect(),
        waiting: BTreeSet::new(),
        is_certain: true,
        contact: Some(at(-500)),
        now: at(now),
    }
}

fn tolerates(key: &str, seconds: Option<i64>) -> Value {
    let mut toleration = json!({ "key": key, "operator": "Exists", "effect": "NoExecute" });
    if let Some(seconds) = seconds {
        toleration["tolerationSeconds"] = seconds.into();
    }
    toleration
}

/// In how many seconds the pod goes: 0 at once, none never.
fn goes(taints: Vec<Taint>, tolerations: Value, now: i64) -> Option<u64> {
    let plan = plan::plan(&world(taints, vec![pod("web", tolerations)], now));
    if !plan.is_empty() {
        return Some(0);
    }
    plan.again_after.map(|after| after.as_secs())
}

#[test]
fn a_pod_stays_as_long_as_it_tolerates_all_taints() {
    let one = || vec![taint("k", "", 0)];
    let two = || vec![taint("k", "", 0), taint("l", "", 30)];
    for (taints, tolerations, wanted) in [
        (vec![], json!([]), None),
        (one(), json!([]), Some(0)),
        (one(), json!([tolerates("x", None)]), Some(0)),
        (one(), json!([tolerates("k", None)]), None),
        (one(), json!([tolerates("k", Some(100))]), Some(60)),
        (one(), json!([tolerates("k", Some(40))]), Some(0)),
        (one(), json!([tolerates("k", Some(0))]), Some(0)),
        (one(), json!([tolerates("k", Some(-7))]), Some(0)),
        // The first that fits counts.
        (
            one(),
            json!([tolerates("k", None), tolerates("k", Some(50))]),
            None,
        ),
        (
            one(),
            json!([tolerates("k", Some(50)), tolerates("k", None)]),
            Some(10),
        ),
        (one(), json!([{ "operator": "Exists" }]), None),
        (
            one(),
            json!([{ "key": "k", "operator": "Exists", "effect": "NoSchedule" }]),
            Some(0),
        ),
        (two(), json!([tolerates("k", None)]), Some(0)),
        (
            two(),
            json!([tolerates("k", None), tolerates("l", None)]),
            None,
        ),
        (
            two(),
            json!([tolerates("k", Some(100)), tolerates("l", None)]),
            Some(60),
        ),
        // Each counts from its own taint: 100 and 80.
        (
            two(),
            json!([tolerates("k", Some(100)), tolerates("l", Some(50))]),
            Some(40),
        ),
    ] {
        assert_eq!(
            goes(taints, tolerations.clone(), 40),
            wanted,
            "{tolerations}"
        );
    }
}

#[test]
fn numbers_without_sense_do_no_harm() {
    let tolerations = json!([tolerates("k", Some(i64::MAX))]);
    assert!(goes(vec![taint("k", "", 0)], tolerations, 0).unwrap() > 1_000_000_000);
    let tolerations = json!([tolerates("k", Some(i64::MIN))]);
    assert_eq!(goes(vec![taint("k", "", 0)], tolerations, 0), Some(0));
}

#[test]
fn the_time_of_a_pod_begins_when_it_comes() {
    let mut late = pod("web", json!([tolerates("k", Some(100))]));
    late.status = serde_json::from_value(json!({ "conditions": [
        { "type": "PodScheduled", "status": "True", "lastTransitionTime": at(70).to_string() },
    ] }))
    .unwrap();
    let plan = plan::plan(&world(vec![taint("k", "", 0)], vec![late], 80));
    assert_eq!(plan.again_after.map(|a| a.as_secs()), Some(90));
}

#[test]
fn a_pod_is_marked_and_then_deleted() {
    let mut web = pod("web", json!([]));
    let taints = || vec![taint("k", "", 0)];
    let marked = plan::plan(&world(taints(), vec![web.clone()], 0));
    let text = r#"patch pod/web/status {"metadata":{"resourceVersion":"5","uid":"uid-web"},"status":{"conditions":[{"lastTransitionTime":"2027-01-15T08:00:00Z","message":"Taint manager: deleting due to NoExecute taint","observedGeneration":2,"reason":"DeletionByTaintManager","status":"True","type":"DisruptionTarget"}]}} (it does not tolerate its node)"#;
    assert_eq!(marked.to_string(), text);
    web.status = serde_json::from_value(json!({ "conditions": [
        { "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager" },
    ] }))
    .unwrap();
    let deleted = plan::plan(&world(taints(), vec![web], 0));
    assert_eq!(deleted.to_string(), "delete pod/web");
    let action = deleted.actions().next().unwrap();
    let note = action.note.as_ref().unwrap();
    assert_eq!(action.on.uid, "uid-web");
    assert_eq!(
        (note.reason, note.message.as_str()),
        ("TaintManagerEviction", "Marking for deletion Pod shop/web")
    );
}

#[test]
fn a_pod_that_fails_to_be_marked_holds_no_other_up() {
    let mut second = pod("b", json!([]));
    second.status = serde_json::from_value(json!({ "conditions": [
        { "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager" },
    ] }))
    .unwrap();
    let world = world(
        vec![taint("k", "", 0)],
        vec![pod("a", json!([])), second],
        0,
    );
    let plan = plan::plan(&world);
    assert_eq!((plan.steps.len(), plan.len()), (1, 2));
}

#[test]
fn nothing_is_done_on_the_word_of_a_cache() {
    let mut world = world(vec![taint("k", "", 0)], vec![pod("web", json!([]))], 0);
    world.is_certain = false;
    assert!(world.is_due());
    let plan = plan::plan(&world);
    assert!(plan.is_empty());
    assert_eq!(plan.again_after.map(|a| a.as_secs()), Some(1));
}

#[test]
fn a_pod_that_may_stay_after_all_is_told_so() {
    let mut world = world(
        vec![],
        vec![pod("web", json!([])), pod("other", json!([]))],
        0,
    );
    world.waiting = ["uid-web".to_owned()].into();
    let text = "note Normal TaintManagerEviction: Cancelling deletion of Pod shop/web";
    assert_eq!(plan::plan(&world).to_string(), text);
    // It tolerates what is left.
    world.taints = vec![taint("l", "", 0)];
    world.pods = vec![Arc::new(pod("web", json!([tolerates("l", None)])))];
    assert_eq!(plan::plan(&world).to_string(), text);
    // It still waits.
    world.pods = vec![Arc::new(pod("web", json!([tolerates("l", Some(9))])))];
    assert_eq!(plan::plan(&world).to_string(), "again in 9.000s");
    assert_eq!(world.keeps_waiting(), ["uid-web".to_owned()].into());
}

#[test]
fn what_ran_out_while_nobody_was_there_gets_a_last_chance() {
    const LOST: &str = "node.kubernetes.io/unreachable";
    // Key, contact since, now, seconds tolerated; goes in.
    for (key, contact, now, seconds, wanted) in [
        (LOST, Some(-500), 300, 300, Some(0)),
        (LOST, Some(400), 400, 300, Some(15)),
        (LOST, Some(400), 414, 300, Some(1)),
        (LOST, Some(400), 415, 300, Some(0)),
        // It ran out after we came.
        (LOST, Some(200), 299, 300, Some(1)),
        (LOST, Some(200), 300, 300, Some(0)),
        (LOST, None, 400, 300, Some(15)),
        // People do not come back by themselves.
        ("maintenance", Some(400), 400, 300, Some(0)),
        ("maintenance", None, 400, 300, Some(0)),
    ] {
        let tolerations = json!([tolerates(key, Some(seconds))]);
        let mut world = world(vec![taint(key, "", 0)], vec![pod("web", tolerations)], now);
        world.contact = contact.map(at);
        let plan = plan::plan(&world);
        let goes = if plan.is_empty() {
            plan.again_after.map(|a| a.as_secs())
        } else {
            Some(0)
        };
        assert_eq!(goes, wanted, "{key} {contact:?} {now}");
    }
}

fn node(taints: Value) -> Node {
    serde_json::from_value(json!({ "metadata": { "name": "a" }, "spec": { "taints": taints } }))
        .unwrap()
}

/// Since when the only taint of a node is there.
fn since(memory: &mut Since, node: &Node, live: Option<&Value>, now: i64) -> i64 {
    let taints = memory.of(node, live, at(now));
    taints[0].since.duration_since(at(0)).as_secs()
}

#[test]
fn a_taint_is_as_old_as_it_says() {
    let aged = |added: i64| {
        let added = at(added).to_string();
        node(json!([{ "key": "k", "effect": "NoExecute", "timeAdded": added }]))
    };
    let mut memory = Since::default();
    assert!(!memory.misses(&aged(0)));
    assert_eq!(since(&mut memory, &aged(0), None, 200), 0);
    // It went and came again.
    assert_eq!(since(&mut memory, &aged(250), None, 251), 250);
    // It is from the future.
    assert_eq!(since(&mut memory, &aged(99999), None, 300), 300);
    assert_eq!(since(&mut memory, &aged(99999), None, 350), 300);
}

#[test]
fn a_taint_that_does_not_say_is_as_old_as_the_list() {
    let plain = node(
        json!([{ "key": "k", "effect": "NoExecute" }, { "key": "n", "effect": "NoSchedule" }]),
    );
    let mut memory = Since::default();
    assert!(memory.misses(&plain));
    let live = json!({ "metadata": { "managedFields": [
        { "time": at(90).to_string(), "fieldsV1": { "f:metadata": {} } },
        { "time": at(40).to_string(), "fieldsV1": { "f:spec": { "f:taints": {} } } },
    ] } });
    assert_eq!(since(&mut memory, &plain, Some(&live), 100), 40);
    assert!(!memory.misses(&plain));
    assert_eq!(since(&mut memory, &plain, None, 200), 40);
    assert_eq!(since(&mut Since::default(), &plain, None, 200), 200);
    assert_eq!(since(&mut Since::default(), &plain, Some(&live), 30), 30);
}

#[test]
fn how_late_pods_were_deleted_is_measured() {
    use ::plan::{Outcome, Turn};
    let marked = || {
        let mut pod = pod("web", json!([tolerates("k", Some(30))]));
        let condition = json!([{
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
        }]);
        pod.status = Some(serde_json::from_value(json!({ "conditions": condition })).unwrap());
        pod
    };
    let measured = |pods: Vec<Pod>| -> Vec<String> {
        let world = world(vec![taint("k", "", 0)], pods, 31);
        let plan = plan::plan(&world);
        let outcome = Outcome::of(&plan);
        let ended = world.now + jiff::SignedDuration::from_millis(500);
        let samples = crate::metrics::measure(&world, &Turn::new(&plan, &outcome, ended));
        samples.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        measured(vec![marked()]),
        [
            "taint_eviction_controller_pod_deletions_total 1",
            "taint_eviction_controller_pod_deletion_duration_seconds 1.5",
        ]
    );
    // That one is only marked.
    assert!(measured(vec![pod("web", json!([]))]).is_empty());
}
