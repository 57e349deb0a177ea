#![allow(clippy::unwrap_used)]

use crate::{Content, State, World, begins, plan, status};
use ::plan::Kind;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use runtime::meta::{Meta, kind};
use serde_json::json;
use std::sync::Arc;

const DELETED: i64 = 1_800_000_000;

fn namespace() -> Namespace {
    let deleted = Timestamp::constant(DELETED, 0).to_string();
    serde_json::from_value(json!({
        "metadata": { "name": "shop", "uid": "u", "resourceVersion": "7", "deletionTimestamp": deleted },
        "spec": { "finalizers": ["kubernetes", "mine"] },
        "status": { "phase": "Terminating" },
    }))
    .unwrap()
}

fn pods() -> Kind {
    kind("", "v1", "Pod", "pods")
}

fn maps() -> Kind {
    kind("", "v1", "ConfigMap", "configmaps")
}

fn object(name: &str, deleting: bool) -> Meta {
    Meta {
        name: name.to_owned(),
        namespace: "shop".to_owned(),
        uid: name.to_owned(),
        deletion_timestamp: deleting.then(|| "2026-01-01T00:00:00Z".to_owned()),
        finalizers: vec!["a/b".to_owned()],
        ..Meta::default()
    }
}

/// The world so many seconds after the deletion.
fn world(seconds: i64, content: Content) -> World {
    World {
        namespace: Arc::new(namespace()),
        state: State::Going(content),
        now: Timestamp::constant(DELETED + seconds, 0),
    }
}

fn content(left: Vec<(Kind, Vec<Meta>)>) -> Content {
    Content {
        left,
        ..Content::default()
    }
}

fn text(world: &World) -> String {
    plan::plan(world).to_string()
}

#[test]
fn it_begins_when_nothing_comes_in_any_more() {
    let namespace = namespace();
    let at = Timestamp::constant(DELETED + 5, 0);
    assert_eq!(begins(&namespace), Some(at));
    let mut world = world(2, Content::default());
    world.state = State::Early(at);
    assert_eq!(text(&world), "again in 3.000s");
    let mut settled = namespace.clone();
    settled.spec.as_mut().unwrap().finalizers = Some(vec!["mine".to_owned()]);
    assert_eq!(begins(&settled), None);
    let mut active = namespace;
    active.metadata.deletion_timestamp = None;
    assert_eq!(begins(&active), None);
}

#[test]
fn pods_go_first() {
    let everything = vec![
        (maps(), vec![object("m", false)]),
        (pods(), vec![object("p", false), object("q", true)]),
    ];
    let first = text(&world(5, content(everything)));
    assert_eq!(first, "delete pod/p (its namespace goes)\nagain in 0.200s");
    let waits = vec![
        (maps(), vec![object("m", false)]),
        (pods(), vec![object("q", true)]),
    ];
    assert_eq!(text(&world(20, content(waits))), "again in 5.000s");
    let rest = text(&world(5, content(vec![(maps(), vec![object("m", false)])])));
    assert_eq!(
        rest,
        "delete configmap/m (its namespace goes)\nagain in 0.200s"
    );
}

#[test]
fn a_namespace_goes_when_it_is_empty_for_sure() {
    let empty = world(5, Content::default());
    assert_eq!(
        text(&empty),
        "update namespace/shop/finalize (nothing is in it)"
    );
    assert!(status::status(&empty).is_none());
    let plan = plan::plan(&empty);
    let ::plan::Verb::Replace(object) = &plan.actions().next().unwrap().verb else {
        unreachable!("{plan}")
    };
    let namespace = object.read::<Namespace>().unwrap();
    let finalizers = namespace.spec.as_ref().unwrap().finalizers.as_ref();
    assert_eq!(finalizers.unwrap(), &["mine"]);
    for content in [
        Content {
            undiscovered: Some("metrics.k8s.io/v1".to_owned()),
            ..Content::default()
        },
        Content {
            unlisted: vec!["looms: no".to_owned()],
            ..Content::default()
        },
    ] {
        assert_eq!(text(&world(5, content)), "again in 1.250s");
    }
}

#[test]
fn what_holds_it_up_is_told() {
    let stuck = vec![(pods(), vec![object("p", true), object("q", true)])];
    let mut world = world(600, content(stuck));
    assert_eq!(text(&world), "again in 15.000s");
    let told = status::status(&world).unwrap();
    let conditions = told.status.as_ref().unwrap().conditions.as_ref().unwrap();
    let all: Vec<_> = conditions
        .iter()
        .map(|c| {
            let (reason, message) = (c.reason.as_deref(), c.message.as_deref());
            format!("{} {} {}", c.status, reason.unwrap(), message.unwrap())
        })
        .collect();
    let wanted = [
        "False ResourcesDiscovered All resources successfully discovered",
        "False ParsedGroupVersions All legacy kube types successfully parsed",
        "False ContentDeleted All content successfully deleted, may be waiting on finalization",
        "True SomeResourcesRemain Some resources are remaining: pods. has 2 resource instances",
        "True SomeFinalizersRemain Some content in the namespace has finalizers remaining: \
         a/b in 2 resource instances",
    ];
    assert_eq!(all, wanted);
    world.namespace = Arc::new(told);
    world.now = Timestamp::constant(DELETED + 700, 0);
    assert!(
        status::status(&world).is_none(),
        "nothing new is not written"
    );
}

#[test]
fn nothing_is_told_of_what_goes_in_a_moment() {
    let going = vec![(pods(), vec![object("p", false)])];
    assert!(status::status(&world(5, content(going))).is_none());
}
