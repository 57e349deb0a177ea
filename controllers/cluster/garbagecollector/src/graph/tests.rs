#![allow(clippy::unwrap_used)]

use super::{FOREGROUND, Graph, ORPHAN};
use crate::uid::Uid;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use plan::Kind;
use runtime::meta::{Meta, kind};

fn pods() -> Kind {
    kind("", "v1", "Pod", "pods")
}

fn sets() -> Kind {
    kind("apps", "v1", "ReplicaSet", "replicasets")
}

/// An object of the namespace `shop` whose UID is its name; `owners` are the ReplicaSets that own it, `!` before those
/// that it blocks.
fn object(name: &str, owners: &[&str]) -> Meta {
    let owner = |text: &&str| {
        let name = text.trim_start_matches('!');
        OwnerReference {
            api_version: "apps/v1".to_owned(),
            kind: "ReplicaSet".to_owned(),
            name: name.to_owned(),
            uid: name.to_owned(),
            block_owner_deletion: Some(name != *text),
            controller: None,
        }
    };
    Meta {
        uid: name.to_owned(),
        name: name.to_owned(),
        namespace: "shop".to_owned(),
        resource_version: "1".to_owned(),
        owner_references: owners.iter().map(owner).collect(),
        ..Meta::default()
    }
}

fn deleting(object: Meta, finalizer: &str) -> Meta {
    Meta {
        deletion_timestamp: Some("2026-01-01T00:00:00Z".to_owned()),
        finalizers: vec![finalizer.to_owned()],
        ..object
    }
}

/// A graph of a set `web` with the pods `a`, which blocks it, and `b`, which does not.
fn shop() -> Graph {
    let mut graph = Graph::default();
    assert_eq!(graph.put(sets(), &object("web", &[])), []);
    assert_eq!(graph.put(pods(), &object("a", &["!web"])), []);
    assert_eq!(graph.put(pods(), &object("b", &["web"])), []);
    graph
}

fn names(mut woken: Vec<Uid>, known: &[&str]) -> String {
    woken.sort();
    woken.dedup();
    let name = |uid: &Uid| {
        let mut known = known.iter();
        known
            .find(|name| Uid::of(name) == *uid)
            .unwrap()
            .to_string()
    };
    let mut names: Vec<String> = woken.iter().map(name).collect();
    names.sort();
    names.join(" ")
}

const ALL: &[&str] = &["web", "lab", "a", "b", "c"];

#[test]
fn what_has_its_owner_is_let_be() {
    let mut graph = shop();
    let mut newer = object("a", &["!web"]);
    newer.resource_version = "9".to_owned();
    assert_eq!(graph.put(pods(), &newer), []);
    let item = graph.item(Uid::of("a")).unwrap();
    assert_eq!((item.version.as_str(), item.owners.len()), ("9", 1));
    let web = graph.item(Uid::of("web")).unwrap();
    assert_eq!((web.dependents, web.blocking), (2, 1));
}

#[test]
fn an_owner_that_was_not_seen_is_asked_for() {
    let mut graph = Graph::default();
    let woken = graph.put(pods(), &object("a", &["lab"]));
    assert_eq!(names(woken, ALL), "lab");
    assert!(graph.item(Uid::of("lab")).is_none());
    let claims = graph.claims_on(Uid::of("lab"));
    let (namespace, claim) = claims.keys().next().unwrap();
    assert_eq!((&**namespace, &*claim.name), ("shop", "lab"));
    assert_eq!(claims.values().next().unwrap(), &[Uid::of("a")]);
    // It comes, and is what the pod says it is.
    assert_eq!(graph.put(sets(), &object("lab", &[])), []);
}

#[test]
fn what_calls_its_owner_by_another_name_is_looked_at_whichever_comes_first() {
    for (what, change) in [
        (
            "namespace",
            (|o| o.namespace = "lab".to_owned()) as fn(&mut Meta),
        ),
        ("name", |o| o.owner_references[0].name = "weh".to_owned()),
        ("kind", |o| o.owner_references[0].kind = "Pod".to_owned()),
        ("version", |o| {
            o.owner_references[0].api_version = "apps/v2".to_owned();
        }),
    ] {
        let mut stray = object("a", &["web"]);
        change(&mut stray);
        let mut graph = Graph::default();
        graph.put(sets(), &object("web", &[]));
        assert_eq!(names(graph.put(pods(), &stray), ALL), "a", "{what}");
        let mut graph = Graph::default();
        graph.put(pods(), &stray);
        let woken = graph.put(sets(), &object("web", &[]));
        assert_eq!(names(woken, ALL), "a", "{what}");
    }
}

#[test]
fn the_end_of_an_owner_wakes_its_dependents() {
    let mut graph = shop();
    assert_eq!(names(graph.gone("web"), ALL), "a b");
    assert_eq!(graph.gone("web"), []);
    // Nobody watches the end of what a list does not show any more.
    let mut graph = shop();
    assert_eq!(names(graph.all(sets(), &[object("lab", &[])]), ALL), "a b");
    assert_eq!(graph.nodes.len(), 3);
}

#[test]
fn an_owner_that_waits_is_woken_by_each_dependent_that_lets_go() {
    for finalizer in [FOREGROUND, ORPHAN] {
        let waiting = || deleting(object("web", &[]), finalizer);
        let mut graph = shop();
        assert_eq!(names(graph.put(sets(), &waiting()), ALL), "a b web");
        assert_eq!(names(graph.put(sets(), &waiting()), ALL), "web");
        assert_eq!(names(graph.gone("a"), ALL), "web", "gone");
        let mut graph = shop();
        graph.put(sets(), &waiting());
        let free = graph.put(pods(), &object("a", &["web"]));
        assert_eq!(names(free, ALL), "a web", "does not block any more");
        let free = graph.put(pods(), &object("a", &[]));
        assert_eq!(names(free, ALL), "web", "another owner");
        // One that comes late goes with the others.
        assert_eq!(names(graph.put(pods(), &object("c", &["!web"])), ALL), "c");
        assert_eq!(graph.staying(Uid::of("web")).len(), 2);
    }
}

#[test]
fn an_owner_that_waits_already_when_it_is_first_seen_is_looked_at() {
    let mut graph = Graph::default();
    graph.put(pods(), &object("a", &["!web"]));
    let woken = graph.put(sets(), &deleting(object("web", &[]), FOREGROUND));
    assert_eq!(names(woken, ALL), "a web");
}

#[test]
fn a_kind_in_another_version_is_the_same_kind() {
    let mut graph = shop();
    let beta = kind("apps", "v2", "ReplicaSet", "replicasets");
    assert_eq!(names(graph.all(beta, &[]), ALL), "a b");
    assert_eq!(graph.forget(pods()), []);
    assert_eq!(graph.nodes.len(), 0);
}

#[test]
fn what_nobody_uses_is_forgotten() {
    let mut graph = Graph::default();
    for n in 0..10_000 {
        let (pod, set) = (format!("pod-{n}"), format!("set-{n}"));
        graph.put(pods(), &object(&pod, &[&set]));
        graph.gone(&pod);
    }
    assert!(graph.dependents.is_empty() && graph.nodes.is_empty());
    assert!(graph.lists.len() < 2100 && graph.texts.len() < 2100);
}
