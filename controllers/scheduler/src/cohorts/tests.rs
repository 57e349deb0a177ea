use super::Cohorts;
use crate::kit::info;
use objects::Selector;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

#[test]
fn alike_pods_are_counted_by_node_until_the_last_has_left() {
    let web = Selector::from_labels(&BTreeMap::from([("app".into(), "web".into())]));
    let labels = json!({ "metadata": { "labels": { "app": "web" } } });
    let (a, b) = (info("a", labels.clone()), info("b", labels));
    let mut cohorts = Cohorts::default();
    cohorts.enter(&a, 0);
    cohorts.enter(&b, 3);
    let counts = |cohorts: &Cohorts| {
        let selected = cohorts.selected("ns", &web);
        let mut counts: Vec<_> = selected
            .flat_map(|cohort| cohort.on.iter().map(|(slot, count)| (*slot, count.living)))
            .collect();
        counts.sort_unstable();
        counts
    };
    assert_eq!(counts(&cohorts), [(0, 1), (3, 1)]);
    cohorts.leave(&a, 0);
    assert_eq!(counts(&cohorts), [(3, 1)]);
    cohorts.leave(&b, 3);
    assert_eq!(counts(&cohorts), []);
}

#[test]
fn no_pod_is_kept_that_has_left_or_has_a_newer_version() {
    let labelled = |n: u32| json!({ "metadata": { "labels": { "index": n.to_string() } } });
    let mut cohorts = Cohorts::default();
    let (old, new) = (info("a", labelled(0)), info("a", labelled(0)));
    let other = info("b", labelled(1));
    cohorts.enter(&old, 0);
    cohorts.enter(&new, 0);
    cohorts.enter(&other, 1);
    assert_eq!([&old, &new, &other].map(Arc::strong_count), [1, 2, 2]);
    let newest = info("a", labelled(0));
    cohorts.renew(&new, &newest);
    assert_eq!([&new, &newest].map(Arc::strong_count), [1, 2]);
    cohorts.renew(&old, &new);
    assert_eq!([&new, &newest].map(Arc::strong_count), [1, 2]);
    cohorts.leave(&old, 0);
    cohorts.leave(&newest, 0);
    cohorts.leave(&other, 1);
    assert_eq!([&old, &new, &other].map(Arc::strong_count), [1, 1, 1]);
}
