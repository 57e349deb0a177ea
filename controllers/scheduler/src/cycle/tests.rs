#![allow(clippy::unwrap_used, clippy::panic)]

mod asking;
mod bad_input;
mod random;

use super::*;
use crate::kit::{Random, at, merge, node, pod, requests};
use serde_json::{Value, json};

fn cycle() -> Cycle {
    Cycle::new(
        vec![Profile {
            name: "default-scheduler".to_owned(),
            table: Table::default(),
            plugin_config: Vec::new(),
        }],
        Backoff::default(),
    )
}

/// A pod that wants so many cores.
fn wants(cpu: &str) -> Value {
    requests(json!({ "cpu": cpu }))
}

fn on(node: &str, mut more: Value) -> Value {
    merge(&mut more, json!({ "spec": { "nodeName": node } }));
    more
}

/// What it does next, as text.
fn next(cycle: &mut Cycle, now: f64) -> String {
    say(cycle.next(at(now), 1))
}

fn say(next: Next) -> String {
    match next {
        Next::Bind { info, node, .. } => format!("{} to {node}", info.name),
        Next::Nobody { info, changed, .. } => {
            format!(
                "{} nowhere{}",
                info.name,
                if changed { ", told" } else { "" }
            )
        }
        Next::Ask(question) => format!("{} asked about", question.info.name),
        Next::Failed { info, message, .. } => {
            format!("{} failed: {message}", info.name)
        }
        Next::Idle(_) => "idle".to_owned(),
    }
}

#[test]
fn it_is_known_of_a_pod_whether_it_was_tried_as_it_had_waited_too_long() {
    let mut cycle = cycle();
    cycle.pod(&pod("a", wants("3")), at(0.0));
    let late = |cycle: &Cycle| cycle.tries("u-a").unwrap().late;
    assert_eq!(
        (next(&mut cycle, 0.0), late(&cycle)),
        ("a nowhere, told".to_owned(), false)
    );
    assert_eq!(
        (next(&mut cycle, 301.0), late(&cycle)),
        ("a nowhere".to_owned(), true)
    );
    cycle.node(node("n", json!({})), at(310.0));
    assert_eq!(
        (next(&mut cycle, 320.0), late(&cycle)),
        ("a to n".to_owned(), false)
    );
}

#[test]
fn a_pod_counts_before_it_is_bound() {
    let mut cycle = cycle();
    cycle.node(node("n", json!({})), at(0.0));
    cycle.pod(&pod("a", wants("3")), at(0.0));
    cycle.pod(&pod("b", wants("3")), at(0.0));
    assert_eq!(next(&mut cycle, 0.0), "a to n");
    assert_eq!(next(&mut cycle, 0.0), "b nowhere, told");
    assert_eq!(next(&mut cycle, 0.0), "idle");
}

#[test]
fn a_failed_binding_gives_the_place_back_and_wakes_who_waits_for_it() {
    let mut cycle = cycle();
    cycle.node(node("n", json!({})), at(0.0));
    cycle.pod(&pod("a", wants("3")), at(0.0));
    cycle.pod(&pod("b", wants("3")), at(0.1));
    assert_eq!(next(&mut cycle, 0.1), "a to n");
    assert_eq!(next(&mut cycle, 0.1), "b nowhere, told");
    cycle.unbound("u-a", at(0.2));
    assert_eq!(next(&mut cycle, 0.2), "b to n");
    assert_eq!(next(&mut cycle, 5.0), "a nowhere, told");
}

#[test]
fn a_failure_that_comes_after_the_watch_takes_nothing_back() {
    let mut cycle = cycle();
    cycle.node(node("n", json!({})), at(0.0));
    cycle.pod(&pod("a", wants("3")), at(0.0));
    assert_eq!(next(&mut cycle, 0.0), "a to n");
    cycle.pod(&pod("a", on("n", wants("3"))), at(0.1));
    cycle.unbound("u-a", at(0.2));
    cycle.pod(&pod("b", wants("3")), at(0.3));
    assert_eq!(next(&mut cycle, 9.0), "b nowhere, told");
    assert_eq!(next(&mut cycle, 9.0), "idle");
}

