#![allow(clippy::unwrap_used, clippy::panic)]

use super::revision::history;
use crate::annotations::{DESIRED_REPLICAS, MAX_REPLICAS, REVISION, REVISION_HISTORY, ROLLBACK_TO};
use crate::tests::kit::{Case, rs, written};
use ::plan::{Confirm, Verb};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use objects::meta;

/// Ten pods, three more, two less, unless said otherwise; `v2` is the new template.
fn ten() -> Case {
    Case::new(10).surge(3).unavailable(2).template("v2")
}

fn check(case: Case, expected: &[&str]) {
    assert_eq!(case.told(), expected);
}

#[test]
fn a_rollout_goes_step_by_step() {
    let old = |size, active, available| rs("old", "v1", size).has(active, available);
    let new = |size, active, available| rs("new", "v2", size).has(active, available);
    let at = |old, new| ten().rs(old).rs(new);
    check(Case::new(3), &["create 0 to 3"]);
    check(Case::new(0), &["create 0"]);
    check(ten().rs(old(10, 10, 10)), &["create 0 to 3", "old 10 to 8"]);
    // Those that were told to end are still there.
    check(at(old(8, 10, 10), new(3, 3, 0)), &[]);
    check(at(old(8, 8, 8), new(3, 3, 0)), &["new 3 to 5"]);
    check(at(old(8, 8, 8), new(5, 5, 0)), &[]);
    check(at(old(8, 8, 8), new(5, 5, 4)), &["old 8 to 4"]);
    check(at(old(0, 0, 0), new(10, 10, 10)), &[]);
    // The new one is larger than wanted.
    check(at(old(1, 1, 1), new(12, 12, 12)), &["new 12 to 10"]);
}

/// The long example in upstream's `rolling.go`.
#[test]
fn new_pods_that_crash_do_not_end_old_ones() {
    let stuck = ten()
        .rs(rs("old", "v1", 8).has(8, 7))
        .rs(rs("new", "v2", 5).has(5, 0));
    check(stuck.clone(), &[]);
    // Undone: four of the crashing ones go at once.
    check(
        stuck.clone().template("v1"),
        &["new 5 to 1", "update old (annotations)"],
    );
    // Rolled over: five that are not available go, and the next template begins with none.
    check(
        stuck.template("v3"),
        &["create 0", "old 8 to 7", "new 5 to 1"],
    );
}

#[test]
fn unhealthy_old_pods_go_first_and_oldest_first() {
    let case = |a, b| {
        ten()
            .rs(rs("a", "v0", 5).has(5, a))
            .rs(rs("b", "v1", 5).has(5, b))
    };
    let with = |a, b| case(a, b).rs(rs("new", "v2", 3).has(3, 0));
    check(with(3, 5), &["a 5 to 3"]);
    check(with(1, 5), &["a 5 to 3"]);
    check(with(5, 4), &["a 5 to 4", "b 5 to 4"]);
}

#[test]
fn what_has_not_seen_its_size_is_not_trusted() {
    let case = |old, new| ten().rs(old).rs(new);
    let old = || rs("old", "v1", 8).has(8, 8);
    let new = || rs("new", "v2", 5).has(5, 5);
    check(case(old(), new()), &["old 8 to 3"]);
    check(case(old(), new().stale()), &[]);
    check(case(old().stale(), new()), &[]);
    check(case(old().stale(), rs("new", "v2", 3).has(3, 3)), &[]);
}

#[test]
fn several_with_the_same_template_have_one_that_is_new() {
    let case = ten()
        .rs(rs("b", "v2", 10).has(10, 10))
        .rs(rs("a", "v2", 3).has(3, 3));
    check(case, &["a 3 to 0", "update b (annotations)"]);
}

#[test]
fn recreate_waits_for_all_old_pods() {
    let with = |old| Case::new(3).recreate().template("v2").rs(old);
    let empty = || rs("old", "v1", 0);
    check(with(rs("old", "v1", 3).has(3, 3)), &["old 3 to 0"]);
    check(with(empty().has(1, 0)), &[]);
    check(with(empty().terminating(1)), &[]);
    check(with(empty().stale()), &[]);
    check(with(empty()).pod("Running"), &[]);
    check(with(empty()).pod("Unknown"), &[]);
    // Finished pods hold up nothing (kubernetes#128798).
    check(
        with(empty()).pod("Failed").pod("Succeeded"),
        &["create 0 to 3"],
    );
    check(with(empty()).rs(rs("new", "v2", 0)), &["new 0 to 3"]);
}

