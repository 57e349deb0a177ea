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
fn no_pod_is_kept_once_all_of_its_cohort_have_left() {
    let labelled = |n: u32| json!({ "metadata": { "labels": { "index": n.to_string() } } });
    let mut cohorts = Cohorts::default();
    let (first, second) = (info("a", labelled(0)), info("a", labelled(0)));
    let other = info("b", labelled(1));
    cohorts.enter(&first, 0);
    cohorts.enter(&second, 0);
    cohorts.enter(&other, 1);
    let held = || [&first, &second, &other].map(Arc::strong_count);
    assert_eq!(held(), [2, 1, 2]);
    cohorts.leave(&first, 0);
    assert_eq!(held(), [2, 1, 2]);
    cohorts.leave(&second, 0);
    cohorts.leave(&other, 1);
    assert_eq!(held(), [1, 1, 1]);
}
