#![allow(clippy::unwrap_used)]

use super::Verdict::{Absent, Misplaced, Orphaning, Solid, Waiting};
use super::{Decision, Verdict, World, decide, plan};
use crate::graph::{Item, Life};
use ::plan::Propagation::{Background, Foreground, Orphan};
use ::plan::{Reference, Verb};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use runtime::meta::{Meta, kind};
use std::sync::Arc;

fn live(owners: usize) -> Meta {
    let owner = |n: usize| OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "ReplicaSet".to_owned(),
        name: format!("owner-{n}"),
        uid: format!("{n}"),
        block_owner_deletion: Some(true),
        controller: Some(n == 0),
    };
    Meta {
        uid: "uid-a".to_owned(),
        name: "a".to_owned(),
        namespace: "shop".to_owned(),
        resource_version: "7".to_owned(),
        owner_references: (0..owners).map(owner).collect(),
        ..Meta::default()
    }
}

fn world(verdicts: &[Verdict]) -> World {
    let live = live(verdicts.len());
    let item = Item {
        on: Reference {
            kind: kind("", "v1", "Pod", "pods"),
            namespace: "shop".to_owned(),
            name: "a".to_owned(),
            uid: String::new(),
        },
        version: String::new(),
        life: Life::default(),
        owners: Arc::new([]),
        dependents: 0,
        blocking: 0,
        dependent_waits: false,
    };
    World {
        item: item.at(&live),
        owners: verdicts.to_vec(),
        strays: Vec::new(),
    }
}

#[test]
fn what_becomes_of_an_object_depends_on_its_owners() {
    let background = Decision::Delete(Background);
    for (owners, decision) in [
        (&[][..], Decision::Keep),
        (&[Solid], Decision::Keep),
        (&[Solid, Solid], Decision::Keep),
        (&[Absent], background),
        (&[Absent, Absent], background),
        (&[Waiting], background),
        (&[Waiting, Absent], background),
        (&[Solid, Absent], Decision::Release),
        (&[Solid, Waiting], Decision::Release),
        (&[Solid, Orphaning], Decision::Release),
        (&[Orphaning], Decision::Release),
        (&[Orphaning, Absent], Decision::Release),
        (&[Orphaning, Waiting], Decision::Release),
        (&[Misplaced], Decision::Keep),
        (&[Absent, Misplaced], Decision::Keep),
        (&[Solid, Absent, Misplaced], Decision::Keep),
    ] {
        assert_eq!(decide(&world(owners)), decision, "{owners:?}");
    }
}

#[test]
fn what_goes_with_its_owner_goes_after_its_own_dependents() {
    let mut world = world(&[Waiting, Absent]);
    world.item.dependents = 1;
    assert_eq!(decide(&world), Decision::Delete(Foreground));
    world.owners = vec![Absent, Absent];
    assert_eq!(decide(&world), Decision::Delete(Background));
}

#[test]
fn a_circle_of_objects_that_wait_for_each_other_is_broken() {
    let mut world = world(&[Waiting]);
    (world.item.dependents, world.item.dependent_waits) = (1, true);
    assert_eq!(decide(&world), Decision::Unblock);
    let mut now = live(1);
    now.owner_references[0].block_owner_deletion = Some(false);
    world.item = world.item.at(&now);
    assert_eq!(decide(&world), Decision::Delete(Foreground));
}

#[test]
fn a_finalizer_that_is_there_before_says_how_it_goes() {
    for (orphan, foreground, policy) in [
        (true, false, Orphan),
        (false, true, Foreground),
        (true, true, Orphan),
        (false, false, Background),
    ] {
        let mut world = world(&[Absent]);
        (world.item.life.orphan, world.item.life.foreground) = (orphan, foreground);
        assert_eq!(decide(&world), Decision::Delete(policy));
    }
}

#[test]
fn what_is_being_deleted_waits_for_its_dependents_only() {
    for (orphan, foreground, dependents, blocking, decision) in [
        (false, false, 2, 2, Decision::Keep),
        (true, false, 1, 0, Decision::Wait),
        (true, false, 0, 0, Decision::Finish("orphan")),
        (false, true, 2, 1, Decision::Wait),
        (false, true, 2, 0, Decision::Finish("foregroundDeletion")),
    ] {
        let mut world = world(&[]);
        world.item.life = Life {
            deleting: true,
            orphan,
            foreground,
        };
        (world.item.dependents, world.item.blocking) = (dependents, blocking);
        assert_eq!(decide(&world), decision);
    }
}

#[test]
fn a_deletion_is_of_the_version_whose_owners_were_looked_at() {
    let world = world(&[Absent]);
    let plan = plan(&world, decide(&world), None);
    let action = plan.actions().next().unwrap();
    assert_eq!(action.on.uid, "uid-a");
    let Verb::Delete {
        propagation,
        resource_version,
        grace,
    } = &action.verb
    else {
        unreachable!("{plan}")
    };
    assert_eq!(*propagation, Some(Background));
    assert_eq!((resource_version.as_deref(), *grace), (Some("7"), None));
}

#[test]
fn patches_carry_uid_and_version_and_change_nothing_else() {
    let mut live = live(2);
    let meta = |rest: &str| {
        format!(
            "patch pod/a {{\"metadata\":{{{rest},\"resourceVersion\":\"7\",\"uid\":\"uid-a\"}}}}"
        )
    };
    let reference = |n: usize, blocks: bool| {
        let controller = n == 0;
        format!(
            "{{\"apiVersion\":\"apps/v1\",\"blockOwnerDeletion\":{blocks},\"controller\":{controller},\
             \"kind\":\"ReplicaSet\",\"name\":\"owner-{n}\",\"uid\":\"{n}\"}}"
        )
    };
    let text = |world: &World, decision, live: &Meta| {
        let plan = plan(world, decision, Some(live)).to_string();
        plan.split(" (").next().unwrap().to_owned()
    };
    let world = world(&[Absent, Solid]);
    let kept = format!("\"ownerReferences\":[{}]", reference(1, true));
    assert_eq!(text(&world, Decision::Release, &live), meta(&kept));
    let both = format!(
        "\"ownerReferences\":[{},{}]",
        reference(0, false),
        reference(1, false)
    );
    assert_eq!(text(&world, Decision::Unblock, &live), meta(&both));
    live.finalizers = vec!["mine".to_owned(), "orphan".to_owned()];
    let left = "\"finalizers\":[\"mine\"]";
    assert_eq!(text(&world, Decision::Finish("orphan"), &live), meta(left));
    live.finalizers.clear();
    assert!(plan(&world, Decision::Finish("orphan"), Some(&live)).is_empty());
}

#[test]
fn an_owner_in_another_namespace_is_told() {
    let mut world = world(&[Absent]);
    world.strays = world.item.owners.to_vec();
    let plan = plan(&world, decide(&world), None);
    let note = &plan.notes[0];
    assert_eq!(note.reason, "OwnerRefInvalidNamespace");
    let start = "ownerRef [apps/v1/ReplicaSet, namespace: shop, name: owner-0, uid: ";
    assert!(note.message.starts_with(start), "{}", note.message);
    let end = "] does not exist in namespace \"shop\"";
    assert!(note.message.ends_with(end), "{}", note.message);
}
