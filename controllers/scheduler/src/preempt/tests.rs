//! Situations of upstream's `default_preemption_test.go`, in a form of our own.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::cluster::Cluster;
use crate::decide::{Decision, decide};
use crate::kit::{Random, cluster, info, merge, node, requests};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::{Value, json};

/// A pod that wants so many of a node's 4 cores, with a priority.
fn wants(cpu: &str, priority: i32) -> Value {
    let mut pod = requests(json!({ "cpu": cpu }));
    merge(&mut pod, json!({ "spec": { "priority": priority } }));
    pod
}

fn started_at(hour: u32, mut pod: Value) -> Value {
    let time = format!("2026-01-01T{hour:02}:00:00Z");
    merge(&mut pod, json!({ "status": { "startTime": time } }));
    pod
}

fn labelled(app: &str, mut pod: Value) -> Value {
    merge(
        &mut pod,
        json!({ "metadata": { "labels": { "app": app } } }),
    );
    pod
}

/// Nodes with pods, each named after what is on it.
fn world(nodes: &[(&str, &[(&str, Value)])]) -> Cluster {
    let mut all = cluster(nodes.iter().map(|(name, _)| node(name, json!({}))));
    for (on, pods) in nodes {
        for (name, pod) in *pods {
            all.put_pod(info(name, pod.clone()), on);
        }
    }
    all
}