#[test]
fn an_old_state_of_a_bound_pod_is_no_new_pod() {
    let mut cycle = cycle();
    cycle.node(node("n", json!({})), at(0.0));
    cycle.pod(&pod("a", wants("1")), at(0.0));
    assert_eq!(next(&mut cycle, 0.0), "a to n");
    cycle.bound("u-a");
    cycle.pod(&pod("a", wants("1")), at(0.1));
    assert_eq!(next(&mut cycle, 0.1), "idle");
}

#[test]
fn who_waits_for_a_place_gets_it_when_its_pod_turns_up_elsewhere() {
    let mut cycle = cycle();
    cycle.node(node("m", json!({})), at(0.0));
    let cordoned = json!({ "spec": { "unschedulable": true } });
    cycle.node(node("n", cordoned), at(0.0));
    cycle.pod(&pod("a", wants("3")), at(0.0));
    cycle.pod(&pod("b", wants("3")), at(0.1));
    assert_eq!(next(&mut cycle, 0.1), "a to m");
    assert_eq!(next(&mut cycle, 0.1), "b nowhere, told");
    cycle.pod(&pod("a", on("n", wants("3"))), at(0.2));
    assert_eq!(next(&mut cycle, 2.0), "b to m");
    cycle.lost("u-a", at(2.1));
    assert_eq!(next(&mut cycle, 9.0), "idle");
}

#[test]
fn bound_elsewhere_counts_there() {
    let mut cycle = cycle();
    for name in ["m", "n"] {
        cycle.node(node(name, json!({})), at(0.0));
    }
    cycle.pod(&pod("a", wants("3")), at(0.0));
    let to = next(&mut cycle, 0.0);
    let (here, there) = if to == "a to m" {
        ("m", "n")
    } else {
        ("n", "m")
    };
    cycle.pod(&pod("a", on(there, wants("3"))), at(0.1));
    cycle.lost("u-a", at(0.2));
    cycle.pod(&pod("b", wants("3")), at(0.3));
    assert_eq!(next(&mut cycle, 0.3), format!("b to {here}"));
}

#[test]
fn pods_that_need_no_node_are_left_alone() {
    let deleting = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } });
    let other = json!({ "spec": { "schedulerName": "other" } });
    let ended = json!({ "status": { "phase": "Failed" } });
    for more in [deleting, other, ended, on("n", json!({}))] {
        let mut cycle = cycle();
        cycle.node(node("n", json!({})), at(0.0));
        cycle.pod(&pod("a", more.clone()), at(0.0));
        assert_eq!(next(&mut cycle, 0.0), "idle", "{more}");
        // The same for one that waited before.
        cycle.pod(&pod("b", json!({})), at(0.0));
        let mut more = more;
        merge(&mut more, json!({}));
        cycle.pod(&pod("b", more), at(0.0));
        assert_eq!(next(&mut cycle, 0.0), "idle");
    }
}

