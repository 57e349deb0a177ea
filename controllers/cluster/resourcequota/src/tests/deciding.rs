use super::{NOW, pod, pods, quota, typed, world};
use crate::census::Objects;
use crate::recent::{Recent, Young};
use crate::tally::{Content, Count, Needs};
use crate::{World, plan, status};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ResourceQuota;
use objects::Quantity;
use serde_json::json;
use std::time::Duration;

fn of(count: usize) -> Content {
    pods(vec![pod(json!({}), json!({})); count])
}

/// A quota of ten pods with so many used, in this version.
fn ten(used: i64, version: u64) -> ResourceQuota {
    let mut quota = quota(&[("pods", "10")], json!({}));
    quota.metadata.resource_version = Some(version.to_string());
    quota.status = typed(json!({ "hard": { "pods": "10" }, "used": { "pods": used.to_string() } }));
    quota
}

fn says(world: &World) -> String {
    let Some(quota) = status::status(world) else {
        return "nothing new".to_owned();
    };
    let status = quota.status.unwrap_or_default();
    let text = |list: Option<std::collections::BTreeMap<_, _>>| {
        let lines = list.into_iter().flatten();
        let lines: Vec<_> = lines
            .map(
                |(name, q): (
                    String,
                    k8s_openapi::apimachinery::pkg::api::resource::Quantity,
                )| { format!("{name}={}", q.0) },
            )
            .collect();
        lines.join(" ")
    };
    format!("{} of {}", text(status.used), text(status.hard))
}

fn young(pods: i64) -> Young {
    Young {
        amounts: [("pods".to_owned(), Quantity::from_units(pods))].into(),
        settled_in: Some(Duration::from_secs(1)),
    }
}

#[test]
fn a_new_quota_is_told_its_limits_and_what_is_used() {
    let new = quota(&[("pods", "10"), ("services", "5")], json!({}));
    let world = world(new, &of(2), Young::default());
    assert_eq!(says(&world), "pods=2 services=0 of pods=10 services=5");
}

#[test]
fn what_is_right_is_not_written_again() {
    assert_eq!(
        says(&world(ten(2, 1), &of(2), Young::default())),
        "nothing new"
    );
    let mut same = ten(2, 1);
    same.status = typed(json!({ "hard": { "pods": "1e1" }, "used": { "pods": "2000m" } }));
    assert_eq!(says(&world(same, &of(2), Young::default())), "nothing new");
}

#[test]
fn a_quota_without_limits_has_nothing_to_say() {
    let mut empty = quota(&[], json!({}));
    let none = || Young::default();
    assert_eq!(says(&world(empty.clone(), &of(1), none())), "nothing new");
    empty.status = typed(json!({ "hard": {}, "used": {} }));
    assert_eq!(says(&world(empty, &of(1), none())), "nothing new");
}

#[test]
fn limits_that_are_no_more_are_left_out() {
    let mut changed = ten(2, 1);
    changed.status = typed(json!({
        "hard": { "pods": "5", "secrets": "1" }, "used": { "pods": "2", "secrets": "1" },
    }));
    assert_eq!(
        says(&world(changed, &of(2), Young::default())),
        "pods=2 of pods=10"
    );
}

#[test]
fn what_cannot_be_counted_now_keeps_what_was_said_of_it() {
    let mut quota = quota(
        &[("pods", "10"), ("secrets", "5"), ("configmaps", "5")],
        json!({}),
    );
    quota.status = typed(json!({
        "hard": { "pods": "10", "secrets": "5" }, "used": { "pods": "1", "secrets": "3" },
    }));
    let mut content = of(2);
    let place = |plural: &str| (plural.to_owned(), String::new());
    content.counts.insert(place("secrets"), Count::Unlisted);
    content.counts.insert(place("configmaps"), Count::Unlisted);
    let world = world(quota, &content, Young::default());
    assert_eq!(
        says(&world),
        "pods=2 secrets=3 of configmaps=5 pods=10 secrets=5"
    );
    assert_eq!(
        plan::plan(&world).again_after,
        Some(Duration::from_millis(200))
    );
}