fn budget(app: &str, allowed: i32, disrupted: Value) -> PodDisruptionBudget {
    serde_json::from_value(json!({
        "metadata": { "name": app, "namespace": "ns" },
        "spec": { "selector": { "matchLabels": { "app": app } } },
        "status": { "disruptionsAllowed": allowed, "disruptedPods": disrupted,
            "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1 },
    }))
    .unwrap()
}

/// `node: victims, the most important first`, or what is said.
fn outcome(all: &Cluster, new: Value) -> String {
    let pod = info("new", new);
    let table = Table::default();
    let Decision::Nobody(diagnosis) = decide(&table, &pod, all.snapshot(), 0) else {
        panic!("there is room without anybody leaving")
    };
    match preempt(&table, &pod, all.snapshot(), &diagnosis, 0) {
        Preemption::Room(room) => {
            let names = room.victims.iter().map(|victim| &*victim.name);
            format!("{}: {}", room.node, names.collect::<Vec<_>>().join(" "))
        }
        other => other.text().to_owned(),
    }
}

#[test]
fn as_few_as_needed_leave_and_the_least_important_first() {
    let pods = [
        ("p1", wants("1", 1)),
        ("p2", wants("2", 2)),
        ("p3", wants("1", 3)),
    ];
    let all = world(&[("n", &pods)]);
    assert_eq!(outcome(&all, wants("1", 9)), "n: p1");
    assert_eq!(outcome(&all, wants("2", 9)), "n: p2");
    assert_eq!(outcome(&all, wants("3", 9)), "n: p2 p1");
    assert_eq!(outcome(&all, wants("4", 9)), "n: p3 p2 p1");
    assert_eq!(outcome(&all, wants("3", 3)), "n: p2 p1");
    // Among equals the younger leaves; one that has not begun is the youngest.
    let pods = [
        ("old", started_at(1, wants("2", 1))),
        ("young", started_at(2, wants("2", 1))),
    ];
    assert_eq!(outcome(&world(&[("n", &pods)]), wants("1", 9)), "n: young");
    let pods = [
        ("begun", started_at(1, wants("2", 1))),
        ("not", wants("2", 1)),
    ];
    assert_eq!(outcome(&world(&[("n", &pods)]), wants("1", 9)), "n: not");
}

#[test]
fn it_says_why_nobodys_leaving_helps() {
    let equal = [("p1", wants("4", 9))];
    let too_few = [("p2", wants("1", 1)), ("p3", wants("3", 9))];
    let all = world(&[("a", &equal), ("b", &too_few)]);
    assert_eq!(
        outcome(&all, wants("4", 9)),
        "0/2 nodes are available: 1 Insufficient cpu, 1 No preemption victims found for incoming pod."
    );
    assert_eq!(
        outcome(&all, wants("4", 0)),
        "0/2 nodes are available: 2 No preemption victims found for incoming pod."
    );
    assert_eq!(
        outcome(&all, wants("5", 10)),
        "0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    );
    let mut never = wants("4", 10);
    merge(
        &mut never,
        json!({ "spec": { "preemptionPolicy": "Never" } }),
    );
    assert_eq!(
        outcome(&all, never),
        "not eligible due to preemptionPolicy=Never."
    );
}

#[test]
fn the_node_is_chosen_by_upstreams_criteria_in_their_order() {
    let check = |expected: &str, nodes: &[(&str, &[(&str, Value)])]| {
        // Whichever comes first.
        for turned in [false, true] {
            let mut nodes = nodes.to_vec();
            if turned {
                nodes.reverse();
            }
            assert_eq!(outcome(&world(&nodes), wants("4", 9)), expected);
        }
    };
    // The lowest highest priority.
    check(
        "b: p2 p3",
        &[
            ("a", &[("p1", wants("4", 3))]),
            ("b", &[("p2", wants("2", 2)), ("p3", wants("2", 2))]),
        ],
    );
    // The lowest sum of priorities, where fewer pods are less.
    check(
        "b: p3",
        &[
            ("a", &[("p1", wants("2", 3)), ("p2", wants("2", -5))]),
            ("b", &[("p3", wants("4", 3))]),
        ],
    );
    check(
        "b: p3 p4",
        &[
            ("a", &[("p1", wants("2", 3)), ("p2", wants("2", 2))]),
            ("b", &[("p3", wants("2", 3)), ("p4", wants("2", 1))]),
        ],
    );
    // The youngest of the most important.
    check(
        "b: p3 p4",
        &[
            (
                "a",
                &[
                    ("p1", started_at(3, wants("2", 3))),
                    ("p2", started_at(9, wants("2", 1))),
                ],
            ),
            (
                "b",
                &[
                    ("p3", started_at(4, wants("2", 3))),
                    ("p4", started_at(1, wants("2", 1))),
                ],
            ),
        ],
    );
}

#[test]
fn budgets_are_kept_if_they_can_be() {
    let guarded = |cpu: &str, priority| labelled("guarded", wants(cpu, priority));
    let mut all = world(&[
        ("a", &[("p1", guarded("4", 1))]),
        ("b", &[("p2", wants("4", 8))]),
    ]);
    all.budgets_mut().put(&budget("guarded", 1, json!({})));
    assert_eq!(
        outcome(&all, wants("4", 9)),
        "a: p1",
        "one may be disrupted"
    );
    all.budgets_mut().put(&budget("guarded", 0, json!({})));
    assert_eq!(outcome(&all, wants("4", 9)), "b: p2");
    all.budgets_mut().put(&budget(
        "guarded",
        0,
        json!({ "p1": "2026-01-01T00:00:00Z" }),
    ));
    assert_eq!(
        outcome(&all, wants("4", 9)),
        "a: p1",
        "it is counted as disrupted already"
    );
    // Within a node the protected are let back first, though they are less important.
    let pods = [("p1", guarded("2", 1)), ("p2", wants("2", 5))];
    let mut all = world(&[("n", &pods)]);
    assert_eq!(outcome(&all, wants("2", 9)), "n: p1");
    all.budgets_mut().put(&budget("guarded", 0, json!({})));
    assert_eq!(outcome(&all, wants("2", 9)), "n: p2");
    // If there is no other way, they leave too.
    assert_eq!(outcome(&all, wants("4", 9)), "n: p2 p1");
    all.budgets_mut().remove(&budget("guarded", 0, json!({})));
    assert_eq!(outcome(&all, wants("2", 9)), "n: p1");
}

#[test]
fn affinity_spread_and_ports_are_asked_with_the_victims_gone() {
    let term = |app: &str| json!([{ "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "app": app } } }]);
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let mut apart = wants("1", 9);
    merge(
        &mut apart,
        json!({ "spec": { "affinity": { "podAntiAffinity": { required: term("foe") } } } }),
    );
    let pods = [
        ("foe", labelled("foe", wants("1", 1))),
        ("other", wants("1", 1)),
    ];
    assert_eq!(outcome(&world(&[("n", &pods)]), apart), "n: foe");

    let mut refusing = wants("1", 1);
    merge(
        &mut refusing,
        json!({ "spec": { "affinity": { "podAntiAffinity": { required: term("new") } } } }),
    );
    let pods = [("refusing", refusing), ("other", wants("1", 1))];
    assert_eq!(
        outcome(&world(&[("n", &pods)]), labelled("new", wants("1", 9))),
        "n: refusing"
    );

    let mut spread = labelled("web", wants("1", 9));
    merge(
        &mut spread,
        json!({ "spec": { "topologySpreadConstraints": [{ "topologyKey": "kubernetes.io/hostname",
        "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": { "matchLabels": { "app": "web" } } }] } }),
    );
    let web = |priority| labelled("web", wants("1", priority));
    let nodes: [(&str, &[(&str, Value)]); 2] = [
        ("a", &[("p1", web(1)), ("p2", wants("3", 1))]),
        ("b", &[("p3", wants("4", 9))]),
    ];
    assert_eq!(outcome(&world(&nodes), spread), "a: p1");

    let port = |priority: i32| {
        json!({ "spec": { "priority": priority, "containers": [
        { "name": "c", "ports": [{ "containerPort": 1, "hostPort": 80 }] }] } })
    };
    let pods = [("port", port(1)), ("other", wants("1", 1))];
    assert_eq!(outcome(&world(&[("n", &pods)]), port(9)), "n: port");
}

#[test]
fn a_nomination_is_respected_by_less_important_pods_only() {
    let mut all = world(&[("n", &[("p1", wants("1", 1))])]);
    let nominee = info("nominee", wants("3", 5));
    assert!(all.nominate(&nominee, Some("n")));
    assert!(!all.nominate(&nominee, Some("n")));
    let fits = |all: &Cluster, pod: &Arc<PodInfo>| {
        matches!(
            decide(&Table::default(), pod, all.snapshot(), 0),
            Decision::Bind { .. }
        )
    };
    assert!(!fits(&all, &info("less", wants("1", 4))));
    assert!(!fits(&all, &info("equal", wants("1", 5))));
    assert!(fits(&all, &info("more", wants("1", 6))));
    assert!(fits(&all, &nominee), "it does not stand in its own way");
    // Room for it is not found in the nominee's place.
    assert_eq!(
        outcome(&all, wants("2", 4)),
        "0/1 nodes are available: 1 Insufficient cpu."
    );
    assert!(all.nominate(&nominee, None));
    assert!(fits(&all, &info("less", wants("1", 4))));
}

#[test]
fn the_nominated_node_is_taken_though_another_is_better() {
    let mut all = world(&[("a", &[("p1", wants("1", 1))]), ("b", &[])]);
    let pod = info("new", wants("1", 5));
    all.nominate(&pod, Some("a"));
    let Decision::Bind { node, .. } = decide(&Table::default(), &pod, all.snapshot(), 0) else {
        panic!("there is room")
    };
    assert_eq!(&*node, "a");
}

#[test]
fn nobody_else_has_to_leave_while_room_is_being_made() {
    let mut all = world(&[
        ("a", &[("p1", wants("4", 1))]),
        ("b", &[("p2", wants("4", 1))]),
    ]);
    let pod = info("new", wants("1", 5));
    all.nominate(&pod, Some("a"));
    let waits = "not eligible due to a terminating pod on the nominated node.";
    assert_eq!(outcome(&all, wants("1", 5)), "a: p1");
    all.evict(std::iter::once("u-p1".into()), true);
    assert_eq!(outcome(&all, wants("1", 5)), waits);
    all.evict(std::iter::once("u-p1".into()), false);
    let mut leaving = wants("4", 1);
    merge(
        &mut leaving,
        json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } }),
    );
    all.put_pod(info("p1", leaving.clone()), "a");
    assert_eq!(
        outcome(&all, wants("1", 5)),
        "a: p1",
        "it leaves for another reason"
    );
    merge(
        &mut leaving,
        json!({ "status": { "conditions": [
        { "type": CONDITION, "status": "True", "reason": REASON }] } }),
    );
    all.put_pod(info("p1", leaving), "a");
    assert_eq!(outcome(&all, wants("1", 5)), waits);
}

#[test]
fn less_important_nominees_lose_the_place() {
    let mut all = world(&[("n", &[("p1", wants("4", 1))])]);
    let [less, more] =
        [("less", 4), ("more", 6)].map(|(name, priority)| info(name, wants("1", priority)));
    all.nominate(&less, Some("n"));
    all.nominate(&more, Some("n"));
    let (pod, table) = (info("new", wants("1", 5)), Table::default());
    let Decision::Nobody(diagnosis) = decide(&table, &pod, all.snapshot(), 0) else {
        panic!("there is no room")
    };
    let Preemption::Room(room) = preempt(&table, &pod, all.snapshot(), &diagnosis, 0) else {
        panic!("room can be made")
    };
    let displaced: Vec<&str> = room.displaced.iter().map(|other| &*other.uid).collect();
    assert_eq!(displaced, ["u-less"]);
}

#[test]
fn enough_candidates_are_enough() {
    for (nodes, expected) in [(5, 5), (100, 100), (150, 100), (1000, 100), (5000, 500)] {
        assert_eq!(Candidates::default().of(nodes), expected, "{nodes}");
    }
}

/// A random pod: what it asks for, how important it is, and sometimes a wish that more than a sum has to answer.
fn any_pod(random: &mut Random, priority: i32) -> Value {
    let mut pod = wants(random.pick(&["500m", "1", "2", "3"]), priority);
    let amounts =
        json!({ "memory": random.pick(&["1Gi", "3Gi"]), "x.io/gpu": random.pick(&["0", "1"]) });
    merge(
        &mut pod,
        json!({ "spec": { "containers": [{ "name": "c", "image": "i" }] } }),
    );
    let mut requests = amounts;
    merge(
        &mut requests,
        json!({ "cpu": random.pick(&["500m", "1", "2", "3"]) }),
    );
    pod["spec"]["containers"][0]["resources"]["requests"] = requests;
    if random.once_in(8) {
        pod["spec"]["containers"][0]["ports"] = json!([{ "containerPort": 1, "hostPort": 80 }]);
    }
    if random.once_in(8) {
        let required = "requiredDuringSchedulingIgnoredDuringExecution";
        let term = json!([{ "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "app": "a" } } }]);
        pod["spec"]["affinity"] = json!({ "podAntiAffinity": { required: term } });
    }
    let pod = started_at(random.below(20) as u32, pod);
    labelled(random.pick(&["a", "b", "c"]), pod)
}

/// What comes of a dry run, as text.
fn tried(checks: &Checks<'_>, pod: &PodInfo, all: &Cluster, possible: &[u32], seed: u64) -> String {
    match dry_run(
        checks,
        pod,
        all.snapshot(),
        &Table::default(),
        possible,
        seed,
    ) {
        Err(nowhere) => format!("{nowhere:?}"),
        Ok(candidates) => {
            let each = candidates.iter().map(|of| {
                let victims: Vec<&str> = of.victims.iter().map(|victim| &*victim.uid).collect();
                format!("{} {victims:?} {}", of.info.name, of.violations)
            });
            each.collect::<Vec<_>>().join(", ")
        }
    }
}

#[test]
fn what_sums_tell_is_what_trying_would() {
    let (mut random, mut compared, mut found) = (Random(11), 0, 0);
    for _ in 0..300 {
        let nodes = (0..6).map(|index| {
            let taints = [json!({ "key": "t", "effect": "NoSchedule" })];
            let taints = &taints[..usize::from(random.once_in(6))];
            let amounts = json!({ "cpu": random.pick(&["2", "4", "8"]), "x.io/gpu": "2" });
            node(
                &format!("n{index}"),
                json!({ "spec": { "taints": taints }, "status": { "allocatable": amounts } }),
            )
        });
        let mut all = cluster(nodes.collect::<Vec<_>>());
        for index in 0..random.below(30) {
            let priority = random.below(4) as i32;
            let pod = info(&format!("p{index}"), any_pod(&mut random, priority));
            all.put_pod(pod, &format!("n{}", random.below(6)));
        }
        if random.once_in(2) {
            all.budgets_mut().put(&budget("a", 1, json!({})));
        }
        if random.once_in(3) {
            let nominee = info("nominee", any_pod(&mut random, 3));
            all.nominate(&nominee, Some("n0"));
        }
        for index in 0..8 {
            let priority = random.below(5) as i32;
            let pod = info(&format!("new{index}"), any_pod(&mut random, priority));
            let table = Table::default();
            let Decision::Nobody(diagnosis) = decide(&table, &pod, all.snapshot(), 0) else {
                continue;
            };
            let off = Meter::default();
            let prepare = || {
                Checks::prepare(&table, &pod, all.snapshot(), &off)
                    .ok()
                    .unwrap()
            };
            let seed = random.next();
            let by_sums = tried(&prepare(), &pod, &all, &diagnosis.resolvable, seed);
            let plainly = tried(
                &prepare().plainly(),
                &pod,
                &all,
                &diagnosis.resolvable,
                seed,
            );
            assert_eq!(by_sums, plainly);
            compared += 1;
            found += usize::from(by_sums.starts_with('n'));
        }
    }
    assert!(compared > 500 && found > 200, "{compared} {found}");
}