#[test]
fn a_change_of_size_is_shared_out() {
    let at = |to: i32, old: i32, new: i32| {
        Case::new(to)
            .surge(3)
            .unavailable(2)
            .template("v2")
            .rs(rs("old", "v1", old).has(old, old).sized_for(10, 13))
            .rs(rs("new", "v2", new).has(new, 0).sized_for(10, 13))
    };
    // The conformance test's numbers: 8 and 5 of 13 are 20 and 13 of 33.
    check(at(30, 8, 5), &["old 8 to 20", "new 5 to 13"]);
    check(at(5, 8, 5), &["old 8 to 5", "new 5 to 3"]);
    check(at(0, 8, 5), &["old 8 to 0", "new 5 to 0"]);
    check(at(11, 8, 5), &["update new (annotations)", "old 8 to 9"]);
    // Without a whole to reckon from, the largest takes all.
    let mut bare = at(12, 8, 5);
    bare.replica_sets[0]
        .metadata
        .annotations
        .as_mut()
        .unwrap()
        .remove(MAX_REPLICAS);
    check(bare, &["old 8 to 9", "new 5 to 6"]);
}

#[test]
fn available_pods_are_not_shared_away() {
    let case = Case::new(4)
        .surge(0)
        .unavailable(2)
        .template("v3")
        .rs(rs("bad", "v1", 3).has(3, 0).sized_for(7, 7))
        .rs(rs("good", "v2", 2).has(2, 2).sized_for(7, 7));
    check(case, &["bad 3 to 2", "update good (annotations)"]);
}

#[test]
fn a_size_for_one_goes_to_the_only_one() {
    let old = || rs("old", "v1", 3).has(3, 3).sized_for(3, 4);
    check(ten().rs(old()), &["old 3 to 10"]);
    check(
        ten().paused().rs(rs("old", "v1", 0).sized_for(3, 4)),
        &["old 0 to 10"],
    );
    let saturated = rs("new", "v2", 10).has(10, 10).sized_for(10, 13);
    check(ten().rs(old()).rs(saturated), &["old 3 to 0"]);
}

/// kubernetes#138036: the size is right, only the annotation is of another one; upstream stays there for ever.
#[test]
fn a_stale_annotation_does_not_stop_a_rollout() {
    let sized = |desired| rs("old", "v1", 3).has(3, 3).sized_for(desired, desired);
    let case = |desired| {
        Case::new(3)
            .surge(0)
            .unavailable(1)
            .template("v2")
            .rs(sized(desired))
    };
    check(case(4), &["update old (annotations)"]);
    let action = case(4).plan().actions().next().map(written).unwrap();
    assert_eq!(
        meta::annotation(&action.metadata, DESIRED_REPLICAS),
        Some("3")
    );
    assert_eq!(meta::annotation(&action.metadata, MAX_REPLICAS), Some("3"));
    check(case(3), &["create 0", "old 3 to 2"]);
    let both = case(4)
        .recreate()
        .rs(rs("new", "v2", 1).has(1, 1).sized_for(4, 4));
    check(
        both,
        &["update old (annotations)", "update new (annotations)"],
    );
}

#[test]
fn a_paused_deployment_keeps_its_templates() {
    check(
        ten()
            .paused()
            .rs(rs("old", "v1", 10).has(10, 10).sized_for(10, 13)),
        &[],
    );
    check(ten().paused(), &[]);
    let many = || {
        let case = ten()
            .paused()
            .set(|spec| spec.revision_history_limit = Some(1));
        case.rs(rs("a", "v0", 0))
            .rs(rs("b", "v1", 10).has(10, 10).sized_for(10, 13))
    };
    check(many(), &["delete a (revision history)"]);
    check(many().annotated(ROLLBACK_TO, "1"), &[]);
}