#[test]
fn the_condition_is_written_when_it_changes() {
    let mut cycle = cycle();
    cycle.node(node("n", json!({})), at(0.0));
    cycle.pod(&pod("a", wants("5")), at(0.0));
    assert_eq!(next(&mut cycle, 0.0), "a nowhere, told");
    cycle.node(
        node("n", json!({ "status": { "allocatable": { "cpu": "3" } } })),
        at(10.0),
    );
    assert_eq!(next(&mut cycle, 10.0), "idle", "it cannot be there either");
    assert_eq!(next(&mut cycle, 300.0), "a nowhere");
    cycle.node(node("m", json!({})), at(301.0));
    assert_eq!(next(&mut cycle, 600.0), "a nowhere, told");
    cycle.untold("u-a", false);
    assert_eq!(next(&mut cycle, 650.0), "idle");
    assert_eq!(next(&mut cycle, 900.0), "a nowhere, told");
    cycle.untold("u-a", true);
    assert_eq!(next(&mut cycle, 900.5), "idle");
    assert_eq!(next(&mut cycle, 910.0), "a nowhere, told");

    // After a restart the condition is known from the pod.
    let message = "0/1 nodes are available: 1 Insufficient cpu. \
                   preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    let mut told = wants("5");
    merge(
        &mut told,
        json!({ "status": { "conditions": [
        { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message }] } }),
    );
    let mut cycle = self::cycle();
    cycle.node(node("n", json!({})), at(0.0));
    cycle.pod(&pod("a", told), at(0.0));
    assert_eq!(next(&mut cycle, 0.0), "a nowhere");
}

