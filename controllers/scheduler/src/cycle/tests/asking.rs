//! Pods about which an extender is asked.

use super::*;
use crate::extender::{About, Answer, Candidate, Extender, Opinion};
use std::time::Duration;

/// One that looks after the devices `x.io/gpu`, and has all verbs that decide.
pub(super) fn extender() -> Extender {
    Extender {
        url: "http://x".to_owned(),
        filter: "filter".to_owned(),
        prioritize: "prioritize".to_owned(),
        preempt: "preempt".to_owned(),
        bind: String::new(),
        weight: 1,
        tls: Default::default(),
        timeout: Duration::from_secs(5),
        is_cache_capable: true,
        managed: ["x.io/gpu".to_owned()].into(),
        is_ignorable: false,
    }
}

/// What to merge over a pod that wants such devices, and so many cores.
pub(super) fn devices(cpu: &str) -> Value {
    requests(json!({ "cpu": cpu, "x.io/gpu": "0" }))
}

fn world(nodes: &[&str]) -> Cycle {
    let mut cycle = cycle().asking([extender()].into());
    for name in nodes {
        cycle.node(node(name, json!({})), at(0.0));
    }
    cycle
}

/// Where the pod goes for which these nodes pass, with these scores.
fn passed(cycle: &mut Cycle, names: &[&str], scores: &[(&str, i64)]) -> String {
    let opinion = Opinion {
        passed: names.iter().map(|name| (*name).to_owned()).collect(),
        scores: scores
            .iter()
            .map(|(name, score)| ((*name).to_owned(), *score))
            .collect(),
        ..Opinion::default()
    };
    told(cycle, Answer::Nodes(Ok(opinion)))
}

fn told(cycle: &mut Cycle, answer: Answer) -> String {
    match cycle.answered(answer, at(0.0), 1) {
        None => "nothing".to_owned(),
        Some(Next::Nobody { message, room, .. }) => {
            let room = room.map(|room| format!(" room on {}", room.node));
            format!("{message}{}", room.unwrap_or_default())
        }
        Some(next) => say(next),
    }
}

#[test]
fn others_go_on_while_one_is_asked_about() {
    let mut cycle = world(&["m", "n"]);
    cycle.pod(&pod("a", devices("1")), at(0.0));
    cycle.pod(&pod("b", devices("1")), at(0.1));
    let mut urgent = devices("1");
    merge(&mut urgent, json!({ "spec": { "priority": 5 } }));
    cycle.pod(&pod("plain", wants("1")), at(0.2));
    assert_eq!(next(&mut cycle, 0.2), "a asked about");
    assert!(next(&mut cycle, 0.2).starts_with("plain to "));
    cycle.pod(&pod("urgent", urgent), at(0.3));
    assert_eq!(next(&mut cycle, 0.3), "idle");
    assert_eq!(passed(&mut cycle, &["m"], &[]), "a to m");
    assert_eq!(next(&mut cycle, 0.3), "urgent asked about");
    assert_eq!(
        passed(&mut cycle, &["m", "n"], &[("m", 1000)]),
        "urgent to m"
    );
    assert_eq!(next(&mut cycle, 0.3), "b asked about");
    assert_eq!(passed(&mut cycle, &["m", "n"], &[("n", 1000)]), "b to n");
    assert_eq!(next(&mut cycle, 0.3), "idle");
}

#[test]
fn what_happens_meanwhile_counts() {
    let mut cycle = world(&["m", "n"]);
    cycle.pod(&pod("a", devices("3")), at(0.0));
    assert_eq!(next(&mut cycle, 0.0), "a asked about");
    cycle.pod(&pod("other", on("m", wants("3"))), at(0.1));
    assert_eq!(passed(&mut cycle, &["m", "n"], &[("m", 1000)]), "a to n");
    cycle.pod(&pod("b", devices("1")), at(0.2));
    assert_eq!(next(&mut cycle, 0.2), "b asked about");
    cycle.pod(&pod("more", on("n", wants("1"))), at(0.3));
    assert_eq!(passed(&mut cycle, &["n"], &[]), "nothing", "it is full");
    assert_eq!(next(&mut cycle, 0.3), "b asked about", "anew");
    cycle.pod_gone("u-b", at(0.4));
    assert_eq!(passed(&mut cycle, &["m"], &[]), "nothing", "it is gone");
    assert_eq!(next(&mut cycle, 0.4), "idle");
}

#[test]
fn its_reasons_are_told_and_any_change_wakes_the_pod() {
    let mut cycle = world(&["m", "n"]);
    cycle.node(
        node(
            "full",
            json!({ "status": { "allocatable": { "cpu": "0" } } }),
        ),
        at(0.0),
    );
    cycle.pod(&pod("a", devices("1")), at(0.0));
    assert_eq!(next(&mut cycle, 0.0), "a asked about");
    let failed = [("m", ("no device", true)), ("n", ("never", false))];
    let failed = failed.map(|(node, (why, may))| (node.to_owned(), (why.to_owned(), may)));
    let opinion = Opinion {
        failed: failed.into(),
        ..Opinion::default()
    };
    assert_eq!(
        told(&mut cycle, Answer::Nodes(Ok(opinion))),
        "0/3 nodes are available: 1 Insufficient cpu, 1 never, 1 no device. preemption: 0/3 nodes are available: \
         1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
    );
    assert_eq!(next(&mut cycle, 5.0), "idle");
    cycle.pod(&pod("other", on("full", wants("0"))), at(6.0));
    assert_eq!(next(&mut cycle, 6.0), "a asked about");
}

#[test]
fn one_that_fails_is_asked_again_after_a_while() {
    let mut cycle = world(&["n"]);
    cycle.pod(&pod("a", devices("1")), at(0.0));
    assert_eq!(next(&mut cycle, 0.0), "a asked about");
    let failed = |cycle: &mut Cycle| told(cycle, Answer::Nodes(Err("down".to_owned())));
    assert_eq!(failed(&mut cycle), "a failed: down");
    assert_eq!(next(&mut cycle, 0.5), "idle");
    assert_eq!(next(&mut cycle, 1.1), "a asked about");
}

#[test]
fn it_says_who_may_leave() {
    let mut cycle = world(&["m", "n"]);
    for name in ["m", "n"] {
        cycle.pod(&pod(&format!("on-{name}"), on(name, wants("4"))), at(0.0));
    }
    let mut urgent = devices("1");
    merge(&mut urgent, json!({ "spec": { "priority": 5 } }));
    cycle.pod(&pod("a", urgent), at(0.0));
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut ask = |cycle: &mut Cycle| match cycle.next(at(0.0), 1) {
        Next::Ask(Question {
            about: About::Victims(of),
            ..
        }) => candidates = of,
        next => panic!("{}", say(next)),
    };
    ask(&mut cycle);
    let mut nodes: Vec<_> = candidates.iter().map(|of| &*of.node).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["m", "n"]);
    candidates.retain(|of| &*of.node == "n");
    let only = "0/2 nodes are available: 2 Insufficient cpu. room on n";
    assert_eq!(told(&mut cycle, Answer::Victims(Ok(candidates))), only);
}
