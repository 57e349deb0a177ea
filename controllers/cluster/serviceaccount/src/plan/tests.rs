#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::active;
use ::plan::Verb;
use serde_json::{Value, json};
use std::sync::Arc;

#[test]
fn the_default_account_is_made_where_it_is_missing() {
    let account = || Some(Arc::new(ServiceAccount::default()));
    for (namespace, account, expected) in [
        (Some("shop"), None, "create serviceaccount/default"),
        (Some("shop"), account(), ""),
        (None, None, ""),
    ] {
        let active = namespace.map(str::to_owned);
        assert_eq!(
            super::account(&AccountWorld { active, account }).to_string(),
            expected
        );
    }
}

#[test]
fn namespaces_are_active_until_their_deletion_begins() {
    let deleted = json!("2026-01-01T00:00:00Z");
    for (phase, deletion, expected) in [
        ("Active", Value::Null, Some("shop")),
        ("Active", deleted.clone(), None),
        ("Terminating", deleted, None),
        ("", Value::Null, None),
    ] {
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "shop", "deletionTimestamp": deletion},
            "status": {"phase": phase},
        });
        let namespace = serde_json::from_value(namespace).unwrap();
        assert_eq!(active(&namespace).as_deref(), expected, "{phase}");
    }
}

/// The ConfigMap as the controller makes it, changed by `edit`.
fn stored(edit: impl FnOnce(&mut ConfigMap)) -> Arc<ConfigMap> {
    let plan = root_ca(&world(None));
    let action = plan.actions().next().unwrap();
    let Verb::Create(object) = &action.verb else {
        panic!("it is a creation");
    };
    let mut map = object.read::<ConfigMap>().unwrap();
    map.metadata.uid = Some("u1".into());
    map.metadata.resource_version = Some("7".into());
    edit(&mut map);
    Arc::new(map)
}

fn world(config_map: Option<Arc<ConfigMap>>) -> RootCaWorld {
    RootCaWorld {
        active: Some("shop".into()),
        config_map,
        ca: "PEM".into(),
    }
}

#[test]
fn the_config_map_is_made_and_kept_as_it_should_be() {
    let update = "update configmap/kube-root-ca.crt";
    let anew = "delete configmap/kube-root-ca.crt (immutable with the wrong certificates)";
    for (what, config_map, expected) in [
        ("right", stored(|_| ()), ""),
        ("emptied", stored(|map| map.data = None), update),
        (
            "edited",
            stored(|map| {
                let data = map.data.as_mut().unwrap();
                data.insert("ca.crt".into(), "x".into());
            }),
            update,
        ),
        (
            "extended",
            stored(|map| _ = map.data.as_mut().unwrap().insert("x".into(), "y".into())),
            update,
        ),
        (
            "description gone",
            stored(|map| map.metadata.annotations = None),
            update,
        ),
        (
            "own description",
            stored(|map| {
                let annotations = map.metadata.annotations.as_mut().unwrap();
                annotations.insert(DESCRIPTION_ANNOTATION.into(), "ours".into());
            }),
            "",
        ),
        ("locked", stored(|map| map.immutable = Some(true)), ""),
        (
            "locked and wrong",
            stored(|map| {
                map.immutable = Some(true);
                map.data = None;
            }),
            anew,
        ),
    ] {
        let plan = root_ca(&world(Some(config_map)));
        assert_eq!(plan.to_string(), expected, "{what}");
    }
    let missing = root_ca(&world(None));
    assert_eq!(missing.to_string(), "create configmap/kube-root-ca.crt");
    let ending = RootCaWorld {
        active: None,
        ..world(None)
    };
    assert!(root_ca(&ending).is_empty());
}

#[test]
fn a_repair_keeps_what_else_is_there_and_the_version() {
    let old = stored(|map| {
        map.data = None;
        map.metadata.labels = Some(BTreeMap::from([("team".into(), "red".into())]));
    });
    let plan = root_ca(&world(Some(old)));
    let Verb::Replace(object) = &plan.actions().next().unwrap().verb else {
        panic!("it is a replacement");
    };
    let new = object.read::<ConfigMap>().unwrap();
    assert_eq!(new.data.as_ref().unwrap()["ca.crt"], "PEM");
    assert_eq!(meta::label(&new.metadata, "team"), Some("red"));
    assert_eq!(new.metadata.resource_version.as_deref(), Some("7"));
}

#[test]
fn each_publication_is_counted_by_its_code() {
    use crate::RootCaPublisher;
    use ::plan::{Cause, Failure, Outcome, Turn};
    use runtime::Controller;
    let world = world(None);
    let plan = root_ca(&world);
    let measured = |outcome: &Outcome| -> Vec<String> {
        let turn = Turn {
            took: std::time::Duration::from_millis(2),
            ..Turn::new(&plan, outcome, jiff::Timestamp::UNIX_EPOCH)
        };
        let samples = RootCaPublisher::measure(&world, &turn);
        samples.iter().map(ToString::to_string).collect()
    };
    let lines = |code: &str| {
        [
            format!(r#"root_ca_cert_publisher_sync_total{{code="{code}"}} 1"#),
            format!(r#"root_ca_cert_publisher_sync_duration_seconds{{code="{code}"}} 0.002"#),
        ]
    };
    assert_eq!(measured(&Outcome::of(&plan)), lines("200"));
    for (cause, code) in [
        (Cause::Forbidden, "403"),
        (Cause::Conflict, "409"),
        (Cause::Transient, "500"),
        // Nobody needs it any more.
        (Cause::NamespaceTerminating, "200"),
    ] {
        let failures = plan.actions().map(|action| Failure {
            on: action.on.clone(),
            verb: action.verb.name(),
            cause,
            message: String::new(),
        });
        let outcome = Outcome {
            failures: failures.collect(),
            ..Outcome::default()
        };
        assert_eq!(measured(&outcome), lines(code), "{cause:?}");
    }
}