#[test]
fn a_node_that_is_not_ready_when_it_comes_wakes_who_waits_for_it_when_it_is() {
    let mut cycle = cycle();
    cycle.node(node("other", json!({})), at(0.0));
    let mine = json!({ "spec": { "nodeSelector": { "mine": "yes" } } });
    cycle.pod(&pod("a", mine), at(0.0));
    assert_eq!(next(&mut cycle, 0.0), "a nowhere, told");
    let mut new = json!({
        "metadata": { "labels": { "mine": "yes" } },
        "spec": { "taints": [{ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" }] },
    });
    cycle.node(node("n", new.clone()), at(60.0));
    assert_eq!(next(&mut cycle, 60.0), "idle");
    merge(&mut new, json!({ "spec": { "taints": null } }));
    cycle.node(node("n", new), at(61.0));
    assert_eq!(next(&mut cycle, 61.0), "a to n");
}

#[test]
fn room_that_was_made_for_a_pod_wakes_it_and_nobody_else() {
    let mut cycle = cycle();
    let names = ["0", "1", "2", "3"];
    for name in names {
        cycle.node(node(&format!("n{name}"), json!({})), at(0.0));
        let low = on(&format!("n{name}"), wants("3"));
        cycle.pod(&pod(&format!("low{name}"), low), at(0.0));
    }
    for name in names {
        let mut high = wants("3");
        merge(&mut high, json!({ "spec": { "priority": 1 } }));
        cycle.pod(&pod(&format!("high{name}"), high), at(1.0));
    }
    for name in names {
        assert_eq!(next(&mut cycle, 1.0), format!("high{name} nowhere, told"));
    }
    let mut placed = Vec::new();
    for (turn, name) in names.iter().enumerate() {
        let now = 20.0 * (turn + 1) as f64;
        cycle.pod_gone(&format!("u-low{name}"), at(now));
        let said = next(&mut cycle, now);
        let (who, place) = said.split_once(" to ").unwrap();
        assert_eq!(place, format!("n{name}"));
        placed.push(who.to_owned());
        assert_eq!(next(&mut cycle, now), "idle", "the room is {who}'s");
    }
    placed.sort();
    assert_eq!(placed, ["high0", "high1", "high2", "high3"]);
}

#[test]
fn whom_no_room_is_promised_looks_again_later_and_is_told_what_is_so_then() {
    let mut cycle = cycle();
    cycle.node(node("n", json!({})), at(0.0));
    let low = on("n", important("3", 1));
    cycle.pod(&pod("low", low), at(0.0));
    cycle.pod(&pod("high", important("3", 9)), at(1.0));
    cycle.pod(&pod("late", important("3", 5)), at(1.0));
    assert_eq!(next(&mut cycle, 1.0), "high nowhere, told");
    assert_eq!(next(&mut cycle, 1.0), "late nowhere, told");
    cycle.pod_gone("u-low", at(5.0));
    assert_eq!(next(&mut cycle, 5.0), "high to n");
    assert_eq!(next(&mut cycle, 10.9), "idle", "it would see the same");
    assert_eq!(next(&mut cycle, 11.0), "late nowhere, told");
    assert_eq!(next(&mut cycle, 30.0), "idle");
}

#[test]
fn whom_room_is_promised_takes_what_becomes_free_elsewhere_and_leaves_that_to_others() {
    let mut cycle = cycle();
    for name in ["0", "1"] {
        cycle.node(node(&format!("n{name}"), json!({})), at(0.0));
        let low = on(&format!("n{name}"), important("3", 1));
        cycle.pod(&pod(&format!("low{name}"), low), at(0.0));
        cycle.pod(&pod(&format!("high{name}"), important("3", 9)), at(1.0));
    }
    for name in ["high0", "high1"] {
        assert_eq!(next(&mut cycle, 1.0), format!("{name} nowhere, told"));
    }
    cycle.pod(&pod("less", important("3", 5)), at(1.0));
    assert_eq!(next(&mut cycle, 1.0), "less nowhere, told");
    // One new node for each.
    for (name, second) in [("m0", 20.0), ("m1", 20.5)] {
        cycle.node(node(name, json!({})), at(second));
        let said = next(&mut cycle, second);
        assert!(said.starts_with("high"), "{said}");
        assert!(said.ends_with(name), "{said}");
    }
    // What was to be made for them is made, and who waits may have it.
    cycle.pod_gone("u-low0", at(21.0));
    let said = next(&mut cycle, 40.0);
    assert_eq!(said, "less to n0");
}

#[test]
fn whom_room_is_promised_on_a_node_that_goes_has_it_made_elsewhere() {
    let cordon = |cycle: &mut Cycle| {
        let cordoned = json!({ "spec": { "unschedulable": true } });
        cycle.node(node("n0", cordoned), at(20.0));
    };
    let remove = |cycle: &mut Cycle| cycle.node_gone("n0", at(20.0));
    let goes: [&dyn Fn(&mut Cycle); 2] = [&cordon, &remove];
    for goes in goes {
        let mut cycle = cycle();
        for (name, priority) in [("0", 1), ("1", 2)] {
            let on = on(&format!("n{name}"), important("3", priority));
            cycle.node(node(&format!("n{name}"), json!({})), at(0.0));
            cycle.pod(&pod(&format!("low{name}"), on), at(0.0));
        }
        cycle.pod(&pod("high", important("3", 9)), at(1.0));
        let room = |next: Next| match next {
            Next::Nobody { room, .. } => room.map(|room| room.node.to_string()),
            _ => None,
        };
        assert_eq!(room(cycle.next(at(1.0), 1)), Some("n0".to_owned()));
        goes(&mut cycle);
        assert_eq!(room(cycle.next(at(20.0), 1)), Some("n1".to_owned()));
    }
}

#[test]
fn room_wakes_only_those_whom_it_is_enough_for() {
    let mut cycle = cycle();
    cycle.node(node("n", json!({})), at(0.0));
    for (name, cpu) in [("x", "1"), ("y", "3"), ("large", "4"), ("small", "1")] {
        cycle.pod(&pod(name, wants(cpu)), at(0.0));
    }
    assert_eq!(next(&mut cycle, 0.0), "x to n");
    assert_eq!(next(&mut cycle, 0.0), "y to n");
    assert_eq!(next(&mut cycle, 0.0), "large nowhere, told");
    assert_eq!(next(&mut cycle, 0.0), "small nowhere, told");
    cycle.pod_gone("u-x", at(9.0));
    assert_eq!(next(&mut cycle, 9.0), "small to n");
    assert_eq!(next(&mut cycle, 9.0), "idle");
}

/// A cluster in which everything goes wrong at random: bindings fail, answers are lost, watches lag behind, somebody
/// else binds too. No node is ever given more than it has by this scheduler, and at the end every pod that fits runs.
#[test]
fn nothing_is_filled_twice_and_nobody_is_forgotten() {
    for seed in 0..200 {
        let mut random = Random(seed);
        let mut cycle = cycle();
        let mut now = 0.0;
        for name in ["m", "n"] {
            cycle.node(node(name, json!({})), at(now));
        }
        // What the API server holds: UID → node. What the watch has not shown yet.
        let mut truth: AHashMap<String, Option<String>> = AHashMap::new();
        let mut unseen: Vec<String> = Vec::new();
        let mut flying: Vec<(String, String)> = Vec::new();
        let mut names = 0;
        let object = |uid: &str, node: Option<&String>| {
            let name = uid.trim_start_matches("u-");
            pod(
                name,
                node.map_or_else(|| wants("1"), |node| on(node, wants("1"))),
            )
        };
        for _ in 0..400 {
            now += random.below(1000) as f64 / 1000.0;
            match random.below(6) {
                0 if truth.len() < 12 => {
                    names += 1;
                    let uid = format!("u-p{names}");
                    truth.insert(uid.clone(), None);
                    cycle.pod(&object(&uid, None), at(now));
                }
                1 | 2 => {
                    if let Next::Bind { info, node, .. } = cycle.next(at(now), random.next()) {
                        flying.push((info.uid.to_string(), node.to_string()));
                    }
                }
                3 if !flying.is_empty() => {
                    let (uid, node) = flying.swap_remove(random.below(flying.len()));
                    if !random.once_in(3)
                        && let Some(place) = truth.get_mut(&uid)
                    {
                        *place = Some(node);
                        unseen.push(uid.clone());
                        cycle.bound(&uid);
                    } else {
                        cycle.unbound(&uid, at(now));
                    }
                }
                4 if !unseen.is_empty() => {
                    let uid = unseen.swap_remove(random.below(unseen.len()));
                    if let Some(place) = truth.get(&uid) {
                        cycle.pod(&object(&uid, place.as_ref()), at(now));
                    }
                }
                5 if random.once_in(3) => {
                    let mut uids: Vec<_> = truth.keys().cloned().collect();
                    uids.sort();
                    if !uids.is_empty() {
                        let uid = random.below(uids.len());
                        truth.remove(&uids[uid]);
                        cycle.pod_gone(&uids[uid], at(now));
                    }
                }
                _ => {}
            }
            for name in ["m", "n"] {
                let used = truth
                    .values()
                    .flatten()
                    .filter(|node| *node == name)
                    .count();
                assert!(used <= 4, "seed {seed}: {used} cores of 4 in use");
            }
        }
        for (uid, _) in flying.drain(..) {
            cycle.unbound(&uid, at(now));
        }
        now += 400.0;
        while let Next::Bind { info, node, .. } = cycle.next(at(now), random.next()) {
            truth.insert(info.uid.to_string(), Some(node.to_string()));
            cycle.bound(&info.uid);
        }
        let running = truth.values().flatten().count();
        assert_eq!(running, truth.len().min(8), "seed {seed}");
    }
}

/// A pod that wants so many cores, with a priority.
fn important(cpu: &str, priority: i32) -> Value {
    let mut pod = wants(cpu);
    merge(&mut pod, json!({ "spec": { "priority": priority } }));
    pod
}

#[test]
fn room_that_nobody_needs_any_more_is_given_to_who_waits() {
    let mut cycle = cycle();
    cycle.node(node("n", json!({})), at(0.0));
    let mut nominated = important("3", 5);
    merge(
        &mut nominated,
        json!({ "status": { "nominatedNodeName": "n" }, "spec": { "schedulingGates": [{ "name": "g" }] } }),
    );
    cycle.pod(&pod("more", nominated), at(0.0));
    cycle.pod(&pod("less", important("2", 1)), at(0.0));
    assert_eq!(next(&mut cycle, 0.0), "less nowhere, told");
    cycle.pod_gone("u-more", at(5.0));
    assert_eq!(next(&mut cycle, 5.0), "less to n");
}

#[test]
fn pods_wait_for_what_spread_and_affinity_depend_on() {
    let spread = json!({ "metadata": { "labels": { "app": "web" } }, "spec": { "topologySpreadConstraints": [
        { "topologyKey": "kubernetes.io/hostname", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule",
          "labelSelector": { "matchLabels": { "app": "web" } } }] } });
    let web = json!({ "metadata": { "labels": { "app": "web" } } });
    let other = json!({ "metadata": { "labels": { "app": "other" } } });
    let mut cycle = cycle();
    for name in ["m", "n"] {
        cycle.node(node(name, json!({})), at(0.0));
    }
    // The other node is full, and fuller than this one when a pod leaves that: room elsewhere matters too.
    cycle.pod(&pod("x", on("n", web.clone())), at(0.0));
    let mut full = other.clone();
    merge(&mut full, wants("4"));
    cycle.pod(&pod("y", on("m", full)), at(0.0));
    let mut small = spread;
    merge(&mut small, wants("1"));
    cycle.pod(&pod("a", small), at(0.0));
    assert_eq!(next(&mut cycle, 0.0), "a nowhere, told");
    cycle.pod(&pod("z", on("n", other)), at(20.0));
    assert_eq!(next(&mut cycle, 20.0), "idle", "it does not count");
    cycle.pod_gone("u-x", at(30.0));
    assert_eq!(next(&mut cycle, 30.0), "a to n");

    let near = json!({ "spec": { "affinity": { "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
        { "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "app": "db" } } }] } } } });
    cycle.pod(&pod("b", near), at(30.0));
    assert_eq!(next(&mut cycle, 30.0), "b nowhere, told");
    cycle.pod(&pod("v", on("n", web)), at(50.0));
    assert_eq!(next(&mut cycle, 50.0), "idle");
    let db = json!({ "metadata": { "labels": { "app": "db" } } });
    cycle.pod(&pod("db", on("m", db)), at(60.0));
    assert_eq!(next(&mut cycle, 60.0), "b to m");
}

#[test]
fn each_profile_decides_about_its_own_pods() {
    let profile = |name: &str, table: Table| Profile {
        name: name.to_owned(),
        table,
        plugin_config: Vec::new(),
    };
    let blind = Table {
        filters: Vec::new(),
        ..Table::default()
    };
    let profiles = vec![
        profile("default-scheduler", Table::default()),
        profile("blind", blind),
    ];
    let mut cycle = Cycle::new(profiles, Backoff::default());
    cycle.node(
        node("n", json!({ "spec": { "unschedulable": true } })),
        at(0.0),
    );
    cycle.pod(&pod("a", json!({})), at(0.0));
    cycle.pod(
        &pod("b", json!({ "spec": { "schedulerName": "blind" } })),
        at(0.1),
    );
    cycle.pod(
        &pod("c", json!({ "spec": { "schedulerName": "other" } })),
        at(0.2),
    );
    assert_eq!(next(&mut cycle, 0.2), "a nowhere, told");
    assert_eq!(next(&mut cycle, 0.2), "b to n");
    assert_eq!(next(&mut cycle, 0.2), "idle");
}

#[test]
fn of_those_that_are_alike_one_is_tried_and_the_next_if_it_gets_a_node() {
    let mut cycle = cycle();
    cycle.node(node("n", json!({})), at(0.0));
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        cycle.pod(&pod(name, wants("2")), at(0.0));
    }
    let tried = |cycle: &mut Cycle, now: f64| {
        let each = std::iter::from_fn(|| Some(next(cycle, now)).filter(|next| next != "idle"));
        each.collect::<Vec<_>>().join(", ").replace(", told", "")
    };
    assert_eq!(
        tried(&mut cycle, 0.0),
        "a to n, b to n, c nowhere, d nowhere, e nowhere, f nowhere, g nowhere"
    );
    cycle.pod_gone("u-a", at(20.0));
    assert_eq!(tried(&mut cycle, 20.0), "c to n, d nowhere");
    cycle.node(node("m", json!({})), at(40.0));
    assert_eq!(tried(&mut cycle, 40.0), "e to m, f to m, g nowhere");
    // The one that is to be tried is gone before it is: another one is.
    cycle.node(node("k", json!({})), at(60.0));
    cycle.pod_gone("u-d", at(60.0));
    assert_eq!(tried(&mut cycle, 60.0), "g to k");
    assert_eq!(cycle.counts().unschedulable, 0);
}

/// Pods of three kinds in a cluster that changes: when nothing is left to do, none waits that could run.
#[test]
fn nobody_waits_who_could_run() {
    let apart = json!({ "labelSelector": { "matchLabels": { "app": "0" } }, "topologyKey": "kubernetes.io/hostname" });
    let even = json!({ "labelSelector": { "matchLabels": { "app": "1" } }, "topologyKey": "zone", "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule" });
    let wishes = [
        json!({ "spec": { "affinity": { "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [apart] } } } }),
        json!({ "spec": { "topologySpreadConstraints": [even] } }),
        json!({ "spec": { "nodeSelector": { "disk": "ssd" }, "tolerations": [{ "key": "a", "operator": "Exists" }] } }),
    ];
    let (mut waited, mut bound) = (0, 0);
    for seed in 0..250 {
        let mut random = Random(seed);
        let mut cycle = cycle();
        let mut pods: Vec<(String, Value)> = Vec::new();
        let mut now = 0.0;
        for round in 0..25 {
            now += 20.0;
            for event in 0..=random.below(4) {
                let name = format!("n{}", random.below(5));
                match random.below(10) {
                    0..4 => {
                        let kind = random.below(wishes.len());
                        let mut more = wants(random.pick(&["1", "2"]));
                        merge(
                            &mut more,
                            json!({ "metadata": { "labels": { "app": kind.to_string() } } }),
                        );
                        merge(&mut more, wishes[kind].clone());
                        let name = format!("p{round}-{event}");
                        cycle.pod(&pod(&name, more.clone()), at(now));
                        pods.push((name, more));
                    }
                    4..6 if !pods.is_empty() => {
                        let (name, _) = pods.swap_remove(random.below(pods.len()));
                        cycle.pod_gone(&format!("u-{name}"), at(now));
                    }
                    6 => cycle.node_gone(&name, at(now)),
                    _ => {
                        let taints =
                            [json!({ "key": random.pick(&["a", "b"]), "effect": "NoSchedule" })];
                        let taints = &taints[..usize::from(random.once_in(3))];
                        let labels = json!({ "zone": random.pick(&["x", "y"]), "disk": random.pick(&["ssd", "hdd"]) });
                        let more = json!({ "metadata": { "labels": labels }, "spec": { "taints": taints } });
                        cycle.node(node(&name, more), at(now));
                    }
                }
            }
            loop {
                match cycle.next(at(now), random.next()) {
                    Next::Idle(_) => break,
                    Next::Nobody { .. } => {}
                    Next::Ask(_) | Next::Failed { .. } => panic!("there are no extenders"),
                    Next::Bind { info, node, .. } => {
                        cycle.bound(&info.uid);
                        let mut pod = info.object();
                        pod.spec.as_mut().unwrap().node_name = Some(node.to_string());
                        cycle.pod(&Arc::new(pod), at(now));
                        bound += 1;
                    }
                }
            }
            for (name, _) in &pods {
                let Some(info) = cycle.queue.get(&format!("u-{name}")) else {
                    continue;
                };
                let all = cycle.cluster.snapshot();
                let decision = crate::decide::decide(&Table::default(), info, all, 0);
                assert!(
                    matches!(decision, Decision::Nobody(_)),
                    "seed {seed}, round {round}: {name} could run: {decision:?}"
                );
                waited += 1;
            }
        }
    }
    assert!(waited > 5000 && bound > 2000, "{waited} {bound}");
}
