#![allow(clippy::unwrap_used)]

use super::*;
use crate::Flags;

fn ranges(cluster: &str, services: &str, bits: u8) -> Ranges {
    let flags = Flags {
        cluster_cidr: Some(cluster.to_owned()),
        service_cluster_ip_range: Some(services.to_owned()),
        node_cidr_mask_size: bits,
        ..Flags::default()
    };
    Ranges::new(&flags.options().unwrap())
}

impl Ranges {
    /// What the next node gets.
    fn next(&mut self, node: &str) -> String {
        let got = self.reserve(node);
        let got = got.map(|ranges| ranges.iter().map(ToString::to_string).collect::<Vec<_>>());
        got.map_or("none".to_owned(), |ranges| ranges.join(" "))
    }

    fn held(&mut self, node: &str, ranges: &[&str]) -> bool {
        let ranges: Vec<_> = ranges.iter().map(|text| text.parse().ok()).collect();
        self.hold(node, &ranges)
    }
}

#[test]
fn nodes_get_one_piece_after_the_other_and_keep_it() {
    let mut books = ranges("10.244.0.0/22", "", 0);
    assert_eq!(books.next("a"), "10.244.0.0/24");
    assert_eq!(books.next("b"), "10.244.1.0/24");
    assert_eq!(books.next("a"), "10.244.0.0/24", "the same one again");
    assert!(books.forget("a"));
    assert_eq!(books.next("c"), "10.244.2.0/24", "what came free is last");
    assert_eq!(books.next("d"), "10.244.3.0/24");
    assert_eq!(books.next("e"), "10.244.0.0/24");
    assert_eq!(books.next("f"), "none");
    assert!(!books.forget("f"), "it had nothing");
    assert!(books.forget("c"));
    assert_eq!(books.next("f"), "10.244.2.0/24");
}

#[test]
fn pieces_of_both_families_go_together() {
    let mut books = ranges("10.0.0.0/23,fd00::/62", "", 0);
    assert_eq!(books.next("a"), "10.0.0.0/24 fd00::/64");
    assert_eq!(books.next("b"), "10.0.1.0/24 fd00:0:0:1::/64");
    assert_eq!(books.next("c"), "none", "IPv4 is at its end");
    books.forget("a");
    assert_eq!(
        books.next("c"),
        "10.0.0.0/24 fd00:0:0:2::/64",
        "nothing was lost"
    );
}

#[test]
fn pieces_are_counted_right_in_ranges_of_any_size() {
    for (cluster, bits, expected) in [
        ("127.123.234.0/24", 24, ["127.123.234.0/24", "none"]),
        (
            "127.123.234.0/30",
            32,
            ["127.123.234.0/32", "127.123.234.1/32"],
        ),
        ("10.0.0.0/8", 9, ["10.0.0.0/9", "10.128.0.0/9"]),
        ("0.0.0.0/0", 1, ["0.0.0.0/1", "128.0.0.0/1"]),
        ("0.0.0.0/0", 32, ["0.0.0.0/32", "0.0.0.1/32"]),
        (
            "beef:1234::/48",
            64,
            ["beef:1234::/64", "beef:1234:0:1::/64"],
        ),
        (
            "beef:1234::/60",
            68,
            ["beef:1234::/68", "beef:1234:0:0:1000::/68"],
        ),
        ("fd00::/112", 128, ["fd00::/128", "fd00::1/128"]),
    ] {
        let mut books = ranges(cluster, "", bits);
        assert_eq!([books.next("a"), books.next("b")], expected, "{cluster}");
    }
}

#[test]
fn what_belongs_to_services_is_nobodys() {
    for (cluster, services, expected) in [
        (
            "10.0.0.0/22",
            "10.0.0.0/23",
            ["10.0.2.0/24", "10.0.3.0/24", "none"],
        ),
        (
            "10.0.0.0/22",
            "10.0.1.0/26",
            ["10.0.0.0/24", "10.0.2.0/24", "10.0.3.0/24"],
        ),
        ("10.0.0.0/22", "10.0.0.0/16", ["none", "none", "none"]),
        (
            "10.0.0.0/22",
            "10.96.0.0/16",
            ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"],
        ),
        (
            "10.0.0.0/22",
            "fd00::/112",
            ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"],
        ),
        (
            "10.0.0.0/22",
            "fd00::/112,10.0.2.0/24",
            ["10.0.0.0/24", "10.0.1.0/24", "10.0.3.0/24"],
        ),
    ] {
        let mut books = ranges(cluster, services, 0);
        let got = ["a", "b", "c"].map(|node| books.next(node));
        assert_eq!(got, expected, "{cluster} {services}");
    }
}

