#![allow(clippy::unwrap_used)]

use super::Book;
use jiff::SignedDuration;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};

const BEGIN: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::constant(BEGIN + second, 0)
}

fn text(second: i64) -> String {
    at(second).to_string()
}

/// A node made at `created` whose kubelet posted last at `beat`.
fn node(created: i64, beat: Option<i64>) -> Node {
    let ready =
        |beat| json!({ "type": "Ready", "status": "True", "lastHeartbeatTime": text(beat) });
    let conditions: Vec<Value> = beat.into_iter().map(ready).collect();
    serde_json::from_value(json!({
        "metadata": { "name": "a", "uid": "u", "creationTimestamp": text(created) },
        "status": { "conditions": conditions },
    }))
    .unwrap()
}

fn lease(renewed: i64) -> Lease {
    serde_json::from_value(json!({
        "metadata": { "name": "a" },
        "spec": { "renewTime": at(renewed).strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string() },
    }))
    .unwrap()
}

/// When the node is overdue, as a second.
fn overdue(book: &mut Book, node: &Node, contact: i64, now: i64) -> Option<i64> {
    let health = book.look(node, Some(at(contact)), at(now));
    Some(health.overdue_at?.duration_since(at(0)).as_secs())
}

#[test]
fn a_node_counts_as_heard_of_when_it_is_first_seen() {
    let (mut book, node) = (Book::default(), node(-900, Some(-300)));
    book.node(None, Some(&node), at(0));
    assert_eq!(overdue(&mut book, &node, -20, 0), Some(50));
}

#[test]
fn a_kubelet_that_never_posted_has_a_minute() {
    let (mut book, node) = (Book::default(), node(0, None));
    book.node(None, Some(&node), at(1));
    assert_eq!(overdue(&mut book, &node, -20, 1), Some(60));
    // But not if nobody could have heard it.
    assert_eq!(overdue(&mut book, &node, 30, 40), Some(90));
    // It has a Lease, so it is there.
    book.lease(&lease(5), at(40));
    assert_eq!(overdue(&mut book, &node, -20, 40), Some(100));
}

#[test]
fn leases_and_statuses_are_signs_of_life() {
    let mut book = Book::default();
    let first = node(-900, Some(0));
    book.node(None, Some(&first), at(0));
    assert!(book.lease(&lease(0), at(1)));
    assert!(!book.look(&first, None, at(1)).signs);
    assert!(book.lease(&lease(10), at(11)));
    assert!(book.look(&first, None, at(11)).signs);
    assert_eq!(overdue(&mut book, &first, 0, 20), Some(61));
    // The same again says nothing.
    assert!(!book.lease(&lease(10), at(30)));
    assert_eq!(overdue(&mut book, &first, 0, 30), Some(61));
    let second = node(-900, Some(40));
    book.node(Some(&first), Some(&second), at(41));
    assert_eq!(overdue(&mut book, &second, 0, 41), Some(91));
}

#[test]
fn a_lease_may_be_seen_before_its_node() {
    let (mut book, node) = (Book::default(), node(-900, Some(0)));
    book.lease(&lease(0), at(0));
    book.node(None, Some(&node), at(0));
    assert!(!book.lease(&lease(0), at(50)));
    assert_eq!(overdue(&mut book, &node, 0, 50), Some(50));
}

#[test]
fn clocks_of_nodes_do_not_matter() {
    let (mut book, node) = (Book::default(), node(-900, Some(5000)));
    book.node(None, Some(&node), at(0));
    book.lease(&lease(5000), at(0));
    assert_eq!(overdue(&mut book, &node, 0, 0), Some(50));
    // Set back by an hour.
    assert!(book.lease(&lease(1400), at(10)));
    assert_eq!(overdue(&mut book, &node, 0, 10), Some(60));
}

#[test]
fn nobody_is_overdue_while_the_server_is_away() {
    let (mut book, node) = (Book::default(), node(-900, Some(0)));
    book.node(None, Some(&node), at(0));
    assert_eq!(book.look(&node, None, at(500)).overdue_at, None);
    assert_eq!(overdue(&mut book, &node, 490, 500), Some(540));
}

#[test]
fn after_a_time_in_which_none_was_ready_all_begin_anew() {
    let mut book = Book::default();
    let mut lost = node(-900, Some(0));
    let conditions = lost.status.as_mut().unwrap().conditions.as_mut().unwrap();
    "Unknown".clone_into(&mut conditions[0].status);
    book.node(None, Some(&lost), at(0));
    let mut other = node(-900, Some(0));
    other.metadata.name = Some("b".into());
    assert!(book.look(&lost, None, at(0)).disrupted);
    book.node(None, Some(&other), at(300));
    assert!(!book.look(&lost, None, at(300)).disrupted);
    assert_eq!(overdue(&mut book, &lost, 0, 300), Some(350));
}

#[test]
fn our_own_words_are_no_sign_of_life() {
    let mut book = Book::default();
    let silent = node(0, None);
    book.node(None, Some(&silent), at(0));
    let mut told = node(0, Some(0));
    let conditions = told.status.as_mut().unwrap().conditions.as_mut().unwrap();
    "Unknown".clone_into(&mut conditions[0].status);
    conditions[0].reason = Some("NodeStatusNeverUpdated".into());
    book.node(Some(&silent), Some(&told), at(61));
    assert!(!book.look(&told, None, at(61)).signs);
    assert_eq!(overdue(&mut book, &told, 0, 61), Some(50));
}

#[test]
fn another_node_of_the_same_name_is_another_node() {
    let mut book = Book::default();
    let (old, mut new) = (node(-900, Some(0)), node(100, Some(100)));
    new.metadata.uid = Some("v".into());
    book.node(None, Some(&old), at(0));
    book.node(Some(&old), None, at(99));
    book.node(None, Some(&new), at(100));
    assert_eq!(book.forget("a"), None);
    assert_eq!(overdue(&mut book, &new, 0, 100), Some(150));
    book.node(Some(&new), None, at(200));
    assert_eq!(book.forget("a"), Some("v".into()));
    assert_eq!(book.forget("a"), None);
}

#[test]
fn only_new_nodes_are_announced_and_once() {
    for (created, is_new) in [(-900, false), (-59, true), (0, true)] {
        let (mut book, node) = (Book::default(), node(created, Some(0)));
        book.node(None, Some(&node), at(0));
        assert_eq!(book.look(&node, None, at(0)).is_new, is_new);
        assert!(!book.look(&node, None, at(0)).is_new);
    }
}

#[test]
fn a_clock_that_is_set_back_does_not_make_nodes_live_longer() {
    let (mut book, node) = (Book::default(), node(-9000, Some(0)));
    book.node(None, Some(&node), at(0));
    let overdue = book.look(&node, Some(at(-3600)), at(-3600)).overdue_at;
    assert_eq!(overdue, Some(at(-3600) + SignedDuration::from_secs(50)));
}
