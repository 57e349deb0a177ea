#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::kit::{Random, at, info};
use serde_json::json;
use std::collections::BTreeMap;

fn prioritised(name: &str, priority: i32) -> Arc<PodInfo> {
    info(name, json!({ "spec": { "priority": priority } }))
}

fn gated(name: &str) -> Arc<PodInfo> {
    info(
        name,
        json!({ "spec": { "schedulingGates": [{ "name": "g" }] } }),
    )
}

fn queue(pods: &[&str]) -> Queue {
    let mut queue = Queue::default();
    for name in pods {
        queue.put(info(name, json!({})), at(0.0));
    }
    queue
}

fn waits(wakes: Events) -> Wait {
    Wait {
        wakes,
        ..Wait::default()
    }
}

fn popped(queue: &mut Queue, now: f64) -> Option<String> {
    queue.pop(at(now)).map(|info| info.uid.to_string())
}

#[test]
fn higher_priority_first_then_first_come() {
    let mut queue = Queue::default();
    for (name, priority, time) in [
        ("a", 0, 0.0),
        ("b", 0, 0.0),
        ("c", 5, 1.0),
        ("d", -1, 0.0),
        ("e", 0, 0.5),
    ] {
        queue.put(prioritised(name, priority), at(time));
    }
    let order: Vec<_> = std::iter::from_fn(|| popped(&mut queue, 2.0)).collect();
    assert_eq!(order, ["u-c", "u-a", "u-b", "u-e", "u-d"]);
    assert_eq!(
        queue.counts(),
        Counts {
            in_flight: 5,
            ..Counts::default()
        }
    );
}

#[test]
fn errors_back_off_from_one_to_ten_seconds() {
    let mut queue = queue(&["a"]);
    let mut now = 0.0;
    for delay in [1.0, 2.0, 4.0, 8.0, 10.0, 10.0] {
        assert_eq!(popped(&mut queue, now), Some("u-a".into()), "at {now}");
        queue.fail("u-a", at(now));
        assert_eq!(queue.next_time(), Some(at(now + delay)));
        assert_eq!(popped(&mut queue, now + delay - 0.001), None);
        now += delay;
    }
}

#[test]
fn a_rejected_pod_waits_for_what_can_matter_to_it() {
    let mut queue = queue(&["a"]);
    queue.pop(at(0.0));
    queue.reject(
        "u-a",
        waits(Events::NODE_ADD | Events::NODE_LABEL),
        None,
        at(0.0),
    );
    queue.wake(Events::POD_DELETE, &[], at(20.0), |_, _| Prospect::Fits);
    assert_eq!(popped(&mut queue, 20.0), None);
    queue.wake(Events::NODE_LABEL, &[], at(20.0), |_, _| Prospect::Fits);
    assert_eq!(popped(&mut queue, 20.0), Some("u-a".into()));
}

#[test]
fn a_change_while_it_was_in_flight_is_not_lost() {
    for (event, expected) in [
        (Events::POD_DELETE, Some("u-a".to_owned())),
        (Events::NODE_TAINT, None),
    ] {
        let mut queue = queue(&["a"]);
        queue.wake(Events::POD_DELETE, &[], at(0.0), |_, _| Prospect::Fits); // before it went: it has been seen
        queue.pop(at(0.0));
        queue.wake(event, &[], at(0.0), |_, _| Prospect::Fits);
        queue.reject("u-a", waits(Events::POD_DELETE), None, at(0.0));
        assert_eq!(popped(&mut queue, 1.0), expected);
    }
}

#[test]
fn a_woken_pod_backs_off_only_while_there_is_something_else_to_do() {
    let mut queue = queue(&["a"]);
    queue.pop(at(0.0));
    queue.reject("u-a", waits(Events::NODE_ADD), None, at(0.0));
    queue.put(prioritised("b", -5), at(0.1));
    queue.wake(Events::NODE_ADD, &[], at(0.2), |_, _| Prospect::Fits);
    assert_eq!(popped(&mut queue, 0.3), Some("u-b".into()));
    assert_eq!(popped(&mut queue, 0.3), Some("u-a".into()));
}

#[test]
fn after_five_minutes_it_is_tried_without_a_reason() {
    let mut queue = queue(&["a"]);
    queue.pop(at(0.0));
    queue.reject("u-a", waits(Events::NODE_ADD), None, at(0.0));
    assert_eq!(queue.next_time(), Some(at(300.0)));
    assert_eq!(popped(&mut queue, 299.9), None);
    assert_eq!(popped(&mut queue, 300.0), Some("u-a".into()));
}