#[test]
fn a_reused_replica_set_is_numbered_anew() {
    let first = rs("a", "v2", 0)
        .revision("1")
        .annotated(REVISION_HISTORY, "0");
    let case = ten()
        .annotated("kubernetes.io/change-cause", "undo")
        .annotated(REVISION, "2")
        .annotated("kubectl.kubernetes.io/last-applied-configuration", "{}")
        .set(|spec| spec.min_ready_seconds = Some(5))
        .rs(first)
        .rs(rs("b", "v1", 10).has(10, 10).revision("2"));
    check(case.clone(), &["a 0 to 3"]);
    let plan = case.plan();
    let rs = written(plan.actions().next().unwrap());
    let annotation = |key| meta::annotation(&rs.metadata, key);
    assert_eq!(annotation(REVISION), Some("3"));
    assert_eq!(annotation(REVISION_HISTORY), Some("0,1"));
    assert_eq!(annotation("kubernetes.io/change-cause"), Some("undo"));
    assert_eq!(
        annotation("kubectl.kubernetes.io/last-applied-configuration"),
        None
    );
    assert_eq!(annotation(DESIRED_REPLICAS), Some("10"));
    assert_eq!(rs.spec.unwrap().min_ready_seconds, Some(5));
    assert_eq!(rs.metadata.resource_version.as_deref(), Some("7"));
}

#[test]
fn a_history_forgets_its_beginning() {
    let long = (100..600)
        .map(|n| n.to_string())
        .collect::<Vec<_>>()
        .join(",");
    for (before, revision, expected) in [
        ("", "1", "1".to_owned()),
        ("1", "3", "1,3".to_owned()),
        (&long, "600", format!("{},600", &long[4..])),
        (&"9".repeat(3000), "1", "1".to_owned()),
    ] {
        assert_eq!(history(before, revision), expected);
    }
}

#[test]
fn the_new_replica_set_is_made_from_the_template() {
    let case = ten()
        .annotated("team", "web")
        .rs(rs("old", "v1", 10).has(10, 10).revision("4"));
    let plan = case.plan();
    let action = plan.actions().next().unwrap();
    let rs = written(action);
    let hash = meta::label(&rs.metadata, "pod-template-hash").unwrap();
    assert_eq!(meta::name(&rs.metadata), format!("web-{hash}"));
    assert_eq!(meta::label(&rs.metadata, "app"), Some("web"));
    assert!(meta::is_controlled_by(&rs.metadata, "uid-web"));
    let annotation = |key| meta::annotation(&rs.metadata, key);
    assert_eq!(annotation(REVISION), Some("5"));
    assert_eq!(annotation(MAX_REPLICAS), Some("13"));
    assert_eq!(annotation("team"), Some("web"));
    let spec = rs.spec.as_ref().unwrap();
    let selector = spec.selector.match_labels.as_ref().unwrap();
    assert_eq!(
        selector.get("pod-template-hash").map(String::as_str),
        Some(hash)
    );
    let note = action.note.as_ref().unwrap();
    assert_eq!(note.reason, "ScalingReplicaSet");
    assert_eq!(
        note.message,
        format!("Scaled up replica set web-{hash} from 0 to 3")
    );
    let warning = action.on_failure.as_ref().unwrap();
    assert_eq!(warning.reason, "ReplicaSetCreateError");
    assert_eq!(
        warning.message,
        format!("Failed to create new replica set \"web-{hash}\"")
    );
}

#[test]
fn a_long_name_is_cut_to_fit() {
    let mut case = Case::new(1);
    case.deployment.metadata.name = Some("d".repeat(253));
    let plan = case.plan();
    assert_eq!(plan.actions().next().unwrap().on.name.len(), 253);
}

#[test]
fn orphans_are_adopted_and_strangers_released() {
    let case = ten()
        .rs(rs("orphan", "v2", 3).orphan())
        .rs(rs("going", "v1", 3).orphan().deleting())
        .rs(rs("other", "v1", 3).orphan().labelled("app", "other"))
        .rs(rs("stranger", "v1", 3).labelled("app", "other"));
    let plan = case.plan();
    let told: Vec<_> = plan.actions().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("patch replicaset/web-orphan"),
        "{told:?}"
    );
    assert!(told[0].contains("\"uid\":\"uid-orphan\""), "{told:?}");
    assert!(told[0].contains("\"controller\":true"), "{told:?}");
    assert!(
        told[1].starts_with("patch replicaset/web-stranger"),
        "{told:?}"
    );
    assert!(told[1].contains("\"ownerReferences\":[]"), "{told:?}");
    let confirm = plan.actions().next().unwrap().confirm.clone();
    assert_eq!(confirm, Some(Confirm::Alive(case.world().me)));
    check(case.deleting(), &[]);
}