#[test]
fn what_admission_has_just_let_in_is_not_taken_back() {
    for (said, there, just, wanted) in [
        // One has gone, nothing is on its way.
        (5, 4, 0, "pods=4 of pods=10"),
        // One was let in that is not stored yet.
        (5, 4, 1, "nothing new"),
        // One of three that have gone, one on its way.
        (5, 2, 1, "pods=3 of pods=10"),
        // What is too low is corrected whatever is on its way.
        (2, 4, 1, "pods=4 of pods=10"),
    ] {
        let world = world(ten(said, 1), &of(there), young(just));
        assert_eq!(says(&world), wanted, "{said} {there} {just}");
        let waits = plan::plan(&world).again_after == Some(Duration::from_secs(1));
        assert_eq!(waits, said > there as i64, "{said} {there} {just}");
    }
}

#[test]
fn a_kind_that_nobody_serves_is_looked_for_again() {
    let mut content = Content::default();
    content.counts.insert(
        ("widgets".to_owned(), "example.com".to_owned()),
        Count::Unserved,
    );
    let quota = quota(&[("count/widgets.example.com", "5")], json!({}));
    let world = world(quota, &content, Young::default());
    assert_eq!(
        plan::plan(&world).again_after,
        Some(Duration::from_secs(30))
    );
    assert_eq!(says(&world), " of count/widgets.example.com=5");
}

#[test]
fn a_limit_that_cannot_be_meant_is_told_once() {
    let hard = [("nonsense", "5"), ("count/services", "1")];
    let mut odd = quota(&hard, json!({ "scopes": ["Terminating"] }));
    let notes = status::notes(&world(odd.clone(), &Content::default(), Young::default()));
    let told: Vec<_> = notes
        .iter()
        .map(|n| format!("{} {}", n.reason, n.message))
        .collect();
    assert_eq!(
        told,
        [
            "UnknownResource spec.hard[nonsense]: the API server has no such resource",
            "UnsupportedScope spec.hard[count/services]: nothing that it counts is ever in scope Terminating",
        ]
    );
    odd.status = typed(json!({ "hard": { "nonsense": "5", "count/services": "1" }, "used": {} }));
    assert!(status::notes(&world(odd, &Content::default(), Young::default())).is_empty());
}

#[test]
fn only_what_is_limited_is_looked_at() {
    let needs = |name: &str| Needs::of(&quota(&[(name, "1")], json!({})));
    assert!(needs("requests.cpu").pods && !needs("requests.cpu").devices);
    assert!(needs("services.nodeports").services && needs("services.nodeports").kinds.is_empty());
    assert!(needs("gold.storageclass.storage.k8s.io/requests.storage").volumes);
    assert!(needs("requests.example.com/gpu").devices);
    let place = |plural: &str, group: &str| [(plural.to_owned(), group.to_owned())].into();
    assert_eq!(needs("secrets").kinds, place("secrets", ""));
    assert_eq!(
        needs("count/ingresses.networking.k8s.io").kinds,
        place("ingresses", "networking.k8s.io")
    );
    assert!(!needs("secrets").pods);
}

// === What may be on its way ===

fn at(millis: i64) -> Timestamp {
    NOW + SignedDuration::from_millis(millis)
}

fn on_its_way(recent: &mut Recent, quota: &ResourceQuota, seen: u64, millis: i64) -> i64 {
    let young = recent.observe(quota, |_| seen, at(millis));
    young.amounts.get("pods").map_or(0, |amount| amount.value())
}

#[test]
fn after_a_start_all_may_be_on_its_way() {
    let mut recent = Recent::default();
    assert_eq!(on_its_way(&mut recent, &ten(5, 10), 10, 0), 5);
    assert_eq!(on_its_way(&mut recent, &ten(5, 10), 10, 900), 5);
    assert_eq!(on_its_way(&mut recent, &ten(5, 10), 10, 1000), 0);
}