#[test]
fn gates_hold_a_pod_until_the_last_is_gone() {
    let mut queue = Queue::default();
    queue.put(gated("a"), at(0.0));
    queue.wake(Events::ANY, &[], at(1.0), |_, _| Prospect::Fits);
    assert_eq!(popped(&mut queue, 1000.0), None);
    assert_eq!(
        queue.counts(),
        Counts {
            gated: 1,
            ..Counts::default()
        }
    );
    queue.put(info("a", json!({})), at(1000.0));
    assert_eq!(popped(&mut queue, 1000.0), Some("u-a".into()));
}

#[test]
fn a_waiting_pod_that_asks_for_less_is_tried_again() {
    let mut queue = queue(&["a", "b"]);
    for _ in 0..2 {
        queue.pop(at(0.0));
    }
    queue.reject("u-a", waits(Events::POD_UPDATE), None, at(0.0));
    queue.reject("u-b", waits(Events::NODE_ADD), None, at(0.0));
    for name in ["a", "b"] {
        queue.put(
            info(name, json!({ "status": { "phase": "Pending" } })),
            at(5.0),
        );
    }
    assert_eq!(popped(&mut queue, 5.0), None, "the status does not matter");
    for name in ["a", "b"] {
        queue.put(prioritised(name, 3), at(5.0));
    }
    assert_eq!(popped(&mut queue, 5.0), Some("u-a".into()));
    assert_eq!(popped(&mut queue, 5.0), None);
    assert_eq!(queue.get("u-b").unwrap().priority, 3);
}

/// Whatever happens, each pod is in exactly one place, and each that is not gated comes up within the longest wait.
#[test]
fn no_pod_is_forgotten() {
    const EVENTS: [Events; 4] = [
        Events::NODE_ADD,
        Events::POD_DELETE,
        Events::NODE_LABEL,
        Events::POD_UPDATE,
    ];
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut queue = Queue::default();
        let mut model: BTreeMap<String, bool> = BTreeMap::new(); // by UID: in flight?
        let mut now = 0.0;
        for _ in 0..300 {
            now += random.below(3000) as f64 / 1000.0;
            let name = format!("p{}", random.below(12));
            let uid = format!("u-{name}");
            let flying: Vec<String> = model
                .iter()
                .filter(|(_, flies)| **flies)
                .map(|(uid, _)| uid.clone())
                .collect();
            let landing =
                (!flying.is_empty()).then(|| flying[random.below(flying.len().max(1))].clone());
            match (random.below(8), landing) {
                (0 | 1, _) => {
                    let pod = if random.once_in(4) {
                        gated(&name)
                    } else {
                        prioritised(&name, random.below(3) as i32)
                    };
                    queue.put(pod, at(now));
                    model.entry(uid).or_insert(false);
                }
                (2, _) => {
                    queue.remove(&uid);
                    model.remove(&uid);
                }
                (3 | 4, _) => {
                    if let Some(info) = queue.pop(at(now)) {
                        assert!(!is_gated(&info));
                        assert_eq!(
                            model.insert(info.uid.to_string(), true),
                            Some(false),
                            "popped twice or unknown"
                        );
                    }
                }
                (5, Some(uid)) => {
                    let wait = waits(random.pick(&EVENTS) | random.pick(&EVENTS));
                    let alike = queue.get(&uid).and_then(|info| info.signature());
                    let alike = alike.filter(|_| !random.once_in(4));
                    queue.reject(&uid, wait, alike, at(now));
                    if random.once_in(4) {
                        queue.promise(&uid, random.once_in(2));
                    }
                    model.insert(uid, false);
                }
                (6, Some(uid)) => {
                    queue.fail(&uid, at(now));
                    model.insert(uid, false);
                }
                _ => queue.wake(random.pick(&EVENTS), &[], at(now), |_, _| Prospect::Fits),
            }
            let counts = queue.counts();
            let all = counts.active
                + counts.backoff
                + counts.unschedulable
                + counts.gated
                + counts.in_flight;
            assert_eq!(
                (all, counts.in_flight),
                (model.len(), model.values().filter(|flies| **flies).count())
            );
        }
        let mut waiting: Vec<String> = model
            .into_iter()
            .filter(|(_, flies)| !flies)
            .map(|(uid, _)| uid)
            .collect();
        waiting.retain(|uid| !is_gated(queue.get(uid).unwrap()));
        let end = at(now + 301.0);
        let mut seen: Vec<String> = std::iter::from_fn(|| queue.pop(end))
            .map(|info| info.uid.to_string())
            .collect();
        seen.sort();
        waiting.sort();
        assert_eq!(seen, waiting, "seed {seed}");
    }
}