#[test]
fn history_is_cut_when_the_rollout_is_complete() {
    let case = |available| {
        let case = Case::new(1).set(|spec| spec.revision_history_limit = Some(1));
        let case = case.template("v9").rs(rs("c", "v3", 0).revision("3"));
        let case = case
            .rs(rs("a", "v1", 0).revision("1"))
            .rs(rs("b", "v2", 0).revision("2"));
        case.rs(rs("new", "v9", 1).has(1, available).revision("4"))
    };
    check(
        case(1),
        &["delete a (revision history)", "delete b (revision history)"],
    );
    check(case(0), &[]);
    let plan = case(1).plan();
    let action = plan.actions().next().unwrap();
    assert_eq!(action.on.uid, "uid-a");
    assert!(matches!(&action.verb, Verb::Delete { resource_version: Some(v), .. } if v == "7"));
    // One with pods counts, but stays.
    let mut busy = case(1);
    busy.replica_sets[1]
        .status
        .as_mut()
        .unwrap()
        .observed_generation = Some(0);
    check(busy, &["delete b (revision history)"]);
    check(case(1).set(|spec| spec.revision_history_limit = None), &[]);
}

#[test]
fn a_rollback_sets_the_template_back() {
    let case = |to: &str| {
        ten()
            .annotated(ROLLBACK_TO, to)
            .annotated("cause", "second")
            .rs(rs("a", "v1", 0).revision("1").annotated("cause", "first"))
            .rs(rs("b", "v2", 10)
                .has(10, 10)
                .revision("2")
                .annotated("cause", "second"))
    };
    let done = |to: &str| {
        let plan = case(to).plan();
        let action = plan.actions().last().unwrap().clone();
        let Verb::Replace(object) = &action.verb else {
            panic!("{action}")
        };
        let next = object.read::<Deployment>().unwrap();
        assert_eq!(meta::annotation(&next.metadata, ROLLBACK_TO), None);
        (action.note.unwrap(), next)
    };
    for (to, reason, message) in [
        (
            "0",
            "DeploymentRollback",
            "Rolled back deployment \"web\" to revision 1",
        ),
        (
            "1",
            "DeploymentRollback",
            "Rolled back deployment \"web\" to revision 1",
        ),
        (
            "2",
            "DeploymentRollbackTemplateUnchanged",
            "The rollback revision contains the same template as current deployment \"web\"",
        ),
        (
            "7",
            "DeploymentRollbackRevisionNotFound",
            "Unable to find the revision to rollback to.",
        ),
    ] {
        let (note, _) = done(to);
        assert_eq!((note.reason, note.message.as_str()), (reason, message));
    }
    let (_, next) = done("1");
    assert_eq!(meta::annotation(&next.metadata, "cause"), Some("first"));
    let template = next.spec.unwrap().template;
    assert_eq!(
        template.spec.unwrap().containers[0].image.as_deref(),
        Some("v1")
    );
    let labels = template.metadata.unwrap().labels.unwrap();
    assert!(!labels.contains_key("pod-template-hash"));
    let alone = ten()
        .annotated(ROLLBACK_TO, "0")
        .rs(rs("b", "v2", 10).has(10, 10).revision("1"));
    check(alone, &["update web (rollback)"]);
}

#[test]
fn a_deadline_is_looked_at_when_it_is_due() {
    let waiting = |reason: &str, ago| {
        let case = ten()
            .rs(rs("old", "v1", 8).has(8, 8))
            .rs(rs("new", "v2", 5).has(5, 0));
        case.progressing("True", reason, ago)
            .plan()
            .again_after
            .map(|d| d.as_secs())
    };
    assert_eq!(waiting("ReplicaSetUpdated", 100), Some(501));
    assert_eq!(waiting("ReplicaSetUpdated", 700), Some(1));
    assert_eq!(waiting("NewReplicaSetAvailable", 100), None);
    assert_eq!(waiting("ProgressDeadlineExceeded", 100), None);
    let ended = ten().rs(rs("new", "v2", 10).has(10, 10));
    assert_eq!(
        ended
            .progressing("True", "ReplicaSetUpdated", 1)
            .plan()
            .again_after,
        None
    );
}

#[test]
fn an_empty_selector_is_told_once_a_generation() {
    let case = ten().set(|spec| spec.selector = LabelSelector::default());
    check(
        case.clone(),
        &["This deployment is selecting all pods. A non-empty selector is required."],
    );
    let after = case.status_after(&::plan::Outcome::default()).unwrap();
    check(case.with_status(after), &[]);
}