#[test]
fn what_nodes_have_is_theirs() {
    let mut books = ranges("10.0.0.0/22", "", 0);
    assert!(!books.held("a", &["10.0.0.0/24"]));
    assert_eq!(books.next("b"), "10.0.1.0/24");
    assert!(
        !books.held("b", &["10.0.3.0/24"]),
        "somebody else was first"
    );
    assert_eq!(books.next("c"), "10.0.2.0/24");
    assert_eq!(
        books.next("d"),
        "10.0.1.0/24",
        "what was promised to b is free again"
    );
    assert_eq!(books.next("e"), "none");
}

#[test]
fn a_range_that_two_nodes_have_comes_free_with_the_second() {
    let mut books = ranges("10.0.0.0/23", "", 0);
    books.held("a", &["10.0.0.0/24"]);
    books.held("b", &["10.0.0.0/24"]);
    assert_eq!(books.next("c"), "10.0.1.0/24");
    books.forget("a");
    assert_eq!(books.next("d"), "none");
    books.forget("b");
    assert_eq!(books.next("d"), "10.0.0.0/24");
}

#[test]
fn a_node_among_the_addresses_of_services_frees_nothing_of_them() {
    let mut books = ranges("10.0.0.0/22", "10.0.0.0/23", 0);
    books.held("a", &["10.0.1.0/24"]);
    books.forget("a");
    assert_eq!(
        ["b", "c", "d"].map(|node| books.next(node)),
        ["10.0.2.0/24", "10.0.3.0/24", "none"]
    );
}

#[test]
fn ranges_of_another_size_or_another_cluster_are_dealt_with() {
    let mut books = ranges("10.0.0.0/22", "", 0);
    assert!(!books.held("wide", &["10.0.0.0/23"]));
    assert!(!books.held("narrow", &["10.0.2.128/25"]));
    assert!(books.held("strange", &["192.168.0.0/24"]));
    assert!(books.held("worse", &["garbage", "fd00::/64"]));
    assert_eq!(books.next("a"), "10.0.3.0/24");
    assert_eq!(books.next("b"), "none");
    books.forget("wide");
    assert_eq!(books.next("b"), "10.0.0.0/24");
    assert_eq!(books.next("c"), "10.0.1.0/24");
}

#[test]
fn what_is_done_to_the_ranges_is_told_once() {
    let mut books = ranges("10.244.0.0/22,fd00::/62", "10.244.3.0/24", 0);
    let mut told = || -> Vec<String> {
        let usage = books.usage();
        books.next("a");
        let samples = crate::metrics::measure(&usage);
        let own = samples.iter().map(ToString::to_string);
        let own = own.filter(|line| line.contains("10.244.0.0/22"));
        own.map(|line| {
            line.replace("node_ipam_controller_", "")
                .replace(r#"{clusterCIDR="10.244.0.0/22"}"#, "")
        })
        .collect()
    };
    let lines = |taken: u32, usage: &str| {
        [
            format!("cidrset_cidrs_allocations_total {taken}"),
            "cidrset_cidrs_releases_total 0".to_owned(),
            "cirdset_max_cidrs 4".to_owned(),
            format!("cidrset_usage_cidrs {usage}"),
        ]
    };
    assert_eq!(told(), lines(1, "0.25"), "what the Services have");
    let first = told();
    assert_eq!(first[..4], lines(1, "0.5"));
    assert_eq!(first[4..], ["cidrset_allocation_tries_per_request 0"]);
    assert_eq!(told(), lines(0, "0.5"), "nothing new");
}

#[test]
fn a_node_that_shows_what_it_has_changes_nothing() {
    let mut books = ranges("10.244.0.0/22", "", 0);
    books.next("a");
    books.usage();
    books.held("a", &["10.244.0.0/24"]);
    assert_eq!(books.usage()[0].done, Done::default());
    // It has another one, and then none.
    books.held("a", &["10.244.2.0/24"]);
    let done = books.usage().remove(0).done;
    assert_eq!((done.taken, done.released), (1, 1));
    books.forget("a");
    assert_eq!(books.usage()[0].done.released, 1);
    // Pieces that are taken are passed over.
    books.held("b", &["10.244.1.0/24"]);
    books.held("c", &["10.244.2.0/24"]);
    assert_eq!(books.next("d"), "10.244.3.0/24");
    assert_eq!(books.usage()[0].done.tries, [2]);
    assert_eq!(books.next("e"), "10.244.0.0/24");
    assert_eq!(books.usage()[0].done.tries, [0]);
}