#[test]
fn a_raise_is_on_its_way_until_the_request_has_ended_and_the_watch_has_come_so_far() {
    let mut recent = Recent::default();
    on_its_way(&mut recent, &ten(5, 10), 10, 0);
    assert_eq!(on_its_way(&mut recent, &ten(7, 20), 10, 5_000), 2);
    assert_eq!(on_its_way(&mut recent, &ten(7, 20), 10, 5_999), 2);
    // The watch stands still.
    assert_eq!(on_its_way(&mut recent, &ten(7, 20), 10, 30_000), 2);
    assert_eq!(on_its_way(&mut recent, &ten(7, 20), 21, 30_001), 0);
}

#[test]
fn a_watch_that_says_nothing_for_a_minute_has_been_begun_anew() {
    let mut recent = Recent::default();
    on_its_way(&mut recent, &ten(5, 10), 0, 0);
    assert_eq!(on_its_way(&mut recent, &ten(5, 10), 0, 59_000), 5);
    assert_eq!(on_its_way(&mut recent, &ten(5, 10), 0, 60_000), 0);
}

#[test]
fn a_raise_behind_a_correction_of_ours_is_seen() {
    let mut recent = Recent::default();
    on_its_way(&mut recent, &ten(5, 10), 10, 0);
    on_its_way(&mut recent, &ten(5, 10), 10, 2_000);
    // Three have gone, and two are said. Before the next look admission lets three more in.
    recent.written(&ten(2, 10));
    assert_eq!(on_its_way(&mut recent, &ten(5, 12), 20, 2_100), 3);
}

#[test]
fn a_correction_that_could_not_be_written_is_no_raise() {
    let mut recent = Recent::default();
    on_its_way(&mut recent, &ten(5, 10), 10, 0);
    on_its_way(&mut recent, &ten(5, 10), 10, 2_000);
    // Two were to be said, but the quota was written meanwhile by somebody else.
    assert_eq!(on_its_way(&mut recent, &ten(5, 11), 10, 2_100), 0);
}

#[test]
fn what_this_loop_has_raised_itself_is_not_on_its_way() {
    let mut recent = Recent::default();
    on_its_way(&mut recent, &ten(5, 10), 10, 0);
    on_its_way(&mut recent, &ten(5, 10), 10, 2_000);
    recent.written(&ten(7, 10));
    assert_eq!(on_its_way(&mut recent, &ten(7, 12), 10, 2_100), 0);
    assert_eq!(on_its_way(&mut recent, &ten(8, 13), 10, 2_200), 1);
}

#[test]
fn quotas_of_the_same_name_are_told_apart() {
    let mut recent = Recent::default();
    on_its_way(&mut recent, &ten(5, 10), 10, 0);
    assert_eq!(on_its_way(&mut recent, &ten(5, 10), 10, 2_000), 0);
    let mut other = ten(5, 30);
    other.metadata.uid = Some("another".to_owned());
    assert_eq!(on_its_way(&mut recent, &other, 30, 2_000), 5);
}

// === Objects of kinds that nobody else watches ===

#[test]
fn objects_are_counted_by_namespace_once_each() {
    let mut objects = Objects::default();
    let names =
        |woken: Vec<std::sync::Arc<str>>| woken.iter().map(ToString::to_string).collect::<Vec<_>>();
    let all = [
        ("u1", "a", Some(1)),
        ("u2", "a", Some(2)),
        ("u3", "b", Some(3)),
    ];
    assert_eq!(names(objects.all(all.into_iter())), ["a", "b"]);
    assert_eq!(names(objects.put("u1", "a", Some(4))), Vec::<String>::new());
    assert_eq!(names(objects.put("u4", "b", Some(5))), ["b"]);
    assert_eq!(names(objects.gone("u2", Some(6))), ["a"]);
    assert_eq!(names(objects.gone("u2", Some(6))), Vec::<String>::new());
    assert_eq!(objects.count("a"), (Count::Known(1), 6));
    assert_eq!(objects.count("b"), (Count::Known(2), 6));
    // A gap of the watch: u3 is gone, u1 stays.
    let all = [("u1", "a", Some(4)), ("u4", "b", Some(5))];
    assert_eq!(names(objects.all(all.into_iter())), ["b"]);
    assert_eq!(objects.count("b").0, Count::Known(1));
}
